"""A LArTPC with pixel readout: its steps in order, from ionisation to the charge that pixels collect."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.charge import drift
from bayescal.charge.coverage import NODES, Coverage
from bayescal.charge.diffusion import Landing, land
from bayescal.charge.electronics import Electronics
from bayescal.charge.geometry import PixelGeometry
from bayescal.charge.induction import (
    B_FAST_US,
    C_SLOW_US,
    RESPONSE_ADVANCE_US,
    START_US,
    ParametrisedResponse,
    Pulse,
    Response,
    fast_fraction,
    polynomial,
)
from bayescal.charge.recombination import Birks, Recombination
from bayescal.charge.signals import PixelSignals

_LEAST_WIDTH_US = 1e-3

Scalar = Float[Array, ""] | float


class ChargeDetector(eqx.Module):
    """What is known of a detector before its calibration.

    Attributes:
        name: name of the detector.
        geometry: pixel planes and drift volumes.
        electronics: constants of the pixel chip.
        temperature_k: temperature of the argon [K].
        response: induced current.
        dead_pixels: numbers of pixels that record nothing.
        source: where these values come from.
    """

    name: str = eqx.field(static=True)
    geometry: PixelGeometry
    electronics: Electronics = Electronics()
    temperature_k: float = eqx.field(static=True, default=87.17)
    response: Response = ParametrisedResponse()
    dead_pixels: tuple[int, ...] = eqx.field(static=True, default=())
    source: str = eqx.field(static=True, default="")


class ChargeConstants(eqx.Module):
    """What a calibration measures; the defaults are larnd-sim's for Module-0.

    Attributes:
        recombination: model with its constants.
        electric_field: drift field [kV/cm].
        lifetime: electron lifetime [us].
        long_diff, tran_diff: longitudinal and transverse diffusion constants [cm^2/us].
        electrons_per_mev: ionisation electrons per energy, 1/W_ion [e-/MeV].
        density: of the argon [g/cm^3].
        shift_cm: (x, y, z) subtracted from all positions [cm].
        event_time: time added to each event, one value or one an event [us].
    """

    recombination: Recombination = Birks()
    electric_field: Scalar = 0.5
    lifetime: Scalar = 2200.0
    long_diff: Scalar = 4.0e-6
    tran_diff: Scalar = 8.8e-6
    electrons_per_mev: Scalar = 4.237e4
    density: Scalar = 1.38
    shift_cm: Float[Array, " 3"] | tuple[float, float, float] = (0.0, 0.0, 0.0)
    event_time: Float[Array, " event"] | Scalar = 0.0


def simulate(constants: ChargeConstants, coverage: Coverage, detector: ChargeDetector) -> PixelSignals:
    """Expected charge of every pixel in reach.

    Args:
        constants: what the calibration measures.
        coverage: steps and the cells in their reach.
        detector: what is known beforehand.

    Returns:
        The signals, smooth in every constant.
    """
    velocity = drift.drift_velocity(constants.electric_field, detector.temperature_k)
    shift = jnp.asarray(constants.shift_cm)
    time = _drift_time(coverage, shift[2], velocity, jnp.asarray(NODES)[None])
    landing = land(coverage, shift[:2], drift.spread_cm(time, constants.tran_diff), detector.geometry.pitch_cm)
    centre_time = _drift_time(coverage, shift[2], velocity, jnp.zeros((1, 1)))[:, 0]
    electrons = ionisation_electrons(constants, coverage) * drift.survival(centre_time, constants.lifetime)
    return PixelSignals(
        charge_e=electrons[coverage.pair_step] * landing.share,
        pulse=_pulse(constants, coverage, landing, velocity),
        row=jnp.asarray(coverage.pair_row),
        response=detector.response,
        n_rows=coverage.n_rows,
    )


def ionisation_electrons(constants: ChargeConstants, coverage: Coverage) -> Float[Array, " step"]:
    """Electrons of each step that survive recombination [e-]."""
    steps = coverage.steps
    fraction = constants.recombination(
        jnp.asarray(steps.dedx_mev_per_cm), constants.electric_field, constants.density, jnp.asarray(steps.cos_phi)
    )
    return jnp.asarray(steps.energy_mev) * constants.electrons_per_mev * fraction


def _drift_time(
    coverage: Coverage, shift_z_cm: Scalar, velocity: Scalar, place: Float[Array, "step node"]
) -> Float[Array, "step node"]:
    """Drift time [us] at places along the steps, given in half lengths."""
    steps = coverage.steps
    z = jnp.asarray(steps.centre_cm)[:, 2, None] - shift_z_cm + jnp.asarray(steps.half_cm)[:, 2, None] * place
    anode, direction = jnp.asarray(steps.anode_z_cm), jnp.asarray(steps.direction)
    return drift.drift_distance(z, anode[:, None], direction[:, None]) / velocity


def _pulse(
    constants: ChargeConstants,
    coverage: Coverage,
    landing: Landing,
    velocity: Scalar,
) -> Pulse:
    """Time structure of each pair's charge.

    The end of collection, t_d(u) + s(x, y), varies over a pair; its mean is exact for the quadratic s, and its
    variance, linearised, adds to that of longitudinal diffusion.
    """
    steps, step = coverage.steps, coverage.pair_step
    u, x, y = landing.mean
    per_u = jnp.asarray(-steps.direction * steps.half_cm[:, 2])[step] / velocity
    z = steps.centre_cm[step, 2] - jnp.asarray(constants.shift_cm)[2] + steps.half_cm[step, 2] * u
    anode, direction = jnp.asarray(steps.anode_z_cm)[step], jnp.asarray(steps.direction)[step]
    drift_us = drift.drift_distance(z, anode, direction) / velocity
    terms = landing.polynomial_terms()
    _, s_x, s_y, s_xy, s_xx, s_yy = START_US
    slope_x = s_x + s_xy * y + 2 * s_xx * x
    slope_y = s_y + s_xy * x + 2 * s_yy * y
    uu, ux, uy, xx, xy, yy = landing.covariance
    variance = per_u**2 * uu + slope_x**2 * xx + slope_y**2 * yy
    variance += 2 * (per_u * (slope_x * ux + slope_y * uy) + slope_x * slope_y * xy)
    diffusion = drift.spread_cm(drift_us, constants.long_diff) / velocity
    start = jnp.asarray(steps.time_us)[step] + _of_event(constants.event_time, steps.event)[step]
    return Pulse(
        end_us=start + drift_us - RESPONSE_ADVANCE_US + polynomial(START_US, terms),
        width_us=jnp.sqrt(diffusion**2 + jnp.maximum(variance, 0.0) + _LEAST_WIDTH_US**2),
        fraction=fast_fraction(terms),
        fast_us=polynomial(B_FAST_US, terms),
        slow_us=polynomial(C_SLOW_US, terms),
        drift_us=start + drift_us,
    )


def _of_event(value: Float[Array, " event"] | Scalar, event: np.ndarray) -> Float[Array, " step"]:
    """A number for all events or one for each, as one for each step."""
    value = jnp.asarray(value)
    return value[event] if value.ndim else jnp.broadcast_to(value, event.shape)
