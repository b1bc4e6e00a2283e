"""Shares of light in windows of time."""

import numpy as np
import pytest
from scipy.stats import beta, expon, exponnorm, gamma, norm

from bayescal.errors import InputError
from bayescal.optical.windows import Windows

EDGES = np.array([-10.0, 10.0, 40.0, 200.0])


def test_direct_light_is_smeared_about_zero():
    np.testing.assert_allclose(Windows(EDGES, 4.0).of_direct, np.diff(norm.cdf(EDGES / 4.0)), rtol=1e-12)


def shares(law, width):
    """Of delays with the cumulants of a distribution of scipy."""
    mean, variance, skew = (float(each) for each in law.stats("mvs"))
    return Windows(EDGES, width).of_delayed(np.array([[mean], [variance], [skew * variance**1.5]]))[0]


@pytest.mark.parametrize(("first", "second", "largest"), [(0.6, 0.7, 60.0), (1.0, 3.0, 150.0), (4.0, 9.0, 90.0)])
def test_delays_up_to_a_largest_one(first, second, largest):
    """A beta distribution is found again from its cumulants; the smear is far below the windows."""
    law = beta(first, second, scale=largest)
    np.testing.assert_allclose(shares(law, 1e-9), np.diff(law.cdf(EDGES)), rtol=1e-6)


@pytest.mark.parametrize(("mean", "sd"), [(20.0, 20.0), (60.0, 25.0)])
def test_delays_without_a_largest_one_are_gamma(mean, sd):
    law = gamma((mean / sd) ** 2, scale=sd**2 / mean)
    np.testing.assert_allclose(shares(law, 1e-9), np.diff(law.cdf(EDGES)), rtol=1e-6)


def test_smeared_exponential_delays():
    """The exponentially modified normal law; three nodes leave a term of (width/tau)^6/120 where no edge is near 0."""
    expected = np.diff(exponnorm(20 / 2.2, scale=2.2).cdf(EDGES))
    np.testing.assert_allclose(shares(expon(scale=20), 2.2), expected, rtol=1e-5)
    assert abs(expected[0] - expon(scale=20).cdf(10)) > 1e-3


def test_light_after_the_last_window_is_lost():
    assert shares(expon(scale=100), 1e-9).sum() == pytest.approx(1 - np.exp(-2.0), rel=1e-9)


def test_zones_that_leave_no_delay_are_prompt():
    none = Windows(EDGES, 2.2).of_delayed(np.array([[-1.0], [-2.0], [0.0]]))[0]
    np.testing.assert_allclose(none, [1.0, 0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("edges", [[1.0], [0.0, 5.0, 5.0]])
def test_edges_must_increase(edges):
    with pytest.raises(InputError, match=r"window_edges_ns: \[.*\] must be two or more increasing times; mend them"):
        Windows(np.array(edges), 1.0)
