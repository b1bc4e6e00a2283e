"""Fits that are interrupted, go on, or begin anew."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from bayescal.cli.fits import METHODS
from bayescal.inference import load
from bayescal.inference.settings import Method

PROGRAM = "from bayescal.cli import main; main()"


class Interrupting:
    """Progress that sends the process a signal when a stage has come so far."""

    def __init__(self, stage, done, number=signal.SIGINT):
        self.stage, self.done, self.number = stage, done, number

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __call__(self, progress):
        if progress.stage == self.stage and progress.done >= self.done:
            self.stage = "past"
            signal.raise_signal(self.number)


@pytest.fixture
def with_data(bayescal, study, tmp_path, capsys):
    """The study with its data; capsys is empty."""
    assert bayescal("simulate", study, "--output", tmp_path / "volts.npz", "--seed", 4) == 0
    capsys.readouterr()
    return study


@pytest.fixture
def interrupted(bayescal, with_data, monkeypatch, capsys):
    """The study after a fit that was interrupted in the draws."""
    with monkeypatch.context() as patch:
        patch.setattr("bayescal.cli.display.fit_progress", lambda: Interrupting("draws", 300))
        assert bayescal("fit", with_data) == 130
    assert "result.nc.run keeps the run: the same command with --resume goes on" in capsys.readouterr().out
    return with_data


def slopes(path):
    return load(path).data["posterior"]["slope"].values


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_writes_what_was_drawn(bayescal, with_data, tmp_path, monkeypatch, capsys, number):
    monkeypatch.setattr("bayescal.cli.display.fit_progress", lambda: Interrupting("draws", 20, number))
    assert bayescal("fit", with_data) == 130
    result = load(tmp_path / "result.nc")
    assert result.interrupted
    assert not result.converged
    assert slopes(tmp_path / "result.nc").shape == (2, 20)
    capsys.readouterr()
    assert bayescal("summary", tmp_path / "result.nc") == 3
    assert "not converged when the run was interrupted" in capsys.readouterr().out
    assert bayescal("report", tmp_path / "result.nc") == 0


def test_resume_goes_on_to_the_same_draws(bayescal, interrupted, tmp_path):
    assert slopes(tmp_path / "result.nc").shape == (2, 300)
    assert bayescal("fit", interrupted, "--resume") == 0
    assert not (tmp_path / "result.nc.run").exists()
    assert bayescal("fit", interrupted, "--output", tmp_path / "whole.nc") == 0
    np.testing.assert_array_equal(slopes(tmp_path / "result.nc"), slopes(tmp_path / "whole.nc"))
    assert not load(tmp_path / "result.nc").interrupted


def test_an_unfinished_run_is_not_lost_by_accident(bayescal, interrupted, tmp_path, capsys):
    assert bayescal("fit", interrupted) == 2
    assert "holds an unfinished run; go on with it by --resume or throw it away by --rest" in capsys.readouterr().err
    assert bayescal("fit", interrupted, "--resume", "--restart") == 2
    assert "--resume and --restart: give one of them" in capsys.readouterr().err
    assert (tmp_path / "result.nc.run" / "state.npz").exists()
    assert bayescal("fit", interrupted, "--restart") == 0
    assert slopes(tmp_path / "result.nc").shape == (2, 900)


def test_resume_under_other_conditions_is_refused(bayescal, interrupted, tmp_path, capsys):
    def refused(*options):
        assert bayescal("fit", interrupted, "--resume", *options) == 2
        return capsys.readouterr().err

    assert "the run was begun with another seed (" in refused("--seed", "7")
    interrupted.write_text(interrupted.read_text() + "target_accept = 0.9\n")
    assert "the run was begun with another setting target_accept (0.8, now 0.9); undo that" in refused()
    with np.load(tmp_path / "volts.npz") as file:
        changed = {**file, "volts": file["volts"] + 1e-6}
    np.savez(tmp_path / "volts.npz", **changed)
    assert "the run was begun with another data (" in refused()
    assert (tmp_path / "result.nc.run" / "state.npz").exists()


def test_an_interrupt_before_the_first_draw(bayescal, with_data, tmp_path, monkeypatch, capsys):
    for stage in ("map", "warm-up"):
        progress = Interrupting(stage, 1)
        with monkeypatch.context() as patch:
            patch.setattr("bayescal.cli.display.fit_progress", lambda progress=progress: progress)
            assert bayescal("fit", with_data, "--resume") == 130
        assert "interrupted" in capsys.readouterr().err
        assert not (tmp_path / "result.nc").exists()
    assert (tmp_path / "result.nc.run" / "state.npz").exists()
    assert bayescal("fit", with_data, "--resume") == 0


def test_until_draws_more_and_a_goal_not_reached_can_be_gone_on_with(bayescal, with_data, tmp_path, capsys):
    with_data.write_text(with_data.read_text().replace("draws = 900", "draws = 50\nmax_draws = 60"))
    assert bayescal("fit", with_data, "--until", "ess>1000 and rhat<1.01") == 3
    assert "--resume goes on" in capsys.readouterr().out
    short = slopes(tmp_path / "result.nc")
    with_data.write_text(with_data.read_text().replace("max_draws = 60", "max_draws = 3000"))
    assert bayescal("fit", with_data, "--resume", "--until", "ess > 450 and rhat < 1.01") == 0
    longer = slopes(tmp_path / "result.nc")
    assert 60 < longer.shape[1] < 3000
    np.testing.assert_array_equal(longer[:, :60], short)
    assert not (tmp_path / "result.nc.run").exists()


def test_until_what(bayescal, with_data, capsys):
    assert bayescal("fit", with_data, "--until", "ess=1000") == 2
    assert "command line: until: Value error, expected 'ess > 400', 'rhat < 1.01' or both" in capsys.readouterr().err


def test_a_second_interrupt_leaves_at_once(with_data, tmp_path):
    """All draws are one block, which takes far longer than the program may take to leave."""
    with_data.write_text(with_data.read_text().replace("draws = 900", "draws = 500000\nmax_draws = 500000"))
    with_data.write_text(with_data.read_text() + "block = 500000\ncheckpoint_seconds = 0\n")
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, "fit", with_data]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not (Path(tmp_path) / "result.nc.run" / "state.npz").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None, "the first interrupt waits for the block"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=5.0)
    assert process.returncode == 130
    assert "interrupted: the same command with --resume goes on with what" in errors
    assert (tmp_path / "result.nc.run" / "state.npz").exists()


def test_help_names_every_method():
    assert sorted(METHODS.split("|")) == sorted(get_args(Method))
