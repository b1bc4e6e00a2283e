"""Rays of a source: where its light first collides with the medium, and where it meets the wall."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.optical.geometry import fibonacci_directions
from bayescal.optical.zones import Stencil, Zones

_NODES = 8  # on the way to the wall


class Rays(eqx.Module):
    """A bundle of rays.

    Attributes:
        origin_m: where each begins [m].
        direction: unit vectors.
        light: of each ray, photoelectrons at full coverage, or photons.
        behind_m: way that counts as behind the light at its origin [m].
    """

    origin_m: Float[Array, "ray 3"]
    direction: Float[Array, "ray 3"]
    light: Float[Array, " ray"]
    behind_m: Float[Array, " ray"] | float = 0.0


class FirstFate(NamedTuple):
    """What becomes of rays before any scattering or reflection.

    Attributes:
        path_m: light times path length in each cell, by moments of its direction in the basis of the cell: to be
            multiplied by a coefficient of scattering [1/m].
        arrived: light that meets each patch of the wall.
    """

    path_m: Float[Array, "cell azimuth moment"]
    arrived: Float[Array, "patch azimuth"]


class Footprint(NamedTuple):
    """Rays in a medium that takes nothing from them, and how far they have come.

    Attributes:
        bare: first fate without losses.
        to_cell_m, to_patch_m: mean distance from the source [m].
    """

    bare: FirstFate
    to_cell_m: Float[Array, "cell azimuth"]
    to_patch_m: Float[Array, "patch azimuth"]

    def in_medium(self, attenuation: Float[Array, ""] | float) -> FirstFate:
        """First fate in a medium; the mean distance stands for all of a zone, which is right to 1e-3 in water.

        Args:
            attenuation: sum of absorption and scattering [1/m].
        """
        path = self.bare.path_m * jnp.exp(-attenuation * self.to_cell_m)[..., None]
        return FirstFate(path, self.bare.arrived * jnp.exp(-attenuation * self.to_patch_m))


def isotropic_rays(position_m: Float[Array, " 3"], light: Float[Array, ""] | float = 1.0, count: int = 384) -> Rays:
    """Rays in all directions from one point [m]."""
    directions = jnp.asarray(fibonacci_directions(count))
    origin = jnp.broadcast_to(jnp.asarray(position_m), directions.shape)
    return Rays(origin, directions, jnp.broadcast_to(jnp.asarray(light) / count, (count,)))


def footprint(rays: Rays, zones: Zones) -> Footprint:
    """Follow rays of a source inside the tank to the wall."""
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    chord = zones.tank.chord_m(rays.origin_m, rays.direction)
    way = chord[:, None] * (node + 1) / 2
    behind = jnp.broadcast_to(jnp.asarray(rays.behind_m), chord.shape)
    path = rays.light[:, None] * chord[:, None] * weight / 2
    position = (rays.origin_m[:, None] + way[..., None] * rays.direction[:, None]).reshape(-1, 3)
    direction = jnp.broadcast_to(rays.direction[:, None], (*way.shape, 3)).reshape(-1, 3)
    cells = zones.cells_around(position)
    moments = _moments_in_cells(zones, cells, direction)
    path_m, to_cell = _deposit(
        cells, path.ravel(), (behind[:, None] + way).ravel(), moments, (zones.n_cells, zones.n_azimuth)
    )
    patches = zones.patches_around(rays.origin_m + chord[:, None] * rays.direction)
    one = jnp.ones((*patches.ring.shape, 1))
    arrived, to_patch = _deposit(patches, rays.light, behind + chord, one, (zones.n_patches, zones.n_azimuth))
    return Footprint(FirstFate(path_m, arrived[..., 0]), to_cell, to_patch)


def _moments_in_cells(
    zones: Zones, cells: Stencil, direction: Float[Array, "point 3"]
) -> Float[Array, "point corner 9"]:
    """Moments of directions in the basis of each cell."""
    turn = 2 * jnp.pi * cells.azimuth / zones.n_azimuth
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    x, y, z = (direction[:, axis, None] for axis in range(3))
    return direction_moments(jnp.stack([x * cosine + y * sine, y * cosine - x * sine, z + 0 * turn], axis=-1))


def _deposit(
    stencil: Stencil,
    amount: Float[Array, " point"],
    distance_m: Float[Array, " point"],
    factor: Float[Array, "point corner column"],
    shape: tuple[int, int],
) -> tuple[Float[Array, "ring azimuth column"], Float[Array, "ring azimuth"]]:
    """Share amounts, times factors, among the zones around points; and the mean distance of what each receives."""
    part = stencil.share * amount[:, None]
    size = jnp.abs(part)
    columns = jnp.concatenate(
        [part[..., None] * factor, size[..., None], (size * distance_m[:, None])[..., None]], axis=-1
    )
    flat = (stencil.ring * shape[1] + stencil.azimuth).ravel()
    total = jax.ops.segment_sum(columns.reshape(flat.size, -1), flat, num_segments=shape[0] * shape[1])
    total = total.reshape(*shape, -1)
    return total[..., :-2], total[..., -1] / jnp.where(total[..., -2] > 0, total[..., -2], 1.0)


def direction_moments(direction: Float[Array, "*n 3"]) -> Float[Array, "*n 9"]:
    """Components of unit vectors, their squares, and the products of the first and second, first and third, ..."""
    one, two, three = (direction[..., axis] for axis in range(3))
    return jnp.stack(
        [one, two, three, one * one, two * two, three * three, one * two, one * three, two * three], axis=-1
    )
