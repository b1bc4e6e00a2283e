"""Pixels with made signals, and an independent tick-by-tick account of what the chip does with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from bayescal.charge.electronics import Electronics
from bayescal.charge.induction import Pulse
from bayescal.charge.signals import PixelSignals
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.plan import HitPlan, Tolerance, plan_hits
from bayescal.special import normal_cdf

EXACT = Tolerance(charge_e=0.0)


class NormalResponse(eqx.Module):
    """Charge Q arrives at time T with a normal spread: q(t) = Q Phi((t - T)/w)."""

    def charge(self, time_us, charge_e, pulse):
        return charge_e[:, None] * self.collected(time_us, pulse)

    def collected(self, time_us, pulse):
        return normal_cdf((time_us - pulse.end_us[:, None]) / pulse.width_us[:, None])


class Rows(NamedTuple):
    """What a plan reads of a coverage: the pixel rows, of which the last pads, and the pairs that charge them."""

    pixel: np.ndarray
    event: np.ndarray
    pair_row: np.ndarray

    @property
    def n_rows(self) -> int:
        return self.pixel.size


@dataclass
class Pixels:
    """Pixels charged by normal pulses [pixel, pulse]; a tick k ends at (k + 1/2) ticks of time.

    q(k) = sum of Q Phi((k - 10 T)/(10 w)) for T, w in us and ticks of 0.1 us.
    """

    charge_e: np.ndarray
    width_us: np.ndarray
    arrival_us: np.ndarray
    chip: Electronics

    @property
    def rows(self) -> Rows:
        n, pulses = self.charge_e.shape
        return Rows(
            np.append(np.arange(n), -1), np.append(np.zeros(n, int), -1), np.append(np.repeat(np.arange(n), pulses), n)
        )

    @property
    def signals(self) -> PixelSignals:
        def column(values, idle):
            return jnp.asarray(np.append(np.asarray(values, float).ravel(), idle))

        nothing = column(np.zeros_like(self.charge_e), 0.0)
        pulse = Pulse(
            end_us=column(self.arrival_us + 0.5 * self.chip.tick_us, 0.0),
            width_us=column(self.width_us, 1.0),
            fraction=nothing,
            fast_us=nothing,
            slow_us=nothing,
            drift_us=nothing,
        )
        return PixelSignals(
            column(self.charge_e, 0.0), pulse, jnp.asarray(self.rows.pair_row), NormalResponse(), self.rows.n_rows
        )

    def collected(self, tick: np.ndarray) -> np.ndarray:
        """The same charges in NumPy [pixel, tick]."""
        time = self.chip.tick_us * np.asarray(tick)[:, None, None]
        return (self.charge_e * norm.cdf((time - self.arrival_us) / self.width_us)).sum(axis=-1).T

    def plan(self, tick: np.ndarray, tolerance: Tolerance = EXACT, dtype: str = "float64") -> HitPlan:
        chip = self.chip
        window = np.arange(chip.first_tick - 1, chip.end_tick)
        charge = np.concatenate([self.collected(window), np.zeros((1, window.size))])
        return replace(plan_hits(tick, charge, self.rows, chip, tolerance), dtype=dtype)

    def readout(self, plan: HitPlan | None = None, **options) -> SelfTriggeredReadout:
        live = np.arange(self.rows.n_rows) < self.charge_e.shape[0]
        return SelfTriggeredReadout(self.signals, self.chip, plan=plan, **{"live": live, **options})

    def hits(self, *lists: list[tuple[float, float]]) -> np.ndarray:
        """Hits of the pixels, (tick, ADC) each, as a value of the distribution; pixels without a list have none."""
        value = np.full((self.rows.n_rows, self.chip.max_hits, 2), np.nan)
        for row, hits in enumerate(lists):
            value[row, : len(hits)] = np.reshape(hits, (-1, 2))
        return value

    def log_prob(
        self, value: np.ndarray, tolerance: Tolerance = EXACT, dtype: str = "float64", **options
    ) -> np.ndarray:
        """Log density of each pixel's hits."""
        plan = self.plan(value[..., 0], tolerance, dtype)
        return np.asarray(_log_prob(self.readout(plan, **options), jnp.asarray(value)))[:-1]

    def draw(self, key: jax.Array, **options) -> np.ndarray:
        return np.asarray(_draw(self.readout(**options), key))


@jax.jit
def _log_prob(readout, value):
    return readout.log_prob(value)


@jax.jit
def _draw(readout, key):
    return readout.sample(key)


class Walk(NamedTuple):
    """What an interval can come to: the offset's density before each tick [tick, offset], on a grid, and silence."""

    density: np.ndarray
    offset_e: np.ndarray
    charge_e: np.ndarray
    silence: float


def walk(pixels: Pixels, outlier: float = 0.0, restart: int | None = None, step_e: float = 75.0) -> Walk:
    """Follow one pixel tick by tick from a restart to the end of the window, with any number of discards.

    Args:
        pixels: the first one is followed.
        outlier: probability that an outlier fires at a tick.
        restart: first tick of the integration after a kept hit; none: the window's start.
        step_e: of the grid of offsets [e-].
    """
    chip = pixels.chip
    start = chip.first_tick if restart is None else restart
    watch = start if restart is None else restart + chip.busy_ticks - 1
    ticks = np.arange(start, chip.end_tick + chip.restart_ticks)
    charge = pixels.collected(ticks)[0] - pixels.collected(np.array([start - 1]))[0]
    offset = np.arange(-charge.max() - 5 * chip.reset_noise_e, 5 * chip.reset_noise_e + step_e, step_e)
    density = norm.pdf(offset, 0, chip.reset_noise_e)
    again, seen = np.zeros(ticks.size), []
    lost_noise = np.hypot(chip.uncorrelated_noise_e, chip.discriminator_noise_e)
    for index in range(chip.end_tick - start):
        if again[index]:
            density = density + again[index] * norm.pdf(offset + charge[index - 1], 0, chip.discard_reset_noise_e)
        seen.append(density)
        if ticks[index] < watch:
            continue
        fires = norm.cdf((charge[index] + offset - chip.threshold_e) / chip.watch_noise_e)
        dropped = norm.cdf((chip.threshold_e - charge[index + chip.hold_ticks] - offset) / lost_noise)
        again[index + chip.restart_ticks] = step_e * (density * fires * dropped).sum()
        density = density * (1 - fires) * (1 - outlier)
    end = chip.end_tick - start
    return Walk(np.array(seen), offset, charge, step_e * density.sum() + again[end:].sum())


def first_hit(walked: Walk, chip: Electronics, tick: int, adc: np.ndarray, outlier: float = 0.0) -> np.ndarray:
    """Density per count of firing at a tick after the walk's start and recording real ADC values below the top."""
    step = walked.offset_e[1] - walked.offset_e[0]
    fires = norm.cdf((walked.charge_e[tick] + walked.offset_e - chip.threshold_e) / chip.watch_noise_e)
    charge = (np.asarray(adc)[:, None] - chip.pedestal_counts) * chip.charge_per_count_e
    mean = walked.charge_e[tick + chip.hold_ticks] + walked.offset_e
    kept = norm.cdf((charge - chip.threshold_e) / chip.discriminator_noise_e)
    recorded = chip.charge_per_count_e * norm.pdf(charge, mean, chip.uncorrelated_noise_e) * kept
    return step * (walked.density[tick] * (fires * recorded + (1 - fires) * outlier / chip.adc_counts)).sum(axis=1)


@pytest.fixture(scope="package")
def pixels():
    """Make pixels: charge [e-], width and arrival [us], each one number, one a pixel, or [pixel, pulse]."""

    def make(charge_e, width_us=0.7, arrival_us=8.0, **chip) -> Pixels:
        charge = np.atleast_1d(np.asarray(charge_e, float))
        charge = charge[:, None] if charge.ndim == 1 else charge
        width, arrival = (np.asarray(values, float) for values in (width_us, arrival_us))
        width, arrival = (v[:, None] if v.ndim == 1 and charge.shape[1] == 1 else v for v in (width, arrival))
        constants = Electronics(**{"first_tick": 0, "n_ticks": 200, **chip})
        shape = charge.shape
        return Pixels(charge, np.broadcast_to(width, shape), np.broadcast_to(arrival, shape), constants)

    return make


@pytest.fixture(scope="package")
def account():
    """The independent account: `walk` and `first_hit`."""
    return walk, first_hit
