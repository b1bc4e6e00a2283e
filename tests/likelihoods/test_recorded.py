from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from bayescal.likelihoods.charge_spectrum import r3600_spectrum
from bayescal.likelihoods.recorded import FirstArrival, HitCharges, HitTimes
from bayescal.testing import check_gradient


def test_silence_and_hits_by_hand():
    """Sums over photoelectrons, of which 1, 2, ... stay below 0.3 recorded p.e. at a gain of 0.9 with F_1, F_2, ..."""
    times, mean = HitTimes(gain=0.9, threshold=0.3), np.array([0.0, 1e-3, 0.7, 5.0, 60.0])
    below = np.append(1.0, r3600_spectrum().probability_below(jnp.asarray(0.3 / 0.9)))
    poisson = scipy.stats.poisson.pmf(np.arange(17), mean[:, None])
    silent, seen = jax.jit(lambda m: (times.log_silent(m), times.log_recorded(jnp.ones(5), m)))(jnp.asarray(mean))
    np.testing.assert_allclose(silent, np.log(poisson @ below), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.exp(seen), 1.0 - poisson[:, :-1] @ below[1:], rtol=1e-12)
    assert HitCharges(gain=0.9, threshold=0.3).log_silent(jnp.asarray(0.7)) == pytest.approx(float(silent[2]))
    assert FirstArrival().log_silent(jnp.asarray(0.7)) == -0.7


def test_times_alone_are_drawn_as_hits():
    """Of the same charges: 1 above the threshold."""
    number = jnp.repeat(jnp.arange(1.0, 9.0), 50)
    charge, hit = jax.jit(lambda key: [kind().draw(key, number) for kind in (HitCharges, HitTimes)])(jax.random.key(3))
    np.testing.assert_array_equal(hit, np.where(charge > 0, 1.0, 0.0))
    assert 0.15 < (charge[:50] == 0).mean() < 0.45
    assert charge[charge > 0].min() >= 0.25
    np.testing.assert_array_equal(FirstArrival().draw(jax.random.key(4), number), 1.0)


def test_gradient_without_charges():
    """Of gain, threshold and light."""

    def total(x):
        times = HitTimes(r3600_spectrum(), x[0], x[1])
        return (times.log_silent(x[2:]) + 0.7 * times.log_recorded(jnp.ones(5), x[2:])) @ jnp.arange(1.0, 6.0)

    check_gradient(total, np.array([0.93, 0.27, 0.01, 0.3, 1.0, 4.0, 20.0]), rtol=1e-6)


def test_rows_of_constants():
    index, gain = jnp.asarray([4, 0]), jnp.asarray([0.9, 1.0, 1.1])
    for kind in (HitTimes, HitCharges):
        some = kind(gain=gain, threshold=0.3).rows((2, 3), index)
        assert some.gain.tolist() == [1.0, 0.9]
        assert some.threshold == 0.3
