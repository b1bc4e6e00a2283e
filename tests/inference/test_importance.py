"""Importance weights, and what they say of an approximation's bias."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

from bayescal.inference.gaussian import Gaussian
from bayescal.inference.importance import Bias, Importance, bias, weigh
from bayescal.inference.laplace import importance
from bayescal.inference.potential import Potential


@pytest.fixture
def normal(key):
    """The potential of one standard normal parameter."""
    return Potential(lambda inputs, data: numpyro.sample("x", dist.Normal(inputs, 1.0)), 0.0, None, key)


def around(centre, width, n=4000):
    """Draws of a normal distribution and their log-density."""
    x = np.random.default_rng(5).normal(centre, width, (n, 1))
    return x, norm.logpdf(x[:, 0], centre, width)


def test_many_effective_draws_outweigh_a_scattered_khat():
    assert weighed(12.0, khat=0.95).trusted
    assert not weighed(80.0, khat=0.95).trusted
    assert not weighed(12.0, khat=0.95).usable


def test_draws_are_sure_by_khat_and_by_their_effective_share():
    """A good k-hat of few effective draws may have missed what lies beyond all of them."""
    assert weighed(12.0, khat=0.5).sure
    assert not weighed(12.0, khat=0.95).sure
    assert not weighed(80.0, khat=0.5).sure


def weighed(top, khat):
    """200 draws, of which one has a larger weight."""
    weights = np.append(np.ones(199), top)
    return Importance(
        np.zeros((200, 1)), np.zeros(200), weights / weights.sum(), khat, np.full(200, 1 / 200), np.zeros(200)
    )


@pytest.mark.validate
def test_weights_mend_the_moments(key):
    def skewed(inputs, data=None):
        numpyro.sample("rate", dist.Gamma(inputs, 1.0))

    potential = Potential(skewed, 4.0, None, key)
    at_mode = Gaussian(np.log([4.0]), np.array([[0.25]]), np.array([[0.5]]))
    weighed = importance(key, potential, at_mode, 1000)
    rate = potential.constrain(weighed.x)["rate"]
    error = 2.0 / np.sqrt(weighed.ess)
    assert abs(weighed.weights @ rate - 4.0) < 5.0 * error
    resampled = rate[weighed.resample(jax.random.key(1), 4000)]
    assert abs(resampled.mean() - weighed.weights @ rate) < 5.0 * 2.0 / np.sqrt(4000)
    np.testing.assert_allclose(weighed.weights.sum(), 1.0)


def test_bias_of_a_wider_and_shifted_normal(normal):
    """Truth N(0, 1), approximation N(0.3, 1.4): shift 0.3 and ratio 1.4, known to 5 standard errors of the weights."""
    x, log_density = around(0.3, 1.4)
    weighed = weigh(normal, x, log_density, log_density)
    assert weighed.usable
    found = bias(weighed, {"x": x[:, 0], "fixed": np.ones(len(x))})
    assert found.labels == ("x",)
    np.testing.assert_allclose(found.shift, 0.3, atol=5.0 / np.sqrt(weighed.ess))
    np.testing.assert_allclose(found.sd_ratio, 1.4, rtol=5.0 / np.sqrt(2.0 * weighed.ess))


def test_own_weights_give_the_approximation_behind_a_proposal(normal):
    """Proposal N(0, 2), approximation N(0.5, 1), truth N(0, 1): a shift of 0.5, no change of width."""
    x, log_proposal = around(0.0, 2.0)
    weighed = weigh(normal, x, log_proposal, norm.logpdf(x[:, 0], 0.5, 1.0))
    found = bias(weighed, {"x": x[:, 0]})
    np.testing.assert_allclose(found.shift, 0.5, atol=5.0 * np.sqrt(2.0 / weighed.ess))
    np.testing.assert_allclose(found.sd_ratio, 1.0, rtol=5.0 * np.sqrt(2.0 / weighed.ess))


def test_unusable_weights_leave_the_approximation_as_it_is(normal, key):
    """An approximation of a tenth of the true width: its tail index is 0.99 (1 - 0.1^2)."""
    x, log_density = around(0.0, 0.1)
    weighed = weigh(normal, x, log_density, log_density)
    assert not weighed.usable
    np.testing.assert_array_equal(np.sort(weighed.resample(key, len(x))), np.arange(len(x)))


def test_no_finite_density_is_unusable(key):
    potential = Potential(
        lambda inputs, data: numpyro.factor("nan", np.nan * numpyro.sample("x", dist.Normal(inputs, 1.0))),
        0.0,
        None,
        key,
    )
    x, log_density = around(0.0, 1.0, n=20)
    weighed = weigh(potential, x, log_density, log_density)
    assert weighed.khat == np.inf
    assert not weighed.usable


def test_bias_in_words_names_the_worst_parameters():
    found = Bias(("kb", "Ab", "lifetime"), np.array([0.1, -0.42, 0.0]), np.array([0.9, 1.0, 1.21]))
    assert found.sentence() == (
        "its means are off by up to 0.42 sd (Ab), its widths 0.90 (kb) to 1.21 (lifetime) of the re-weighted ones"
    )
    assert found.facts() == {"largest_shift": 0.42, "smallest_sd_ratio": 0.9, "largest_sd_ratio": 1.21}
