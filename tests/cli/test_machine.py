"""Device, cache and outputs."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from bayescal.cli.machine import require_writable, use_device
from bayescal.errors import DeviceError, InputError

ROOT = Path(__file__).parents[2]


def test_the_device_is_named():
    assert "cpu" in use_device("cpu").lower()


def test_a_missing_gpu_is_an_error():
    if jax.default_backend() == "gpu":
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="'gpu' was asked for, but JAX has only 'cpu'"):
        use_device("gpu")


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("BAYESCAL_CACHE_DIR", str(tmp_path))
    use_device("auto")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "jax")


NO_GPU = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": ""}


def test_outputs_leave_no_trace(tmp_path):
    path = tmp_path / "new" / "result.nc"
    assert require_writable(path) == path
    assert list(path.parent.iterdir()) == []


def test_an_existing_output_is_kept(tmp_path):
    path = tmp_path / "result.nc"
    path.write_text("old")
    require_writable(path)
    assert path.read_text() == "old"


def test_outputs_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"result\.nc: cannot be written"):
        require_writable(tmp_path / "file" / "result.nc")


def test_a_fresh_process_gets_the_device_of_the_study(study):
    """Nothing starts JAX before the study's device is known."""
    study.write_text(study.read_text().replace("[sampler]\n", '[sampler]\ndevice = "gpu"\n'))
    command = [sys.executable, "-c", "from bayescal.cli import main\nmain()", "check", str(study)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=NO_GPU)
    assert shown.returncode == 2
    assert "device 'gpu' was asked for, but JAX has only 'cpu'" in shown.stderr
