"""Zones of a tank for scattered and reflected light: its cells and patches, and what they see of each other.

What one zone sees of another depends on the difference of their azimuths only, so that the transport of light becomes
one small matrix for each Fourier component in azimuth.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.optical.geometry import Cylinder, Points, Sphere, Tank
from bayescal.optical.kernels import Kernel, cells_see_cells, cells_see_patches, patches_see_patches
from bayescal.optical.rings import cylinder_cells, cylinder_patches, sphere_cells, sphere_patches


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
        patch_m: centre of the patch of each ring at azimuth 0 [m].
        cell_m3, patch_m2: volumes and areas of one zone of each ring.
        cell_to_cell, cell_to_patch, patch_to_patch: what they see of each other.
        moments: of the directions from a cell to the patches, weighted by `cell_to_patch`: e_r, e_phi, e_z in the basis
            of the cell, their squares, and the products r phi, r z, phi z.
    """

    tank: Tank
    n_azimuth: int = eqx.field(static=True)
    axes: tuple[np.ndarray, np.ndarray]
    wall: np.ndarray
    patch_m: Float[np.ndarray, "patch 3"]
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

    @property
    def patches_m(self) -> Float[np.ndarray, "patch azimuth 3"]:
        """Centres of all patches [m]."""
        turn = 2 * np.pi * np.arange(self.n_azimuth) / self.n_azimuth
        radius, z = np.asarray(self.patch_m)[:, 0], np.asarray(self.patch_m)[:, 2]
        height = np.broadcast_to(z[:, None], (z.size, turn.size))
        return np.stack([radius[:, None] * np.cos(turn), radius[:, None] * np.sin(turn), height], axis=-1)

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
        axes, cells = cylinder_cells(tank, n_azimuth, n_radial, n_axial)
        patches = cylinder_patches(tank, n_azimuth, n_barrel, n_cap)
    else:
        axes, cells = sphere_cells(tank, n_azimuth, n_radial, n_axial)
        patches = sphere_patches(tank, n_azimuth, n_barrel + 2 * n_cap)
    to_patch, moments = cells_see_patches(cells, patches, n_azimuth)
    return Zones(
        tank=tank,
        n_azimuth=n_azimuth,
        axes=axes,
        wall=np.asarray(_wall_coordinate(tank, jnp.asarray(patches.centre_m))),
        patch_m=patches.centre_m,
        cell_m3=cells.size,
        patch_m2=patches.size,
        cell_to_cell=cells_see_cells(tank, cells, n_azimuth),
        cell_to_patch=to_patch,
        patch_to_patch=patches_see_patches(patches, n_azimuth),
        moments=moments,
    )
