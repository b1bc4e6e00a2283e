from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from bayescal.charge.electronics import Electronics, larnd_sim_jax
from bayescal.likelihoods.chip import play
from bayescal.testing import assert_covers

NOTHING = jnp.asarray(0.0)


def quiet(**changes) -> Electronics:
    """The chip without any noise."""
    noise = ("reset_noise_e", "discard_reset_noise_e", "uncorrelated_noise_e", "discriminator_noise_e", "watch_noise_e")
    constants = {"first_tick": 0, "n_ticks": 800, **dict.fromkeys(noise, 0.0), **changes}
    return replace(Electronics(), **constants)


def played(charge, chip, *, key=0, outlier=NOTHING, threshold=5000.0):
    """Hits [row, slot, 2] of charges by the end of tick k as functions of k - first_tick, starting at -1."""
    ticks = np.arange(-1, chip.n_ticks + chip.restart_ticks)
    rows = np.atleast_2d(charge(ticks).T).astype(float)
    draw = jax.jit(play)
    return np.asarray(draw(jax.random.key(key), jnp.asarray(rows), jnp.full(len(rows), threshold), outlier, chip))


def test_ramp_without_noise_gives_hits_every_69_ticks():
    """q(k) = 100 (k + 1): ten hits of 6,800 e- that larnd-sim-jax records one tick before, at 48, 117, 186, ..."""
    chip = quiet(busy_ticks=1)
    hits = played(lambda tick: 100.0 * (tick + 1), chip)[0]
    np.testing.assert_array_equal(hits[:, 0] - 1, 48 + 69 * np.arange(10))
    np.testing.assert_allclose(hits[:, 1], 82.797571, atol=1e-6)


@pytest.mark.parametrize(("busy", "period"), [(1, 20), (9, 28)])
def test_ticks_after_a_hit_are_not_watched(busy, period):
    """On a steep ramp every watched tick fires: the next is the restart, 20 ticks on, and then the ninth."""
    hits = played(lambda tick: 1e4 * (tick + 1), quiet(busy_ticks=busy))[0]
    np.testing.assert_array_equal(np.diff(hits[:, 0]), period)
    assert hits[0, 0] == 0


def test_window_starts_where_the_chip_says():
    hits = played(lambda tick: 100.0 * (tick + 1), quiet(first_tick=-100))[0]
    assert hits[0, 0] == 49 - 100


def test_hold_sees_the_charge_that_comes_late_and_the_reset_loses_what_follows():
    """A step of 6 ke- at tick 10, 3 ke- within the hold and 4 ke- in the reset: one hit of 9 ke-."""

    def charge(tick):
        return 6000.0 * (tick >= 10) + 3000.0 * (tick >= 28) + 4000.0 * (tick >= 29)

    hits = played(charge, quiet())[0]
    assert hits[0, 0] == 10
    np.testing.assert_allclose(hits[0, 1], 75.8234741784 + 9000.0 / 975.0366592407)
    assert np.isnan(hits[1:]).all()


def test_charge_that_sinks_below_threshold_is_discarded_and_lost():
    """Induction that leaves again: nothing is recorded, and the charge after the restart counts alone."""

    def charge(tick):
        return 6000.0 * ((tick >= 10) & (tick < 20)) + 4000.0 * (tick >= 20) + 5500.0 * (tick >= 100)

    hits = played(charge, quiet())[0]
    np.testing.assert_array_equal(hits[0, 0], 100)
    np.testing.assert_allclose(hits[0, 1], 75.8234741784 + 5500.0 / 975.0366592407)
    assert np.isnan(hits[1:]).all()


def test_after_a_discard_no_tick_is_skipped():
    """The next firing can be at the restart itself, 20 ticks on."""

    def charge(tick):
        return 6000.0 * ((tick >= 10) & (tick < 20)) + 6000.0 * (tick >= 30)

    assert played(charge, quiet())[0, 0, 0] == 30


def test_no_more_hits_than_slots_and_values_end_at_the_top():
    hits = played(lambda tick: 3e4 * (tick + 1), quiet(max_hits=3))[0]
    assert hits.shape == (3, 2)
    np.testing.assert_array_equal(hits[:, 1], 256.0)


def test_thresholds_are_those_of_the_pixels():
    ticks = np.arange(-1, 820)
    rows = jnp.asarray(np.tile(100.0 * (ticks + 1.0), (2, 1)))
    hits = play(jax.random.key(0), rows, jnp.array([5000.0, 7000.0]), NOTHING, quiet())
    np.testing.assert_array_equal(hits[:, 0, 0], [49, 69])


def test_larnd_sim_jax_fires_by_the_offset_alone():
    """A charge of 5.5 ke- fires where its one offset is above -500 e-: exact binomial test, false alarm 1e-3."""
    chip = replace(larnd_sim_jax(), n_ticks=60, max_hits=1, uncorrelated_noise_e=0.0)
    n = 4000
    hits = played(lambda tick: np.repeat(5500.0 * (tick >= 10)[:, None], n, axis=1), chip, key=2)
    assert_covers(int(np.isfinite(hits[:, 0, 0]).sum()), n, norm.cdf(500.0 / 900.0))


def test_first_firing_without_charge_is_an_outlier_at_its_rate():
    """Outliers come at 1 - (1 - r)^n in n ticks, their values evenly over the ADC: false alarm 1e-3 each."""
    n, chip = 4000, quiet(n_ticks=100, max_hits=1)
    hits = played(lambda tick: np.zeros((tick.size, n)), chip, key=3, outlier=jnp.asarray(0.01))[:, 0]
    seen = np.isfinite(hits[:, 0])
    assert_covers(int(seen.sum()), n, 1 - 0.99**100)
    assert_covers(int((hits[seen, 1] < 64.0).sum()), int(seen.sum()), 0.25)


def test_noise_at_the_discriminator_is_new_at_every_tick():
    """A level two widths below the threshold fires at each of ten ticks with the same small chance."""
    n, chip = 4000, quiet(n_ticks=10, max_hits=1, watch_noise_e=500.0)
    hits = played(lambda tick: np.full((tick.size, n), 4000.0) * (tick >= 0)[:, None], chip, key=4, threshold=5000.0)
    # what fires is digitised without noise at 4,000 e- and discarded: seen through a chip that keeps everything
    assert np.isnan(hits).all()
    kept = replace(chip, discriminator_noise_e=1e9)
    hits = played(lambda tick: np.full((tick.size, n), 4000.0) * (tick >= 0)[:, None], kept, key=4)
    assert_covers(int(np.isfinite(hits[:, 0, 0]).sum()), n, 0.5 * (1 - norm.cdf(2.0) ** 10), p_limit=1e-3)


def test_keys_are_used_once():
    chip = replace(Electronics(), n_ticks=50)
    with jax.debug_key_reuse(True):
        hits = played(lambda tick: 300.0 * (tick + 1), chip, outlier=jnp.asarray(1e-3))
    assert hits.shape == (1, 10, 2)


def test_same_key_same_hits():
    chip = replace(Electronics(), n_ticks=100)
    first, same, other = (played(lambda tick: 300.0 * (tick + 1), chip, key=key) for key in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
