"""Results into a database and out again, all by commands."""

import csv
import json

import numpy as np
import pytest
import yaml

from bayescal.cli.conditions import app
from bayescal.conditions import open_database
from bayescal.inference.result import Moments, assemble, laplace_group

COMMANDS = ["create", "add", "at", "show", "list", "history", "freeze"]
FIRST, SECOND, THIRD = "2026-01-01T00:00Z", "2026-02-01T00:00Z", "2026-03-01T00:00Z"


def write_result(path, *, lifetime=2000.0, shift=0.0):
    """A posterior of two constants and a vector; with a shift between its chains it has not converged."""
    rng = np.random.default_rng(1)
    draws = rng.multivariate_normal([lifetime, 0.5], [[900.0, 0.03], [0.03, 1e-4]], (4, 400))
    draws[0] += shift
    posterior = {"lifetime": draws[..., 0], "electric_field": draws[..., 1], "gain": rng.normal(1, 0.1, (4, 400, 2))}
    prior = {name: rng.normal(0.0, 1e4, (1, 400, *values.shape[2:])) for name, values in posterior.items()}
    names = ("lifetime", "electric_field")
    curvature = laplace_group(Moments(names, np.array([lifetime, 0.5]), np.eye(2)), Moments((), *EMPTY), {})
    attributes = {"method": "nuts", "converged": True, "verdict": "fine", "provenance": {"seed": 7}}
    units = {"lifetime": "us", "electric_field": "kV/cm"}
    assemble({"posterior": posterior, "prior": prior}, curvature, attributes, units).save(path)
    return path


EMPTY = (np.zeros(0), np.zeros((0, 0)))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Commands run in a folder of their own, by somebody with a name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAYESCAL_DATABASE", raising=False)
    monkeypatch.setenv("LOGNAME", "ada")
    return tmp_path


@pytest.fixture
def filled(bayescal, folder, capsys):
    """A database with an open calibration, and a correction of February."""
    results = write_result(folder / "a.nc"), write_result(folder / "b.nc", lifetime=1500.0)
    assert bayescal("constants", "create") == 0
    assert bayescal("constants", "add", results[0], "--detector", "module0", "--from", FIRST) == 0
    february = ("--from", SECOND, "--to", THIRD, "--comment", "purity dropped")
    assert bayescal("constants", "add", results[1], "--detector", "module0", *february) == 0
    shown = capsys.readouterr().out
    assert "made constants.sqlite" in shown
    valid = "valid from 2026-02-01T00:00:00Z to 2026-03-01T00:00:00Z"
    assert f"added calibration 2 of module0 (tag default), {valid}: lifetime, electric_field" in shown
    return folder


def test_commands():
    assert [command.name or command.callback.__name__ for command in app.registered_commands] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(bayescal, capsys, command):
    assert bayescal("constants", command, "--help") == 0
    assert f"Example: bayescal constants {command}" in capsys.readouterr().out


def test_what_is_looked_up_is_what_the_result_holds(bayescal, filled, capsys):
    assert bayescal("export", "b.nc", "--json", "b.json", "--yaml", "b.yaml", "--csv", "b.csv") == 0
    files = ("--yaml", "c.yaml", "--json", "c.json", "--csv", "c.csv", "--covariance", "v.csv")
    assert bayescal("constants", "at", "2026-02-15T12:00-06:00", *files) == 0
    shown = capsys.readouterr().out
    assert "Calibration 2 of module0, tag default" in shown
    assert "by ada." in shown
    assert "Comment: purity dropped" in shown
    assert "Verdict: The chains have converged" in shown
    assert yaml.safe_load((filled / "c.yaml").read_text()) == yaml.safe_load((filled / "b.yaml").read_text())
    exported, looked_up = (json.loads((filled / name).read_text()) for name in ("b.json", "c.json"))
    assert looked_up["covariance"] == exported["covariance"]
    for name, constant in looked_up["parameters"].items():
        assert constant == {key: exported["parameters"][name][key] for key in constant}
    assert looked_up["calibration"]["source_path"] == str(filled / "b.nc")
    assert (filled / "c.csv").read_text() == "".join((filled / "b.csv").read_text().splitlines(keepends=True)[:3])
    assert len((filled / "v.csv").read_text().splitlines()) == 1 + 4


def test_an_earlier_look_up_can_be_repeated(bayescal, filled, capsys):
    database = open_database("constants.sqlite")
    as_of = database.get(1).inserted_at.isoformat()
    assert bayescal("constants", "at", "2026-02-15T12:00Z") == 0
    assert bayescal("constants", "at", "2026-02-15T12:00Z", "--as-of", as_of) == 0
    assert bayescal("constants", "freeze", "before", "--as-of", as_of) == 0
    assert bayescal("constants", "at", "2026-02-15T12:00Z", "--global-tag", "before") == 0
    shown = capsys.readouterr().out
    numbers = [line.split()[1] for line in shown.splitlines() if line.startswith("Calibration ")]
    assert numbers == ["2", "1", "1"]
    assert shown.count(f"Looked up as of {as_of.replace('+00:00', 'Z')}.") == 2
    assert bayescal("constants", "list") == 0
    shown = capsys.readouterr().out
    assert "purity dropped" in shown
    assert "before" in shown


def test_comments_are_shown_as_they_are(bayescal, filled, capsys):
    options = ("--detector", "module0", "--from", FIRST, "--author", "[b]", "--comment", "see [/1]")
    assert bayescal("constants", "add", "a.nc", *options) == 0
    assert bayescal("constants", "list") == 0
    shown = capsys.readouterr().out
    assert "see [/1]" in shown
    assert "[b]" in shown


def test_show_and_history(bayescal, filled, capsys):
    assert bayescal("constants", "show", 1, "--json", "one.json") == 0
    assert json.loads((filled / "one.json").read_text())["calibration"]["as_of"] is None
    assert bayescal("constants", "history", "lifetime", "--csv", "lifetime.csv") == 0
    assert "lifetime of module0" in capsys.readouterr().out
    with (filled / "lifetime.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["calibration"] for row in rows] == ["1", "2", "1"]
    assert [round(float(row["mean"]), -2) for row in rows] == [2000.0, 1500.0, 2000.0]


def test_vectors_are_added_where_they_are_named(bayescal, filled):
    options = (
        "--detector",
        "module0",
        "--from",
        FIRST,
        "--constant",
        "gain",
        "--constant",
        "lifetime",
        "--tag",
        "gains",
    )
    assert bayescal("constants", "add", "a.nc", *options) == 0
    estimates = open_database("constants.sqlite").get(3).calibration.estimates
    assert [e.name for e in estimates.constants] == ["gain[0]", "gain[1]", "lifetime"]
    assert estimates.covariance.shape == (3, 3)


def test_what_did_not_converge(bayescal, filled, capsys):
    write_result(filled / "bad.nc", shift=500.0)
    options = ("--detector", "module0", "--from", FIRST)
    assert bayescal("constants", "add", "bad.nc", *options) == 2
    assert "or say --even-if-not-converged" in capsys.readouterr().err
    assert bayescal("constants", "add", "bad.nc", *options, "--even-if-not-converged") == 0
    assert bayescal("constants", "at", FIRST, "--yaml", "c.yaml") == 0
    assert "The fit DID NOT CONVERGE." in capsys.readouterr().out
    assert (filled / "c.yaml").read_text().startswith("# The fit DID NOT CONVERGE.")


def test_the_database_is_named_by_the_environment_too(bayescal, filled, monkeypatch, capsys):
    (filled / "constants.sqlite").rename(filled / "other.sqlite")
    assert bayescal("constants", "list") == 2
    assert "constants.sqlite: there is no such database" in capsys.readouterr().err
    monkeypatch.setenv("BAYESCAL_DATABASE", "sqlite:///other.sqlite")
    assert bayescal("constants", "list") == 0


WRONG = {
    "naive time": (
        ("at", "2026-01-01T00:00"),
        "TIME: 2026-01-01T00:00:00 has no time zone, write 2026-01-01T00:00:00Z",
    ),
    "naive start": (
        ("add", "a.nc", "--detector", "m", "--from", "2026-01-01"),
        "--from: 2026-01-01T00:00:00 has no time",
    ),
    "empty interval": (
        ("add", "a.nc", "--detector", "m", "--from", SECOND, "--to", FIRST),
        "is empty; give a later end",
    ),
    "time before all": (("at", "2020-01-01T00:00Z"), "the first begins at 2026-01-01T00:00:00Z, the last stays open"),
    "unknown detector": (("at", FIRST, "--detector", "modul0"), "with that tag there is module0"),
    "unknown tag": (("at", FIRST, "--tag", "reviewed"), "nothing with the tag reviewed had been added"),
    "unknown global tag": (("at", FIRST, "--global-tag", "2025"), "there is no global tag '2025', it has none"),
    "two views": (("at", FIRST, "--global-tag", "2025", "--as-of", FIRST), "leave out --tag and --as-of"),
    "unknown constant": (("history", "kb"), "no calibration holds a constant 'kb' at any time; they hold lifetime"),
    "unknown number": (("show", "9"), "there is no calibration 9"),
    "no result": (("add", "no.nc", "--detector", "m", "--from", FIRST), "no.nc: there is no such file"),
    "unknown parameter": (
        ("add", "a.nc", "--detector", "m", "--from", FIRST, "--constant", "kb"),
        "a.nc: the result has no parameter 'kb'; it has lifetime",
    ),
    "made already": (("create",), "holds constants already"),
    "no database": (("list", "--database", "no.sqlite"), "no.sqlite: there is no such database"),
    "wrong URL": (("list", "--database", "mysql://host/x"), "'mysql' is not supported"),
    "wrong output": (("at", FIRST, "--csv", "a.nc/c.csv"), "a.nc/c.csv: cannot be written"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_bad_input_is_one_sentence(bayescal, filled, capsys, kind):
    arguments, sentence = WRONG[kind]
    assert bayescal("constants", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert error.count("\n") == 1
