"""Drift of electrons in liquid argon: velocity, losses, longitudinal and transverse spread."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

Real = Float[Array, "..."]
Scalar = Float[Array, ""] | float

MOBILITY = (551.6, 7158.3, 4440.43, 4.29, 43.63, 0.2053)
"""a0 ... a5 of the electron mobility in liquid argon; Y. Li et al., NIM A 816 (2016) 160."""

MOBILITY_TEMPERATURE_K = 89.0
"""Temperature at which MOBILITY holds [K]; same source."""

_NEAR_ANODE_CM = 1e-3


def mobility(field: Scalar, temperature: Scalar) -> Real:
    """Electron mobility [cm^2/V/s] at a field [kV/cm] and temperature [K].

    mu = (a0 + a1 E + a2 E^1.5 + a3 E^2.5) / (1 + a1/a0 E + a4 E^2 + a5 E^3) (T/89 K)^-1.5;
    Y. Li et al., NIM A 816 (2016) 160.
    """
    a0, a1, a2, a3, a4, a5 = MOBILITY
    numerator = a0 + a1 * field + a2 * field**1.5 + a3 * field**2.5
    denominator = 1 + a1 / a0 * field + a4 * field**2 + a5 * field**3
    return numerator / denominator * (temperature / MOBILITY_TEMPERATURE_K) ** -1.5


def drift_velocity(field: Scalar, temperature: Scalar) -> Real:
    """Drift velocity [cm/us] at a field [kV/cm] and temperature [K]."""
    return mobility(field, temperature) * field / 1000


def drift_distance(z_cm: Real, anode_z_cm: Real, direction: Real) -> Real:
    """Distance to the anode [cm]; `direction` is the sign of the drift along z.

    Positive everywhere, so that a shift across the anode has no kink: within 1e-3 cm of it the distance bends to zero.
    """
    distance = (anode_z_cm - z_cm) * direction
    return 0.5 * (distance + jnp.sqrt(distance**2 + _NEAR_ANODE_CM**2))


def survival(drift_time_us: Real, lifetime_us: Scalar) -> Real:
    """Fraction of electrons not captured by impurities."""
    return jnp.exp(-drift_time_us / lifetime_us)


def spread_cm(drift_time_us: Real, diffusion: Scalar) -> Real:
    """Width sqrt(2 D t) [cm] of a point charge after a drift time [us] with a diffusion constant [cm^2/us]."""
    return jnp.sqrt(2 * diffusion * drift_time_us)
