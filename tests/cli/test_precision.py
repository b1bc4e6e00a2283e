"""What the data say of the constants, by commands on pads whose likelihood is normal."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.inference import load
from bayescal.model_files import load_model

PADS = Path(__file__).parents[1] / "own_model" / "pads.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of pads in a folder of its own, its data made with gain 1 and pedestal 0."""
    folder = tmp_path_factory.mktemp("pads")
    inputs, data = load_model(PADS).module.example(jax.random.key(0))
    places = {"x_cm": inputs.place[0], "y_cm": inputs.place[1]}
    np.savez(folder / "pads.npz", deposit=inputs.deposit, event=inputs.event, **places)
    np.savez(folder / "charge.npz", charge=data)
    (folder / "study.toml").write_text(
        f'model = "{PADS}"\ndata = "charge.npz"\noutput = "result.nc"\n[inputs]\npads = "pads.npz"\n'
        '[sampler]\nmethod = "laplace"\ndraws = 1000\nimportance_draws = 1000\nprior_draws = 200\n'
    )
    return folder


@pytest.fixture
def fitted(bayescal, folder, capsys):
    """The folder with the study's result in it."""
    if not (folder / "result.nc").exists():
        assert bayescal("fit", folder / "study.toml") == 0
    capsys.readouterr()
    return folder


def test_correlations(bayescal, fitted, capsys):
    """The pseudo-correlation of a straight line: -mean / root mean square of the deposits of the pads that live."""
    result, study = fitted / "result.nc", fitted / "study.toml"
    assert bayescal("correlations", result, "--study", study, "--output", fitted / "all.json") == 0
    shown = capsys.readouterr().out
    for words in ("Contraction", "Sensitivity", "Directions", "The data constrain every combination", "8 batches"):
        assert words in shown
    content = json.loads((fitted / "all.json").read_text())
    deposit = np.load(fitted / "pads.npz")["deposit"][1:]
    expected = -deposit.mean() / np.sqrt((deposit**2).mean())
    assert content["likelihood"]["parameters"] == ["gain", "pedestal"]
    assert content["likelihood"]["pseudo"][0][1] == pytest.approx(expected, rel=1e-4)
    assert content["likelihood"]["partial"][0][1] == pytest.approx(expected, rel=1e-4)
    posterior = content["correlation"]["posterior"][0][1]
    assert posterior == pytest.approx(expected, abs=5 * (1 - expected**2) / np.sqrt(300))  # 300 effective draws
    contraction = {each["label"]: each for each in content["contraction"]}
    sd = load(result).draws("gain").std(ddof=1)
    assert contraction["gain"]["posterior_sd"] == pytest.approx(sd)
    assert [len(content[name]) for name in ("contraction", "sensitivity", "directions")] == [2, 2, 2]


def test_correlations_of_a_result_alone_and_of_a_mode(bayescal, fitted, capsys):
    assert bayescal("correlations", fitted / "result.nc", "--output", fitted / "all.png") == 0
    assert (fitted / "all.png").stat().st_size > 1000
    assert "pseudo" not in capsys.readouterr().out
    assert bayescal("fit", fitted / "study.toml", "--method", "map", "--output", fitted / "map.nc") == 0
    arguments = ("--study", fitted / "study.toml", "--output", fitted / "map.svg")
    assert bayescal("correlations", fitted / "map.nc", *arguments) == 0
    assert "no sensitivity: the result has no draws that move" in capsys.readouterr().out
    assert (fitted / "map.svg").stat().st_size > 1000


def test_a_study_that_is_not_the_results(bayescal, fitted, tmp_path, capsys):
    text = (fitted / "study.toml").read_text().replace('"pads.npz"', f'"{fitted / "pads.npz"}"')
    study = tmp_path / "study.toml"
    other = text.replace("charge.npz", str(fitted / "charge.npz")) + '[parameters]\ngain = "fixed"\n'
    np.savez(tmp_path / "charge.npz", charge=np.ones(96))
    for changed, words in (
        (text, "not the data that the result was fitted to"),
        (other, "[parameters]: gain free in one of study and result alone"),
        (text.replace('data = "charge.npz"\n', ""), "the key 'data' is missing"),
    ):
        study.write_text(changed)
        assert bayescal("correlations", fitted / "result.nc", "--study", study) == 2
        assert words in capsys.readouterr().err
    assert bayescal("correlations", fitted / "result.nc", "--output", tmp_path / "all.txt") == 2
    assert "a figure is written as .png" in capsys.readouterr().err


def test_forecast(bayescal, fitted, capsys):
    """A straight line with known noise: the information is exact, and prior widths come from 4000 draws (1.1 %)."""
    arguments = ("--exposure", 8, "--exposure", 800, "--replicas", 2, "--json", fitted / "forecast.json")
    assert bayescal("forecast", fitted / "study.toml", *arguments) == 0
    shown = capsys.readouterr().out
    assert "Expected standard deviations by events" in shown
    assert (fitted / "study-forecast.png").stat().st_size > 1000
    content = json.loads((fitted / "forecast.json").read_text())
    deposit = np.load(fitted / "pads.npz")["deposit"][1:]
    design = np.stack([deposit, np.ones_like(deposit)])
    assert (content["study_exposure"], content["exposure_unit"]) == (8.0, "events")
    np.testing.assert_allclose(content["prior_sd"], [0.2, 1.0], rtol=5 * 0.011)
    np.testing.assert_allclose(content["information_per_exposure"], design @ design.T / 0.2**2 / 8, rtol=1e-4)
    for each in content["forecast"]:
        information = design @ design.T / 0.2**2 * each["exposure"] / 8 + np.diag([0.2**-2, 1.0])
        np.testing.assert_allclose(each["sd"], np.sqrt(np.diag(np.linalg.inv(information))), rtol=0.01)


def test_a_forecast_without_constants(bayescal, fitted, tmp_path, capsys):
    text = (fitted / "study.toml").read_text().replace('"pads.npz"', f'"{fitted / "pads.npz"}"')
    (tmp_path / "study.toml").write_text(text + '[parameters]\ngain = "fixed"\npedestal = "fixed"\nshift = "free"\n')
    assert bayescal("forecast", tmp_path / "study.toml") == 2
    assert "no constant is free" in capsys.readouterr().err
