"""The checks fail when they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from bayescal.testing import assert_covers, assert_mean, check_counts, check_density, check_gradient

NORMAL = np.random.default_rng(3).normal(size=4000)
EDGES = np.linspace(-6.0, 6.0, 41)


def test_mean():
    assert_mean(NORMAL, 0.0, NORMAL.size)
    with pytest.raises(AssertionError, match=r"standard errors from 0\.2"):
        assert_mean(NORMAL, 0.2, NORMAL.size)
    with pytest.raises(AssertionError, match="did not mix"):
        assert_mean(NORMAL, 0.0, 50.0)


def test_coverage():
    assert_covers(66, 100, 0.68)
    with pytest.raises(AssertionError, match="40 of 100 intervals of 68%"):
        assert_covers(40, 100, 0.68)


def test_gradient():
    check_gradient(lambda x: jnp.sin(x[0]) * jnp.exp(3.0 * x[1]), np.array([0.4, -0.2]))

    @jax.custom_jvp
    def wrong(x):
        return x**2

    wrong.defjvp(lambda primals, tangents: (wrong(*primals), 2.01 * primals[0] * tangents[0]))
    with pytest.raises(AssertionError, match="component 0: gradient"):
        check_gradient(lambda x: wrong(x[0]), np.array([1.5]))


def test_density():
    check_density(scipy.stats.norm.logpdf, NORMAL, EDGES)
    with pytest.raises(AssertionError, match="integrates to"):
        check_density(lambda x: scipy.stats.norm.logpdf(x) + 0.01, NORMAL, EDGES)
    with pytest.raises(AssertionError, match="chi-square"):
        check_density(lambda x: scipy.stats.norm.logpdf(x, scale=1.1), NORMAL, EDGES)
    with pytest.raises(AssertionError, match="draws lie outside"):
        check_density(scipy.stats.norm.logpdf, np.append(NORMAL, 7.0), EDGES)


def test_counts():
    check_counts(np.array([50, 49, 1]), np.array([0.5, 0.49, 0.01]))
    with pytest.raises(AssertionError, match="chi-square"):
        check_counts(np.array([90, 10]), np.array([0.5, 0.5]))
