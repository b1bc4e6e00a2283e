"""Photosensors: where they are, and how much light they collect from each direction."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

Cosine = Float[Array, "..."]


class Acceptance(eqx.Module):
    """Effective area over pi a^2 as a polynomial in the cosine of incidence, `sum of coefficient_i c^i`.

    Attributes:
        coefficient: lowest power first.
    """

    coefficient: Float[Array | np.ndarray, " power"]

    def area(self, cosine: Cosine) -> Cosine:
        """Effective area over pi a^2 at a cosine of incidence."""
        return jnp.polyval(jnp.asarray(self.coefficient)[::-1], cosine)

    @property
    def diffuse(self) -> Float[Array, ""]:
        """Of light as from a Lambertian wall, over that of a flat disc: 2 times the integral of area(c)."""
        coefficient = jnp.asarray(self.coefficient)
        return 2 * jnp.sum(coefficient / jnp.arange(1, coefficient.size + 1))


DISC = Acceptance(np.array([0.0, 1.0]))
"""A flat photocathode."""

HEMISPHERE = Acceptance(np.array([0.5, 0.5]))
"""Half a ball: the part of it that a direction sees."""

SUPER_KAMIOKANDE_BULB = Acceptance(np.array([0.205, 0.524, 0.390, -0.132]))
"""Angular response of the 20-inch bulbs as in Super-K's reconstruction."""

ACCEPTANCES = {"disc": DISC, "hemisphere": HEMISPHERE, "super_kamiokande": SUPER_KAMIOKANDE_BULB}


class Photosensors(eqx.Module):
    """Photosensors of one kind, one row a sensor.

    Attributes:
        position_m: centres [m].
        normal: unit vectors into the tank.
        radius_m: of the photocathode [m].
        acceptance: how the effective area depends on the direction of the light.
        batch: number of the production batch of each sensor, from 0.
        live: False for sensors that record nothing.
    """

    position_m: Float[Array | np.ndarray, "sensor 3"]
    normal: Float[Array | np.ndarray, "sensor 3"]
    radius_m: float = eqx.field(static=True)
    acceptance: Acceptance
    batch: Int[Array | np.ndarray, " sensor"]
    live: Bool[Array | np.ndarray, " sensor"]

    @property
    def n_sensors(self) -> int:
        """Number of sensors."""
        return self.position_m.shape[0]

    @property
    def n_batches(self) -> int:
        """Number of production batches."""
        return int(self.batch.max()) + 1

    @property
    def area_m2(self) -> float:
        """Of a photocathode's opening, pi a^2 [m^2]."""
        return np.pi * self.radius_m**2

    def some(self, index: Int[Array | np.ndarray, " some"]) -> Photosensors:
        """Those of some numbers."""
        rows = (self.position_m, self.normal, self.batch, self.live)
        position, normal, batch, live = (jnp.asarray(each)[index] for each in rows)
        return Photosensors(position, normal, self.radius_m, self.acceptance, batch, live)


def sensor_columns(sensors: Photosensors) -> dict[str, Array]:
    """Number, batch and place [m] of each sensor, and whether it records, as columns of one event's readouts."""
    number = jnp.arange(sensors.n_sensors)
    x, y, z = jnp.asarray(sensors.position_m).T
    return {
        "live": jnp.asarray(sensors.live),
        "event": jnp.zeros_like(number),
        "sensor": number,
        "batch": jnp.asarray(sensors.batch),
        "x_m": x,
        "y_m": y,
        "z_m": z,
    }
