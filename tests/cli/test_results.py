"""From data to a report, all by commands on a user's own model."""

import json

import numpy as np
import pytest

from bayescal.diagnostics import convergence
from bayescal.inference import load


@pytest.fixture
def fitted(bayescal, study, tmp_path, capsys):
    """Folder with data, mode and posterior."""
    assert bayescal("simulate", study, "--output", tmp_path / "volts.npz", "--seed", 4) == 0
    assert bayescal("fit", study, "--method", "map", "--output", tmp_path / "map.nc") == 0
    assert bayescal("fit", study) == 0
    shown = capsys.readouterr().out
    assert "draws 900 of 900" in shown
    return tmp_path


def test_from_data_to_report(bayescal, fitted, capsys):
    posterior, mode = fitted / "result.nc", fitted / "map.nc"
    result = load(posterior)
    assert convergence(result).good
    assert abs(result.draws("slope").mean() - 3.0) < 5 * result.draws("slope").std()  # false alarm 6e-7
    assert result.units == {"offset": "V", "slope": "V/m"}
    assert result.attrs["study"] == (fitted / "study.toml").read_text()
    assert result.attrs["truth"]["slope"] == 3.0
    assert result.attrs["larndsim_keys"] == {"slope": "slope"}
    assert result.data["posterior_predictive"]["mean of an event"].shape == (1, 60, 3)
    assert result.data["observed_data"]["mean of an event"].shape == (3,)

    assert bayescal("summary", posterior) == 0
    assert "The chains have converged" in capsys.readouterr().out
    pages = ["--output", fitted / "comparison.png", "--report", fitted / "comparison.html"]
    assert bayescal("compare", mode, posterior, *pages) == 0
    assert (fitted / "comparison.png").stat().st_size > 1000
    assert "All are of the same data." in (fitted / "comparison.html").read_text()
    assert "slope" in capsys.readouterr().out
    assert bayescal("report", posterior) == 0
    page = (fitted / "result.html").read_text()
    assert "Prior and posterior" in page
    assert "Does the posterior lean on its priors?" in page
    assert "mean of an event" in page
    assert bayescal("report", mode, posterior, "--output", fitted / "both.html") == 0
    assert "Comparison of 2 results" in (fitted / "both.html").read_text()
    assert bayescal("compare", mode) == 2
    assert "at least two results, got 1" in capsys.readouterr().err
    assert bayescal("export", posterior) == 0
    assert (fitted / "result.yaml").read_text().count("slope: ") == 1
    exported = json.loads((fitted / "result.json").read_text())
    assert np.array(exported["covariance"]).shape == (2, 2)
    assert bayescal("export", posterior, "--csv", fitted / "c.csv", "--covariance", fitted / "v.csv") == 0
    assert (fitted / "c.csv").read_text().startswith("parameter,unit,mean,median,mode,sd,low_68,")
    assert (fitted / "v.csv").read_text().count("\n") == 1 + 4


def test_a_fit_that_does_not_converge_is_written_and_leaves_with_three(bayescal, study, tmp_path, capsys):
    assert bayescal("simulate", study, "--output", tmp_path / "volts.npz") == 0
    study.write_text(study.read_text() + "max_gradients = 1\nrestarts = 0\n")
    assert bayescal("fit", study, "--method", "map") == 3
    assert "not converged: " in capsys.readouterr().err
    assert not load(tmp_path / "result.nc").converged
    assert bayescal("summary", tmp_path / "result.nc") == 3


def test_an_unwritable_result_is_found_before_the_fit(bayescal, study, capsys):
    assert bayescal("fit", study, "--output", study / "result.nc") == 2  # no data are there either
    assert "result.nc: cannot be written" in capsys.readouterr().err


def test_a_fit_without_data(bayescal, study, capsys):
    study.write_text(study.read_text().replace('data = "volts.npz"\n', ""))
    assert bayescal("fit", study) == 2
    assert "the key 'data' is missing" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["summary", "report", "export"])
def test_results_that_are_not_there(bayescal, tmp_path, capsys, command):
    assert bayescal(command, tmp_path / "nowhere.nc") == 2
    assert "nowhere.nc: there is no such file" in capsys.readouterr().err


def test_convert_refuses_other_files(bayescal, study, tmp_path, capsys):
    assert bayescal("convert", study, "--output", tmp_path / "hits.h5") == 2
    assert str(study) in capsys.readouterr().err


def test_an_interrupt_leaves_with_its_code(bayescal, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayescal.inference.load", interrupted)
    assert bayescal("summary", "result.nc") == 130
