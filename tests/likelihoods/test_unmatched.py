from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.stats
from scipy.special import logsumexp

from bayescal.likelihoods.limits import log_at_least, no_limits, split_limits
from bayescal.likelihoods.unmatched import Background, Trigger

COUNTS = np.array([[3.0, np.nan, 40.0, 40.0], [1.0, 2.0, 3.0, 4.0]])
SATURATED = COUNTS >= 40.0


def test_sensors_at_the_end_are_taken_apart() -> None:
    counts, limits = split_limits(COUNTS, SATURATED)
    np.testing.assert_array_equal(counts, [[3.0, np.nan, np.nan, np.nan], [1.0, 2.0, 3.0, 4.0]])
    assert limits.sensor.tolist() == [[2, 3], [-1, -1]]
    assert limits.least_pe.tolist() == [[40.0, 40.0], [1.0, 1.0]]
    assert no_limits((2,)).sensor.shape == (2, 0)


def test_survival_of_sensors_at_the_end() -> None:
    """Against SciPy's negative binomial survival function; nothing for a flash without such sensors."""
    mean = np.array([[5.0, 6.0, 30.0, 50.0], [5.0, 6.0, 39.0, 20.0]])
    _, limits = split_limits(COUNTS, SATURATED)
    rows = [jax.tree.map(lambda values, row=row: values[row], limits) for row in (0, 1)]
    found = jax.jit(log_at_least)(mean, mean + 0.01 * mean**2, rows[0])
    expected = scipy.stats.nbinom.logsf(39, 100, 100 / (100 + mean))[:, 2:].sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert jax.jit(log_at_least)(mean, mean + 0.01 * mean**2, rows[1]).tolist() == [0.0, 0.0]


def test_background_with_sensors_at_the_end_sums_over_their_light() -> None:
    """One sensor at 40 or more of a background up to 400 p.e.: the sum of 361 probabilities, to the sum's steps."""
    background = Background(2.0, 10, 400, np.full(3, 0.5))
    counts, limits = split_limits(np.array([[3.0, 7.0, 40.0]]), np.array([[False, False, True]]))
    every = np.column_stack([np.full(361, 3.0), np.full(361, 7.0), np.arange(40.0, 401.0)])
    expected = logsumexp(background.log_density(every))
    assert background.log_density(counts, limits)[0] == pytest.approx(expected, abs=2e-3)
    np.testing.assert_array_equal(background.log_density(counts, no_limits((1,))), background.log_density(counts))


def test_no_flash_below_the_threshold() -> None:
    trigger, mean = Trigger(5, 0.1), np.array([1.0, 4.0, 50.0])
    below = scipy.stats.nbinom.cdf(4, 100, 100 / (100 + mean))
    found = jax.jit(trigger.log_unrecorded)(mean, mean + 0.01 * mean**2)
    np.testing.assert_allclose(found, np.log(0.1 + 0.9 * below), rtol=1e-10)
