"""Light of injectors: collimated beams, Gaussian in the angle, and what sensors see of them directly.

The density in direction is that of R. A. Fisher, Proc. R. Soc. Lond. A 217 (1953) 295: with kappa = 1/width^2 and c the
cosine of the angle to the axis, kappa exp(kappa (c - 1)) / (2 pi (1 - exp(-2 kappa))) per solid angle. It is normalised
over the sphere for every width, smooth on the axis too, and a Gaussian of that width in both directions across a narrow
beam.
"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.errors import InputError
from bayescal.optical.emission import directions_of_slopes, frame_about
from bayescal.optical.geometry import Tank
from bayescal.optical.rays import Rays
from bayescal.optical.sensors import Photosensors

Real = Float[Array, "..."]

_SHORTEST = 0.1  # way of a beam's axis to the wall over the tank's radius, for a beam that points into the tank
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_FACE_WEIGHTS = np.array([1 / 4, *[1 / 8] * 6])  # of the centre and a hexagon at sqrt(2/3) of the radius (Radon's rule)


class Beams(eqx.Module):
    """Injectors, one row a beam.

    Attributes:
        position_m: where each begins, inside the tank [m].
        frame: two unit vectors across, and the axis, shape (beam, 3, 3).
        width_rad: standard deviation of the angle in both directions across [rad].
        face_m: seven points on each sensor's opening, shape (point, sensor, 3) [m].
    """

    position_m: Float[np.ndarray, "beam 3"]
    frame: Float[np.ndarray, "beam 3 3"]
    width_rad: Float[np.ndarray, " beam"]
    face_m: Float[np.ndarray, "point sensor 3"]

    @property
    def n_beams(self) -> int:
        """Number of injectors."""
        return self.position_m.shape[0]

    def rays(self, number: int, count: int = 384) -> Rays:
        """Rays of one beam, of equal light, that add up to one photoelectron."""
        u = (np.arange(count) + 0.5) / count
        kappa = 1 / self.width_rad[number] ** 2
        cosine = 1 + np.log1p(u * np.expm1(-2 * kappa)) / kappa
        sine, turn = np.sqrt(1 - cosine**2), _GOLDEN_ANGLE * np.arange(count)
        direction = np.column_stack([sine * np.cos(turn), sine * np.sin(turn), cosine]) @ self.frame[number]
        origin = np.broadcast_to(self.position_m[number], direction.shape)
        return Rays(jnp.asarray(origin), jnp.asarray(direction), jnp.full(count, 1 / count))

    def seen_fraction(
        self, slope: Float[Array, "beam 2"], width_scale: Float[Array, " beam"], sensors: Photosensors
    ) -> Float[Array, "beam sensor"]:
        """Share of a beam's light that a sensor collects, if nothing is lost on the way.

        The density, the distance and the angle of incidence are averaged over seven points of the sensor's opening, a
        rule that is exact for polynomials of degree five. It holds for beams wider than a sensor's angular radius.

        Args:
            slope: of each axis along the two directions across, relative to the axis.
            width_scale: factor on each width.
            sensors: those of `face_m`.
        """
        axis = jax.vmap(directions_of_slopes)(jnp.asarray(self.frame), slope)
        width = (jnp.asarray(self.width_rad) * width_scale)[:, None]
        total = jnp.zeros((self.n_beams, sensors.n_sensors))
        for face, weight in zip(self.face_m, _FACE_WEIGHTS, strict=True):
            way = jnp.asarray(face) - jnp.asarray(self.position_m)[:, None]
            square = jnp.sum(way**2, axis=-1)
            direction = way / jnp.sqrt(square)[..., None]
            incidence = -jnp.sum(direction * jnp.asarray(sensors.normal), axis=-1)
            density = fisher_density(jnp.einsum("bsi,bi->bs", direction, axis), width)
            total += weight * density * sensors.acceptance.area(incidence) / square
        return sensors.area_m2 * total


def fisher_density(cosine: Real, width_rad: Real) -> Real:
    """Probability per solid angle of a beam [1/sr].

    Args:
        cosine: of the angle to the axis, broadcast with the width.
        width_rad: standard deviation of the angle in both directions across [rad].
    """
    kappa = 1 / width_rad**2
    return kappa / (-2 * jnp.pi * jnp.expm1(-2 * kappa)) * jnp.exp(kappa * (cosine - 1))


def make_beams(
    position_m: Sequence[Sequence[float]],
    direction: Sequence[Sequence[float]],
    width_rad: float,
    tank: Tank,
    sensors: Photosensors,
) -> Beams:
    """Injectors of one width.

    Args:
        position_m: of each, inside the tank, shape (beam, 3) [m].
        direction: of each axis, of any length, shape (beam, 3).
        width_rad: standard deviation of the angle in both directions across [rad].
        tank: that they shine into.
        sensors: that see them.

    Raises:
        InputError: as many directions as positions are not there, or a beam that points out of the tank.
    """
    places, axes = (np.asarray(each, float).reshape(-1, 3) for each in (position_m, direction))
    if len(places) != len(axes):
        raise InputError(
            f"injector_direction has {len(axes)} entries, injector_m has {len(places)}; give one direction an injector"
        )
    for place, axis in zip(places, axes, strict=True):
        if not np.linalg.norm(axis) > 0:
            raise InputError(f"injector_direction: {axis.tolist()} is no direction; give a vector of any length")
        way = float(tank.chord_m(place, axis / np.linalg.norm(axis)))
        if way < _SHORTEST * tank.radius_m:
            raise InputError(
                f"injector_direction: the beam from {place.tolist()} along {axis.tolist()} leaves the tank after "
                f"{way:.2g} m; turn it inwards"
            )
    frames = np.stack([frame_about(axis) for axis in axes])
    return Beams(places, frames, np.full(len(places), width_rad), _face_points(sensors))


def _face_points(sensors: Photosensors) -> Float[np.ndarray, "point sensor 3"]:
    """The centre of each opening and a hexagon around it [m]."""
    position, normal = np.asarray(sensors.position_m), np.asarray(sensors.normal)
    across = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal), axis=1)])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(normal, across)
    turn = np.pi / 3 * np.arange(6)[:, None, None]
    hexagon = position + np.sqrt(2 / 3) * sensors.radius_m * (np.cos(turn) * across + np.sin(turn) * other)
    return np.concatenate([position[None], hexagon])
