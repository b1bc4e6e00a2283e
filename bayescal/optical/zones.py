"""Zones of a tank: rings of cells in its volume and of patches on its wall, and how they see each other.

A tank is a body of revolution about z. Its volume is cut into rings of cells, its wall into rings of patches, each ring
into the same number of equal parts in azimuth. What one zone sees of another depends on the difference of their
azimuths only, so that the transport of light becomes one small matrix for each Fourier component in azimuth.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.optical.geometry import Cylinder, Points, Sphere, Tank

_CELL_POINTS = 2  # points along each edge of a cell at which a kernel is averaged
_PATCH_POINTS = 3
_DIRECTIONS = 2000  # for mean chords
_SINKHORN = 200  # steps of Sinkhorn's iteration, which makes form factors reciprocal and complete
_MIRRORED = np.array([1, -1, 1, 1, 1, 1, -1, 1, -1])  # sign of each moment where the azimuth changes its sign


class Ring(NamedTuple):
    """Rings of one kind, one row a ring.

    Attributes:
        point_m: points of a zone at azimuth 0, shape (ring, point, 3) [m].
        weight: of these points, shape (ring, point), rows sum to 1.
        centre_m: shape (ring, 3) [m].
        normal: into the tank at the points of patches, shape (ring, point, 3); of no meaning for cells.
        size: volume of a cell [m^3] or area of a patch [m^2], shape (ring,).
    """

    point_m: np.ndarray
    weight: np.ndarray
    centre_m: np.ndarray
    normal: np.ndarray
    size: np.ndarray


class Kernel(NamedTuple):
    """What zones see of each other, shape (from, to, difference of azimuth).

    Attributes:
        weight: solid angle [sr] of patches seen from cells, volume over squared distance [m] of cells seen from
            cells, or form factors of patches.
        distance_m: mean distance [m].
    """

    weight: Float[np.ndarray, "source target azimuth"]
    distance_m: Float[np.ndarray, "source target azimuth"]


class Stencil(NamedTuple):
    """Zones around points and their shares, shape (point, corner)."""

    ring: Int[Array, "point corner"]
    azimuth: Int[Array, "point corner"]
    share: Float[Array, "point corner"]


class Zones(eqx.Module):
    """Cells and patches of a tank.

    Attributes:
        tank: what is cut.
        n_azimuth: parts of each ring, an even number.
        axes: coordinates of the rings of cells along two axes: radius and z in a cylinder [m], radius [m] and cosine
            of the polar angle in a sphere.
        wall: coordinate of the rings of patches along the wall [m], from the top inwards, down and inwards.
        cell_m3, patch_m2: volumes and areas of one zone of each ring.
        cell_to_cell, cell_to_patch, patch_to_patch: what they see of each other.
        moments: of the directions from a cell to the patches, weighted by `cell_to_patch`: e_r, e_phi, e_z in the basis
            of the cell, their squares, and the products r phi, r z, phi z.
    """

    tank: Tank
    n_azimuth: int = eqx.field(static=True)
    axes: tuple[np.ndarray, np.ndarray]
    wall: np.ndarray
    cell_m3: np.ndarray
    patch_m2: np.ndarray
    cell_to_cell: Kernel
    cell_to_patch: Kernel
    patch_to_patch: Kernel
    moments: Float[np.ndarray, "cell patch azimuth moment"]

    @property
    def n_cells(self) -> int:
        """Rings of cells."""
        return self.cell_m3.size

    @property
    def n_patches(self) -> int:
        """Rings of patches."""
        return self.patch_m2.size

    def cells_around(self, position_m: Points) -> Stencil:
        """Cells whose centres surround points [m], with shares that keep their mean place.

        Shares are linear in each coordinate, and go on beyond the last centres before a wall, where one is negative.
        """
        position = jnp.asarray(position_m)
        first, second = _volume_coordinates(self.tank, position)
        inner, outer = self.axes
        if isinstance(self.tank, Cylinder):
            one = _between(first, inner, inner[0], self.tank.radius_m)
            two = _between(second, outer, -self.tank.height_m / 2, self.tank.height_m / 2)
            off_axis = first / inner[0]
        else:
            one = _between(first, inner, inner[0], self.tank.radius_m)
            two = _between(second, outer, outer[0], outer[-1])
            off_axis = jnp.sqrt(jnp.maximum(1 - second**2, 1e-24) / (1 - outer[-1] ** 2))
        ring = one.node[:, :, None] * outer.size + two.node[:, None, :]
        share = one.share[:, :, None] * two.share[:, None, :]
        return self._around_axis(position, off_axis, ring.reshape(-1, 4), share.reshape(-1, 4))

    def patches_around(self, position_m: Points) -> Stencil:
        """Patches whose centres surround points on the wall [m], with linear shares."""
        position = jnp.asarray(position_m)
        along = _wall_coordinate(self.tank, position)
        around = _between(along, self.wall, self.wall[0], self.wall[-1])
        to_end = jnp.minimum(along, self.wall[0] + self.wall[-1] - along)
        return self._around_axis(position, to_end / self.wall[0], around.node, around.share)

    def _around_axis(self, position: Array, off_axis: Array, ring: Array, share: Array) -> Stencil:
        """Zones of rings at the azimuths around points; within the innermost ring, at those across the axis too.

        Args:
            position: of the points [m].
            off_axis: distance to the axis over that of the centres of the innermost ring.
            ring: those around each point.
            share: of these.
        """
        turn = jnp.arctan2(position[:, 1], position[:, 0]) / (2 * jnp.pi) * self.n_azimuth
        lower = jnp.floor(turn)
        part = (turn - lower)[:, None]
        near = (1 + jnp.minimum(off_axis, 1.0))[:, None] / 2
        before = lower.astype(int)[:, None] + jnp.zeros_like(ring)
        half = self.n_azimuth // 2
        azimuth = jnp.concatenate([before, before + 1, before + half, before + half + 1], axis=1) % self.n_azimuth
        beside = (near * (1 - part), near * part, (1 - near) * (1 - part), (1 - near) * part)
        return Stencil(jnp.tile(ring, 4), azimuth, jnp.concatenate([share * each for each in beside], axis=1))


class _Between(NamedTuple):
    node: Int[Array, "point 2"]
    share: Float[Array, "point 2"]


def _between(value: Float[Array, " point"], nodes: np.ndarray, least: float, greatest: float) -> _Between:
    """The two nodes around values, held between limits, and their shares, linear in the value."""
    grid, held = jnp.asarray(nodes), jnp.clip(value, least, greatest)
    lower = jnp.clip(jnp.searchsorted(grid, held) - 1, 0, grid.size - 2)
    part = (held - grid[lower]) / (grid[lower + 1] - grid[lower])
    return _Between(jnp.stack([lower, lower + 1], axis=1), jnp.stack([1 - part, part], axis=1))


def _volume_coordinates(tank: Tank, position_m: Float[Array, "point 3"]) -> tuple[Array, Array]:
    radius = jnp.hypot(position_m[:, 0], position_m[:, 1])
    if isinstance(tank, Cylinder):
        return radius, position_m[:, 2]
    distance = jnp.hypot(radius, position_m[:, 2])
    return distance, position_m[:, 2] / distance


def _wall_coordinate(tank: Tank, position_m: Float[Array, "point 3"]) -> Float[Array, " point"]:
    """Way along the wall from the middle of the top [m], through caps and barrel."""
    radius, z = jnp.hypot(position_m[:, 0], position_m[:, 1]), position_m[:, 2]
    if isinstance(tank, Sphere):
        return tank.radius_m * jnp.arctan2(radius, z)
    half = tank.height_m / 2
    on_barrel = tank.radius_m - radius < half - jnp.abs(z)
    barrel = tank.radius_m + half - jnp.clip(z, -half, half)
    bottom = 2 * tank.radius_m + tank.height_m - radius
    return jnp.where(on_barrel, barrel, jnp.where(z > 0, radius, bottom))


def make_zones(
    tank: Tank, *, n_azimuth: int = 36, n_radial: int = 7, n_axial: int = 14, n_barrel: int = 24, n_cap: int = 9
) -> Zones:
    """Cut a tank into zones and find what they see of each other (some seconds).

    Args:
        tank: cylinder or sphere.
        n_azimuth: parts of each ring.
        n_radial: rings of cells from the middle outwards.
        n_axial: rings of cells along z (of a cylinder) or the polar angle (of a sphere).
        n_barrel: rings of patches on the barrel, or on a sphere.
        n_cap: rings of patches on each cap.
    """
    if isinstance(tank, Cylinder):
        axes, cells = _cylinder_cells(tank, n_azimuth, n_radial, n_axial)
        patches = _cylinder_patches(tank, n_azimuth, n_barrel, n_cap)
    else:
        axes, cells = _sphere_cells(tank, n_azimuth, n_radial, n_axial)
        patches = _sphere_patches(tank, n_azimuth, n_barrel + 2 * n_cap)
    to_patch, moments = _cells_see_patches(cells, patches, n_azimuth)
    return Zones(
        tank=tank,
        n_azimuth=n_azimuth,
        axes=axes,
        wall=np.asarray(_wall_coordinate(tank, jnp.asarray(patches.centre_m))),
        cell_m3=cells.size,
        patch_m2=patches.size,
        cell_to_cell=_cells_see_cells(tank, cells, n_azimuth),
        cell_to_patch=to_patch,
        patch_to_patch=_patches_see_patches(patches, n_azimuth),
        moments=moments,
    )


def _edges_and_points(low: np.ndarray, high: np.ndarray, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss points and weights within intervals, shape (interval, point)."""
    node, weight = np.polynomial.legendre.leggauss(n_points)
    return low[:, None] + (high - low)[:, None] * (node + 1) / 2, np.broadcast_to(weight / 2, (low.size, n_points))


def _zone_points(
    radius: np.ndarray, z: np.ndarray, weight: np.ndarray, n_azimuth: int, n_points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points of zones around azimuth 0 from points in the plane of radius and z, shape (ring, point)."""
    node, part = np.polynomial.legendre.leggauss(n_points)
    turn = node * np.pi / n_azimuth
    point = np.stack(
        [
            radius[..., None] * np.cos(turn),
            radius[..., None] * np.sin(turn),
            np.broadcast_to(z[..., None], (*z.shape, n_points)),
        ],
        axis=-1,
    )
    share = weight[..., None] * part / 2
    return point.reshape(len(radius), -1, 3), share.reshape(len(radius), -1)


def _ring(tank: Tank, point: np.ndarray, weight: np.ndarray, size: np.ndarray, centre: np.ndarray) -> Ring:
    normal = tank.inward_normal(point.reshape(-1, 3)).reshape(point.shape)
    return Ring(point, weight / weight.sum(axis=1, keepdims=True), centre, normal, size)


def _cylinder_cells(tank: Cylinder, n_azimuth: int, n_radial: int, n_axial: int) -> tuple[tuple, Ring]:
    r_edge = np.linspace(0, tank.radius_m, n_radial + 1)
    z_edge = np.linspace(-tank.height_m / 2, tank.height_m / 2, n_axial + 1)
    r_mid = 2 / 3 * (r_edge[1:] ** 3 - r_edge[:-1] ** 3) / (r_edge[1:] ** 2 - r_edge[:-1] ** 2)
    z_mid = (z_edge[1:] + z_edge[:-1]) / 2
    r, r_weight = _edges_and_points(r_edge[:-1], r_edge[1:], _CELL_POINTS)
    z, z_weight = _edges_and_points(z_edge[:-1], z_edge[1:], _CELL_POINTS)
    shape = (n_radial, n_axial, _CELL_POINTS, _CELL_POINTS)
    radius = np.broadcast_to(r[:, None, :, None], shape).reshape(n_radial * n_axial, -1)
    height = np.broadcast_to(z[None, :, None, :], shape).reshape(radius.shape)
    weight = (r_weight * r)[:, None, :, None] * z_weight[None, :, None, :]
    point, share = _zone_points(radius, height, weight.reshape(radius.shape), n_azimuth, _CELL_POINTS)
    volume = np.pi * np.diff(r_edge**2)[:, None] * np.diff(z_edge) / n_azimuth
    centre = np.stack(np.broadcast_arrays(r_mid[:, None], 0.0, z_mid[None, :]), axis=-1).reshape(-1, 3)
    return (r_mid, z_mid), _ring(tank, point, share, volume.ravel(), centre)


def _sphere_cells(tank: Sphere, n_azimuth: int, n_radial: int, n_polar: int) -> tuple[tuple, Ring]:
    s_edge, c_edge = np.linspace(0, tank.radius_m, n_radial + 1), np.linspace(-1, 1, n_polar + 1)
    s_mid = 3 / 4 * (s_edge[1:] ** 4 - s_edge[:-1] ** 4) / (s_edge[1:] ** 3 - s_edge[:-1] ** 3)
    c_mid = (c_edge[1:] + c_edge[:-1]) / 2
    s, s_weight = _edges_and_points(s_edge[:-1], s_edge[1:], _CELL_POINTS)
    c, c_weight = _edges_and_points(c_edge[:-1], c_edge[1:], _CELL_POINTS)
    s, c = np.broadcast_arrays(s[:, None, :, None], c[None, :, None, :])
    weight = (s_weight[:, None, :, None] * s**2) * c_weight[None, :, None, :]
    flat = (n_radial * n_polar, -1)
    radius, height = (s * np.sqrt(1 - c**2)).reshape(flat), (s * c).reshape(flat)
    point, share = _zone_points(radius, height, weight.reshape(flat), n_azimuth, _CELL_POINTS)
    volume = 2 * np.pi / 3 * np.diff(s_edge**3)[:, None] * np.diff(c_edge) / n_azimuth
    r_mid, z_mid = s_mid[:, None] * np.sqrt(1 - c_mid**2), s_mid[:, None] * c_mid
    centre = np.stack(np.broadcast_arrays(r_mid, 0.0, z_mid), axis=-1).reshape(-1, 3)
    return (s_mid, c_mid), _ring(tank, point, share, volume.ravel(), centre)


def _cylinder_patches(tank: Cylinder, n_azimuth: int, n_barrel: int, n_cap: int) -> Ring:
    """Rings from the middle of the top to the middle of the bottom; those of the caps have equal widths."""
    r_edge = np.linspace(0, tank.radius_m, n_cap + 1)
    z_edge = np.linspace(tank.height_m / 2, -tank.height_m / 2, n_barrel + 1)
    r, r_weight = _edges_and_points(r_edge[:-1], r_edge[1:], _PATCH_POINTS)
    z, z_weight = _edges_and_points(z_edge[:-1], z_edge[1:], _PATCH_POINTS)
    top, bottom = (np.full_like(r, side * tank.height_m / 2) for side in (1, -1))
    radius = np.concatenate([r, np.full_like(z, tank.radius_m), r[::-1]])
    height = np.concatenate([top, z, bottom])
    cap_weight = r_weight * r
    weight = np.concatenate([cap_weight, z_weight, cap_weight[::-1]])
    point, share = _zone_points(radius, height, weight, n_azimuth, _PATCH_POINTS)
    cap_area = np.pi * np.diff(r_edge**2)
    barrel_area = 2 * np.pi * tank.radius_m * -np.diff(z_edge)
    r_mid = (r_edge[1:] + r_edge[:-1]) / 2
    barrel_mid = np.column_stack([np.full(n_barrel, tank.radius_m), np.zeros(n_barrel), (z_edge[1:] + z_edge[:-1]) / 2])
    cap_mid = np.column_stack([r_mid, np.zeros(n_cap), np.full(n_cap, tank.height_m / 2)])
    centre = np.concatenate([cap_mid, barrel_mid, cap_mid[::-1] * [1, 1, -1]])
    area = np.concatenate([cap_area, barrel_area, cap_area[::-1]]) / n_azimuth
    return _ring(tank, point, share, area, centre)


def _sphere_patches(tank: Sphere, n_azimuth: int, n_rings: int) -> Ring:
    """Rings of equal area from the top to the bottom."""
    edge = np.linspace(1, -1, n_rings + 1)
    c, weight = _edges_and_points(edge[:-1], edge[1:], _PATCH_POINTS)
    point, share = _zone_points(tank.radius_m * np.sqrt(1 - c**2), tank.radius_m * c, weight, n_azimuth, _PATCH_POINTS)
    middle = (edge[1:] + edge[:-1]) / 2
    centre = tank.radius_m * np.column_stack([np.sqrt(1 - middle**2), np.zeros(n_rings), middle])
    area = np.full(n_rings, tank.area_m2 / n_rings / n_azimuth)
    return _ring(tank, point, share, area, centre)


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    """Vectors turned about z."""
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = vector[..., 0] * cosine - vector[..., 1] * sine, vector[..., 0] * sine + vector[..., 1] * cosine
    return np.stack([x, y, vector[..., 2]], axis=-1)


class _Ways(NamedTuple):
    """From every point of every source zone at azimuth 0 to every point of the target zones at one azimuth."""

    way_m: np.ndarray  # [source, point, target, point, axis]
    square: np.ndarray  # its squared length
    weight: np.ndarray

    def along(self, vector: np.ndarray) -> np.ndarray:
        """Cosine between ways and vectors."""
        return np.einsum("...i,...i->...", self.way_m, vector) / np.sqrt(self.square)


def _ways(sources: Ring, targets: Ring, angle: float, least_m: float = 0.0) -> _Ways:
    way = _turned(targets.point_m, angle)[None, None] - sources.point_m[:, :, None, None]
    square = np.einsum("...i,...i->...", way, way) + least_m**2
    return _Ways(way, square, sources.weight[:, :, None, None] * targets.weight[None, None])


def _sum(values: np.ndarray) -> np.ndarray:
    """Over the points of both zones."""
    return values.sum(axis=(1, 3))


def _half_turn(n_azimuth: int) -> np.ndarray:
    """Differences of azimuth from none to half a turn."""
    return 2 * np.pi * np.arange(n_azimuth // 2 + 1) / n_azimuth


def _whole_turn(halves: list[np.ndarray], sign: np.ndarray | float = 1.0) -> np.ndarray:
    """Along axis 2, values at all differences of azimuth, from those to half a turn and their sign if mirrored."""
    return np.stack([*halves, *(sign * each for each in halves[-2:0:-1])], axis=2)


def _cells_see_patches(cells: Ring, patches: Ring, n_azimuth: int) -> tuple[Kernel, np.ndarray]:
    """Solid angles that sum to 4 pi over the wall, mean distances, and moments of the directions."""
    solid, distance, moments = [], [], []
    for angle in _half_turn(n_azimuth):
        ways = _ways(cells, patches, angle)
        weight = ways.weight * np.maximum(-ways.along(_turned(patches.normal, angle)), 0.0) / ways.square
        total, length = _sum(weight), np.sqrt(ways.square)
        axes = np.moveaxis(ways.way_m, -1, 0) / length
        products = [axes[one] * axes[two] for one, two in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
        moments.append(np.stack([_sum(weight * each) / total for each in (*axes, *products)], axis=-1))
        solid.append(total * patches.size)
        distance.append(_sum(weight * length) / total)
    weight = _whole_turn(solid)
    weight *= 4 * np.pi / weight.sum(axis=(1, 2), keepdims=True)
    return Kernel(weight, _whole_turn(distance)), _whole_turn(moments, _MIRRORED)


def _cells_see_cells(tank: Tank, cells: Ring, n_azimuth: int) -> Kernel:
    """Volume over squared distance, in sum 4 pi times the mean chord from a cell's centre."""
    least = 0.25 * np.cbrt(cells.size.min())
    weight, distance = [], []
    for angle in _half_turn(n_azimuth):
        ways = _ways(cells, cells, angle, least)
        part = ways.weight / ways.square
        weight.append(_sum(part) * cells.size)
        distance.append(_sum(ways.weight / np.sqrt(ways.square)) / _sum(part))
    total = _whole_turn(weight)
    directions = fibonacci_directions(_DIRECTIONS)
    chord = np.asarray(tank.chord_m(cells.centre_m[:, None], directions[None])).mean(axis=1)
    total *= 4 * np.pi * chord[:, None, None] / total.sum(axis=(1, 2), keepdims=True)
    return Kernel(total, _whole_turn(distance))


def _patches_see_patches(patches: Ring, n_azimuth: int) -> Kernel:
    """Form factors that sum to 1 and are reciprocal: area times factor is symmetric."""
    least = 1e-6 * np.sqrt(patches.size.min())  # a point sees nothing of itself
    exchange, distance = [], []
    for angle in _half_turn(n_azimuth):
        ways = _ways(patches, patches, angle, least)
        leaving = np.maximum(ways.along(patches.normal[:, :, None, None]), 0.0)
        arriving = np.maximum(-ways.along(_turned(patches.normal, angle)), 0.0)
        weight = ways.weight * leaving * arriving / (np.pi * ways.square)
        total = _sum(weight)
        exchange.append(total * patches.size[:, None] * patches.size)
        distance.append(_sum(weight * np.sqrt(ways.square)) / np.where(total > 0, total, 1.0))
    symmetric, scale = _whole_turn(exchange), np.ones(patches.size.size)
    for _ in range(_SINKHORN):
        scale = np.sqrt(scale * patches.size / np.einsum("kla,l->k", symmetric, scale))
    factor = symmetric * scale[:, None, None] * scale[None, :, None] / patches.size[:, None, None]
    return Kernel(factor, _whole_turn(distance))


def fibonacci_directions(count: int) -> Float[np.ndarray, "direction 3"]:
    """Unit vectors spread evenly over all directions."""
    number = np.arange(count) + 0.5
    z = 1 - 2 * number / count
    azimuth, radial = np.pi * (1 + np.sqrt(5)) * number, np.sqrt(1 - z**2)
    return np.column_stack([radial * np.cos(azimuth), radial * np.sin(azimuth), z])
