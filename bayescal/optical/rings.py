"""Rings of cells in the volume of a tank and of patches on its wall.

A tank is a body of revolution about z. Its volume is cut into rings of cells, its wall into rings of patches, each ring
into the same number of equal parts in azimuth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayescal.optical.geometry import Cylinder, Sphere, Tank

_CELL_POINTS = 2  # points along each edge of a cell at which a kernel is averaged
_PATCH_POINTS = 3


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


def cylinder_cells(tank: Cylinder, n_azimuth: int, n_radial: int, n_axial: int) -> tuple[tuple, Ring]:
    """Radii and z of the rings [m], and the rings, radius by radius."""
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


def sphere_cells(tank: Sphere, n_azimuth: int, n_radial: int, n_polar: int) -> tuple[tuple, Ring]:
    """Radii [m] and cosines of the polar angle of the rings, and the rings, radius by radius."""
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


def cylinder_patches(tank: Cylinder, n_azimuth: int, n_barrel: int, n_cap: int) -> Ring:
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


def sphere_patches(tank: Sphere, n_azimuth: int, n_rings: int) -> Ring:
    """Rings of equal area from the top to the bottom."""
    edge = np.linspace(1, -1, n_rings + 1)
    c, weight = _edges_and_points(edge[:-1], edge[1:], _PATCH_POINTS)
    point, share = _zone_points(tank.radius_m * np.sqrt(1 - c**2), tank.radius_m * c, weight, n_azimuth, _PATCH_POINTS)
    middle = (edge[1:] + edge[:-1]) / 2
    centre = tank.radius_m * np.column_stack([np.sqrt(1 - middle**2), np.zeros(n_rings), middle])
    area = np.full(n_rings, tank.area_m2 / n_rings / n_azimuth)
    return _ring(tank, point, share, area, centre)
