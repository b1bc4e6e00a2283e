"""Direct light: closed forms for the part of a source's light that goes straight to a sensor."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.optical.sensors import Photosensors

Real = Float[Array, "..."]
Points = Float[Array | np.ndarray, "*source 3"]

_LEAST_SINE2 = 1e-6  # at the axis, where the direction of growth is any
_NEAR = 1.875  # of the correction for oblique light: largest error of the solid angle 0.15 % beyond 6 radii


class Sight(NamedTuple):
    """How sensors see points: distance [m], cosine of incidence."""

    distance_m: Float[Array, "*source sensor"]
    cosine: Float[Array, "*source sensor"]


def sight(position_m: Points, sensors: Photosensors) -> Sight:
    """How every sensor sees points inside the tank [m].

    No vector from every point to every sensor is kept.
    """
    place, normal, point = (jnp.asarray(each) for each in (sensors.position_m, sensors.normal, position_m))
    square = jnp.sum(point**2, axis=-1)[..., None] + jnp.sum(place**2, axis=-1) - 2 * inner(point, place)
    distance = jnp.sqrt(square)
    return Sight(distance, (inner(point, normal) - jnp.sum(place * normal, axis=-1)) / distance)


def inner(first: Points, second: Points) -> Float[Array, "*source sensor"]:
    """Products of every vector with every other one; as a product of such narrow matrices they would cost more."""
    one, other = jnp.asarray(first), jnp.asarray(second)
    x, y, z = (one[..., axis, None] * other[:, axis] for axis in range(3))
    return x + y + z


def cosine_to(axis: Points, position_m: Points, view: Sight, sensors: Photosensors) -> Float[Array, "*source sensor"]:
    """Of the angle between unit vectors at points inside the tank [m] and the ways from there to every sensor."""
    axis, place, point = (jnp.asarray(each) for each in (axis, sensors.position_m, position_m))
    return (inner(axis, place) - jnp.sum(axis * point, axis=-1)[..., None]) / view.distance_m


def seen_variance(axis: Points, cosine: Real, view: Sight, sensors: Photosensors) -> Float[Array, "*source sensor"]:
    """Variance, over the face of each sensor, of the angle to a source's axis [rad^2].

    A flat disc of radius a, seen from a distance d, spreads by a/(2 d) along each of its own directions; along the one
    in which the angle grows, e, by the part of it across the disc's normal, (1 - (n e)^2)^(1/2).

    Args:
        axis: unit vectors [source, 3].
        cosine: of the angle to them, see `cosine_to`.
        view: how the sensors see the source.
        sensors: flat discs.
    """
    along = inner(axis, sensors.normal) + cosine * view.cosine
    tilt = along**2 / (1 - cosine**2 + _LEAST_SINE2)
    return (sensors.radius_m / (2 * view.distance_m)) ** 2 * (1 - tilt)


def solid_angle(distance_m: Real, cosine: Real, radius_m: float) -> Real:
    """Of a disc [sr]: 2.5 % from the exact one beyond 3 radii, 0.8 % beyond 4, 0.15 % beyond 6; exact on the axis.

    Args:
        distance_m: from the point to the centre of the disc [m].
        cosine: of the angle between that line and the disc's axis.
        radius_m: of the disc [m].
    """
    near = (radius_m / distance_m) ** 2
    root = jnp.sqrt(1 + near)
    on_axis = near / (root * (1 + root))  # 1 - 1/sqrt(1 + near), without cancellation
    return 2 * jnp.pi * cosine * on_axis * (1 + _NEAR * near * (1 - cosine**2) / (1 + near**2))


def seen_fraction(view: Sight, sensors: Photosensors) -> Float[Array, "*source sensor"]:
    """Share of the isotropic light of a point that a sensor collects, if nothing is lost on the way.

    A bulb's effective area takes the place of the disc's, `area(c)/c` times its solid angle.
    """
    flat = solid_angle(view.distance_m, view.cosine, sensors.radius_m)
    return flat / (4 * jnp.pi) * sensors.acceptance.area(view.cosine) / view.cosine
