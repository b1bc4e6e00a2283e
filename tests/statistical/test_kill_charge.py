"""A charge calibration that is killed goes on to the same draws."""

import os
import signal
import subprocess
import sys
import time

import jax
import pytest
import xarray as xr

from bayescal.inference import load
from bayescal.model_files import load_model
from bayescal.readers.detector import read_detector
from bayescal.readers.edepsim import write_segments
from bayescal.study_template import write_template
from bayescal.tracks import generate_muons

PROGRAM = "from bayescal.cli import main; main()"
VALUES = {
    "data": "hits.h5",
    "output": "killed.nc",
    "inputs": {"segments": ["segments.h5"]},
    "sampler": {"chains": 2, "warmup": 12, "draws": 12, "block": 2, "checkpoint_seconds": 0.0},
}
NOT_CONVERGED = 3  # so few draws cannot be good


@pytest.fixture
def study(tmp_path):
    """A study of about 10 cm of made tracks with their hits."""
    segments = generate_muons(jax.random.key(1), read_detector("module0").geometry, n_tracks=2, length_cm=5.0)
    write_segments(tmp_path / "segments.h5", segments)
    path = tmp_path / "study.toml"
    path.write_text(write_template(load_model("charge_constants"), VALUES))
    assert started("simulate", path, "--output", tmp_path / "hits.h5").wait() == 0
    return path


def started(*arguments):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], env=environment)


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.validate
@pytest.mark.timeout(3600)
def test_kill_in_the_draws_of_a_charge_calibration(study, tmp_path):
    assert started("fit", study, "--output", tmp_path / "whole.nc").wait() == NOT_CONVERGED
    process, run = started("fit", study), tmp_path / "killed.nc.run"
    wait_for((run / "state.npz").exists, process)
    first_draws = run / "draws-0-1-00000000.npz"
    wait_for(lambda: first_draws.exists() or (run / "draws-0-4-00000000.npz").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed.nc").exists()
    assert started("fit", study, "--resume").wait() == NOT_CONVERGED
    assert not run.exists()
    for group in ("posterior", "sample_stats", "laplace"):
        found, expected = (load(tmp_path / name).data[group].to_dataset() for name in ("killed.nc", "whole.nc"))
        xr.testing.assert_equal(found, expected)
