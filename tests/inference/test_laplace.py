"""The Gaussian at the mode and its importance weights."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.inference.gaussian import LowRankGaussian
from bayescal.inference.laplace import gaussian, importance, moments, physical_moments, unconstrained_moments
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


def test_moments_through_a_transform(key):
    """d physical / d unconstrained of a uniform prior on (0, 2) at the middle is 1/2."""

    def model(inputs, data=None):
        place = numpyro.sample("place", dist.Uniform(0.0, 2.0))
        numpyro.sample("observed", dist.Normal(place, inputs), obs=data)

    potential, approximation = approximate((model, 0.01, 1.0), key)
    np.testing.assert_allclose(physical_moments(potential, approximation).covariance, [[1e-4]], rtol=1e-3)
    np.testing.assert_allclose(unconstrained_moments(potential, approximation).covariance, [[4e-4]], rtol=1e-3)


def test_low_rank_moments_are_those_of_the_matrix(key):
    """Through transforms that act on one coordinate (positive) and on several (a simplex)."""

    def model(inputs, data=None):
        numpyro.sample("share", dist.Dirichlet(inputs))
        numpyro.sample("rate", dist.Gamma(3.0, 1.0).expand([120]).to_event(1))

    potential = Potential(model, np.ones(4), None, key)
    random = np.random.default_rng(0)
    directions = np.linalg.qr(random.normal(size=(potential.size, 2)))[0].T
    scale = random.uniform(0.01, 0.1, potential.size)
    few = LowRankGaussian(random.normal(size=potential.size), scale, directions, np.array([0.2, 9.0]))
    group = moments(potential, few, {"log_density": -1.0})
    whole = physical_moments(potential, few.dense())
    assert list(group["parameter"].values) == list(whole.labels)
    np.testing.assert_allclose(group["mean"], whole.mean)
    np.testing.assert_allclose(group["sd"], np.sqrt(np.diag(whole.covariance)), rtol=1e-6)
    assert group["unconstrained_directions"].shape == (2, potential.size)
    assert group.attrs == {"log_density": -1.0}
