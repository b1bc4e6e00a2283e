"""Closed tanks that optical detectors fill, a cylinder or a sphere, and where photosensors sit on their walls.

The origin is the centre of the tank, z the axis of a cylinder; sensors face inwards.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.spatial import KDTree

Points = Float[Array | np.ndarray, "*point 3"]
Places = Float[np.ndarray, "sensor 3"]

_GOLDEN = 1.6180339887  # as in LUCiD's placement on a sphere


_EDGE_M = 0.1  # over which the wall lets a source pass, and how near it may come
_LEAST_M2 = 1e-12  # added to squares of radii, whose roots have no slope at zero


class Held(NamedTuple):
    """Points of a tank [m], those outside drawn in to its wall, and the share of each that is inside."""

    position_m: Float[Array, "*point 3"]
    share: Float[Array, "*point"]


class Cylinder(eqx.Module):
    """A cylinder along z.

    Attributes:
        radius_m: of the barrel [m].
        height_m: from cap to cap [m].
    """

    radius_m: float = eqx.field(static=True)
    height_m: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        """Refuse a cylinder without extent."""
        if not (self.radius_m > 0 and self.height_m > 0):
            raise ValueError(f"radius and height of a tank must be positive: {self.radius_m}, {self.height_m} m")

    @property
    def area_m2(self) -> float:
        """Of the wall [m^2]."""
        return 2 * np.pi * self.radius_m * (self.radius_m + self.height_m)

    @property
    def mean_chord_m(self) -> float:
        """Of straight ways through the tank, from wall to wall: 4 volumes over the area (Cauchy) [m]."""
        return 2 * self.radius_m * self.height_m / (self.radius_m + self.height_m)

    def contains(self, position_m: Points) -> Bool[Array, "*point"]:
        """Whether points [m] are inside."""
        return self.depth_m(position_m) > 0

    def depth_m(self, position_m: Points) -> Float[Array, "*point"]:
        """Distance of points [m] to the wall, negative outside [m]."""
        position = jnp.asarray(position_m)
        radial = self.radius_m - jnp.hypot(position[..., 0], position[..., 1])
        return jnp.minimum(radial, self.height_m / 2 - jnp.abs(position[..., 2]))

    def chord_m(self, position_m: Points, direction: Points) -> Float[Array, "*point"]:
        """Way from points inside [m] along unit vectors to the wall [m]."""
        position, direction = jnp.asarray(position_m), jnp.asarray(direction)
        across = jnp.maximum(jnp.sum(direction[..., :2] ** 2, axis=-1), 1e-24)
        along = jnp.sum(position[..., :2] * direction[..., :2], axis=-1)
        room = jnp.maximum(self.radius_m**2 - jnp.sum(position[..., :2] ** 2, axis=-1), 0.0)
        barrel = (jnp.sqrt(along**2 + across * room) - along) / across
        up = direction[..., 2]
        speed = jnp.maximum(jnp.abs(up), 1e-12)
        cap = (self.height_m / 2 - jnp.sign(up) * position[..., 2]) / speed
        return jnp.minimum(barrel, cap)

    def held(self, position_m: Points) -> Held:
        """Points [m] and whether they are inside, both smooth in the place."""
        position, half = jnp.asarray(position_m), self.height_m / 2
        radius = jnp.sqrt(jnp.sum(position[..., :2] ** 2, axis=-1, keepdims=True) + _LEAST_M2)
        height = position[..., 2:]
        over = [
            _EDGE_M * jax.nn.softplus(1 + each / _EDGE_M)
            for each in (radius - self.radius_m, height - half, -height - half)
        ]
        place = jnp.concatenate([position[..., :2] * (1 - over[0] / radius), height - over[1] + over[2]], axis=-1)
        share = jax.nn.sigmoid((self.radius_m - radius) / _EDGE_M)
        share = share * jax.nn.sigmoid((half - height) / _EDGE_M) * jax.nn.sigmoid((half + height) / _EDGE_M)
        return Held(place, share[..., 0])

    def inward_normal(self, position_m: Places) -> Places:
        """Unit vectors into the tank at points on the wall [m]; a point on an edge belongs to the cap."""
        on_cap = np.abs(position_m[:, 2]) >= self.height_m / 2 - 1e-6 * self.height_m
        radial = np.hypot(position_m[:, 0], position_m[:, 1])[:, None]
        barrel = -position_m * np.array([1.0, 1.0, 0.0]) / np.maximum(radial, 1e-12)
        cap = -np.sign(position_m[:, 2:]) * np.array([0.0, 0.0, 1.0])
        return np.where(on_cap[:, None], cap, barrel)


class Sphere(eqx.Module):
    """A sphere.

    Attributes:
        radius_m: [m].
    """

    radius_m: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        """Refuse a sphere without extent."""
        if not self.radius_m > 0:
            raise ValueError(f"the radius of a tank must be positive: {self.radius_m} m")

    @property
    def area_m2(self) -> float:
        """Of the wall [m^2]."""
        return 4 * np.pi * self.radius_m**2

    @property
    def mean_chord_m(self) -> float:
        """Of straight ways through the tank, from wall to wall [m]."""
        return 4 / 3 * self.radius_m

    def contains(self, position_m: Points) -> Bool[Array, "*point"]:
        """Whether points [m] are inside."""
        return self.depth_m(position_m) > 0

    def depth_m(self, position_m: Points) -> Float[Array, "*point"]:
        """Distance of points [m] to the wall, negative outside [m]."""
        return self.radius_m - jnp.sqrt(jnp.sum(jnp.asarray(position_m) ** 2, axis=-1) + 1e-24)

    def chord_m(self, position_m: Points, direction: Points) -> Float[Array, "*point"]:
        """Way from points inside [m] along unit vectors to the wall [m]."""
        position, direction = jnp.asarray(position_m), jnp.asarray(direction)
        along = jnp.sum(position * direction, axis=-1)
        room = jnp.maximum(self.radius_m**2 - jnp.sum(position**2, axis=-1), 0.0)
        return jnp.sqrt(along**2 + room) - along

    def held(self, position_m: Points) -> Held:
        """Points [m] and whether they are inside, both smooth in the place."""
        position = jnp.asarray(position_m)
        radius = jnp.sqrt(jnp.sum(position**2, axis=-1, keepdims=True) + _LEAST_M2)
        over = _EDGE_M * jax.nn.softplus(1 + (radius - self.radius_m) / _EDGE_M)
        share = jax.nn.sigmoid((self.radius_m - radius) / _EDGE_M)
        return Held(position * (1 - over / radius), share[..., 0])

    def inward_normal(self, position_m: Places) -> Places:
        """Unit vectors into the tank at points on the wall [m]."""
        return -position_m / np.linalg.norm(position_m, axis=1, keepdims=True)


Tank = Cylinder | Sphere


class Fault(NamedTuple):
    """Numbers of a geometry that contradict each other.

    Attributes:
        sensors: numbers of the sensors that it concerns.
        sentence: what is wrong.
    """

    sensors: np.ndarray
    sentence: str


def grid_on_cylinder(tank: Cylinder, pitch_m: float, n_columns: int, n_rows: int, radius_m: float) -> Places:
    """Sensors in columns and rows on the barrel, and on a square grid on the caps.

    Args:
        tank: the cylinder.
        pitch_m: of rows and of the grid on the caps [m].
        n_columns: on the barrel, the first at azimuth 0.
        n_rows: on the barrel, symmetric in z.
        radius_m: of a sensor: centres on a cap stay this far from its edge [m].
    """
    azimuth = 2 * np.pi * np.arange(n_columns) / n_columns
    height = (np.arange(n_rows) - (n_rows - 1) / 2) * pitch_m
    turn, z = np.meshgrid(azimuth, height)
    barrel = np.stack([tank.radius_m * np.cos(turn), tank.radius_m * np.sin(turn), z], axis=-1).reshape(-1, 3)
    half = int(np.ceil(tank.radius_m / pitch_m))
    ticks = (np.arange(-half, half) + 0.5) * pitch_m
    x, y = (each.ravel() for each in np.meshgrid(ticks, ticks))
    inside = np.hypot(x, y) < tank.radius_m - radius_m
    caps = [np.column_stack([x, y, np.full_like(x, side * tank.height_m / 2)])[inside] for side in (1, -1)]
    return np.concatenate([barrel, *caps])


def rings_on_cylinder(tank: Cylinder, n_sensors: int, radius_m: float) -> Places:
    """About as many sensors as asked for: rows on the barrel as LUCiD has them, concentric hexagons on the caps.

    Args:
        tank: the cylinder.
        n_sensors: number asked for.
        radius_m: of a sensor [m].
    """
    barrel_area = 2 * np.pi * tank.radius_m * tank.height_m
    n_barrel = int(n_sensors * barrel_area / tank.area_m2)
    height = tank.height_m - 3 * radius_m
    rows = max(1, int(np.sqrt(n_barrel * height / (2 * np.pi * tank.radius_m))))
    columns = n_barrel // rows
    while (rows + 1) * columns <= n_barrel:
        rows += 1
    while rows * (columns + 1) <= n_barrel:
        columns += 1
    azimuth = 2 * np.pi * np.arange(columns) / columns
    turn, z = np.meshgrid(azimuth, np.linspace(-height / 2, height / 2, rows))
    barrel = np.stack([tank.radius_m * np.cos(turn), tank.radius_m * np.sin(turn), z], axis=-1).reshape(-1, 3)
    flat = _hexagons(tank.radius_m - 1.5 * radius_m, (n_sensors - n_barrel) // 2)
    caps = [np.column_stack([flat, np.full(len(flat), side * tank.height_m / 2)]) for side in (1, -1)]
    return np.concatenate([barrel, *caps])


def _hexagons(reach_m: float, n_points: int) -> Float[np.ndarray, "point 2"]:
    """About as many points as asked for in concentric hexagons of 6, 12, ... within a circle around its centre."""
    n_rings = max(1, round((-3 + np.sqrt(9 + 12 * (n_points - 1))) / 6))
    points = [np.zeros((1, 2))]
    for ring in range(1, n_rings + 1):
        corner = np.pi / 3 * np.arange(7)
        ends = reach_m * ring / n_rings * np.stack([np.cos(corner), np.sin(corner)], axis=1)
        share = np.arange(ring)[:, None] / ring
        points += [start + share * (end - start) for start, end in pairwise(ends)]
    return np.concatenate(points)


def spiral_on_sphere(tank: Sphere, n_sensors: int) -> Places:
    """Sensors on a Fibonacci spiral, as LUCiD places them (source of 2025-07-04)."""
    number = np.arange(n_sensors)
    z = 1 - 2 * number / n_sensors
    azimuth, radial = 2 * np.pi * number / _GOLDEN, np.sqrt(1 - z**2)
    return tank.radius_m * np.column_stack([radial * np.cos(azimuth), radial * np.sin(azimuth), z])


def find_faults(tank: Tank, position_m: Places, radius_m: float) -> list[Fault]:
    """What contradicts itself in a geometry: sensors off the wall, sensors that overlap, more sensor than wall.

    Args:
        tank: the tank.
        position_m: centres of the sensors [m].
        radius_m: of a sensor [m].
    """
    faults = []
    off = np.flatnonzero(np.abs(np.asarray(tank.depth_m(position_m))) > radius_m)
    if off.size:
        faults.append(Fault(off, f"{off.size} sensors are farther from the wall than their radius"))
    pairs = KDTree(position_m).query_pairs(2 * radius_m * (1 - 1e-9), output_type="ndarray")
    touching = np.unique(pairs)
    if touching.size:
        faults.append(Fault(touching, f"{touching.size} of {len(position_m)} sensors overlap another"))
    coverage = len(position_m) * np.pi * radius_m**2 / tank.area_m2
    if coverage > 1:
        faults.append(
            Fault(np.arange(len(position_m)), f"sensors cover {coverage:.2f} of the wall, more than all of it")
        )
    return faults


def fibonacci_directions(count: int) -> Float[np.ndarray, "direction 3"]:
    """Unit vectors spread evenly over all directions."""
    number = np.arange(count) + 0.5
    z = 1 - 2 * number / count
    azimuth, radial = np.pi * (1 + np.sqrt(5)) * number, np.sqrt(1 - z**2)
    return np.column_stack([radial * np.cos(azimuth), radial * np.sin(azimuth), z])
