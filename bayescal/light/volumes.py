"""Detectors of several volumes that do not see each other's light."""

from __future__ import annotations

from typing import Protocol

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bayescal.light.box import Box, Points


class BoxVisibility(Protocol):
    """Visibility that is defined in a box: a photon library, a network, a formula."""

    @property
    def box(self) -> Box:
        """Where it is defined."""
        ...

    def __call__(self, points_cm: Points, /) -> Float[Array, "*point sensor"]:
        """Visibility at points [cm], for each sensor."""
        ...


class MultiVolume(eqx.Module):
    """Visibilities of volumes with opaque walls: a point sees the sensors of the volume around it, and no others.

    Sensors are counted volume by volume. Volumes that are alike, or mirror images, share one visibility: the position
    within a volume is carried over to the visibility's own box in proportion.

    Attributes:
        parts: the different visibilities.
        part: index into `parts`, one a volume.
        lower_cm, upper_cm: corners of the volumes, which do not overlap [cm].
        mirrored: for each volume, whether it is the mirror image of its part along x, y and z.
    """

    parts: tuple[BoxVisibility, ...]
    part: tuple[int, ...] = eqx.field(static=True)
    lower_cm: Float[Array | np.ndarray, "volume 3"]
    upper_cm: Float[Array | np.ndarray, "volume 3"]
    mirrored: Bool[Array | np.ndarray, "volume 3"]

    @property
    def n_volumes(self) -> int:
        """Number of volumes."""
        return len(self.part)

    def __call__(self, points_cm: Points) -> Float[Array, "*point sensor"]:
        """Visibility at points [cm] for the sensors of all volumes, zero outside the volumes."""
        points = jnp.asarray(points_cm)
        volume = self.volume_of(points)
        own = [self._in_part(index, points, volume) for index in range(len(self.parts))]
        seen = [jnp.where((volume == v)[..., None], own[part], 0.0) for v, part in enumerate(self.part)]
        return jnp.concatenate(seen, axis=-1)

    def volume_of(self, points_cm: Points) -> Int[Array, "*point"]:
        """Number of the volume around points [cm], -1 outside all of them."""
        points = jnp.asarray(points_cm)[..., None, :]
        inside = ((points > self.lower_cm) & (points < self.upper_cm)).all(axis=-1)
        return jnp.where(inside.any(axis=-1), jnp.argmax(inside, axis=-1), -1)

    def _in_part(
        self, index: int, points: Float[Array, "*point 3"], volume: Int[Array, "*point"]
    ) -> Float[Array, "*point sensor"]:
        """Visibility by one part, for points in the volumes that it serves; of no meaning for the others."""
        lower, upper = jnp.asarray(self.lower_cm)[volume], jnp.asarray(self.upper_cm)[volume]
        share = (points - lower) / (upper - lower)
        share = jnp.where(jnp.asarray(self.mirrored)[volume], 1 - share, share)
        box = self.parts[index].box
        return self.parts[index](box.lower_cm + share * box.size_cm)
