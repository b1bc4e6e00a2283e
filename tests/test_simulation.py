from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.model_files import load_model
from bayescal.simulation import draw_observed, site_sampler

PADS = load_model(Path(__file__).parent / "own_model" / "pads.py")


@pytest.fixture(scope="module")
def inputs():
    return PADS.module.example(jax.random.key(0))[0]


def test_sites_that_are_given_keep_their_values(inputs):
    sites = site_sampler(PADS)(jax.random.key(1), inputs, {"gain": np.float64(0.0), "pedestal": np.float64(7.0)})
    assert sites.keys() == {"gain", "pedestal", "charge"}
    assert sites["gain"] == 0.0
    assert abs(sites["charge"].mean() - 7.0) < 5 * 0.2 / np.sqrt(96)  # false alarm 6e-7


def test_all_sites_are_drawn_anew_by_key(inputs):
    sample = site_sampler(PADS)
    first, again, other = (sample(jax.random.key(key), inputs, {}) for key in (1, 1, 2))
    assert first["gain"] == again["gain"] != other["gain"]
    np.testing.assert_array_equal(first["charge"], draw_observed(jax.random.key(1), PADS, inputs))


def test_a_model_without_the_observed_site(inputs, monkeypatch):
    monkeypatch.setattr(PADS.module, "OBSERVED", "current")
    with pytest.raises(InputError, match=r"pads\.py: the model has no site 'current'; set OBSERVED"):
        draw_observed(jax.random.key(1), PADS, inputs)
