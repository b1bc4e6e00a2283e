"""Commands before the fit."""

import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bayescal import load
from bayescal.model_files import list_models, load_model
from bayescal.optical.zones import make_zones

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


WATER = """\
model = "water"
data = "counts.h5"
output = "result.nc"
[inputs]
detector = "eos"
injector_m = [[0, 0, 1.4]]
injector_direction = [[0, 0, -1]]
diffuser_m = []
width_deg = 10
wavelength_nm = [400]
window_edges_ns = [-4, 4, 50]
[truth]
rayleigh_scale = 1.2
[sampler]
method = "map"
prior_draws = 50
"""


@pytest.mark.validate
def test_water_from_a_file(bayescal, tmp_path, capsys, monkeypatch):
    """A study of the water: simulated, read again and fitted, in coarse zones."""
    coarse = partial(make_zones, n_azimuth=8, n_radial=2, n_axial=4, n_barrel=6, n_cap=2)
    monkeypatch.setattr("bayescal.optical.timed_light.make_zones", coarse)
    path = tmp_path / "water.toml"
    path.write_text(WATER)
    assert bayescal("simulate", path, "--output", tmp_path / "counts.h5", "--seed", 5) == 0
    assert bayescal("fit", path) == 0
    assert "rayleigh_scale" in capsys.readouterr().out
    path.write_text(WATER.replace("[0, 0, 1.4]", "[0, 0, 1.6]"))
    assert bayescal("check", path) == 2
    assert "[0.0, 0.0, 1.6] is not inside the tank of eos; move the source" in capsys.readouterr().err


SCINTILLATION = """\
model = "scintillation_vertex"
data = "hits.h5"
output = "result.nc"
[inputs]
detector = "small_sphere"
[parameters]
vertex_x = {Normal = [0.0, 0.55]}
vertex_y = {Normal = [0.0, 0.55]}
vertex_z = {Normal = [0.0, 0.55]}
[truth]
vertex_x = -0.7
vertex_y = 0.9
vertex_z = 0.4
energy = 4.0
event_time = 12.0
[sampler]
method = "laplace"
draws = 200
importance_draws = 200
prior_draws = 50
"""


@pytest.mark.validate
def test_a_scintillation_event_from_a_file(bayescal, tmp_path, capsys, monkeypatch):
    """Simulated, read again and fitted: parameters within four standard deviations of the truth; false alarm 3e-4."""
    coarse = partial(make_zones, n_azimuth=12, n_radial=4, n_axial=6, n_barrel=8, n_cap=3)
    monkeypatch.setattr(load_model("scintillation_vertex").module, "make_zones", coarse)
    path = tmp_path / "event.toml"
    path.write_text(SCINTILLATION)
    assert bayescal("simulate", path, "--output", tmp_path / "hits.h5", "--seed", 3) == 0
    assert bayescal("fit", path) == 0
    fit = load(tmp_path / "result.nc")
    truth = tomllib.loads(SCINTILLATION)["truth"]
    assert set(fit.names) == set(truth)
    for name, value in truth.items():
        draws = np.asarray(fit.draws(name))
        assert abs(draws.mean() - value) < 4 * draws.std(), name
    path.write_text(SCINTILLATION.replace("small_sphere", "eos"))
    assert bayescal("check", path) == 2
    assert "the tank of eos is no sphere" in capsys.readouterr().err


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
