"""Commands before the fit."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from bayescal.model_files import list_models

LINE = Path(__file__).parents[1] / "own_model" / "line.py"


def test_models_are_listed(bayescal, capsys):
    assert bayescal("models") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in list_models())


def test_init_writes_a_study_to_standard_output(bayescal, capsys):
    assert bayescal("init", LINE) == 0
    study = tomllib.loads(capsys.readouterr().out)
    assert study["model"] == str(LINE)
    assert study["parameters"] == {"slope": {"Normal": [0.0, 10.0]}, "offset": {"Uniform": [-5.0, 5.0]}}


def test_init_never_overwrites(bayescal, tmp_path, capsys):
    path = tmp_path / "study.toml"
    assert bayescal("init", LINE, "--output", path) == 0
    written = path.read_text()
    assert bayescal("init", LINE, "--output", path) == 2
    assert "exists already" in capsys.readouterr().err
    assert path.read_text() == written


def test_simulate_writes_what_the_truth_says(bayescal, study, tmp_path, capsys):
    path = tmp_path / "volts.npz"
    assert bayescal("simulate", study, "--output", path, "--seed", 5) == 0
    assert "data points" in capsys.readouterr().out
    with np.load(path) as file:
        first = file["volts"]
        assert file["truth_slope"] == 3.0
    assert bayescal("simulate", study, "--output", path, "--seed", 5) == 0
    with np.load(path) as file:
        np.testing.assert_array_equal(file["volts"], first)
    assert bayescal("simulate", study, "--output", path, "--seed", 6) == 0
    with np.load(path) as file:
        assert not np.array_equal(file["volts"], first)


def test_check_prints_sizes_and_expectation(bayescal, study, tmp_path, capsys):
    assert bayescal("simulate", study, "--output", tmp_path / "volts.npz") == 0
    assert bayescal("check", study) == 0
    shown = capsys.readouterr().out
    for expected in ("0.1 (fixed)", "data points", "free parameters", "working memory", "time to expect"):
        assert expected in shown
    assert not (tmp_path / "result.nc").exists()


def test_check_without_data(bayescal, study, capsys):
    study.write_text(study.read_text().replace('data = "volts.npz"\n', ""))
    assert bayescal("check", study) == 0
    assert "names none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "{study}", "--device", "gpu"), "device 'gpu' was asked for, but JAX has only 'cpu'"),
        (("check", "{study}", "--device", "tpu"), "command line: device: "),
        (("check", "nowhere.toml"), "nowhere.toml: no such study file"),
        (("init", "no_such_model"), "no shipped model is called 'no_such_model'"),
        (("simulate", "{study}", "--output", "{study}/volts.npz"), "cannot be written"),
        (("simulate", "{study}", "--output", "/"), "is a folder"),
    ],
)
def test_bad_input_is_one_sentence(bayescal, study, capsys, arguments, sentence):
    assert bayescal(*(argument.format(study=study) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert error.count("\n") == 1
