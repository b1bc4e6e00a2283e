"""Sensors at the end of their range: of their light it is known that it is at least what was recorded."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from bayescal.likelihoods.negative_binomial import log_tails


class Limits(eqx.Module):
    """The few sensors of each flash that are at the end of their range.

    Attributes:
        sensor: number of the sensor, -1 for padding.
        least_pe: its light is at least that, 1 or more [p.e.].
    """

    sensor: Int[Array | np.ndarray, "*flash limit"]
    least_pe: Float[Array | np.ndarray, "*flash limit"]


def no_limits(shape: tuple[int, ...]) -> Limits:
    """No sensor at the end of its range, in flashes of that shape."""
    return Limits(np.zeros((*shape, 0), np.int64), np.zeros((*shape, 0)))


def split_limits(
    counts: Float[NDArray, "flash sensor"], saturated: Bool[NDArray, "flash sensor"]
) -> tuple[Float[NDArray, "flash sensor"], Limits]:
    """Counts with NaN where a sensor is at the end of its range, and these sensors.

    Args:
        counts: light [p.e.], NaN where a sensor is absent.
        saturated: whether a sensor stands at the end of its range, so that its count is a lower limit.
    """
    ended = saturated & np.isfinite(counts)
    sensor = np.argsort(~ended, axis=-1, kind="stable")[..., : ended.sum(axis=-1).max(initial=0)]
    real = np.take_along_axis(ended, sensor, axis=-1)
    least = np.where(real, np.take_along_axis(counts, sensor, axis=-1), 1.0)
    return np.where(ended, np.nan, counts), Limits(np.where(real, sensor, -1), np.maximum(np.ceil(least), 1.0))


def log_at_least(
    mean_pe: Float[Array, "node sensor"], variance: Float[Array, "node sensor"], limits: Limits
) -> Float[Array, " node"]:
    """Log-probability that the sensors of one flash have at least the light that they recorded, for each expectation.

    Counts are negative binomial with these means and variances [p.e.^2], as in `PhotonCounts`.
    """
    sensor = jnp.asarray(limits.sensor)
    mean, spread = mean_pe[:, sensor], variance[:, sensor]
    above = log_tails(jnp.asarray(limits.least_pe), mean, jnp.maximum(spread / mean - 1.0, 0.0)).above
    return jnp.where(sensor >= 0, above, 0.0).sum(axis=-1)
