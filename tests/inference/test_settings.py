"""What a fit can be told."""

import pytest
from pydantic import ValidationError

from bayescal.inference import FitSettings
from bayescal.inference.settings import Goal, parse_goal


def test_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        FitSettings(drawz=10)


def test_every_setting_is_described():
    assert all(field.description for field in FitSettings.model_fields.values())


def test_limits():
    with pytest.raises(ValidationError, match="less than 1"):
        FitSettings(target_accept=1.0)
    with pytest.raises(ValidationError, match="max_draws = 10 must not be below draws = 500"):
        FitSettings(until="ess > 400", max_draws=10)


def test_a_hundred_effective_draws_a_chain_are_required_unless_said():
    assert FitSettings(chains=3).required == Goal(300.0, 1.01)
    assert FitSettings(until="ess>250").required == Goal(250.0, 1.01)
    assert FitSettings(until="rhat<1.1").required == Goal(400.0, 1.1)
    assert FitSettings().stop is None


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("ess>1000", Goal(1000.0, None)),
        (" rhat < 1.01 ", Goal(None, 1.01)),
        ("ess > 4e2 and rhat<1.005", Goal(400.0, 1.005)),
        ("rhat<1.005 and ess>400", Goal(400.0, 1.005)),
    ],
)
def test_goals(text, goal):
    assert parse_goal(text) == goal


@pytest.mark.parametrize(
    "text",
    ["", "ess", "ess < 400", "rhat > 1.01", "ess > 1 and", "ess > 1 and ess > 2", "ess > 1 or rhat < 2", "n > 4"],
)
def test_what_is_no_goal(text):
    with pytest.raises(ValidationError, match=r"expected 'ess > 400', 'rhat < 1\.01' or both joined by 'and'"):
        FitSettings(until=text)


@pytest.mark.parametrize("text", ["ess > 0", "ess > -3", "ess > inf", "rhat < 1", "rhat < nan"])
def test_goals_out_of_range(text):
    with pytest.raises(ValidationError, match="ess must be above a positive number and rhat below one that exceeds 1"):
        FitSettings(until=text)


def test_a_number_that_cannot_be_read():
    with pytest.raises(ValidationError, match="could not convert string to float: 'many'"):
        FitSettings(until="ess > many")
