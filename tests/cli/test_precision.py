"""What the data say of the constants, by commands on pads whose likelihood is normal."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.stats import norm

from bayescal.inference import load
from bayescal.inference.result import Moments, assemble, laplace_group
from bayescal.model_files import load_model
from bayescal.provenance import digest

PADS = Path(__file__).parents[1] / "own_model" / "pads.py"
NAMES = ("gain", "pedestal")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with a study of pads, its data made with gain 1 and pedestal 0, and draws of its normal posterior."""
    folder = tmp_path_factory.mktemp("pads")
    inputs, data = load_model(PADS).module.example(jax.random.key(0))
    places = {"x_cm": inputs.place[0], "y_cm": inputs.place[1]}
    np.savez(folder / "pads.npz", deposit=inputs.deposit, event=inputs.event, **places)
    np.savez(folder / "charge.npz", charge=data)
    (folder / "study.toml").write_text(
        f'model = "{PADS}"\ndata = "charge.npz"\noutput = "result.nc"\n[inputs]\npads = "pads.npz"\n'
    )
    exact_result(inputs.deposit, data, digest(folder / "charge.npz")).save(folder / "result.nc")
    return folder


def exact_result(deposit, data, sha256):
    """What NUTS would find, as independent draws."""
    rng = np.random.default_rng(7)
    design, precision = np.stack([deposit, np.ones_like(deposit)]), np.diag([0.2**-2, 1.0])
    covariance = np.linalg.inv(design @ design.T / 0.2**2 + precision)
    mean = covariance @ (design @ data / 0.2**2 + precision @ [1.0, 0.0])
    draws = rng.multivariate_normal(mean, covariance, (4, 500))
    prior = rng.normal([1.0, 0.0], [0.2, 1.0], (1, 500, 2))
    likelihood = -0.5 * (((data - draws @ design) / 0.2) ** 2).sum(axis=-1)
    groups = {
        "posterior": dict(zip(NAMES, draws.T.swapaxes(1, 2), strict=True)),
        "prior": dict(zip(NAMES, prior.T.swapaxes(1, 2), strict=True)),
        "log_prior": {"gain": norm.logpdf(draws[..., 0], 1.0, 0.2), "pedestal": norm.logpdf(draws[..., 1])},
        "sample_stats": {"lp": likelihood, "log_likelihood": likelihood},
    }
    moments = Moments(NAMES, mean, covariance)
    about = {"method": "nuts", "converged": True, "verdict": "fine", "provenance": {"data_sha256": sha256}}
    return assemble(groups, laplace_group(moments, moments, {}), about, {})


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
    assert posterior == pytest.approx(expected, abs=5 * (1 - expected**2) / np.sqrt(2000))
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
    assert bayescal("forecast", tmp_path / "study.toml", "--exposure", 0) == 2
    assert "--exposure: expected a number above 0, got 0" in capsys.readouterr().err


def test_profile(bayescal, fitted, capsys):
    """The parabola of a straight line's slope; the file and the figure."""
    arguments = ("--result", fitted / "result.nc", "--parameter", "gain", "--points", 5, "--json", fitted / "scan.json")
    assert bayescal("profile", fitted / "study.toml", *arguments) == 0
    shown = capsys.readouterr().out
    assert "gain: 10 fits" in shown
    assert "10 of 10 fits were found" in shown
    assert (fitted / "result-profile.png").stat().st_size > 1000
    (one,) = json.loads((fitted / "scan.json").read_text())["profiles"]
    deposit, charge = np.load(fitted / "pads.npz")["deposit"], np.load(fitted / "charge.npz")["charge"]
    design = np.stack([deposit, np.ones_like(deposit)])
    precision = design @ design.T / 0.2**2
    centre = np.linalg.solve(precision, design @ charge / 0.2**2)[0]
    expected = -0.5 * (np.array(one["value"]) - centre) ** 2 / np.linalg.inv(precision)[0, 0]
    np.testing.assert_allclose(one["log_likelihood"], expected - expected.max(), atol=1e-3)
    assert bayescal("profile", fitted / "study.toml", *arguments[:2], "--parameter", "kb") == 2
    assert "no constant 'kb' to scan; it has gain, pedestal" in capsys.readouterr().err
