"""Short chains from dispersed starts."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.inference.dispersed import CHAINS, KEPT, DispersedChains
from bayescal.inference.laplace import Gaussian
from bayescal.inference.potential import Potential

SQUARE = 1.0


def model(inputs, data=None):
    """Two numbers, measured with errors that are tied, and one of which only the square is measured."""
    mean = numpyro.sample("mean", dist.Normal(0.0, 100.0).expand([2]).to_event(1))
    side = numpyro.sample("side", dist.Normal(0.0, 10.0))
    numpyro.sample("square", dist.Normal(side**2, 0.5), obs=jnp.asarray(SQUARE))
    numpyro.sample("observed", dist.MultivariateNormal(mean, inputs), obs=data)


COVARIANCE = np.array([[1.0, 0.9], [0.9, 1.0]])


@pytest.fixture(scope="module")
def potential():
    return Potential(model, COVARIANCE, np.zeros(2), jax.random.key(0))


@pytest.fixture(scope="module")
def chains(potential):
    return DispersedChains(potential)


def at_one_mode(data) -> Gaussian:
    """Centre and width of the valley where the last number is positive: the other one is seven widths away."""
    covariance = np.zeros((3, 3))
    covariance[:2, :2], covariance[2, 2] = COVARIANCE, 0.25**2
    return Gaussian(np.array([*data, 1.0]), covariance, np.linalg.cholesky(covariance))


def test_draws_of_several_data_sets_by_one_program(potential, chains, key):
    """Means to five standard errors by their own effective sample sizes: false alarm 1e-6 each."""
    for data in (np.zeros(2), np.array([5.0, -3.0])):
        found = chains.draw(key, potential.with_data(COVARIANCE, data), at_one_mode(data))
        assert found.x.shape == (CHAINS, KEPT, 3)
        assert found.gradients > 3 * CHAINS * KEPT
        draws = found.x.reshape(-1, 3)
        assert (np.abs(draws[:, :2].mean(axis=0) - data) < 5 / np.sqrt(found.ess)).all()
        assert (np.abs(draws[:, :2].std(axis=0) - 1) < 5 / np.sqrt(2 * found.ess)).all()
    assert chains.compilations == 1


def test_chains_are_the_same_for_the_same_key(potential, chains, key):
    one, other = (chains.draw(key, potential, at_one_mode(np.zeros(2))).x for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_chains_move_and_have_draws_of_their_own(potential, chains, key):
    """Most trajectories are accepted: their step is far below the two that a normal distribution allows."""
    found = chains.draw(key, potential, at_one_mode(np.zeros(2)))
    assert len(np.unique(found.x.reshape(-1, 3), axis=0)) > 0.5 * CHAINS * KEPT


def test_chains_that_stay_in_valleys_of_their_own_are_told_by_r_hat(key):
    """From the ridge between two valleys, 200 nats above them: no chain comes back over it.

    R-hat by ranks is 1.5 where three chains are apart from one (normal scores: means differ by 1.7, width 0.7).
    """

    def valleys(inputs, data=None):
        side = numpyro.sample("side", dist.Normal(0.0, 10.0))
        numpyro.sample("square", dist.Normal(side**2, inputs), obs=data)

    potential = Potential(valleys, 0.05, np.array(SQUARE), jax.random.key(0))
    ridge = Gaussian(np.zeros(1), np.array([[0.025**2]]), np.array([[0.025]]))
    found = DispersedChains(potential).draw(key, potential, ridge)
    sides = np.sign(found.x[..., 0])
    assert (sides == sides[:, :1]).all()
    assert set(sides[:, 0]) == {-1.0, 1.0}
    assert found.r_hat > 1.4


def test_a_start_outside_the_support_is_drawn_in(key):
    def bounded(inputs, data=None):
        rate = numpyro.sample("rate", dist.Normal(0.0, 1.0))
        numpyro.factor("inside", jnp.where(jnp.abs(rate) < inputs, 0.0, -jnp.inf))

    potential = Potential(bounded, 1e-3, None, jax.random.key(0))
    found = DispersedChains(potential).draw(key, potential, Gaussian(np.zeros(1), np.eye(1), np.eye(1)))
    assert (np.abs(found.x) < 1e-3).all()
