"""Density of what one pixel records between two restarts of its integration.

An interval starts when the integrator restarts and ends in a recorded hit or in silence. Inside it the discriminator
may fire and the firing be discarded; the density sums over these histories. The offset a = (charge left by the reset) -
(charge lost in discarded firings) is followed on a grid; time runs over *stretches* of ticks in which the collected
charge is as good as constant. With C(n, a) the log-survival up to stretch n, d(n) the probability of a discarded firing
in it and N the density of the offset after a reset,

    alpha(n, a) = e^C(n, a) [N(a) + sum of d(n') N(a + q(restart)) e^-C(restart, a), n' whose restart is before n]
    d(n)        = sum over a of alpha(n, a) P(fires in n | a) P(digitised charge is below threshold | a)

is iterated from d = 0: each iteration allows one more discard in the interval. Large arrays have the precision of the
charges they are given; the sums that make up the log density are in float64.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from bayescal.charge.electronics import Electronics
from bayescal.special import log_normal_cdf, log_normal_pdf, normal_cdf

SURVIVAL_FLOOR = 1e-18
"""Added to survival probabilities, so that single precision holds their inverse squared."""

Real = Float[Array, "..."]
_TINY = 1e-30
_CODE_NODES, _CODE_WEIGHTS = np.polynomial.legendre.leggauss(6)


class OffsetGrid(eqx.Module):
    """Equally spaced offsets a for the trapezoid rule, from `lowest_e` in steps of `step_e` [e-]."""

    lowest_e: float = eqx.field(static=True)
    step_e: float = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def values(self, dtype: jnp.dtype) -> Float[Array, " offset"]:
        """The offsets [e-]."""
        return (self.lowest_e + self.step_e * jnp.arange(self.size)).astype(dtype)


class Stretches(eqx.Module):
    """The watched ticks of intervals, in stretches of constant charge.

    Attributes:
        start: first tick of each stretch; stretches that only pad start at the end of the interval.
        ticks: number of ticks in it, 0 in those that pad.
        end: the tick after the watched ones: that of the firing, or the first after the window.
    """

    start: Float[NDArray, "interval stretch"]
    ticks: Float[NDArray, "interval stretch"]
    end: Float[NDArray, " interval"]


class Charges(eqx.Module):
    """Charge collected since the start of the integration [e-].

    Attributes:
        watched: in the middle of each stretch.
        digitised: `hold_ticks` later; restart: up to the last tick that a reset after a firing there would lose.
        fired: at the end of the interval; held: `hold_ticks` later.
    """

    watched: Float[Array, "interval stretch"]
    digitised: Float[Array, "interval stretch"]
    restart: Float[Array, "interval stretch"]
    fired: Float[Array, " interval"]
    held: Float[Array, " interval"]


class Offsets(eqx.Module):
    """The offset at the end of intervals in which nothing was recorded.

    Attributes:
        log_density: log of its density times the grid's step.
        resetting: probability that the interval ends inside the reset after a discarded firing.
    """

    log_density: Float[Array, "interval offset"]
    resetting: Float[Array, " interval"]


def follow(  # noqa: PLR0913 each is a noun of its own
    charges: Charges,
    stretches: Stretches,
    threshold_e: Float[Array, " interval"],
    chip: Electronics,
    outlier: Float[Array, ""],
    grid: OffsetGrid,
    discards: int,
) -> Offsets:
    """Follow the offset from the start of intervals to their end.

    Args:
        charges: expected charges.
        stretches: the watched ticks.
        threshold_e: threshold of each interval's pixel [e-].
        chip: the other constants of the chip.
        outlier: probability that an outlier fires at a tick.
        grid: the offsets.
        discards: largest number of discarded firings that is followed.
    """
    dtype = charges.watched.dtype
    offset = grid.values(dtype)
    below = threshold_e.astype(dtype)[:, None, None] - offset
    log_silent = log_normal_cdf(((below - charges.watched[..., None]) / chip.watch_noise_e).astype(dtype))
    log_stay = log_silent + jnp.log1p(-jnp.asarray(outlier, dtype))
    in_stretch = jnp.asarray(stretches.ticks, dtype)[..., None] * log_stay
    survival = jnp.exp(_total_before(in_stretch)) + SURVIVAL_FLOOR
    discard_noise = jnp.hypot(jnp.asarray(chip.uncorrelated_noise_e, dtype), chip.discriminator_noise_e)
    lost = normal_cdf(((below - charges.digitised[..., None]) / discard_noise).astype(dtype))
    lost *= -jnp.expm1(in_stretch) * _share_of_signal(log_silent, outlier)
    step = jnp.asarray(grid.step_e, dtype)
    fresh = step * jnp.exp(log_normal_pdf(offset, chip.reset_noise_e)).astype(dtype)
    elapsed, follows, finished = _restarts(stretches, chip, dtype)
    returned = step * jnp.exp(log_normal_pdf(offset + charges.restart[..., None], chip.discard_reset_noise_e))
    returned = returned.astype(dtype) / (jnp.exp(jnp.einsum("inm,ima->ina", elapsed, log_stay)) + SURVIVAL_FLOOR)
    lost *= survival
    discard = _differentiable((fresh * lost).sum(axis=-1))
    for _ in range(discards - 1):
        again = jnp.einsum("inm,ima->ina", follows, discard[..., None] * returned)
        discard = _differentiable(((fresh + again) * lost).sum(axis=-1))
    again = ((discard * finished)[..., None] * returned).sum(axis=1)
    log_end = in_stretch.astype(jnp.float64).sum(axis=1)
    log_fresh = log_normal_pdf(grid.values(jnp.dtype("float64")), chip.reset_noise_e) + jnp.log(grid.step_e)
    log_again = jnp.log(again.astype(jnp.float64) + _TINY) + jnp.logaddexp(log_end, jnp.log(SURVIVAL_FLOOR))
    resetting = (discard * (1 - finished)).astype(jnp.float64).sum(axis=-1)
    return Offsets(jnp.logaddexp(log_fresh + log_end, log_again), resetting)


def _differentiable(discard: Real) -> Real:
    """The probabilities, without derivative where they are so small that it would overflow."""
    return jnp.where(discard > 1e10 * jnp.finfo(discard.dtype).tiny, discard, jax.lax.stop_gradient(discard))


def _total_before(values: Float[Array, "interval stretch offset"]) -> Float[Array, "interval stretch offset"]:
    """Sum over the earlier stretches."""
    n_stretches = values.shape[1]
    before = jnp.tril(jnp.ones((n_stretches, n_stretches), values.dtype), -1)
    return jnp.einsum("nm,ima->ina", before, values)


def _share_of_signal(log_silent: Real, outlier: Float[Array, ""]) -> Real:
    """Probability that a firing is one of the signal, which goes before an outlier at the same tick."""
    hazard = -jnp.expm1(log_silent)
    other = jnp.exp(log_silent) * jnp.asarray(outlier, log_silent.dtype)
    return hazard / (hazard + other + 1e-15)


def _restarts(
    stretches: Stretches, chip: Electronics, dtype: jnp.dtype
) -> tuple[
    Float[Array, "interval stretch stretch"], Float[Array, "interval stretch stretch"], Float[Array, "interval stretch"]
]:
    """Where the restart after a discarded firing in the middle of stretch n falls.

    Returns:
        The ticks of stretch m before it, [interval, n, m]; whether stretch n comes after the restart that follows a
        firing in stretch m, [interval, n, m]; whether the restart comes before the end of the interval.
    """
    start, ticks = jnp.asarray(stretches.start), jnp.asarray(stretches.ticks)
    restart = start + 0.5 * (ticks - 1) + chip.restart_ticks
    elapsed = jnp.clip(restart[:, :, None] - start[:, None, :], 0, ticks[:, None, :])
    follows = start[:, :, None] >= restart[:, None, :]
    finished = restart <= jnp.asarray(stretches.end)[:, None]
    return elapsed.astype(dtype), follows.astype(dtype), finished.astype(dtype)


def log_silence(offsets: Offsets) -> Float[Array, " interval"]:
    """Log probability that nothing is recorded in an interval."""
    watching = jax.nn.logsumexp(offsets.log_density, axis=-1)
    return jnp.logaddexp(watching, jnp.log(offsets.resetting + _TINY))


class Hit(eqx.Module):
    """What intervals record at their end: ADC values [counts] and the pixels' thresholds [e-]."""

    adc: Float[Array, " interval"]
    threshold_e: Float[Array, " interval"]


def log_hit(  # noqa: PLR0913 each is a noun of its own
    offsets: Offsets,
    charges: Charges,
    hit: Hit,
    chip: Electronics,
    outlier: Float[Array, ""],
    grid: OffsetGrid,
    adc_kind: RealADC | IntegerADC,
) -> Float[Array, " interval"]:
    """Log density of firing at the end of an interval and recording an ADC value.

    An outlier fires at a tick at which the signal does not; its ADC value is uniform over the range of the ADC.

    Args:
        offsets: from `follow`.
        charges: expected charges.
        hit: what was recorded.
        chip: constants of the chip.
        outlier: probability that an outlier fires at a tick.
        grid: the offsets.
        adc_kind: what the recorded values are.
    """
    offset = grid.values(jnp.dtype("float64"))
    threshold = hit.threshold_e[:, None]
    over = (charges.fired.astype(jnp.float64)[:, None] + offset - threshold) / chip.watch_noise_e
    mean = charges.held.astype(jnp.float64)[:, None] + offset
    log_signal = log_normal_cdf(over) + adc_kind.log_density(hit.adc[:, None], mean, threshold, chip)
    log_outlier = log_normal_cdf(-over) + jnp.log(jnp.asarray(outlier, jnp.float64) + _TINY) - jnp.log(chip.adc_counts)
    return jax.nn.logsumexp(offsets.log_density + jnp.logaddexp(log_signal, log_outlier), axis=-1)


class RealADC(eqx.Module):
    """ADC values as real numbers, saturating at the top; densities are per count."""

    def log_density(self, adc: Real, mean_e: Real, threshold_e: Real, chip: Electronics) -> Real:
        """Log density of a value, or of saturation, and of being kept, for a mean digitised charge [e-]."""
        charge = chip.charge(adc)
        inside = log_normal_pdf(charge - mean_e, chip.uncorrelated_noise_e) + jnp.log(chip.charge_per_count_e)
        inside += _log_kept(charge, threshold_e, chip)
        above = log_normal_cdf((mean_e - chip.charge(jnp.asarray(float(chip.adc_counts)))) / chip.uncorrelated_noise_e)
        return jnp.where(adc >= chip.adc_counts, above, inside)

    def record(self, adc: Real, chip: Electronics) -> Real:
        """What is stored of a real ADC value."""
        del chip
        return adc


class IntegerADC(eqx.Module):
    """ADC codes 0 ... adc_counts - 1: the real value rounded down, everything above in the last code."""

    def log_density(self, adc: Real, mean_e: Real, threshold_e: Real, chip: Electronics) -> Real:
        """Log probability of a code and of being kept: the real-valued density integrated over the code."""
        charge = chip.charge(adc[..., None] + 0.5 * (1 + jnp.asarray(_CODE_NODES)))
        log_pdf = log_normal_pdf(charge - mean_e[..., None], chip.uncorrelated_noise_e)
        log_pdf += _log_kept(charge, threshold_e[..., None], chip)
        weight = 0.5 * chip.charge_per_count_e * jnp.asarray(_CODE_WEIGHTS)
        above = log_normal_cdf((mean_e - chip.charge(adc)) / chip.uncorrelated_noise_e)
        return jnp.where(adc >= chip.adc_counts - 1, above, jax.nn.logsumexp(log_pdf, axis=-1, b=weight))

    def record(self, adc: Real, chip: Electronics) -> Real:
        """The code of a real ADC value."""
        return jnp.floor(jnp.minimum(adc, chip.adc_counts - 1))


def _log_kept(charge_e: Real, threshold_e: Real, chip: Electronics) -> Real:
    """Log probability that a digitised charge passes the second comparison with the threshold."""
    return log_normal_cdf((charge_e - threshold_e) / (chip.discriminator_noise_e + _TINY))
