"""Photon libraries: visibilities tabulated on the voxels of a box, looked up nearest or trilinearly.

The tables are those of photonlib (https://github.com/CIDeR-ML/photonlib): equal voxels fill a box, a value holds at
the centre of its voxel, and outside the box nothing is seen.
"""

from __future__ import annotations

from itertools import product

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.light.box import Box, Points

_CORNERS = np.array(list(product((0, 1), repeat=3)))


class PhotonLibrary(eqx.Module):
    """Visibilities at the centres of voxels.

    Attributes:
        box: the outer faces of the voxels.
        visibility: at the centre of every voxel, for every sensor; usually of 32 bits.
        efficiency: factor on every look-up, one number or one a sensor.
    """

    box: Box
    visibility: Float[Array | np.ndarray, "x y z sensor"]
    efficiency: Float[Array | np.ndarray, "*sensor"] | float = 1.0

    def __check_init__(self) -> None:
        """Refuse a table without entries."""
        if 0 in self.visibility.shape:
            raise ValueError(f"a library needs voxels and sensors, got a table of shape {self.visibility.shape}")

    @property
    def n_voxels(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        n_x, n_y, n_z, _ = self.visibility.shape
        return n_x, n_y, n_z

    @property
    def n_sensors(self) -> int:
        """Number of sensors."""
        return self.visibility.shape[3]

    def __call__(self, points_cm: Points) -> Float[Array, "*point sensor"]:
        """Visibility at points [cm], trilinear between the centres of voxels, zero outside the box.

        In the outer half of the outermost voxels the straight lines of the cell next to them go on: values and slopes
        are continuous across the last centres. Where such a line falls below zero the visibility is zero.
        """
        place = self._place(points_cm) - 0.5
        count = np.array(self.n_voxels)
        first = jnp.clip(jnp.floor(place).astype(int), 0, np.maximum(count - 2, 0))
        part = jnp.where(count > 1, place - first, 0.0)
        seen = jnp.zeros((*place.shape[:-1], self.n_sensors))
        for corner in _CORNERS:  # eight gathers that fuse with their sum take a tenth of one gather of all corners
            weight = jnp.where(corner == 1, part, 1 - part).prod(axis=-1)
            seen += weight[..., None] * self._voxels(jnp.minimum(first + corner, count - 1))
        return jnp.where(self.box.contains(points_cm)[..., None], jnp.maximum(seen, 0.0), 0.0) * self.efficiency

    def nearest(self, points_cm: Points) -> Float[Array, "*point sensor"]:
        """Visibility at points [cm], that of the voxel around each, as photonlib looks it up; zero outside the box."""
        voxel = jnp.clip(self._place(points_cm).astype(int), 0, np.array(self.n_voxels) - 1)
        return jnp.where(self.box.contains(points_cm)[..., None], self._voxels(voxel), 0.0) * self.efficiency

    def _place(self, points_cm: Points) -> Float[Array, "*point 3"]:
        """Position in voxels, counted from the lower corner."""
        return (jnp.asarray(points_cm) - self.box.lower_cm) / self.box.size_cm * np.array(self.n_voxels)

    def _voxels(self, index: Int[Array, "*point 3"]) -> Float[Array, "*point sensor"]:
        """Rows of the table at indices within its bounds."""
        rows = jnp.asarray(self.visibility).reshape(-1, self.n_sensors)
        _, n_y, n_z = self.n_voxels
        return rows.at[index @ np.array([n_y * n_z, n_z, 1])].get(mode="promise_in_bounds")


def voxel_centres_cm(box: Box, n_voxels: tuple[int, int, int]) -> Float[np.ndarray, "x y z 3"]:
    """Centres of the equal voxels of a box [cm]."""
    ends = zip(np.asarray(box.lower_cm), np.asarray(box.upper_cm), n_voxels, strict=True)
    axes = [lower + (np.arange(count) + 0.5) * (upper - lower) / count for lower, upper, count in ends]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
