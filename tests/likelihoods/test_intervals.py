from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_ndtr
from scipy.stats import norm

from bayescal.charge.electronics import Electronics
from bayescal.likelihoods.intervals import (
    Charges,
    Hit,
    IntegerADC,
    OffsetGrid,
    RealADC,
    Stretches,
    follow,
    log_hit,
    log_silence,
)

NO_OUTLIER = jnp.asarray(0.0)


def charges_of(charge, end, chip) -> Charges:
    """Charges of one interval of single ticks 0 ... end - 1, from the charge collected by every tick."""
    ticks = np.arange(end)
    hold, restart = chip.hold_ticks, chip.restart_ticks - 1
    rows = (charge[ticks], charge[ticks + hold], charge[ticks + restart], charge[end], charge[end + hold])
    return Charges(*(jnp.asarray(row)[None] for row in rows))


def single_ticks(end) -> Stretches:
    return Stretches(np.arange(end, dtype=float)[None], np.ones((1, end)), np.array([float(end)]))


def closed_form(charge, k, adc, chip):
    """Log density of a first firing at k that is kept, without noise at the discriminator.

    It fires at k where the offset lies between Q_th - m_k and Q_th - m_(k-1), m the running maximum of the charge; the
    digitised y is normal around q(k + hold) + offset, and kept where it is above the threshold.
    """
    highest = np.maximum.accumulate(charge)
    s_r, s_u = chip.reset_noise_e, chip.uncorrelated_noise_e
    total = np.hypot(s_r, s_u)
    y, mean = chip.charge(adc), charge[k + chip.hold_ticks]
    centre, width = (y - mean) * s_r**2 / total**2, s_r * s_u / total
    low = (chip.threshold_e - highest[k] - centre) / width
    high = (chip.threshold_e - highest[k - 1] - centre) / width if k else np.inf
    log_low, log_high = log_ndtr(-low), log_ndtr(-high)
    log_share = log_low + np.log1p(-np.exp(log_high - log_low))
    kept = 0.0 if y >= chip.threshold_e else -np.inf
    return norm.logpdf(y, mean, total) + np.log(chip.charge_per_count_e) + log_share + kept


QUIET = Electronics(discriminator_noise_e=0.0, watch_noise_e=0.5, discard_reset_noise_e=500.0)
"""As good as no noise at the discriminator."""
FINE = OffsetGrid(-4500.0, 0.25, 36_001)


@pytest.mark.parametrize("k", [8, 14, *(pytest.param(k, marks=pytest.mark.validate) for k in (11, 17))])
@pytest.mark.parametrize("adc", [81.2, 82.5, 84.0])
def test_noiseless_discriminator_has_a_closed_form(k, adc):
    """Up to twenty ticks, so that no firing before can have been discarded and followed by another."""
    charge = 6500.0 * norm.cdf((np.arange(60) - 10.0) / 3.0)
    charges = charges_of(charge, k, QUIET)
    threshold = jnp.array([QUIET.threshold_e])
    offsets = follow(charges, single_ticks(k), threshold, QUIET, NO_OUTLIER, FINE, 1)
    found = log_hit(offsets, charges, Hit(jnp.array([adc]), threshold), QUIET, NO_OUTLIER, FINE, RealADC())
    np.testing.assert_allclose(found, closed_form(charge, k, adc, QUIET), atol=5e-3)


def test_noiseless_silence_is_that_of_the_highest_charge():
    charge = np.concatenate([np.linspace(0.0, 5200.0, 10), np.linspace(5200.0, 4800.0, 50)])
    charges = charges_of(charge, 20, QUIET)
    offsets = follow(charges, single_ticks(20), jnp.array([5000.0]), QUIET, NO_OUTLIER, FINE, 1)
    watching = np.exp(offsets.log_density).sum()
    np.testing.assert_allclose(watching, norm.cdf((5000.0 - 5200.0) / 900.0), rtol=5e-3)


def test_nothing_watched_leaves_the_fresh_offset():
    chip, grid = Electronics(), OffsetGrid(-4500.0, 450.0, 21)
    nothing = Stretches(np.zeros((1, 4)), np.zeros((1, 4)), np.zeros(1))
    zero = jnp.zeros((1, 4))
    charges = Charges(zero, zero, zero, jnp.zeros(1), jnp.zeros(1))
    offsets = follow(charges, nothing, jnp.array([5000.0]), chip, NO_OUTLIER, grid, 2)
    np.testing.assert_allclose(log_silence(offsets), 0.0, atol=1e-6)
    np.testing.assert_allclose(
        offsets.log_density[0], norm.logpdf(grid.values(jnp.dtype("float64")), 0, 900.0) + np.log(450.0), atol=1e-6
    )


@pytest.mark.parametrize(
    ("charge", "width", "tolerance"), [(4000.0, 7.0, 1e-5), (7000.0, 7.0, 3e-4), (12e3, 20.0, 3e-3)]
)
def test_two_discards_are_nearly_as_good_as_three(charge, width, tolerance):
    """In the log probability of silence; one is wrong by more than one for the largest charge."""
    chip, grid = Electronics(), OffsetGrid(-28_000.0, 400.0, 82)
    collected = charge * norm.cdf((np.arange(240) - 80.0) / width)

    def silence(discards):
        charges = charges_of(collected, 200, chip)
        offsets = follow(charges, single_ticks(200), jnp.array([5000.0]), chip, NO_OUTLIER, grid, discards)
        return float(log_silence(offsets)[0])

    four = silence(4)
    assert abs(silence(3) - four) < 1e-3
    assert abs(silence(2) - four) < tolerance
    assert (abs(silence(1) - four) > 1.0) == (charge > 10e3)


@pytest.mark.validate
def test_long_stretch_counts_as_many_ticks():
    chip, grid = Electronics(), OffsetGrid(-9000.0, 300.0, 46)
    level = np.full(400, 3000.0)
    single = follow(charges_of(level, 256, chip), single_ticks(256), jnp.array([5000.0]), chip, NO_OUTLIER, grid, 3)
    stretches = Stretches(np.arange(0.0, 256.0, 8.0)[None], np.full((1, 32), 8.0), np.array([256.0]))
    every = jnp.full((1, 32), 3000.0)
    charges = Charges(every, every, every, jnp.full(1, 3000.0), jnp.full(1, 3000.0))
    long = follow(charges, stretches, jnp.array([5000.0]), chip, NO_OUTLIER, grid, 3)
    np.testing.assert_allclose(log_silence(long), log_silence(single), atol=5e-4)


def test_outliers_compete_with_the_signal():
    """Without charge an interval of n ticks stays silent with probability (1 - r)^n."""
    chip, grid = Electronics(), OffsetGrid(-4500.0, 450.0, 21)
    silent = charges_of(np.full(200, -20_000.0), 100, chip)
    rate, threshold = jnp.asarray(0.003), jnp.array([5000.0])
    offsets = follow(silent, single_ticks(100), threshold, chip, rate, grid, 2)
    np.testing.assert_allclose(log_silence(offsets), 100 * np.log1p(-0.003), atol=1e-6)
    hit = log_hit(offsets, silent, Hit(jnp.array([123.0]), threshold), chip, rate, grid, RealADC())
    np.testing.assert_allclose(hit, 100 * np.log1p(-0.003) + np.log(0.003 / 256), atol=1e-6)


@pytest.mark.validate
def test_single_precision_survives_many_ticks_far_above_threshold():
    """Log-survivals below -700 and their inverse stay finite, as do the derivatives."""
    chip, grid = Electronics(), OffsetGrid(-30_000.0, 450.0, 78)
    collected = np.concatenate([np.zeros(5), np.full(295, 25_000.0)])

    def silence(scale):
        charges = jax.tree.map(lambda q: (scale * q).astype(jnp.float32), charges_of(collected, 250, chip))
        return log_silence(follow(charges, single_ticks(250), jnp.array([5000.0]), chip, NO_OUTLIER, grid, 3))[0]

    value, slope = jax.value_and_grad(silence)(jnp.asarray(1.0))
    assert np.isfinite(value)
    assert np.isfinite(slope)
    assert value < -10.0


def test_single_precision_derivatives_of_a_hit_long_after_its_charge_are_those_of_double():
    """Everything has come before the hit without a firing, which takes discards of very small probability."""
    chip, grid = Electronics(), OffsetGrid(4500.0 - 450.0 * 51, 450.0, 52)
    collected = 38_000.0 * norm.cdf((np.arange(140) - 40.0) / 8.0)

    def hit(scale, dtype):
        charges = jax.tree.map(lambda q: (scale * q).astype(dtype), charges_of(collected, 100, chip))
        threshold = jnp.array([5000.0])
        offsets = follow(charges, single_ticks(100), threshold, chip, jnp.asarray(1e-10), grid, 3)
        return log_hit(offsets, charges, Hit(jnp.array([102.0]), threshold), chip, NO_OUTLIER, grid, RealADC())[0]

    slope = jax.jit(jax.grad(hit), static_argnums=1)
    single, double = slope(jnp.asarray(1.0), "float32"), slope(jnp.asarray(1.0), "float64")
    np.testing.assert_allclose(single, double, rtol=1e-4)


@pytest.mark.parametrize("mean", [4800.0, 9000.0, 172_000.0, 177_000.0])
def test_real_values_and_codes_have_the_probability_to_be_kept(mean):
    """Densities over ADC values, and probabilities of codes, add up to that of passing the second comparison."""
    chip, threshold = Electronics(), jnp.asarray(5000.0)
    kept = norm.cdf((mean - 5000.0) / np.hypot(chip.uncorrelated_noise_e, chip.discriminator_noise_e))
    codes = IntegerADC().log_density(jnp.arange(256.0), jnp.asarray(mean), threshold, chip)
    np.testing.assert_allclose(np.exp(codes).sum(), kept, rtol=1e-4)
    adc = (np.arange(256 * 20) + 0.5) / 20
    below = np.exp(RealADC().log_density(jnp.asarray(adc), jnp.asarray(mean), threshold, chip)).sum() / 20
    top = np.exp(RealADC().log_density(jnp.asarray(256.0), jnp.asarray(mean), threshold, chip))
    np.testing.assert_allclose(below + top, kept, rtol=1e-4)


def test_codes_are_rounded_down_and_end_below_the_top():
    chip = Electronics()
    stored = IntegerADC().record(jnp.array([80.0, 80.99, 255.2, 256.0]), chip)
    np.testing.assert_array_equal(stored, [80, 80, 255, 255])
    np.testing.assert_array_equal(RealADC().record(jnp.array([80.99, 256.0]), chip), [80.99, 256.0])


def test_gradient_with_respect_to_every_charge_is_that_of_differences():
    chip, grid = replace(Electronics()), OffsetGrid(-12_000.0, 400.0, 42)
    collected = jnp.asarray(7000.0 * norm.cdf((np.arange(120) - 30.0) / 7.0))

    def density(collected):
        charges = charges_of(collected, 60, chip)
        threshold = jnp.array([5000.0])
        offsets = follow(charges, single_ticks(60), threshold, chip, jnp.asarray(1e-3), grid, 3)
        hit = log_hit(offsets, charges, Hit(jnp.array([82.0]), threshold), chip, jnp.asarray(1e-3), grid, RealADC())
        return hit[0] + log_silence(offsets)[0]

    compiled = jax.jit(density)
    gradient = np.asarray(jax.jit(jax.grad(density))(collected))
    for tick in (0, 25, 33, 47, 60, 78):
        step = jnp.zeros(120).at[tick].set(1.0)
        expected = (compiled(collected + step) - compiled(collected - step)) / 2.0
        np.testing.assert_allclose(gradient[tick], expected, rtol=1e-5, atol=1e-9)
