"""Energy loss of muons and protons in liquid argon: mean, residual range and fluctuation."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayescal import constants

LEAST_BETA_GAMMA = 0.03
"""Below it (muon 0.05 MeV, proton 0.4 MeV: 0.02 mm of range) Bethe's formula fails; the loss is held constant."""

DELTA_CUT_MEV = 1.0
"""An electron that takes more leaves the track: its range is 4 mm (0.61 g/cm^2, ESTAR), a pixel."""

_TABLE_MEV = np.geomspace(1e-4, 1e6, 4001)  # kinetic energies of the range table
_COLLISIONS = 10.0  # collisions a step that are played one by one; weaker ones are lumped in a Gaussian
_EULER_TERM = 0.200  # j in the most probable loss, PDG section 34.2.9


class Particle(NamedTuple):
    """A particle of unit charge: its mass [MeV/c^2] and PDG code."""

    mass_mev: float
    pdg_id: int


PARTICLES = {
    "muon": Particle(constants.MUON_MASS_MEV, constants.MUON_PDG_ID),
    "proton": Particle(constants.PROTON_MASS_MEV, constants.PROTON_PDG_ID),
}


class Loss(NamedTuple):
    """What a particle loses in a step: left in the step and carried away by fast electrons [MeV]."""

    deposited_mev: NDArray
    escaped_mev: NDArray


def kinetic_energy_mev(momentum_mev: ArrayLike, particle: Particle) -> NDArray:
    """Kinetic energy [MeV] of a momentum [MeV/c]."""
    return np.hypot(momentum_mev, particle.mass_mev) - particle.mass_mev


def beta_gamma(kinetic_mev: ArrayLike, particle: Particle) -> NDArray:
    """Momentum over mass."""
    gamma = 1 + np.asarray(kinetic_mev) / particle.mass_mev
    return np.sqrt(gamma**2 - 1)


def greatest_transfer_mev(kinetic_mev: ArrayLike, particle: Particle) -> NDArray:
    """Largest energy that an electron can receive in one collision [MeV]; PDG eq. 34.4."""
    momentum, ratio = beta_gamma(kinetic_mev, particle), constants.ELECTRON_MASS_MEV / particle.mass_mev
    return 2 * constants.ELECTRON_MASS_MEV * momentum**2 / (1 + 2 * np.hypot(1, momentum) * ratio + ratio**2)


def density_effect(momentum: ArrayLike) -> NDArray:
    """Density-effect correction delta of liquid argon at beta*gamma; Sternheimer's form, PDG eq. 34.7."""
    x = np.log10(momentum)
    curved = (
        constants.ARGON_STERNHEIMER_A
        * np.maximum(constants.ARGON_STERNHEIMER_X1 - x, 0) ** constants.ARGON_STERNHEIMER_K
    )
    delta = 2 * np.log(10) * x - constants.ARGON_STERNHEIMER_C + curved
    return np.where(x < constants.ARGON_STERNHEIMER_X0, 0.0, delta)


def stopping_power(kinetic_mev: ArrayLike, particle: Particle) -> NDArray:
    """Mean energy loss by ionisation [MeV cm^2/g]; Bethe, PDG eq. 34.5.

    Left out: the shell correction (protons: 1.8 % at 10 MeV, 0.2 % at 80 MeV) and radiation (muons: 0.1 % at 1 GeV).

    Args:
        kinetic_mev: kinetic energy [MeV].
        particle: the particle.
    """
    least_mev = kinetic_energy_mev(LEAST_BETA_GAMMA * particle.mass_mev, particle)
    kinetic_mev = np.maximum(kinetic_mev, least_mev)
    momentum = beta_gamma(kinetic_mev, particle)
    beta2 = momentum**2 / (1 + momentum**2)
    transfer = 2 * constants.ELECTRON_MASS_MEV * momentum**2 * greatest_transfer_mev(kinetic_mev, particle)
    bracket = 0.5 * np.log(transfer / constants.ARGON_EXCITATION_MEV**2) - beta2 - density_effect(momentum) / 2
    return 2 * _scale_mev_cm2_per_g(beta2) * bracket


def residual_range(kinetic_mev: ArrayLike, particle: Particle) -> NDArray:
    """Range in the continuous-slowing-down approximation [g/cm^2] of a kinetic energy [MeV]."""
    return np.exp(np.interp(np.log(kinetic_mev), np.log(_TABLE_MEV), np.log(_range_table(particle))))


def energy_of_range(range_g_per_cm2: ArrayLike, particle: Particle) -> NDArray:
    """Kinetic energy [MeV] that has a residual range [g/cm^2]."""
    return np.exp(np.interp(np.log(range_g_per_cm2), np.log(_range_table(particle)), np.log(_TABLE_MEV)))


def most_probable_loss_mev(kinetic_mev: ArrayLike, particle: Particle, step_g_per_cm2: float) -> NDArray:
    """Most probable energy loss in a thin step [MeV]; Landau with density effect, PDG eq. 34.12.

    Args:
        kinetic_mev: kinetic energy [MeV].
        particle: the particle.
        step_g_per_cm2: length of the step times density [g/cm^2].
    """
    momentum = beta_gamma(kinetic_mev, particle)
    beta2 = momentum**2 / (1 + momentum**2)
    xi = _scale_mev_cm2_per_g(beta2) * step_g_per_cm2
    electron = 2 * constants.ELECTRON_MASS_MEV * momentum**2
    logarithms = np.log(electron / constants.ARGON_EXCITATION_MEV) + np.log(xi / constants.ARGON_EXCITATION_MEV)
    return xi * (logarithms + _EULER_TERM - beta2 - density_effect(momentum))


def draw_loss(rng: np.random.Generator, kinetic_mev: NDArray, particle: Particle, step_g_per_cm2: ArrayLike) -> Loss:
    """Draw what particles lose in a step that does not stop them.

    Collisions with electrons are drawn one by one from the free-electron spectrum, dn = xi (1 - beta^2 W/W_max) dW/W^2,
    above a small energy; below it they are many and their sum is Gaussian. The mean is the stopping power's, the shape
    goes from Landau's in thin steps to a Gaussian in thick ones. The binding of electrons widens it slightly; left out.

    Args:
        rng: source of randomness.
        kinetic_mev: kinetic energies at the start of the step, one a particle [MeV].
        particle: the kind of all particles.
        step_g_per_cm2: length of the step times density [g/cm^2].
    """
    left_mev = energy_of_range(residual_range(kinetic_mev, particle) - step_g_per_cm2, particle)
    middle_mev = (kinetic_mev + left_mev) / 2
    momentum = beta_gamma(middle_mev, particle)
    beta2 = momentum**2 / (1 + momentum**2)
    xi = _scale_mev_cm2_per_g(beta2) * step_g_per_cm2
    greatest = greatest_transfer_mev(middle_mev, particle)
    least = np.minimum(xi / _COLLISIONS, greatest)
    ratio = np.log(greatest / least)
    hard_mean = xi * (ratio - beta2 * (1 - least / greatest))
    width = np.sqrt(xi * least * (1 - beta2 * least / greatest / 2))
    soft = kinetic_mev - left_mev - hard_mean + width * rng.standard_normal(width.shape)
    kept, escaped = _draw_collisions(rng, xi, beta2, least, greatest)
    total = np.clip(soft + kept + escaped, 0, kinetic_mev)
    escaped = np.minimum(escaped, total)
    return Loss(total - escaped, escaped)


def _draw_collisions(
    rng: np.random.Generator, xi: NDArray, beta2: NDArray, least: NDArray, greatest: NDArray
) -> tuple[NDArray, NDArray]:
    """Energy of the collisions between two limits, below and above the delta-electron cut, one sum a particle [MeV]."""
    count = rng.poisson(xi * (1 / least - 1 / greatest))
    owner = np.repeat(np.arange(xi.size), count)
    place = rng.uniform(size=owner.size)
    energy = 1 / ((1 - place) / least[owner] + place / greatest[owner])
    accepted = rng.uniform(size=owner.size) > beta2[owner] * energy / greatest[owner]
    escapes = energy > DELTA_CUT_MEV
    below, above = (np.bincount(owner, energy * accepted * side, minlength=xi.size) for side in (~escapes, escapes))
    return below, above


def _scale_mev_cm2_per_g(beta2: ArrayLike) -> NDArray:
    """Landau's xi per mass thickness [MeV cm^2/g] at beta^2."""
    electrons_mol_per_g = constants.ARGON_ATOMIC_NUMBER / constants.ARGON_MOLAR_MASS_G
    return constants.STOPPING_CONSTANT_MEV_CM2_PER_MOL * electrons_mol_per_g / (2 * np.asarray(beta2))


@lru_cache
def _range_table(particle: Particle) -> NDArray:
    """Residual range [g/cm^2] at each energy of the table: the integral of dT/S, with a constant S below the table."""
    inverse = 1 / stopping_power(_TABLE_MEV, particle)
    integrand = inverse * _TABLE_MEV  # dT = T dlnT
    pieces = (integrand[1:] + integrand[:-1]) / 2 * np.diff(np.log(_TABLE_MEV))
    return np.concatenate([[0.0], np.cumsum(pieces)]) + inverse[0] * _TABLE_MEV[0]
