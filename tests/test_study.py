"""Studies: read, checked, changed by the command line, written for a model."""

import tomllib
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescal.errors import InputError
from bayescal.model_files import load_model
from bayescal.simulation import simulate
from bayescal.study import build, load_inputs, override, read_study, study_model, study_priors, study_truth
from bayescal.study_template import write_template

LINE = Path(__file__).parent / "own_model" / "line.py"
TEXT = f"""\
model = "{LINE}"
data = "volts.npz"
seed = 3

[inputs]
points = "points.npz"

[parameters]
offset = {{Normal = [0.5, 1.0]}}
noise = 0.2

[truth]
slope = 3.0

[sampler]
method = "nuts"
chains = 2
"""


@pytest.fixture
def written(tmp_path):
    """Write a study with some text replaced; returns its path."""
    np.savez(tmp_path / "points.npz", x=np.linspace(0.0, 1.0, 12).reshape(3, 4))

    def write(old="", new=""):
        assert old in TEXT
        path = tmp_path / "study.toml"
        path.write_text(TEXT.replace(old, new, 1))
        return path

    return write


def test_what_is_read(written, tmp_path):
    study = read_study(written())
    assert study.data == tmp_path / "volts.npz"
    assert (study.seed, study.sampler.chains, study.sampler.device) == (3, 2, "auto")
    assert study.result_path == tmp_path / "study.nc"
    assert study.text == (tmp_path / "study.toml").read_text()
    assert not hasattr(study.sampler.fit_settings, "device")


def test_priors_and_truth(written):
    study = read_study(written())
    model = study_model(study)
    priors = study_priors(study, model)
    assert isinstance(priors["slope"], dist.Normal)
    assert priors["offset"].loc == 0.5
    assert (priors["noise"], priors["pedestal"]) == (0.2, 0.0)
    assert study_truth(study, model) == {"slope": 3.0, "offset": 0.5, "noise": 0.2, "pedestal": 0.0}


def test_simulated_data_are_what_a_fit_reads(written):
    study = read_study(written())
    drawn = simulate(jax.random.key(0), study)
    residual = drawn.data - (3.0 * drawn.inputs.x + 0.5)
    assert 0.08 < residual.std() < 0.4  # twelve draws of a normal with 0.2: false alarm below 1e-3
    drawn.model.hook("write")(study.data, drawn.data, drawn.inputs, drawn.truth)
    model, inputs, data = build(study)
    np.testing.assert_array_equal(data, drawn.data)
    assert (model.name, inputs.x.shape) == ("line", (3, 4))


def test_build_without_data(written):
    assert build(read_study(written('data = "volts.npz"\n')))[2] is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[inputs]", "[inputs", "not valid TOML: .*line 5"),
        ("[sampler]", "[samplr]", "unknown key 'samplr'; did you mean 'sampler'"),
        ("chains = 2", "chain = 2", r"\[sampler\]: unknown key 'chain'; did you mean 'chains'"),
        ("chains = 2", "chains = 0", r"\[sampler\]: chains: .*greater than or equal to 1, got 0"),
        ('"nuts"', '"nut"', r"\[sampler\]: method: .*got 'nut'"),
        ("seed = 3", "seed = -3", "seed: .*greater than or equal to 0, got -3"),
        (f'model = "{LINE}"\n', "", "the key 'model' is missing"),
    ],
)
def test_faults_found_on_reading(written, old, new, sentence):
    with pytest.raises(InputError, match=rf"study\.toml.*{sentence}"):
        read_study(written(old, new))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("points =", "point =", r"\[inputs\]: unknown key 'point'; did you mean 'points'"),
        ('points = "points.npz"', "", r"\[inputs\]: the key 'points' is missing"),
        ('points = "points.npz"', 'points = "points.npz"\nscale = -1', r"\[inputs\]: scale: .*greater than 0, got -1"),
        ("offset =", "ofset =", r"\[parameters\]: 'ofset' is not a parameter of this model; did you mean 'offset'"),
        ("{Normal", "{Norml", r"\[parameters\] offset: numpyro.distributions has no 'Norml'"),
        (str(LINE), "no_such_model", "model: no shipped model is called 'no_such_model'"),
        (str(LINE), "own.py", "model: .*own.py: no such model file"),
        ("points.npz", "other.npz", "other.npz: no such file"),
    ],
)
def test_faults_found_on_building(written, old, new, sentence):
    with pytest.raises(InputError, match=sentence):
        build(read_study(written(old, new)))


def test_faults_in_the_truth(written):
    study = read_study(written("slope = 3.0", "slop = 3.0"))
    with pytest.raises(InputError, match=r"\[truth\]: 'slop' is not a parameter of this model; did you mean 'slope'"):
        study_truth(study, study_model(study))


def test_missing_study():
    with pytest.raises(InputError, match=r"nowhere\.toml: no such study file"):
        read_study("nowhere.toml")


def test_the_command_line_overrides(written, tmp_path):
    study = override(read_study(written()), seed=9, output=tmp_path / "o.nc", method="map", device=None)
    assert (study.seed, study.sampler.method, study.sampler.chains) == (9, "map", 2)
    assert study.result_path == tmp_path / "o.nc"
    assert study.path == tmp_path / "study.toml"
    with pytest.raises(InputError, match=r"command line: method: .*got 'mcmc'"):
        override(study, method="mcmc")


def test_a_template_is_a_study(tmp_path):
    model = load_model(LINE)
    values = {"model": str(LINE), "inputs": {"points": "points.npz"}, "truth": {"slope": 3.0}, "sampler": {"draws": 7}}
    path = tmp_path / "study.toml"
    path.write_text(write_template(model, values))
    study = read_study(path)
    assert study.sampler.draws == 7
    assert study.truth == {"slope": 3.0}
    np.savez(tmp_path / "points.npz", x=np.ones((2, 2)))
    priors = study_priors(study, model)
    assert (priors["noise"], priors["slope"].scale, priors["offset"].high) == (0.1, 10.0, 5.0)
    assert load_inputs(study, model, priors).x.shape == (2, 2)


def test_a_template_shows_every_parameter_and_key():
    model = load_model(LINE)
    text = write_template(model)
    assert tomllib.loads(text)["inputs"] == {"points": "points.npz"}
    for expected in (
        "slope = {Normal = [0.0, 10.0]}",
        "rise of the line [V/m]; nominal 2; free",
        "# noise = {LogNormal = [-2.0, 1.0]}",
        "one value an event; nominal 0; fixed; remove the leading # to free it",
        "# scale = 1.0  # factor on x",
        "# chains = 4",
    ):
        assert expected in text


def test_a_fixed_parameter_is_freed_by_its_comment():
    text = write_template(load_model(LINE)).replace("# noise =", "noise =")
    assert tomllib.loads(text)["parameters"]["noise"] == {"LogNormal": [-2.0, 1.0]}
