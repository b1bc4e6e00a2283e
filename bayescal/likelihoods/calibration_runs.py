"""What models of counts in calibration runs share: their priors, files, start values and lists of sensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bayescal.errors import InputError
from bayescal.likelihoods.efficiency_counts import EfficiencyCounts
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.light_table import LOG_SCALE
from bayescal.optical.sensors import Photosensors
from bayescal.parameters import Hierarchical, Parameter, Prior
from bayescal.readers.pmt_counts import ABSENT, PMTCounts, write_pmt_counts

WATER_AND_WALL = (
    Parameter("absorption_scale", "", 1.0, dist.LogNormal(0.0, 0.3), description="absorption over that of Super-K"),
    Parameter("rayleigh_scale", "", 1.0, dist.LogNormal(0.0, 0.3), description="symmetric scattering, likewise"),
    Parameter("mie_scale", "", 1.0, dist.LogNormal(0.0, 0.3), description="forward scattering, likewise"),
    Parameter("wall_reflectivity", "", 0.113, dist.LogNormal(-2.18, 0.3), description="of sensors and wall, diffuse"),
)
"""Scales of the coefficients of arXiv:1307.0162, and the reflectivity of sensors and sheet together."""

INTENSITY = Parameter(
    "intensity", "", 1.0, dist.LogNormal(0.0, 0.3), per="run", description="light of a run over `light_pe`"
)
DARK_RATE = Parameter(
    "dark_rate", "kHz", 4.2, dist.LogNormal(1.435, 0.05), free=False, description="dark counts of a sensor"
)

_BEYOND = 0.01  # of a prior, that may lie where light is not tabulated
_PRIOR_DRAWS = 1000
_LEAST_INTENSITY = 0.01


def refuse_beyond_table(name: str, prior: Prior) -> None:
    """Refuse a prior, or a fixed value, of a scale of the water with more than a hundredth beyond the table of light.

    A hierarchical prior passes: what it depends on is not known before a fit.

    Raises:
        InputError: if so.
    """
    if isinstance(prior, Hierarchical):
        return
    fixed = not isinstance(prior, dist.Distribution)
    values = jnp.asarray(prior) if fixed else prior.sample(jax.random.key(0), (_PRIOR_DRAWS,))
    if jnp.mean(jnp.abs(jnp.log(values)) > LOG_SCALE) > _BEYOND:
        least, most = jnp.exp(-LOG_SCALE), jnp.exp(LOG_SCALE)
        raise InputError(
            f"prior of {name}: light is tabulated for scales from {least:.2f} to {most:.2f}; choose a narrower prior"
        )


def intensities(expected: EfficiencyCounts, data: ArrayLike, n_runs: int) -> Float[Array, " run"]:
    """Light of each run over that expected, from the sums of its counts, to start from.

    Args:
        expected: counts in equal numbers of columns for each run.
        data: counts, shape (sensor, column).
        n_runs: number of runs.
    """
    seen = expected.live
    counted = jnp.where(seen, jnp.asarray(data) - expected.dark, 0.0).sum(axis=0)
    light = jnp.where(seen, expected.expected, 0.0).sum(axis=0)
    ratio = counted.reshape(n_runs, -1).sum(axis=1) / light.reshape(n_runs, -1).sum(axis=1)
    return jnp.maximum(ratio, _LEAST_INTENSITY)


def write_counts(
    path: Path | str,
    data: ArrayLike,
    detector: OpticalDetector,
    triggers: int,
    *,
    truth: Mapping[str, ArrayLike],
    units: Mapping[str, str],
) -> None:
    """Write simulated counts of equal numbers of triggers; sensors that do not count are absent.

    Args:
        path: file to write.
        data: counts, shape (sensor, column).
        detector: whose sensors counted.
        triggers: of each column.
        truth: parameters that they were drawn with, by name.
        units: of these, by name.
    """
    counts = np.where(np.asarray(detector.sensors.live), np.asarray(data).T, ABSENT)
    counted = PMTCounts(counts, np.full(len(counts), triggers))
    write_pmt_counts(path, counted, attributes={"detector": detector.name}, truth=truth, units=units)


def counted(data: ArrayLike, sensors: Photosensors) -> Float[Array, " sensor"]:
    """Photoelectrons of each sensor in all columns; NaN for sensors that do not count."""
    total = jnp.sum(jnp.maximum(jnp.asarray(data), 0), axis=-1).astype(float)
    return jnp.where(jnp.asarray(sensors.live), total, jnp.nan)
