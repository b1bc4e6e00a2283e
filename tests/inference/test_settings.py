"""What a fit can be told."""

import pytest
from pydantic import ValidationError

from bayescal.inference import FitSettings


def test_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        FitSettings(drawz=10)


def test_every_setting_is_described():
    assert all(field.description for field in FitSettings.model_fields.values())


def test_limits():
    with pytest.raises(ValidationError, match="less than 1"):
        FitSettings(target_accept=1.0)
    with pytest.raises(ValidationError, match="max_draws = 10 must not be below draws = 500"):
        FitSettings(min_ess=400, max_draws=10)


def test_required_ess_is_a_hundred_a_chain_unless_said():
    assert FitSettings(chains=4).required_ess == 400.0
    assert FitSettings(min_ess=250).required_ess == 250.0
