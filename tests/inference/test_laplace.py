"""The Gaussian at the mode and its importance weights."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.inference.laplace import (
    Gaussian,
    Importance,
    gaussian,
    importance,
    physical_moments,
    unconstrained_moments,
)
from bayescal.inference.optimise import minimise, prior_scale
from bayescal.inference.potential import Potential


def approximate(case, key):
    potential = Potential(*case, key)
    draws = potential.sample_prior(key, 200)
    scale = prior_scale(draws)
    return potential, gaussian(minimise(potential, scale.centre, scale, 1000))


def test_gaussian_posterior_is_reproduced(gaussian_case, key):
    potential, approximation = approximate(gaussian_case, key)
    moments = physical_moments(potential, approximation)
    np.testing.assert_allclose(moments.mean, gaussian_case.data, rtol=1e-3)
    np.testing.assert_allclose(moments.covariance, gaussian_case.inputs["covariance"], rtol=1e-3, atol=1e-7)
    assert moments.labels[3] == "mean[3]"


def test_khat_tells_a_gaussian_from_a_banana(gaussian_case, key):
    potential, approximation = approximate(gaussian_case, key)
    weighed = importance(key, potential, approximation, 400)
    assert weighed.khat < 0.6
    assert weighed.trusted

    def funnel(inputs, data=None):
        scale = numpyro.sample("scale", dist.Normal(0.0, inputs))
        numpyro.sample("x", dist.Normal(0.0, jax.numpy.exp(scale)).expand([5]).to_event(1))

    potential, approximation = approximate((funnel, 3.0, None), key)
    weighed = importance(key, potential, approximation, 400)
    assert weighed.khat > 0.7
    assert not weighed.trusted


def test_many_effective_draws_outweigh_a_scattered_khat():
    def weighed(top):
        weights = np.append(np.ones(199), top)
        return Importance(np.zeros((200, 1)), np.zeros(200), weights / weights.sum(), khat=0.95)

    assert weighed(12.0).trusted
    assert not weighed(80.0).trusted


def test_weights_mend_the_moments(key):
    def skewed(inputs, data=None):
        numpyro.sample("rate", dist.Gamma(inputs, 1.0))

    potential, approximation = approximate((skewed, 4.0, None), key)
    weighed = importance(key, potential, approximation, 1000)
    rate = potential.constrain(weighed.x)["rate"]
    error = 2.0 / np.sqrt(weighed.ess)
    assert abs(weighed.weights @ rate - 4.0) < 5.0 * error
    resampled = rate[weighed.resample(jax.random.key(1), 4000)]
    assert abs(resampled.mean() - weighed.weights @ rate) < 5.0 * 2.0 / np.sqrt(4000)
    np.testing.assert_allclose(weighed.weights.sum(), 1.0)


def test_moments_through_a_transform(key):
    """d physical / d unconstrained of a uniform prior on (0, 2) at the middle is 1/2."""

    def model(inputs, data=None):
        place = numpyro.sample("place", dist.Uniform(0.0, 2.0))
        numpyro.sample("observed", dist.Normal(place, inputs), obs=data)

    potential, approximation = approximate((model, 0.01, 1.0), key)
    np.testing.assert_allclose(physical_moments(potential, approximation).covariance, [[1e-4]], rtol=1e-3)
    np.testing.assert_allclose(unconstrained_moments(potential, approximation).covariance, [[4e-4]], rtol=1e-3)


def test_whitened_coordinates_and_back(key):
    factor = np.array([[2.0, 0.0], [-1.0, 0.5]])
    around = Gaussian(np.array([3.0, -4.0]), factor @ factor.T, factor)
    y = np.asarray(jax.random.normal(key, (5, 3, 2)))
    x = around.colour(y)
    np.testing.assert_allclose(x[1, 2], around.mode + factor @ y[1, 2])
    np.testing.assert_allclose(around.whiten(x), y, atol=1e-12)
    np.testing.assert_allclose(jax.jit(Gaussian.colour)(around, y), x)
    np.testing.assert_allclose(around.log_volume(), 0.0, atol=1e-12)


def test_learnt_coordinates_whiten_the_draws(key):
    """Ten thousand draws: a shrinkage of 4e-4 of a variance of one, which is 1 % of the smaller of theirs, 0.04."""
    factor = np.array([[2.0, 0.0], [-1.0, 0.5]])
    around = Gaussian(np.array([3.0, -4.0]), factor @ factor.T, factor)
    draws = np.asarray(jax.random.normal(key, (10_000, 2))) @ np.array([[3.0, 1.0], [0.0, 0.2]]) + 1.0
    fresh = around.learnt(draws)
    again = fresh.whiten(around.colour(draws))
    np.testing.assert_allclose(again.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(np.cov(again.T), np.eye(2), atol=0.015)
    np.testing.assert_allclose(fresh.covariance, fresh.factor @ fresh.factor.T)
