"""Short chains and importance draws of many posteriors."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.inference.laplace import Gaussian, gaussian
from bayescal.inference.optimise import minimise, prior_scale
from bayescal.inference.potential import Potential
from bayescal.inference.short import ShortChains, weighed_draws


def model(inputs, data=None):
    mean = numpyro.sample("mean", dist.Normal(0.0, 100.0).expand([3]).to_event(1))
    numpyro.sample("observed", dist.MultivariateNormal(mean, inputs), obs=data)


COVARIANCE = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.2], [0.0, 0.2, 0.5]])


@pytest.fixture(scope="module")
def potential():
    return Potential(model, COVARIANCE, np.zeros(3), jax.random.key(0))


@pytest.fixture(scope="module")
def chains(potential):
    return ShortChains(potential)


def whitening(potential):
    scale = prior_scale(potential.sample_prior(jax.random.key(1), 200))
    optimum = minimise(potential, scale.centre, scale, 400)
    return optimum, gaussian(optimum)


def test_draws_of_several_data_sets_by_one_program(potential, chains, key):
    """Mean and variance of every coordinate to five standard errors: false alarm 1e-5 in all."""
    for data in (np.zeros(3), np.array([5.0, -3.0, 40.0])):
        other = potential.with_data(COVARIANCE, data)
        draws = chains.draw(key, other, whitening(other)[1], 400)
        assert draws.x.shape == (400, 3)
        assert (draws.fault, draws.divergences) == ("", 0)
        assert draws.ess > 200
        sd = np.sqrt(np.diag(COVARIANCE))
        assert (np.abs(draws.x.mean(axis=0) - data) < 5 * sd / np.sqrt(draws.ess)).all()
        assert (np.abs(draws.x.var(axis=0) / sd**2 - 1) < 5 * np.sqrt(2 / draws.ess)).all()
        assert draws.log_density[0] == pytest.approx(-other.value(draws.x[0]), abs=1e-9)
    assert chains.compilations == 1


def test_a_wrong_metric_is_learnt_anew(potential, chains, key):
    """A metric ten times too wide in one direction: half a step of 0.5 is there beyond the stable two."""
    narrow = Gaussian(np.zeros(3), np.diag([1.0, 1.0, 50.0]), np.diag([1.0, 1.0, np.sqrt(50.0)]))
    draws = chains.draw(key, potential.with_data(COVARIANCE, np.zeros(3)), narrow, 200)
    assert draws.fault == ""
    assert np.abs(draws.x[:, 2].mean()) < 5 * np.sqrt(0.5 / draws.ess)  # false alarm 6e-7


def test_what_cannot_be_drawn_from_is_a_fault(key):
    def funnel(inputs, data=None):
        del data
        log_width = numpyro.sample("log_width", dist.Normal(0.0, 5.0))
        numpyro.sample("x", dist.Normal(0.0, jax.numpy.exp(inputs * log_width)).expand([5]).to_event(1))

    potential = Potential(funnel, 1.0, None, jax.random.key(0))
    unit = Gaussian(np.zeros(6), np.eye(6), np.eye(6))
    draws = ShortChains(potential).draw(key, potential, unit, 79)
    assert "diverged" in draws.fault or "moves too slowly" in draws.fault
    assert len(draws.x) == 79


def test_a_chain_that_cannot_start(key):
    def nowhere(inputs, data=None):
        del data
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.factor("nowhere", inputs * x - np.inf)

    potential = Potential(nowhere, 1.0, None, jax.random.key(0))
    draws = ShortChains(potential).draw(key, potential, Gaussian(np.zeros(1), np.eye(1), np.eye(1)), 20)
    assert draws.fault == "no chain can start around the mode"
    assert draws.x.shape == (0, 1)


def test_importance_draws(potential, key):
    optimum, approximation = whitening(potential)
    draws = weighed_draws(key, potential, optimum, approximation, 100)
    assert draws.fault == ""
    assert (np.abs(draws.x.mean(axis=0)) < 5 * np.sqrt(np.diag(COVARIANCE) / 100)).all()
    assert draws.log_density[3] == pytest.approx(-potential.value(draws.x[3]), abs=1e-9)


def test_importance_draws_that_cannot_be_trusted(potential, key):
    optimum, approximation = whitening(potential)
    off = Gaussian(approximation.mode + 8.0, approximation.covariance, approximation.factor)
    assert "k-hat" in weighed_draws(key, potential, optimum, off, 20).fault
    lost = minimise(potential, np.full(3, 300.0), prior_scale(np.ones((3, 3))), 1)
    assert "the mode was not found" in weighed_draws(key, potential, lost, approximation, 20).fault
