"""Maps of a tank's wall: a cylinder unrolled with its caps above and below, a sphere in Hammer's projection.

Both keep areas, so that a sensor is drawn at its true size. Seen from outside: azimuth grows to the right, from -180 to
180 degrees, and z upwards. A cap touches the barrel at azimuth 0, the middle of the map, and is folded outwards there.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "point 3"]
Places = Float[np.ndarray, "point 2"]

_OUTLINE_POINTS = 181
_TORN = 5.0  # a step on the map over that in space, beyond which a line is cut; no map stretches a step so far
_SPHERE_TOLERANCE = 0.01  # of the radius, for sensors to be on a sphere


class Ring(NamedTuple):
    """Where a cone of light meets the wall.

    Attributes:
        edge_m: a closed line [m].
        centre_m: of the cone's axis, one point [m].
    """

    edge_m: Points
    centre_m: Points


class Ellipses(NamedTuple):
    """Discs on the wall as they are on the map: places, full axes [m], and the angle of the first axis [degree]."""

    place_m: Places
    first_m: Float[np.ndarray, " point"]
    second_m: Float[np.ndarray, " point"]
    angle_deg: Float[np.ndarray, " point"]


class UnrolledCylinder(eqx.Module):
    """The barrel as a rectangle, R phi against z, and the caps as discs.

    Attributes:
        radius_m: of the barrel [m].
        height_m: from cap to cap [m].
    """

    radius_m: float
    height_m: float

    def place_m(self, position_m: Points) -> Places:
        """Where points of the wall [m] are on the map [m]; what is off the wall belongs to the part that is nearest."""
        x, y, z = np.asarray(position_m).T
        radius, half = self.radius_m, self.height_m / 2
        on_cap = half - np.abs(z) < radius - np.hypot(x, y)
        barrel = np.stack([radius * np.arctan2(y, x), z], axis=-1)
        cap = np.stack([y, np.sign(z) * (half + radius - x)], axis=-1)
        return np.where(on_cap[:, None], cap, barrel)

    def discs(self, position_m: Points, radius_m: float) -> Ellipses:
        """Discs of a radius [m] around points of the wall [m], here discs as well."""
        diameter = np.full(len(position_m), 2 * radius_m)
        return Ellipses(self.place_m(position_m), diameter, diameter, np.zeros(len(position_m)))

    def outlines(self) -> list[Places]:
        """The rectangle and both circles [m]."""
        radius, half = self.radius_m, self.height_m / 2
        turn = np.linspace(0, 2 * np.pi, _OUTLINE_POINTS)
        circle = radius * np.stack([np.sin(turn), np.cos(turn)], axis=-1)
        corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
        rectangle = corner * np.array([np.pi * radius, half])
        return [rectangle, *(circle + np.array([0.0, side * (half + radius)]) for side in (1, -1))]

    def guides(self) -> list[Places]:
        """None: the map is as the wall."""
        return []

    def names(self) -> dict[str, tuple[float, float]]:
        """Names of the caps, and where there is room for them [m]."""
        radius, half = self.radius_m, self.height_m / 2
        return {name: (-0.85 * radius, side * (half + 1.7 * radius)) for name, side in (("top", 1), ("bottom", -1))}


class HammerSphere(eqx.Module):
    """E. Hammer's map of the whole sphere, Petermanns Mitteilungen 38 (1892) 85: no area is stretched.

    Attributes:
        radius_m: of the sphere [m].
    """

    radius_m: float

    def place_m(self, position_m: Points) -> Places:
        """Where points of the wall [m] are on the map [m]; what is off the wall is moved along its radius."""
        return self._place(*_angles(np.asarray(position_m)))

    def discs(self, position_m: Points, radius_m: float) -> Ellipses:
        """Discs of a radius [m] around points of the wall [m], to first order in the radius."""
        longitude, latitude = _angles(np.asarray(position_m))
        q, sine, cosine = longitude / 2, np.sin(latitude), np.cos(latitude)
        d = 1 + cosine * np.cos(q)
        east = (np.cos(q) / d**0.5 + cosine * np.sin(q) ** 2 / (2 * d**1.5), sine * np.sin(q) / (4 * d**1.5))
        north = (
            -2 * sine * np.sin(q) / d**0.5 + sine * cosine * np.sin(q) * np.cos(q) / d**1.5,
            cosine / d**0.5 + sine**2 * np.cos(q) / (2 * d**1.5),
        )
        stretch = np.sqrt(2) * np.stack([np.stack(east, axis=-1), np.stack(north, axis=-1)], axis=-1)
        turn, size, _ = np.linalg.svd(stretch)
        angle = np.degrees(np.arctan2(turn[:, 1, 0], turn[:, 0, 0]))
        first, second = 2 * radius_m * size.T
        return Ellipses(self._place(longitude, latitude), first, second, angle)

    def outlines(self) -> list[Places]:
        """The meridian opposite to azimuth 0, both of its sides [m]."""
        latitude = np.linspace(-np.pi / 2, np.pi / 2, _OUTLINE_POINTS)
        east, west = (self._place(np.full_like(latitude, side * np.pi), latitude) for side in (1, -1))
        return [np.concatenate([east, west[::-1]])]

    def guides(self) -> list[Places]:
        """Meridians by 60 and parallels by 30 degrees [m]."""
        along = np.linspace(-1, 1, _OUTLINE_POINTS)
        meridians = [
            self._place(np.full_like(along, turn), np.pi / 2 * along) for turn in np.radians([-120, -60, 0, 60, 120])
        ]
        parallels = [
            self._place(np.pi * along, np.full_like(along, height)) for height in np.radians([-60, -30, 0, 30, 60])
        ]
        return meridians + parallels

    def names(self) -> dict[str, tuple[float, float]]:
        """None: the map is one part."""
        return {}

    def _place(self, longitude: Float[np.ndarray, " point"], latitude: Float[np.ndarray, " point"]) -> Places:
        """Of angles [rad]."""
        cosine, q = np.cos(latitude), longitude / 2
        scale = self.radius_m * np.sqrt(2 / (1 + cosine * np.cos(q)))
        return np.stack([2 * scale * cosine * np.sin(q), scale * np.sin(latitude)], axis=-1)


WallMap = UnrolledCylinder | HammerSphere


def line_on_map(drawn_on: WallMap, position_m: Points) -> Places:
    """A line through points of the wall [m] on the map [m], cut by rows of NaN where the map is."""
    place = drawn_on.place_m(position_m)
    step = np.linalg.norm(np.diff(position_m, axis=0), axis=1)
    torn = np.linalg.norm(np.diff(place, axis=0), axis=1) > _TORN * step
    return np.insert(place, np.flatnonzero(torn) + 1, np.nan, axis=0)


def map_around(position_m: Points) -> WallMap:
    """The map of the wall with sensors at these places [m]: a sphere where all are equally far out, else a cylinder.

    The places must reach both caps and the barrel of a cylinder for its size to be right.
    """
    radius = np.linalg.norm(position_m, axis=1)
    if np.ptp(radius) < _SPHERE_TOLERANCE * radius.max():
        return HammerSphere(float(radius.max()))
    across = np.hypot(position_m[:, 0], position_m[:, 1])
    return UnrolledCylinder(float(across.max()), float(2 * np.abs(position_m[:, 2]).max()))


def _angles(position_m: Points) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """Longitude and latitude [rad]."""
    x, y, z = position_m.T
    return np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))
