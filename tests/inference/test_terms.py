"""Priors and likelihood of draws, which add up to the log-density."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import expon, lognorm, norm

from bayescal.inference import FitSettings, fit
from bayescal.inference.potential import Potential
from bayescal.inference.terms import terms_of_draws

INPUTS, DATA = {"x": np.array([0.0, 1.0, 2.0]), "low": 1.0}, np.array([0.1, 2.0, 4.2])


def line(inputs, data=None):
    slope = numpyro.sample("slope", dist.Uniform(inputs["low"], 3.0))
    offset = numpyro.sample("offset", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    with numpyro.plate("points", 3):
        noise = numpyro.sample("noise", dist.LogNormal(-0.5, 0.3))
    numpyro.factor("penalty", -0.1 * slope)
    numpyro.sample("y", dist.Normal(offset.sum() + slope * inputs["x"], noise), obs=data)


def test_terms_by_hand(key):
    """More draws than a chunk of the compiled program, of all kinds of priors."""
    potential = Potential(line, INPUTS, DATA, key)
    x = np.random.default_rng(0).normal(size=(2, 130, potential.size))
    lp = -np.array([potential.value(row) for row in x.reshape(260, -1)]).reshape(2, 130)
    draws = potential.constrain(x)
    log_prior, log_likelihood = terms_of_draws(potential, draws, lp)
    np.testing.assert_allclose(log_prior["slope"], -np.log(2.0), rtol=1e-12)
    np.testing.assert_allclose(log_prior["offset"], norm.logpdf(draws["offset"], 0.0, 2.0).sum(axis=-1), rtol=1e-12)
    expected = lognorm.logpdf(draws["noise"], 0.3, scale=np.exp(-0.5)).sum(axis=-1)
    np.testing.assert_allclose(log_prior["noise"], expected, rtol=1e-10)
    mean = draws["offset"].sum(axis=-1)[..., None] + draws["slope"][..., None] * INPUTS["x"]
    likelihood = norm.logpdf(DATA, mean, draws["noise"]).sum(axis=-1) - 0.1 * draws["slope"]
    np.testing.assert_allclose(log_likelihood, likelihood, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["map", "nuts"])
def test_every_result_keeps_them(key, method):
    def rate(inputs, data=None):
        decay = numpyro.sample("decay", dist.Exponential(2.0))
        numpyro.sample("times", dist.Exponential(decay).expand([3]).to_event(1), obs=data)

    settings = FitSettings(method=method, draws=20, warmup=10, chains=2, importance_draws=20, prior_draws=20)
    result = fit(rate, None, np.array([0.5, 1.0, 3.0]), key=jax.random.key(1), settings=settings)
    decay = result.data["posterior"]["decay"].values
    prior = result.data["log_prior"]["decay"].values
    np.testing.assert_allclose(prior, expon.logpdf(decay, scale=0.5), rtol=1e-10)
    expected = 3.0 * np.log(decay) - 4.5 * decay
    np.testing.assert_allclose(result.data["sample_stats"]["log_likelihood"], expected, rtol=1e-9, atol=1e-9)
