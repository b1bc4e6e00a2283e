"""How light travels in water and in liquid scintillator: index, group index, absorption and scattering by wavelength.

Coefficients are per metre, wavelengths in vacuum in nm. Everything has continuous derivatives in wavelength and in
the scales that a fit infers.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from bayescal.optical.efficiency import QuantumEfficiency

Scalar = Float[Array | np.ndarray, ""] | float
Wavelength = Float[Array | np.ndarray, "*n"] | float
Real = Float[Array, "*n"]

SPEED_OF_LIGHT_M_PER_NS = 0.299792458  # exact

# n^2 - 1 of water at 20 C in the form of Sellmeier, x in um^2; M. Daimon, A. Masumura, Appl. Opt. 46 (2007) 3811
_SELLMEIER_STRENGTH = (0.5684027565, 0.1726177391, 0.02086189578, 0.1130748688)
_SELLMEIER_POLE_UM2 = (0.005101829712, 0.01821153936, 0.02620722293, 10.69792721)

# Super-Kamiokande water, K. Abe et al., Nucl. Instrum. Meth. A 737 (2014) 253, arXiv:1307.0162, P0 to P8
_ABSORPTION = 0.624  # P0 [1/m]
_ABSORPTION_UV_NM4 = 2.96e7  # P1
_ABSORPTION_BLUE = 3.24e-2  # P2, the term that pure water's measured absorption replaces
_ABSORPTION_POWER = 10.9  # P3
_RAYLEIGH_NM4_PER_M = 8.51e7  # P4
_RAYLEIGH_NM2 = 1.14e5  # P5
_MIE_PER_M = 1.00e-4  # P6
_MIE_NM2 = 4.62e6  # P7
_MIE_CENTRE_NM = 392.0  # P8

# Absorption of pure water, R. M. Pope, E. S. Fry, Appl. Opt. 36 (1997) 8710
_POPE_FRY_NM = np.array([*range(470, 601, 10), 620, 640, 660, 680, 700], float)
# fmt: off
_POPE_FRY_PER_M = np.array([
    0.0106, 0.0127, 0.0150, 0.0204, 0.0325, 0.0409, 0.0434, 0.0474, 0.0565, 0.0619,
    0.0695, 0.0896, 0.135, 0.222, 0.276, 0.311, 0.410, 0.465, 0.624,
])
# fmt: on
_JOIN_NM = 464.0  # where the two absorptions meet, Abe et al.
_JOIN_WIDTH_NM = 2.0
_BEND_WIDTH_NM = 0.25  # over which the straight lines between the points of the table go over into one another

REFERENCE_NM = 430.0
"""Where lengths of a scintillator are quoted: the peak of its emission."""

_EMISSION_START_NM = 380.0
_EMISSION_SHAPE = 5.0  # 2 % of the peak's height at 390 nm, 20 % at 480 nm, 7 % at 500 nm
_REEMISSION_END_NM = 420.0  # most of what is absorbed is emitted again at 400 nm, nothing at 440 nm
_REEMISSION_WIDTH_NM = 5.0
_RED_NM = 460.0  # above, water's absorption grows steeply
_RED_PATH_M = 10.0


def phase_index(wavelength_nm: Wavelength) -> Real:
    """Refractive index of water at 20 C; Daimon and Masumura (2007), within 7e-4 of other tables at 300 to 700 nm."""
    x = (jnp.asarray(wavelength_nm) / 1000.0) ** 2
    terms = (a * x / (x - b) for a, b in zip(_SELLMEIER_STRENGTH, _SELLMEIER_POLE_UM2, strict=True))
    return jnp.sqrt(1.0 + sum(terms))


def group_index(wavelength_nm: Wavelength) -> Real:
    """Speed of light in vacuum over group velocity, n - lambda dn/dlambda, of the same form in closed form."""
    x = (jnp.asarray(wavelength_nm) / 1000.0) ** 2
    terms = (a * b / (x - b) ** 2 for a, b in zip(_SELLMEIER_STRENGTH, _SELLMEIER_POLE_UM2, strict=True))
    index = phase_index(wavelength_nm)
    return index + x / index * sum(terms)


class Water(eqx.Module):
    """Pure water as in Super-Kamiokande, with one scale on each of its processes.

    Attributes:
        absorption_scale: factor on the absorption coefficient.
        rayleigh_scale: factor on the symmetric scattering.
        mie_scale: factor on the forward scattering.
        index_scale: factor on n - 1, which is the same factor on n_g - 1.
    """

    absorption_scale: Scalar = 1.0
    rayleigh_scale: Scalar = 1.0
    mie_scale: Scalar = 1.0
    index_scale: Scalar = 1.0

    def absorption(self, wavelength_nm: Wavelength) -> Real:
        """Absorption coefficient [1/m]; Abe et al., with that of Pope and Fry above 464 nm."""
        wavelength = jnp.asarray(wavelength_nm, float)
        blue = _ABSORPTION * _ABSORPTION_BLUE * (wavelength / 500.0) ** _ABSORPTION_POWER
        measured = jax.nn.sigmoid((wavelength - _JOIN_NM) / _JOIN_WIDTH_NM)
        visible = (1.0 - measured) * blue + measured * _pope_fry(wavelength)
        return jnp.asarray(self.absorption_scale) * (_ABSORPTION * _ABSORPTION_UV_NM4 / wavelength**4 + visible)

    def rayleigh(self, wavelength_nm: Wavelength) -> Real:
        """Coefficient of symmetric scattering [1/m]; Abe et al."""
        wavelength = jnp.asarray(wavelength_nm, float)
        return (
            jnp.asarray(self.rayleigh_scale)
            * _RAYLEIGH_NM4_PER_M
            / wavelength**4
            * (1.0 + _RAYLEIGH_NM2 / wavelength**2)
        )

    def mie(self, wavelength_nm: Wavelength) -> Real:
        """Coefficient of forward scattering [1/m]; Abe et al."""
        wavelength = jnp.asarray(wavelength_nm, float)
        rise = _MIE_NM2 / wavelength**4 * (wavelength - _MIE_CENTRE_NM) ** 2
        return jnp.asarray(self.mie_scale) * _MIE_PER_M * (1.0 + rise)

    def reemission(self, wavelength_nm: Wavelength) -> Real:
        """Absorbed light is lost: zero [1/m]."""
        return jnp.zeros_like(jnp.asarray(wavelength_nm, float))

    def attenuation(self, wavelength_nm: Wavelength) -> Real:
        """Sum of the three coefficients [1/m]: what direct light loses."""
        return self.absorption(wavelength_nm) + self.rayleigh(wavelength_nm) + self.mie(wavelength_nm)

    def phase_index(self, wavelength_nm: Wavelength) -> Real:
        """Refractive index."""
        return 1.0 + jnp.asarray(self.index_scale) * (phase_index(wavelength_nm) - 1.0)

    def group_index(self, wavelength_nm: Wavelength) -> Real:
        """Speed of light in vacuum over group velocity."""
        return 1.0 + jnp.asarray(self.index_scale) * (group_index(wavelength_nm) - 1.0)


def _pope_fry(wavelength_nm: Real) -> Real:
    """Absorption of pure water [1/m]: straight lines between the points of the table with rounded bends."""
    slope = np.diff(_POPE_FRY_PER_M) / np.diff(_POPE_FRY_NM)
    from_bend = (wavelength_nm[..., None] - _POPE_FRY_NM[1:-1]) / _BEND_WIDTH_NM
    bends = (_BEND_WIDTH_NM * np.diff(slope) * jax.nn.softplus(from_bend)).sum(axis=-1)
    return _POPE_FRY_PER_M[0] + slope[0] * (wavelength_nm - _POPE_FRY_NM[0]) + bends


class Scintillator(eqx.Module):
    """Liquid scintillator: LAB with 2.5 g/L PPO and 3 mg/L bis-MSB, as in JUNO.

    Lengths, index and composition: A. Abusleme et al. (JUNO), arXiv:2501.09988 and arXiv:2405.19879; yield, Birks'
    constant and times are those of JUNO's simulations.

    Attributes:
        absorption_length_m: taken as the same at all wavelengths of the emission [m].
        rayleigh_length_m: at 430 nm; grows with the fourth power of the wavelength [m].
        index: refractive index at 430 nm, taken as the same at all wavelengths of the emission.
        index_of_group: speed of light in vacuum over group velocity.
        reemitted_share: of the light that bis-MSB absorbs well below 420 nm; falls to zero around it.
        photons_per_mev: yield of an electron [1/MeV].
        birks_g_per_cm2_mev: k_B in 1 / (1 + k_B dE/dx) [g/cm^2/MeV].
        decay_ns: time constants of the emission [component] [ns].
        decay_weight: their shares, adding up to one [component].
    """

    absorption_length_m: Scalar = 60.0
    rayleigh_length_m: Scalar = 30.0
    index: Scalar = 1.50
    index_of_group: Scalar = 1.54
    reemitted_share: Scalar = 0.8
    photons_per_mev: Scalar = 1.0e4
    birks_g_per_cm2_mev: Scalar = 0.0125
    decay_ns: Float[Array | np.ndarray, " component"] = eqx.field(
        default_factory=lambda: np.array([4.6, 15.1, 76.0, 397.0])
    )
    decay_weight: Float[Array | np.ndarray, " component"] = eqx.field(
        default_factory=lambda: np.array([0.71, 0.21, 0.06, 0.03]) / 1.01
    )

    def absorption(self, wavelength_nm: Wavelength) -> Real:
        """Absorption coefficient [1/m]."""
        return jnp.ones_like(jnp.asarray(wavelength_nm, float)) / self.absorption_length_m

    def rayleigh(self, wavelength_nm: Wavelength) -> Real:
        """Coefficient of Rayleigh scattering [1/m]."""
        return (REFERENCE_NM / jnp.asarray(wavelength_nm, float)) ** 4 / self.rayleigh_length_m

    def mie(self, wavelength_nm: Wavelength) -> Real:
        """No forward scattering: zero [1/m]."""
        return jnp.zeros_like(jnp.asarray(wavelength_nm, float))

    def reemission(self, wavelength_nm: Wavelength) -> Real:
        """The part of absorption after which light goes on in any direction [1/m]; its new colour is left out."""
        below = (_REEMISSION_END_NM - jnp.asarray(wavelength_nm, float)) / _REEMISSION_WIDTH_NM
        return self.absorption(wavelength_nm) * self.reemitted_share * jax.nn.sigmoid(below)

    def attenuation(self, wavelength_nm: Wavelength) -> Real:
        """Sum of the three coefficients [1/m]: what direct light loses."""
        return self.absorption(wavelength_nm) + self.rayleigh(wavelength_nm) + self.mie(wavelength_nm)

    def phase_index(self, wavelength_nm: Wavelength) -> Real:
        """Refractive index."""
        return jnp.ones_like(jnp.asarray(wavelength_nm, float)) * self.index

    def group_index(self, wavelength_nm: Wavelength) -> Real:
        """Speed of light in vacuum over group velocity."""
        return jnp.ones_like(jnp.asarray(wavelength_nm, float)) * self.index_of_group


class Spectrum(eqx.Module):
    """Detected light as a few wavelengths, for averages over the spectrum.

    Attributes:
        wavelength_nm: increasing [n] [nm].
        weight: share of the photoelectrons, without loss on the way; adds up to one [n].
    """

    wavelength_nm: Float[Array | np.ndarray, " n"]
    weight: Float[Array | np.ndarray, " n"]


def line(wavelength_nm: Scalar) -> Spectrum:
    """Light of one wavelength [nm]."""
    return Spectrum(jnp.reshape(jnp.asarray(wavelength_nm, float), (1,)), jnp.ones(1))


def cherenkov_spectrum(efficiency: QuantumEfficiency, n: int = 8) -> Spectrum:
    """Detected Cherenkov light of fast particles in water: efficiency times (1 - 1/n^2) / lambda^2.

    Two Gauss rules share the wavelengths: one in the wavelength where water is clear, one in the transmission over
    10 m in the red, whose absorption is steep and uneven. So transmissions up to 40 m are those of the whole spectrum
    to 3e-4 (six wavelengths) or 7e-5 (eight, for 20-inch tubes), also where the scales are far from one.

    Args:
        efficiency: of the sensors.
        n: number of wavelengths, two or more.
    """
    wavelength = _fine_grid(efficiency)
    light, loss_per_m = (np.asarray(part) for part in _light_and_loss(wavelength))
    share, dimming = np.asarray(efficiency(wavelength)) * light, -np.exp(-_RED_PATH_M * loss_per_m)
    red = wavelength > _RED_NM
    clear_nm, clear_weight = gauss_rule(wavelength[~red], share[~red], n - n // 2)
    red_dimming, red_weight = gauss_rule(dimming[red], share[red], n // 2)
    red_nm = np.interp(red_dimming, dimming[red], wavelength[red])
    weight = np.concatenate([clear_weight, red_weight])
    return Spectrum(np.concatenate([clear_nm, red_nm]), weight / weight.sum())


def scintillation_spectrum(efficiency: QuantumEfficiency, n: int = 6) -> Spectrum:
    """Detected light of bis-MSB in LAB: efficiency times an emission with its peak at 430 nm, most in 390 to 500 nm.

    The emission is a gamma density of wavelengths above 380 nm, a smooth form of spectra as in arXiv:2501.09988.

    Args:
        efficiency: of the sensors.
        n: number of wavelengths of the Gauss rule.
    """
    wavelength = _fine_grid(efficiency)
    share = np.asarray(efficiency(wavelength)) * _emission(wavelength)
    nodes, weight = gauss_rule(wavelength[share > 0], share[share > 0], n)
    return Spectrum(nodes, weight / weight.sum())


def scintillation_efficiency(efficiency: QuantumEfficiency) -> float:
    """Mean efficiency for the emission of `scintillation_spectrum`."""
    wavelength = np.linspace(_EMISSION_START_NM, 2 * REFERENCE_NM, 4801)
    emission = _emission(wavelength)
    return float(np.asarray(efficiency(wavelength)) @ emission / emission.sum())


def _emission(wavelength_nm: NDArray) -> NDArray:
    """Of bis-MSB in LAB, one at the peak."""
    above = np.maximum(wavelength_nm - _EMISSION_START_NM, 0.0) / (REFERENCE_NM - _EMISSION_START_NM)
    return (above * np.exp(1.0 - above)) ** _EMISSION_SHAPE


@jax.jit
def _light_and_loss(wavelength_nm: Float[Array | np.ndarray, " n"]) -> tuple[Real, Real]:
    """Cherenkov light of fast particles by wavelength, up to a factor, and attenuation [1/m]."""
    wavelength = jnp.asarray(wavelength_nm)
    return (1.0 - 1.0 / phase_index(wavelength) ** 2) / wavelength**2, Water().attenuation(wavelength)


def gauss_rule(x: NDArray, weight: NDArray, n: int) -> tuple[NDArray, NDArray]:
    """Gauss rule of a measure on points: exact for polynomials of degree 2 n - 1.

    Lanczos' recursion and the eigenvalues of its matrix; G. H. Golub, J. H. Welsch, Math. Comp. 23 (1969) 221.

    Args:
        x: points of the measure [point].
        weight: of the points, not negative [point].
        n: nodes of the rule, fewer than points.

    Returns:
        Nodes, increasing, and their weights [n].
    """
    centre, half = (x.max() + x.min()) / 2, (x.max() - x.min()) / 2
    basis, matrix = [np.sqrt(weight / weight.sum())], np.zeros((n, n))
    for row in range(n):
        following = (x - centre) / half * basis[-1]
        matrix[row, row] = following @ basis[-1]
        for _ in range(2):  # twice, so that rounding leaves them orthogonal
            following = following - sum((following @ vector) * vector for vector in basis)
        norm = np.linalg.norm(following)
        basis.append(following / norm)
        if row + 1 < n:
            matrix[row, row + 1] = matrix[row + 1, row] = norm
    nodes, vectors = np.linalg.eigh(matrix)
    return centre + half * nodes, weight.sum() * vectors[0] ** 2


def _fine_grid(efficiency: QuantumEfficiency) -> NDArray:
    """Wavelengths 0.1 nm apart where sensors are sensitive [nm]."""
    first, last = float(efficiency.wavelength_nm[0]), float(efficiency.wavelength_nm[-1])
    return np.linspace(first, last, round(10 * (last - first)) + 1)
