"""The list of commands and their help."""

import pytest

from bayescal.cli.app import app

COMMANDS = [
    "models",
    "init",
    "check",
    "simulate",
    "fit",
    "summary",
    "compare",
    "report",
    "export",
    "convert",
    "validate",
    "loo",
    "residuals",
    "correlations",
    "forecast",
    "profile",
    "demo",
]


def test_commands():
    assert [command.callback.__name__ for command in app.registered_commands] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(bayescal, capsys, command):
    assert bayescal(command, "--help") == 0
    assert f"Example: bayescal {command}" in capsys.readouterr().out


def test_help_shows_the_way_and_the_exit_codes(bayescal, capsys):
    assert bayescal("--help") == 0
    shown = capsys.readouterr().out
    assert "bayescal simulate study.toml --output hits.h5" in shown
    assert "Exit codes: 0 good, 2 bad input" in shown


@pytest.mark.parametrize("arguments", [("fitt",), ("fit",), ("fit", "study.toml", "--sead", "1")])
def test_wrong_usage_is_bad_input(bayescal, arguments):
    assert bayescal(*arguments) == 2
