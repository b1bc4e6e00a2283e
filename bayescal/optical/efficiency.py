"""Quantum efficiency of photosensors by wavelength, glass and collection of photoelectrons included.

The curves of photomultipliers are those of WCSim (https://github.com/WCSim/WCSim, WCSimPMTObject.cc, 2024), measured
by the makers or by Super-Kamiokande and Hyper-Kamiokande.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Wavelength = Float[Array | np.ndarray, "*n"] | float


class QuantumEfficiency(eqx.Module):
    """Probability that a photon that reaches the sensor gives a photoelectron; zero outside the grid.

    Attributes:
        wavelength_nm: increasing grid [node] [nm].
        value: efficiency at the grid, linear between [node].
    """

    wavelength_nm: Float[Array | np.ndarray, " node"]
    value: Float[Array | np.ndarray, " node"]

    def __check_init__(self) -> None:
        """The grid has one value a node."""
        if np.shape(self.wavelength_nm) != np.shape(self.value):
            raise ValueError(
                f"value must have one entry a wavelength, shape {np.shape(self.wavelength_nm)}: "
                f"it has shape {np.shape(self.value)}"
            )

    def __call__(self, wavelength_nm: Wavelength) -> Float[Array, "*n"]:
        """Efficiency at wavelengths [nm]."""
        return jnp.interp(jnp.asarray(wavelength_nm), self.wavelength_nm, self.value, left=0.0, right=0.0)


def _curve(first_nm: float, values: list[float]) -> QuantumEfficiency:
    """A curve in steps of 20 nm."""
    return QuantumEfficiency(first_nm + 20.0 * np.arange(len(values)), np.array(values))


# fmt: off
R3600 = _curve(280.0, [
    0.0, 0.0139, 0.0854, 0.169, 0.203, 0.206, 0.211, 0.202, 0.188, 0.167,
    0.140, 0.116, 0.0806, 0.0432, 0.0265, 0.0146, 0.00756, 0.00508, 0.00158, 0.0,
])
"""Hamamatsu R3600, 20 inch, of Super-Kamiokande (WCSim, PMT20inch)."""

R12860 = _curve(280.0, [
    0.0, 0.0008, 0.1255, 0.2550, 0.2930, 0.3127, 0.3130, 0.2994, 0.2791, 0.2491,
    0.2070, 0.1758, 0.1384, 0.0779, 0.0473, 0.0288, 0.0149, 0.0062, 0.0002, 0.0001,
])
"""Hamamatsu R12860, 20 inch, box and line, of Hyper-Kamiokande (WCSim, BoxandLine20inchHQE, without its tuning)."""

R14374 = _curve(300.0, [
    0.0787, 0.1838, 0.2401, 0.2521, 0.2695, 0.2676, 0.2593, 0.2472, 0.2276, 0.1970, 0.1777,
    0.1547, 0.1033, 0.0727, 0.0587, 0.0470, 0.0372, 0.0285, 0.0220, 0.0130, 0.0084,
])
"""Hamamatsu R14374, 3 inch, of multi-PMT modules (WCSim, PMT3inchR14374, without its tuning)."""
# fmt: on

SIPM = QuantumEfficiency(
    np.array([300.0, 340.0, 380.0, 420.0, 460.0, 500.0, 560.0, 640.0, 720.0, 800.0]),
    np.array([0.05, 0.25, 0.43, 0.50, 0.49, 0.44, 0.35, 0.23, 0.14, 0.07]),
)
"""Silicon photomultipliers: a half at 420 nm as TAO asks for, arXiv:2005.08745; rough elsewhere."""
