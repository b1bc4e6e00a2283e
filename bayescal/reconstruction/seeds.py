"""Start values read off the data: the drift field and event times from the first hits of the pixels."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import least_squares

from bayescal.charge.coverage import Coverage
from bayescal.charge.detector import ChargeConstants, ChargeDetector, simulate
from bayescal.charge.drift import drift_velocity

_FIELDS = np.linspace(0.05, 2.0, 4000)
_RESIDUAL_US = 0.5


class DriftLine(NamedTuple):
    """Field [kV/cm] and event times [us] for which first hits lie on a straight line against the drift distance."""

    electric_field: float
    event_time: Float[NDArray, " event"]


def drift_line(
    tick: Float[NDArray, "row slot"], coverage: Coverage, detector: ChargeDetector, *, own_times: bool
) -> DriftLine:
    """Fit the first hits of all pixels by a line whose slope is the inverse of the drift velocity.

    The expected pulse at nominal constants gives each pixel's distance and constant delays: the fit is one for
    the change of slope. It is robust: pixels whose first hit is late or noise have little weight.

    Args:
        tick: firing ticks of each pixel row, NaN in empty slots.
        coverage: the pairs.
        detector: what is known of the detector.
        own_times: whether each event has a time of its own, or all have zero.

    Returns:
        Field and event times; the nominal ones where fewer than three pixels have hits.
    """
    nominal = ChargeConstants()
    signals = jax.jit(simulate)(nominal, coverage, detector)
    chip = detector.electronics
    signal = np.asarray(signals.waveform(chip.first_tick, chip.n_ticks, chip.tick_us))
    velocity = float(drift_velocity(nominal.electric_field, detector.temperature_k))
    rows = np.flatnonzero(np.isfinite(tick[:, 0]) & (signal[:, -1] > chip.threshold_e))
    n_events = int(np.max(coverage.event, initial=0)) + 1
    if rows.size < 3:
        return DriftLine(float(nominal.electric_field), np.zeros(n_events))
    expected = (np.argmax(signal[rows] >= chip.threshold_e, axis=1) + chip.first_tick) * chip.tick_us
    drift = np.asarray(_mean_drift_us(signals.charge_e, signals.pulse.drift_us, signals.row, coverage.n_rows))[rows]
    late = tick[rows, 0] * chip.tick_us - expected
    event = np.asarray(coverage.event)[rows]

    def residuals(parameters: NDArray) -> NDArray:
        offset = parameters[1:][event] if own_times else 0.0
        return late - parameters[0] * drift - offset

    start = np.zeros(1 + (n_events if own_times else 0))
    start[0] = np.median(late / np.maximum(drift, 10.0))
    fit = least_squares(residuals, start, loss="soft_l1", f_scale=_RESIDUAL_US)
    times = fit.x[1:] if own_times else np.zeros(n_events)
    return DriftLine(_field_of_velocity(velocity / (1 + fit.x[0]), detector.temperature_k), times)


def _mean_drift_us(charge_e: jax.Array, drift_us: jax.Array, row: jax.Array, n_rows: int) -> jax.Array:
    """Mean drift time of each pixel's charge [us]."""
    total = jax.ops.segment_sum(charge_e, row, n_rows)
    return jax.ops.segment_sum(charge_e * drift_us, row, n_rows) / jnp.maximum(total, 1e-6)


def _field_of_velocity(velocity: float, temperature_k: float) -> float:
    """Field [kV/cm] of a drift velocity [cm/us]."""
    return float(np.interp(velocity, np.asarray(drift_velocity(jnp.asarray(_FIELDS), temperature_k)), _FIELDS))
