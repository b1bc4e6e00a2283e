"""Every method on models whose posterior is known, at the size at which it would be used."""

from __future__ import annotations

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.inference import FitSettings, fit
from bayescal.testing import assert_mean

GAUSSIAN = ("laplace", "nuts", "hmc", "blackjax_nuts", "mclmc", "smc")
RATES = ("nuts", "hmc", "blackjax_nuts", "mclmc")
BANANA = ("nuts", "blackjax_nuts", "mclmc", "smc")
MANY = {
    "until": "ess > 400 and rhat < 1.01",
    "max_draws": 20_000,
    "block": 50,
    "max_gradients": 20_000,
    "particles": 1000,
}
"""Draws until they are good; a search for the mode of a thousand dimensions takes two thousand gradients at its end."""


@pytest.mark.validate
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", GAUSSIAN)
def test_ten_correlated_dimensions(known_models, method):
    known = known_models.gaussian()
    result = fit(*known.case, key=jax.random.key(21), settings=FitSettings(method=method, draws=1000, particles=1000))
    assert result.converged, result.verdict
    known_models.check(result, known)


@pytest.mark.validate
@pytest.mark.timeout(1800)
def test_ten_correlated_dimensions_from_many_rows(known_models):
    """What hmcecs is for: each of its rows says little of every parameter."""
    known = known_models.gaussian_rows(rows=8_001, part=150)
    result = fit(*known.case, key=jax.random.key(22), settings=FitSettings(method="hmcecs", draws=1000))
    assert result.converged, result.verdict
    assert result.attrs["gradients"] < 2000
    known_models.check(result, known)


@pytest.mark.validate
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("method", RATES)
def test_a_thousand_rates(known_models, method):
    """smc and hmcecs are not for this: particles are far too few for the dimensions, rows for each rate."""
    known = known_models.poisson_rates()
    result = fit(*known.case, key=jax.random.key(23), settings=FitSettings(method=method, **MANY))
    assert result.converged, result.verdict
    known_models.check(result, known)


@pytest.mark.validate
@pytest.mark.timeout(1800)
def test_a_hundred_rates_by_particles(known_models):
    known = known_models.poisson_rates(number=100)
    result = fit(*known.case, key=jax.random.key(24), settings=FitSettings(method="smc", **MANY))
    assert result.converged, result.verdict
    known_models.check(result, known)


@pytest.mark.validate
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", BANANA)
def test_curved_valley(known_models, method):
    known = known_models.banana()
    result = fit(*known.case, key=jax.random.key(25), settings=FitSettings(method=method, **MANY))
    assert result.converged, result.verdict
    known_models.check(result, known)


@pytest.mark.validate
@pytest.mark.timeout(1800)
def test_rows_that_are_not_normal():
    """A logistic regression, no quadratic form, against re-weighted draws around its mode, all rows at once."""
    generator = np.random.default_rng(5)
    x = generator.normal(size=(1500, 2))
    y = (generator.random(1500) < 1.0 / (1.0 + np.exp(-x @ [1.0, -0.5]))).astype(float)

    def model(inputs, data=None):
        weight = numpyro.sample("weight", dist.Normal(0.0, 5.0).expand([2]).to_event(1))
        with numpyro.plate("rows", 1500, subsample_size=300) as row:
            numpyro.sample("y", dist.Bernoulli(logits=inputs[row] @ weight), obs=None if data is None else data[row])

    found = fit(model, x, y, key=jax.random.key(26), method="hmcecs")
    reference = fit(model, x, y, key=jax.random.key(26), method="laplace", settings=FitSettings(draws=2000))
    assert reference.converged, reference.verdict
    assert found.converged, found.verdict
    assert 0.5 < found.attrs["row_acceptance"] < 1.0
    for index in range(2):
        draws, expected = found.draws("weight")[:, index], reference.draws("weight")[:, index]
        assert_mean(draws, expected.mean(), 400.0)
        np.testing.assert_allclose(draws.std(), expected.std(), rtol=5.0 / np.sqrt(2.0 * 400.0))
