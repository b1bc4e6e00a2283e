"""Boxes: where visibilities are defined."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Corner = Float[Array | np.ndarray, " 3"]
Points = Float[Array | np.ndarray, "*point 3"]


class Box(eqx.Module):
    """A box with faces across the axes.

    Attributes:
        lower_cm, upper_cm: its corners [cm].
    """

    lower_cm: Corner
    upper_cm: Corner

    def __check_init__(self) -> None:
        """Refuse a box without extent."""
        if not (np.asarray(self.lower_cm) < np.asarray(self.upper_cm)).all():
            raise ValueError(f"the lower corner of a box must be below the upper one: {self.lower_cm}, {self.upper_cm}")

    @property
    def size_cm(self) -> Corner:
        """Lengths of the edges [cm]."""
        return self.upper_cm - self.lower_cm

    def contains(self, points_cm: Points) -> Bool[Array, "*point"]:
        """Whether points [cm] are inside; those on a face are not."""
        points = jnp.asarray(points_cm)
        return ((points > self.lower_cm) & (points < self.upper_cm)).all(axis=-1)

    def mirror_images(self, points_cm: Points) -> Float[Array, "*point 6 3"]:
        """Images of points in the faces at lower x, upper x, lower y, upper y, lower z, upper z [cm]."""
        points = jnp.asarray(points_cm)[..., None, :]
        faces = jnp.stack([jnp.asarray(self.lower_cm), jnp.asarray(self.upper_cm)], axis=-1).reshape(6)
        axis = np.repeat(np.eye(3, dtype=bool), 2, axis=0)
        return jnp.where(axis, 2 * faces[:, None] - points, points)
