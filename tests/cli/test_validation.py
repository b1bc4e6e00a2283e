"""Commands that question a calibration, on pads of which one is spoilt."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.model_files import load_model

PADS = Path(__file__).parents[1] / "own_model" / "pads.py"
SPOILT = 50  # pad; of event 104


@pytest.fixture
def pads(tmp_path):
    """A study of pads with data in which one charge is 2 fC, ten times the noise, too large."""
    inputs, data = load_model(PADS).module.example(jax.random.key(0))
    places = {"x_cm": inputs.place[0], "y_cm": inputs.place[1]}
    np.savez(tmp_path / "pads.npz", deposit=inputs.deposit, event=inputs.event, **places)
    np.savez(tmp_path / "charge.npz", charge=data + 2.0 * (np.arange(data.size) == SPOILT))
    path = tmp_path / "study.toml"
    path.write_text(
        f'model = "{PADS}"\ndata = "charge.npz"\noutput = "result.nc"\n[inputs]\npads = "pads.npz"\n'
        '[sampler]\nmethod = "laplace"\ndraws = 400\nimportance_draws = 400\nprior_draws = 50\n'
    )
    return path


def test_a_spoilt_charge_is_found_by_event_and_by_readout(bayescal, pads, tmp_path, capsys):
    assert bayescal("fit", pads) == 0
    capsys.readouterr()
    assert bayescal("loo", tmp_path / "result.nc", "--count", 3) == 0
    shown = capsys.readouterr().out
    assert "events that do not fit: 104;" in shown
    assert (tmp_path / "result-loo.png").stat().st_size > 1000
    assert bayescal("residuals", tmp_path / "result.nc", "--output", tmp_path / "map.svg") == 0
    shown = capsys.readouterr().out
    first = next(line for line in shown.splitlines() if "│ charge" in line)
    assert " 104 " in first
    assert "1 pulls of" in shown
    assert (tmp_path / "map.svg").exists()
    assert (tmp_path / "map-pit.svg").exists()


def test_results_without_what_is_asked_for(bayescal, pads, tmp_path, capsys):
    assert bayescal("fit", pads, "--method", "map") == 0
    for command, words in (("loo", "no log-likelihood of events"), ("residuals", "no residuals of readouts")):
        assert bayescal(command, tmp_path / "result.nc") == 2
        assert words in capsys.readouterr().err


def test_a_validation_in_parts(bayescal, pads, tmp_path, capsys):
    common = ("validate", pads, "--replicas", 12, "--draws", 19, "--workers", 1, "--output", tmp_path / "out")
    assert bayescal(*common, "--shard", "1/2") == 0
    assert "part 1/2 is done; 6 of 12 replicas" in capsys.readouterr().out
    assert not (tmp_path / "out" / "validation.json").exists()
    assert bayescal(*common, "--shard", "2/2") == 0
    assert "Calibrated: " in capsys.readouterr().out
    assert bayescal(*common, "--merge") == 0
    shown = capsys.readouterr().out
    assert "12 replicas, 19 draws each" in shown
    stored = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert (stored["calibrated"], stored["replicas"], stored["draws"]) == (True, 12, 19)
    assert (tmp_path / "out" / "ecdf.png").stat().st_size > 1000
    assert (tmp_path / "out" / "coverage.png").stat().st_size > 1000


def test_a_study_that_is_not_calibrated_leaves_with_three(bayescal, pads, tmp_path, capsys):
    pads.write_text(pads.read_text().replace("[sampler]", "assumed_noise = 0.4\n[sampler]"))
    assert bayescal("validate", pads, "--replicas", 40, "--workers", 1, "--method", "chain") == 3
    shown = capsys.readouterr().out
    assert "Not calibrated: " in shown
    assert (tmp_path / "study-validation" / "replicas.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shard", "3/2"), "--shard: expected i/n"),
        (("--method", "nuts"), "--method: expected one of chain, laplace, fit"),
        (("--merge",), "none of 0 replicas has ranks"),
    ],
)
def test_bad_input(bayescal, pads, capsys, arguments, words):
    assert bayescal("validate", pads, *arguments) == 2
    assert words in capsys.readouterr().err
