"""Light of an electron in liquid scintillator: less than its energy, by Birks' law where it loses energy densely."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.constants import ELECTRON_MASS_MEV

Real = Float[Array, "*n"]
Scalar = Float[Array, ""] | float

_LOSS_MEV_CM2_PER_G = 0.153537  # half of 4 pi N_A r_e^2 m_e c^2, PDG
_PLASMA_EV = 28.816  # sqrt(4 pi N_A r_e^3) m_e c^2 / alpha for 1 g/cm^3, PDG
_NODE, _WEIGHT = np.polynomial.legendre.leggauss(24)


class Material(NamedTuple):
    """What an electron flies through.

    Attributes:
        z_over_a: electrons over nucleons.
        excitation_ev: mean excitation energy [eV].
        density_g_per_cm3: [g/cm^3].
    """

    z_over_a: float
    excitation_ev: float
    density_g_per_cm3: float


LAB = Material(0.560, 59.5, 0.859)
"""Linear alkylbenzene, C18 H30; excitation energy by Bragg's rule."""


def electron_loss(kinetic_mev: Real, material: Material) -> Real:
    """Energy that an electron loses in collisions [MeV cm^2/g]; within 1.5 % of ESTAR from 10 keV to 10 MeV.

    S. M. Seltzer, M. J. Berger, Int. J. Appl. Radiat. Isot. 33 (1982) 1189, for electrons; density effect of a liquid
    as R. M. Sternheimer, R. F. Peierls, Phys. Rev. B 3 (1971) 3681, give it in general. Below the excitation energy,
    where the formula has no meaning, the logarithm is kept above zero.

    Args:
        kinetic_mev: above zero [MeV].
        material: one with an excitation energy below 100 eV.
    """
    energy = jnp.asarray(kinetic_mev) / ELECTRON_MASS_MEV
    momentum = jnp.sqrt(energy * (energy + 2))
    beta_square = (momentum / (energy + 1)) ** 2
    excitation = 1e-6 * material.excitation_ev / ELECTRON_MASS_MEV
    exchange = 1 - beta_square + (energy**2 / 8 - (2 * energy + 1) * np.log(2)) / (energy + 1) ** 2
    logarithm = jnp.log1p(0.5 * energy**2 * (energy + 2) / excitation**2)
    lost = logarithm + exchange - _density_effect(jnp.log10(momentum), material)
    return _LOSS_MEV_CM2_PER_G * material.z_over_a / beta_square * lost


def _density_effect(log_momentum: Real, material: Material) -> Real:
    """Of a liquid with an excitation energy below 100 eV, by the decimal logarithm of momentum over mass."""
    plasma_ev = _PLASMA_EV * np.sqrt(material.density_g_per_cm3 * material.z_over_a)
    strength, first, last = 2 * np.log(material.excitation_ev / plasma_ev) + 1, 0.2, 2.0
    bend = (strength - 2 * np.log(10) * first) / (last - first) ** 3
    straight = 2 * np.log(10) * log_momentum - strength
    held = jnp.clip(log_momentum, first, last)
    return jnp.where(log_momentum > first, straight + bend * (last - held) ** 3, 0.0)


def visible_energy(kinetic_mev: Scalar, birks_g_per_cm2_mev: Scalar) -> Float[Array, ""]:
    """Energy of an electron that makes light, the integral of dE / (1 + k_B dE/dx) [MeV].

    J. B. Birks, Proc. Phys. Soc. A 64 (1951) 874. Gauss-Legendre in the square root of the energy.

    Args:
        kinetic_mev: of the electron, which stops [MeV].
        birks_g_per_cm2_mev: k_B [g/cm^2/MeV].
    """
    root = (1 + _NODE) / 2
    loss = electron_loss(jnp.asarray(kinetic_mev) * root**2, LAB)
    return kinetic_mev * jnp.sum(_WEIGHT * root / (1 + birks_g_per_cm2_mev * loss))
