"""Adjusted microcanonical sampling."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit


@pytest.fixture(scope="module")
def run(known_models):
    known = known_models.gaussian()
    settings = FitSettings(method="mclmc", draws=1000)
    return fit(*known.case, key=jax.random.key(12), settings=settings), known


def test_known_posterior(run, known_models):
    result, known = run
    assert result.converged, result.verdict
    known_models.check(result, known)


def test_two_gradients_a_step_and_no_energy(run):
    result, _ = run
    stats = result.data["sample_stats"]
    assert "energy" not in stats
    drawn = stats["n_steps"].values.sum()
    np.testing.assert_allclose(drawn / stats["n_steps"].size, 2.0, rtol=0.1)
    assert result.attrs["chain_gradients"] > 2 * drawn


def test_one_parameter_is_refused(key):
    def line(inputs, data=None):
        numpyro.sample("x", dist.Normal(0.0, inputs))

    with pytest.raises(InputError, match="mclmc needs two parameters or more, the model has one: use nuts"):
        fit(line, 1.0, None, key=key, method="mclmc")
