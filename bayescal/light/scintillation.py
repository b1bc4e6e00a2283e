"""Scintillation photons of ionisation steps: the quanta that recombination leaves no electron of.

Every energy W_ph makes one quantum, an ion pair or an excited atom. Excited atoms and recombined pairs give one photon
each, so that photons and surviving electrons add up to the number of quanta: T. Doke et al., Jpn. J. Appl. Phys. 41
(2002) 1538; as in larnd-sim, and in LArQL, F. Marinho et al., JINST 17 (2022) C07009. Only charge and light together
tell energy from recombination.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.charge.detector import ChargeConstants
from bayescal.segments import Segments

QUANTA_PER_MEV = 1 / 19.5e-6  # 1 / W_ph, W_ph = W_ion / (1 + 0.21), T. Doke et al., Jpn. J. Appl. Phys. 41 (2002) 1538

_SHORTEST_CM = 1e-12  # a step without length has no direction

Scalar = Float[Array, ""] | float


def photons_beside_electrons(
    energy_mev: Float[Array | np.ndarray, "*step"],
    electrons: Float[Array | np.ndarray, "*step"],
    quanta_per_mev: Scalar = QUANTA_PER_MEV,
) -> Float[Array, "*step"]:
    """Photons of energy deposits [MeV] of which so many electrons survived; quanta per energy are 1/W_ph [1/MeV]."""
    return jnp.asarray(energy_mev) * quanta_per_mev - jnp.asarray(electrons)


def emitted_photons(
    constants: ChargeConstants, segments: Segments, quanta_per_mev: Scalar = QUANTA_PER_MEV
) -> Float[Array, " segment"]:
    """Photons of ionisation steps, with the recombination that the charge readout sees.

    Args:
        constants: recombination, field, density and ionisation electrons per energy.
        segments: the steps.
        quanta_per_mev: 1/W_ph [1/MeV].
    """
    vector = jnp.asarray(segments.end_cm) - jnp.asarray(segments.start_cm)
    cos_phi = jnp.abs(vector[:, 2]) / jnp.maximum(jnp.sqrt((vector**2).sum(axis=-1)), _SHORTEST_CM)
    dedx, energy = jnp.asarray(segments.dedx_mev_per_cm), jnp.asarray(segments.energy_mev)
    survive = constants.recombination(dedx, constants.electric_field, constants.density, cos_phi)
    return photons_beside_electrons(energy, energy * constants.electrons_per_mev * survive, quanta_per_mev)


def emission_points_cm(segments: Segments) -> Float[Array, "segment 3"]:
    """Middles of ionisation steps with x along the drift field, as light detectors have it [cm]."""
    return (jnp.asarray(segments.start_cm) + jnp.asarray(segments.end_cm))[:, ::-1] / 2
