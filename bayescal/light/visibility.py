"""Visibility from optics: solid angle, attenuation, a scattered halo and mirror images in the walls.

A closed form of a few optical constants in place of a photon library, smooth in position and constants. A photon seen
came straight, at the rate of the solid angle thinned by absorption and Rayleigh scattering; or was scattered on its
way, a halo that spreads like diffusion; or was reflected once by a wall, as if it came from the mirror image of its
origin.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.light.box import Box, Points
from bayescal.light.sensors import Sensors

RAYLEIGH_LENGTH_CM = 99.1  # 128 nm in liquid argon, M. Babicz et al., JINST 15 (2020) P09009, arXiv:2002.09346
ABSORPTION_LENGTH_CM = 2000.0  # usual in simulations of liquid argon; depends on its purity
SCATTERED_FRACTION = 0.6  # weight of the halo: tile by tile near the simulated library of DUNE's Module-0 (larnd-sim)
_SOFTENING = 0.05  # width, in the cosine, over which a sensor fades out towards its back
_CLOSEST_CM = 1e-6  # keeps the slope finite on the sensor itself

Scalar = Float[Array | np.ndarray, ""] | float
Reflectivity = Float[Array | np.ndarray, " 6"]


class Medium(eqx.Module):
    """Optical constants of the argon.

    Attributes:
        absorption_length: of the scintillation light [cm].
        rayleigh_length: mean free path between Rayleigh scatterings [cm].
        scattered_fraction: weight of the halo of scattered light.
    """

    absorption_length: Scalar = ABSORPTION_LENGTH_CM
    rayleigh_length: Scalar = RAYLEIGH_LENGTH_CM
    scattered_fraction: Scalar = SCATTERED_FRACTION


class VisibilityParts(eqx.Module):
    """Visibility before the constants in which it is linear; so are its sums over the points of a track.

    Attributes:
        direct: light that comes straight, for sensors of efficiency one.
        scattered: the halo, for efficiency and scattered fraction of one.
        reflected: by each wall, for efficiency and reflectivity of one; walls are lower x, upper x, lower y, ...
    """

    direct: Float[Array, "*point sensor"]
    scattered: Float[Array, "*point sensor"]
    reflected: Float[Array, "*point 6 sensor"]

    def total(
        self, efficiency: Float[Array | np.ndarray, " sensor"], scattered_fraction: Scalar, reflectivity: Reflectivity
    ) -> Float[Array, "*point sensor"]:
        """The visibility with all three kinds of light."""
        reflected = (jnp.asarray(reflectivity)[:, None] * self.reflected).sum(axis=-2)
        return efficiency * (self.direct + scattered_fraction * self.scattered + reflected)


class PhysicalVisibility(eqx.Module):
    """Visibility of the sensors of one box filled with argon, zero outside.

    Attributes:
        sensors: positions, areas and efficiencies.
        box: the argon; its faces are the walls that reflect.
        medium: optical constants.
        reflectivity: of the walls at lower x, upper x, lower y, upper y, lower z, upper z.
    """

    sensors: Sensors
    box: Box
    medium: Medium
    reflectivity: Reflectivity

    def __call__(self, points_cm: Points) -> Float[Array, "*point sensor"]:
        """Probability that a photon emitted at points [cm] is detected by each sensor."""
        parts = self.parts(points_cm)
        return parts.total(self.sensors.efficiency, self.medium.scattered_fraction, self.reflectivity)

    def parts(self, points_cm: Points) -> VisibilityParts:
        """Light by its way from points [cm] to each sensor; depends on the two lengths of the medium alone."""
        points = jnp.asarray(points_cm)
        inside = self.box.contains(points)[..., None, None]
        images = jnp.concatenate([points[..., None, :], self.box.mirror_images(points)], axis=-2)
        straight = jnp.where(inside, self._direct(images), 0.0)
        scattered = jnp.where(inside[..., 0], self._scattered(points), 0.0)
        return VisibilityParts(straight[..., 0, :], scattered, straight[..., 1:, :])

    def _direct(self, points: Float[Array, "*point 3"]) -> Float[Array, "*point sensor"]:
        """Solid angle over 4 pi, exact for a disc on its axis, times the attenuation."""
        offset = self._offset(points)
        distance = _length(offset)
        cosine = sum(part * self.sensors.normal[:, axis] for axis, part in enumerate(offset)) / distance
        cosine = 0.5 * (cosine + jnp.sqrt(cosine**2 + _SOFTENING**2))
        ratio = self.sensors.area_cm2 * cosine / (jnp.pi * distance**2)
        root = jnp.sqrt(1 + ratio)
        solid_angle = 0.5 * ratio / (root * (root + 1))  # half of 1 - 1/root, without the loss of digits
        return solid_angle * jnp.exp(-distance * self._attenuation_per_cm())

    def _attenuation_per_cm(self) -> Scalar:
        """Of straight light; half of what is scattered goes on as straight."""
        return 1 / self.medium.absorption_length + 0.5 / self.medium.rayleigh_length

    def _scattered(self, points: Float[Array, "*point 3"]) -> Float[Array, "*point sensor"]:
        """The halo: scattered after about one Rayleigh length, then spread and absorbed as in diffusion."""
        rayleigh, absorption = self.medium.rayleigh_length, self.medium.absorption_length
        distance = _length(self._offset(points))
        diffusion_length = jnp.sqrt(jnp.asarray(absorption * rayleigh / 3))
        share = self.sensors.area_cm2 / (4 * jnp.pi * (distance**2 + rayleigh**2))
        return -share * jnp.expm1(-distance / rayleigh) * jnp.exp(-distance / diffusion_length)

    def _offset(self, points: Float[Array, "*point 3"]) -> list[Float[Array, "*point sensor"]]:
        """From sensors to points, axis by axis: so the whole formula is one loop over points and sensors [cm]."""
        return [points[..., axis, None] - self.sensors.position_cm[:, axis] for axis in range(3)]


def _length(vector: list[Float[Array, "*shape"]]) -> Float[Array, "*shape"]:
    """Length of a vector given axis by axis, never quite zero."""
    return jnp.sqrt(sum((part**2 for part in vector), start=jnp.asarray(_CLOSEST_CM**2)))
