"""Cherenkov light of a muon that stops in water: range, elapsed time, bends by multiple scattering.

All is smooth in the kinetic energy from 40 to 3000 MeV: range and energy are polynomials in logarithms, light is
emitted at Gauss-Legendre nodes of the path above the Cherenkov threshold, and the bends are combinations of fixed
functions of the place along that path.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import Legendre
from numpy.typing import NDArray
from scipy.linalg import eigh

from bayescal.constants import MUON_MASS_MEV
from bayescal.optical.cherenkov import Radiator, sin2_cherenkov, threshold_kinetic_mev
from bayescal.optical.emission import ConeWithHalo, Emission, ShowerCone, directions_of_slopes
from bayescal.optical.medium import SPEED_OF_LIGHT_M_PER_NS

Scalar = Float[Array | np.ndarray, ""] | float
Real = Float[Array, "*n"]
Reals = Float[Array | np.ndarray, "*n"] | float

BENDING_MODES = 25
"""Modes of each plane: what finer bends do to the start of the track, and the leading ones.

What they leave out is part of the width of the cone. Sensors hardly notice it, unlike bends finer than eight
leading modes, which brighten some sensors and dim others several times: a fit without these shifts the vertex along the
track instead.
"""

# ln(R / 2.15 m) as a polynomial in ln(T / 500 MeV), and back, lowest power first: fits, to 0.03 %, to the integral of
# Bethe's formula (PDG eq. 34.5, with Sternheimer's density effect in water) and 1.4e-6 cm^2/g E of radiation
_RANGE_SCALE_M, _ENERGY_SCALE_MEV = 2.15, 500.0
_LOG_RANGE = (
    *(0.0664427, 1.0862903, -0.0729737, 0.0158232),
    *(0.00013818, -0.00066531, 1.1626e-5, 1.2787e-5),
)
_LOG_ENERGY = (
    *(-0.0609120, 0.9129693, 0.0576690, -0.0036900),
    *(-0.0024185, 1.7185e-5, 1.44622e-4, 2.06864e-5),
)
_SHORTEST_M = 0.01  # width over which the path fades out below the threshold

# Multiple scattering in a plane: theta^2 = int (13.6 MeV / (beta c p))^2 ds / X0, PDG eq. 34.16 without its logarithm
_SCATTERING_MEV = 13.6
_RADIATION_LENGTH_M = 0.3608  # of water, PDG

_TABLE_INDEX = 1.3448  # mean index of the light that 20-inch tubes see
_TABLE_POINTS = 17  # energies of the table of bending modes
_TABLE_SCALE_M = 1.0  # the table is even in L / (L + this)
_TABLE_LONGEST_M = 14.0  # light-emitting length at 3000 MeV
_LARGEST_SHARE = _TABLE_LONGEST_M / (_TABLE_LONGEST_M + _TABLE_SCALE_M)
_TABLE_NODES = 144
_LEAST_REST = 1e-4  # rounds off the variance left out where it comes to zero, in units of that at the end
_MODE_DEGREE = 72  # in the place along the path


def beta(kinetic_mev: Reals) -> Real:
    """Speed over that of light of a muon of a kinetic energy [MeV]."""
    gamma = 1.0 + jnp.asarray(kinetic_mev) / MUON_MASS_MEV
    return jnp.sqrt(1.0 - 1.0 / gamma**2)


def momentum_mev(kinetic_mev: Reals) -> Real:
    """Momentum [MeV/c] of a muon of a kinetic energy [MeV]."""
    kinetic = jnp.asarray(kinetic_mev)
    return jnp.sqrt(kinetic * (kinetic + 2.0 * MUON_MASS_MEV))


def range_m(kinetic_mev: Reals) -> Real:
    """Mean range [m] in water of density 1 g/cm^3 of a muon of a kinetic energy, 40 to 3000 MeV."""
    log_energy = jnp.log(jnp.asarray(kinetic_mev) / _ENERGY_SCALE_MEV)
    return _RANGE_SCALE_M * jnp.exp(_horner(_LOG_RANGE, log_energy))


def kinetic_of_range_mev(range_m: Reals) -> Real:
    """Kinetic energy [MeV] of a muon of a mean range [m]; inverse of `range_m` to 1.1e-5."""
    log_range = jnp.log(jnp.asarray(range_m) / _RANGE_SCALE_M)
    return _ENERGY_SCALE_MEV * jnp.exp(_horner(_LOG_ENERGY, log_range))


def light_emitting_length_m(kinetic_mev: Reals, index: Scalar) -> Real:
    """Path [m] above the Cherenkov threshold; fades out smoothly, over a centimetre, below it."""
    excess = range_m(kinetic_mev) - range_m(threshold_kinetic_mev(MUON_MASS_MEV, index))
    return _SHORTEST_M * jax.nn.softplus(excess / _SHORTEST_M)


class MuonTrack(eqx.Module):
    """A muon: 7 numbers and its bends.

    Attributes:
        vertex_m: where it starts [3] [m].
        slope: of its initial direction, along the first two vectors of the frame [2].
        kinetic_mev: at the start [MeV].
        time_ns: of the start [ns].
        frame: axes, near the direction, rows [3, 3]; see `frame_about`.
        bending: amplitudes of the modes in both planes, standard normal a priori [2, mode].
    """

    vertex_m: Float[Array | np.ndarray, " 3"]
    slope: Float[Array | np.ndarray, " 2"]
    kinetic_mev: Scalar
    time_ns: Scalar
    frame: Float[Array | np.ndarray, "3 3"]
    bending: Float[Array | np.ndarray, "2 mode"] = eqx.field(default_factory=lambda: np.zeros((2, BENDING_MODES)))


class MuonLight(eqx.Module):
    """How muons shine.

    Attributes:
        radiator: water, as the sensors see it.
        halo: angles of the light of knocked-out electrons and other secondaries.
        halo_fraction: their light over that of the muon itself; 0.172 at 1 GeV (arXiv:1206.5530), less below.
        width_rad: of the cone, in addition to what dispersion and the finest bends make; 0.03 in all at 500 MeV [rad].
        nodes: along the path.
    """

    radiator: Radiator
    halo: ShowerCone
    halo_fraction: Scalar = 0.12
    width_rad: Scalar = 0.0288
    nodes: int = eqx.field(static=True, default=64)

    def emit(self, track: MuonTrack) -> Emission:
        """Light of a muon that is not stopped by a wall."""
        rule, path_m, speed, light = self._along(track.kinetic_mev)
        modes = bending_modes(track.kinetic_mev, self.nodes)
        slope = jnp.asarray(track.slope) + modes.slope.T @ jnp.asarray(track.bending).T
        direction = directions_of_slopes(track.frame, slope)
        width = jnp.sqrt(self.width_rad**2 + jnp.asarray(self.radiator.angle_spread_rad) ** 2 + modes.rest_rad2)
        return Emission(
            position_m=jnp.asarray(track.vertex_m) + path_m * (rule.integral @ direction),
            direction=direction,
            weight=light * (1.0 + self.halo_fraction),
            cos_theta_c=self.radiator.cos_cherenkov(speed),
            cone_width=width,
            time_ns=jnp.asarray(track.time_ns) + path_m / SPEED_OF_LIGHT_M_PER_NS * (rule.integral @ (1.0 / speed)),
            profile=ConeWithHalo(self.halo, self.halo_fraction / (1.0 + self.halo_fraction)),
            dispersion_rad=self.radiator.angle_spread_rad,
        )

    def _along(self, kinetic_mev: Scalar) -> tuple[_Rule, Real, Real, Real]:
        """The rule, the length of the path [m], speeds over that of light and light of the nodes themselves."""
        rule, path_m = _rule(self.nodes), light_emitting_length_m(kinetic_mev, self.radiator.index)
        speed = beta(kinetic_of_range_mev(range_m(kinetic_mev) - path_m * rule.place))
        return rule, path_m, speed, path_m * rule.weight * self.radiator.emission_per_m(speed)


class Bends(NamedTuple):
    """Bends of a path in a plane.

    Attributes:
        slope: of the modes [mode, node].
        rest_rad2: variance that they leave out at each node [node] [rad^2].
    """

    slope: Float[Array, "mode node"]
    rest_rad2: Float[Array, " node"]


def bending_modes(kinetic_mev: Scalar, nodes: int) -> Bends:
    """Modes of the angle in a plane.

    The angle is a random walk with variance V(s) = int_0^s (13.6 MeV/(beta c p))^2 ds'/X0, covariance V(min(s, s')).
    Its Karhunen-Loeve modes maximise the variance averaged over the light, and are zero at the start of the path. A few
    of them start too stiffly: a fit takes the mean angle over the first stretch of the path for the initial one, which
    it differs from by a degree. So the first mode here is what a constant leaves beside the leading modes, with the
    spread that all the finer ones give it: one at the start, next to nothing further on.

    They are tabulated in units of V(end)^(1/2) as polynomials in s/L and L/(L + 1 m), so that amplitudes and signs are
    smooth in the energy.

    Args:
        kinetic_mev: at the start of the path [MeV].
        nodes: of the Gauss-Legendre rule along the path.
    """
    path_m = light_emitting_length_m(kinetic_mev, _TABLE_INDEX)
    place = 2.0 * path_m / (path_m + _TABLE_SCALE_M) / _LARGEST_SHARE - 1.0
    table, rest_variance = _bending_table(nodes)
    end_rad2, rest = end_variance(kinetic_mev), _horner(rest_variance, place)
    above_zero = 0.5 * (rest + jnp.sqrt(rest**2 + _LEAST_REST**2))
    slope = jnp.sqrt(end_rad2) * _horner(table, place)
    return Bends(slope, end_rad2 * above_zero)


def end_variance(kinetic_mev: Scalar) -> Float[Array, ""]:
    """V at the end of the light-emitting path [rad^2]."""
    rule, path_m = _rule(32), light_emitting_length_m(kinetic_mev, _TABLE_INDEX)
    kinetic = kinetic_of_range_mev(range_m(kinetic_mev) - path_m * rule.place)
    return path_m * jnp.sum(rule.weight * _variance_per_m(kinetic))


def _variance_per_m(kinetic_mev: Real) -> Real:
    """Growth of the variance of the angle in a plane [rad^2/m]."""
    return (_SCATTERING_MEV / (beta(kinetic_mev) * momentum_mev(kinetic_mev))) ** 2 / _RADIATION_LENGTH_M


class _Rule(NamedTuple):
    """Gauss-Legendre rule on (0, 1): nodes, weights [node] and integrals from 0 to each node [node, node]."""

    place: NDArray
    weight: NDArray
    integral: NDArray


@lru_cache
def _rule(nodes: int) -> _Rule:
    """The rule; its integrals are those of the polynomial through all nodes."""
    x, weight = np.polynomial.legendre.leggauss(nodes)
    value = np.polynomial.legendre.legvander(x, nodes)  # [node, degree]
    degree = np.arange(1, nodes)
    primitive = np.concatenate([x[:, None] + 1.0, (value[:, 2:] - value[:, :-2]) / (2 * degree + 1)], axis=1)
    coefficient = (np.arange(nodes) + 0.5)[:, None] * value[:, :nodes].T * weight
    return _Rule((1.0 + x) / 2, weight / 2, 0.5 * primitive @ coefficient)


@lru_cache
def _bending_table(nodes: int) -> tuple[NDArray, NDArray]:
    """Powers of the place in energy: of the modes [power, mode, node] and of the variance left out [power, node]."""
    points = np.cos(np.pi * (np.arange(_TABLE_POINTS) + 0.5) / _TABLE_POINTS)
    share = (1.0 + points) / 2 * _LARGEST_SHARE
    with jax.ensure_compile_time_eval():
        light, growth = _light_and_growth(_TABLE_SCALE_M * share / (1.0 - share))
    paths = zip(np.asarray(light), np.asarray(growth), strict=True)
    solved = [_solve_modes(shine, grow, _rule(nodes).place) for shine, grow in paths]
    modes, rest = (np.stack(part) for part in zip(*solved, strict=True))
    to_powers = np.linalg.inv(np.vander(points, increasing=True))
    return np.tensordot(to_powers, modes, axes=1), to_powers @ rest


@jax.jit
def _light_and_growth(
    path_m: Float[Array | np.ndarray, " path"],
) -> tuple[Float[Array, "path node"], Float[Array, "path node"]]:
    """Light, and growth of the variance, along paths of these light-emitting lengths [m], up to factors."""
    shortest_m = range_m(threshold_kinetic_mev(MUON_MASS_MEV, _TABLE_INDEX))
    kinetic = kinetic_of_range_mev(shortest_m + path_m[:, None] * (1.0 - _rule(_TABLE_NODES).place))
    return sin2_cherenkov(beta(kinetic), _TABLE_INDEX), _variance_per_m(kinetic)


def _solve_modes(light: NDArray, growth: NDArray, place: NDArray) -> tuple[NDArray, NDArray]:
    """Modes at places along one path, and the variance that they leave out there.

    The variance at the end is 1.

    A random walk's modes are extrema of int w f^2 / int f'^2/V' with f(0) = 0 and w the light: a small matrix problem
    for polynomials. With q = 1 minus its part along the leading ones, the walk's part along q has the variance
    int V'(t) (int_t^1 w q)^2 dt / (int w q^2)^2.
    """
    rule = _rule(_TABLE_NODES)
    growth, light = growth / (rule.weight @ growth), light / (rule.weight @ light)
    share = rule.weight * light
    value, slope = _basis(rule.place)
    variance, vectors = eigh(value * share @ value.T, slope * (rule.weight / growth) @ slope.T)
    leading = vectors[:, ::-1][:, : BENDING_MODES - 1]
    leading = leading * np.sign(leading.T @ _basis(np.ones(1))[0][:, 0])
    kept = variance[::-1][: BENDING_MODES - 1]
    along = (leading.T @ value) @ share / kept
    start = 1.0 - along @ (leading.T @ value)
    size = share @ start**2
    later = share @ start - rule.integral @ (light * start)
    spread = np.sqrt(rule.weight @ (growth * later**2)) / size
    late = leading.T @ _basis(place)[0]
    modes = np.concatenate([[spread * (1.0 - along @ late)], late])
    grown = np.polynomial.Legendre.fit(rule.place, rule.integral @ growth, _MODE_DEGREE, domain=[0, 1])
    return modes, grown(place) - np.sum(modes**2, axis=0)


def _basis(place: NDArray) -> tuple[NDArray, NDArray]:
    """Polynomials x P_k(2 x - 1), which vanish at the start, and their derivatives [degree, place]."""
    legendre = [Legendre.basis(degree, [0, 1]) for degree in range(_MODE_DEGREE)]
    value, slope = (np.stack([f(place) for f in part]) for part in (legendre, [f.deriv() for f in legendre]))
    return place * value, value + place * slope


def _horner(coefficients: tuple[float, ...] | NDArray, x: Real) -> Real:
    """A polynomial, lowest power first; coefficients may be arrays, for one x."""
    result = jnp.zeros_like(x)
    for coefficient in reversed(coefficients):
        result = result * x + coefficient
    return result
