"""Cherenkov light of a charged particle: threshold, angle and number of photons by Frank and Tamm.

I. Frank, I. Tamm, Dokl. Akad. Nauk SSSR 14 (1937) 109; PDG, section 34.7.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.optical.efficiency import QuantumEfficiency
from bayescal.optical.medium import cherenkov_spectrum, phase_index

Scalar = Float[Array | np.ndarray, ""] | float
Real = Float[Array, "*n"]
Reals = Float[Array | np.ndarray, "*n"] | float
Index = Callable[[Float[Array, " node"]], Float[Array, " node"]]

TWO_PI_ALPHA = 0.0458506  # 2 pi / 137.036, PDG
_PER_M = 1e9  # nm in a metre
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


def sin2_cherenkov(beta: Reals, index: Reals) -> Real:
    """sin^2 of the Cherenkov angle, 1 - 1/(n beta)^2; zero below the threshold."""
    return jnp.maximum(1.0 - 1.0 / (jnp.asarray(index) * jnp.asarray(beta)) ** 2, 0.0)


def threshold_momentum_mev(mass_mev: Scalar, index: Scalar) -> Float[Array, ""]:
    """Momentum [MeV/c] above which a particle of this mass [MeV/c^2] shines: m / sqrt(n^2 - 1)."""
    return jnp.asarray(mass_mev) / jnp.sqrt(jnp.asarray(index) ** 2 - 1.0)


def threshold_kinetic_mev(mass_mev: Scalar, index: Scalar) -> Float[Array, ""]:
    """Kinetic energy [MeV] above which a particle of this mass [MeV/c^2] shines: m (1/sqrt(1 - 1/n^2) - 1)."""
    return jnp.asarray(mass_mev) * (1.0 / jnp.sqrt(1.0 - 1.0 / jnp.asarray(index) ** 2) - 1.0)


def photons_per_m(beta: Scalar, band_nm: tuple[float, float], index: Index = phase_index) -> Float[Array, ""]:
    """Photons that a particle of unit charge emits per metre within a band [1/m].

    Args:
        beta: its speed over that of light.
        band_nm: first and last wavelength [nm].
        index: refractive index by wavelength [nm].
    """
    first, last = band_nm
    wavelength = jnp.asarray((first + last) / 2 + (last - first) / 2 * _NODES)
    density = sin2_cherenkov(beta, index(wavelength)) / wavelength**2
    return TWO_PI_ALPHA * _PER_M * (last - first) / 2 * jnp.sum(_WEIGHTS * density)


def photoelectrons_per_m(
    efficiency: QuantumEfficiency, beta: Scalar = 1.0, index: Index = phase_index
) -> Float[Array, ""]:
    """Photoelectrons per metre [1/m] at full coverage and without loss on the way.

    Args:
        efficiency: of the sensors.
        beta: speed of the particle over that of light.
        index: refractive index by wavelength [nm].
    """
    edges = np.asarray(efficiency.wavelength_nm)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    wavelength = jnp.asarray((middle[:, None] + half[:, None] * _NODES).ravel())
    density = efficiency(wavelength) * sin2_cherenkov(beta, index(wavelength)) / wavelength**2
    return TWO_PI_ALPHA * _PER_M * jnp.sum(jnp.asarray((half[:, None] * _WEIGHTS).ravel()) * density)


class Radiator(eqx.Module):
    """Water as sources of light need it: means over the spectrum that sensors see.

    Attributes:
        index: mean refractive index.
        light_per_m: photoelectrons per metre of a particle with beta 1, at full coverage and without loss [1/m].
        angle_spread_rad: standard deviation of the Cherenkov angle over the spectrum, at beta 1 [rad].
    """

    index: Scalar
    light_per_m: Scalar
    angle_spread_rad: Scalar = 0.0

    def cos_cherenkov(self, beta: Reals) -> Real:
        """Cosine of the Cherenkov angle, 1/(n beta); one below the threshold."""
        return jnp.minimum(1.0 / (self.index * jnp.asarray(beta)), 1.0)

    def emission_per_m(self, beta: Reals) -> Real:
        """Photoelectrons per metre [1/m], at full coverage and without loss."""
        return jnp.asarray(self.light_per_m) * sin2_cherenkov(beta, self.index) / sin2_cherenkov(1.0, self.index)


def water_radiator(efficiency: QuantumEfficiency) -> Radiator:
    """Water at 20 C as seen by sensors of an efficiency."""
    spectrum = cherenkov_spectrum(efficiency)
    index, weight = np.asarray(phase_index(spectrum.wavelength_nm)), np.asarray(spectrum.weight)
    angle = np.arccos(1.0 / index)
    spread = np.sqrt(weight @ angle**2 - (weight @ angle) ** 2)
    return Radiator(float(weight @ index), float(photoelectrons_per_m(efficiency)), float(spread))
