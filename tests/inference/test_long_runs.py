"""Runs that are killed, whenever it may be, and go on in another process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr

from bayescal.inference import load

PROGRAM = Path(__file__).with_name("ten_dimensions.py")
METHODS = ("nuts", "hmc")
THOROUGH = 11  # kills, the first of which meets NUTS alone
LATEST = 300.0  # seconds after which a program that shows nothing is a failure, also on a busy machine


class Meeting(NamedTuple):
    """Where a kill met a run: its attempt and phase, iterations included in the checkpoint."""

    attempt: int
    phase: int
    length: int


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Programs of one cache of compiled code, on the processor."""
    cache = str(tmp_path_factory.mktemp("compiled"))
    return {**os.environ, "JAX_PLATFORMS": "cpu", "BAYESCAL_CACHE_DIR": cache}


@pytest.fixture(scope="module")
def uninterrupted(environment, tmp_path_factory):
    """Folder with the results of a program that ran to its end."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    finish(started(folder, environment))
    return folder


def started(folder, environment):
    return subprocess.Popen([sys.executable, PROGRAM, folder], env=environment, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate(timeout=LATEST)
    assert process.returncode == 0, errors


def kill(process):
    assert process.poll() is None, "the program ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.communicate()


def wait_for_saves(path, count):
    """Wait until a file was replaced so many times."""
    seen, deadline = stamp(path), time.monotonic() + LATEST
    while count > 0:
        time.sleep(0.001)
        assert time.monotonic() < deadline, f"{path} does not change"
        if stamp(path) != seen:
            seen, count = stamp(path), count - 1


def stamp(path):
    try:
        return path.stat().st_ino, path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def read(folder):
    """Every array of every file that is not a temporary one."""
    found = {}
    for path in folder.glob("[!.]*.npz"):
        with np.load(path) as file:
            found[path.name] = dict(file)
    return found


def meeting(folder):
    files = read(folder)
    if "state.npz" not in files:
        return Meeting(0, -1, 0)
    state = files["state.npz"]
    length = sum(files[str(chunk)]["potential"].shape[1] for chunk in state["chunks"])
    return Meeting(int(state["['attempt']"]), int(state["['phase']"]), length)


def assert_same(folder, other):
    for method in METHODS:
        result, expected = load(folder / f"{method}.nc"), load(other / f"{method}.nc")
        for group in ("posterior", "sample_stats", "prior", "laplace"):
            xr.testing.assert_equal(result.data[group].to_dataset(), expected.data[group].to_dataset())
        for fact in ("gradients", "values", "khat", "mode", "attempts"):
            assert result.attrs[fact] == expected.attrs[fact]


@pytest.mark.parametrize("kills", [2, pytest.param(THOROUGH, marks=pytest.mark.validate)])
def test_kill_at_moments_of_warm_up_and_sampling(environment, uninterrupted, tmp_path, kills):
    """Every kill comes a random while after a random number of checkpoints; the last process runs to its end."""
    random = np.random.default_rng(10)
    met = []
    for number in range(kills):
        process = started(tmp_path, environment)
        watched = METHODS[number > 0]
        wait_for_saves(tmp_path / f"{watched}.nc.run" / "state.npz", random.integers(1, 12))
        time.sleep(random.uniform(0.0, 0.005))
        kill(process)
        met.append([meeting(tmp_path / f"{method}.nc.run") for method in METHODS])
        assert not list(tmp_path.glob("*.nc"))
    finish(started(tmp_path, environment))
    assert_same(tmp_path, uninterrupted)
    for places in zip(*met, strict=True):
        assert list(places) == sorted(places)
        if kills == THOROUGH:
            assert any(place.phase == 0 and place.length > 0 for place in places), "no kill met warm-up"
            assert sum(place.length > 0 for place in places) >= 10


@pytest.mark.validate
def test_kill_before_the_first_draw(environment, uninterrupted, tmp_path):
    """Kills at random times of start, mode search and importance weighing, and between two of these stages."""
    random = np.random.default_rng(11)
    for stage in ("fingerprint.json", "stage-mode.npz", "stage-importance-200.npz"):
        process = started(tmp_path, environment)
        if stamp(tmp_path / "nuts.nc.run" / stage) is None:
            wait_for_saves(tmp_path / "nuts.nc.run" / stage, 1)
        time.sleep(random.uniform(0.0, 0.05))
        kill(process)
        read(tmp_path / "nuts.nc.run")
    finish(started(tmp_path, environment))
    assert_same(tmp_path, uninterrupted)
