"""Charge of n photoelectrons of a photomultiplier: the single-photoelectron spectrum, convolved n times.

All charges are in units of the mean charge of one photoelectron [p.e.]. With f_1 the density of one, of mean 1 and
variance v, that of n is its n-fold convolution up to n = 4, and the gamma density of the same mean n and variance n v
beyond, of shape n/v and scale v. Near zero f_n falls like q^(n - 1), and far above it falls like an exponential where
f_1 does: ln f_n - (n - 1) ln q is smooth and finite from zero on and becomes straight. It is tabulated with its slope
and interpolated by cubics, so that densities are smooth in the charge and hence in the gain; so are the cumulatives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import gammaln, hyp1f1, ndtr

from bayescal.likelihoods.negative_binomial import TINY_MEAN

Real = Float[Array, "..."]

N_CONVOLVED = 4
"""Photoelectrons up to which densities are convolutions."""
N_BELOW = 16
"""Photoelectrons of which a sum may stay below the threshold: for a threshold of 0.25 p.e. more do so with 1e-15."""

_STEP_PE = 0.04  # of the tables of densities; cubics leave 1e-5 of an exponential of mean 0.17 p.e.
_REACH_PE = 32.0  # of these tables; straight beyond
_BELOW_STEP_PE = 0.02  # of the tables of cumulatives
_BELOW_REACH_PE = 2.56  # of these tables
_DRAW_STEP_PE = 0.005  # of the cumulative that charges are drawn from
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)
_PLACE, _LOG_WEIGHT = 0.5 * (1.0 + _NODES), np.log(0.5 * _WEIGHTS)  # of an integral from 0 to 1

_TERMS = 36  # numbers of photoelectrons with gamma densities in a sum
_STRIDE = 0.35  # distance of these numbers, where above one, in standard deviations of their distribution; 36 span 12.6


class ChargeSpectrum(eqx.Module):
    """Densities and cumulatives of the charge of n photoelectrons; made by `charge_spectrum`.

    Attributes:
        few: ln f_n - (n - 1) ln q and its slope times the step, n = 1, ..., 4, every 0.04 p.e.
        below: ln F_n - p_n ln q and its slope times the step, n = 1, ..., 16, every 0.02 p.e.
        cumulative: F_1 every 0.005 p.e.
        shape_per_pe: 1/v.
    """

    few: Float[Array | np.ndarray, "point number 2"]
    below: Float[Array | np.ndarray, "point number 2"]
    cumulative: Float[Array | np.ndarray, " point"]
    shape_per_pe: float = eqx.field(static=True)

    def log_few(self, charge_pe: Real) -> Float[Array, "*batch number"]:
        """Logarithm of f_n [1/p.e.] of 1, ..., 4 photoelectrons at a charge above zero."""
        power = jnp.arange(N_CONVOLVED)
        return _interpolate(self.few, charge_pe, _STEP_PE) + power * jnp.log(charge_pe)[..., None]

    def probability_below(self, charge_pe: Real) -> Float[Array, "*batch number"]:
        """F_n, the probability of 1, ..., 16 photoelectrons to have less than a charge between 0 and 2.56 p.e."""
        number = np.arange(1, N_BELOW + 1)
        power = np.where(number > N_CONVOLVED, self.shape_per_pe * number, number)
        return jnp.exp(_interpolate(self.below, charge_pe, _BELOW_STEP_PE)) * charge_pe[..., None] ** power

    def log_density(self, charge_pe: Real, later: Real) -> Real:
        """Log density of the charge of one photoelectron and a Poisson number of later ones [1/p.e.].

        The logarithm of the sum of P(k - 1) f_k(q) over k = 1, 2, ... The terms of gamma densities go like
        x^k / (Gamma(k) Gamma(k/v)): in k they have their maximum near c = (later q^(1/v))^(v/(1 + v)) and a standard
        deviation of sqrt(c v/(1 + v)). The sum runs over 36 numbers from 5 on, around c. Where that is too few, their
        distance is 0.35 standard deviations (of 2.9 or more) instead of one: the sum over whole numbers and the one
        over these are both the integral over k, within 1e-50 (and 1e-5 of the terms that both leave out below 5).

        Args:
            charge_pe: charge above zero [p.e.].
            later: expected number of later photoelectrons.
        """
        log_charge, log_later = jnp.log(charge_pe), jnp.log(later + TINY_MEAN)
        few = np.arange(N_CONVOLVED)
        log_few = self.log_few(charge_pe) + few * log_later[..., None] - gammaln(few + 1.0)
        number, step = _numbers(log_later, log_charge, self.shape_per_pe)
        log_many = _log_many(number, log_later, log_charge, self.shape_per_pe)
        log_many += (jnp.log(step) - self.shape_per_pe * charge_pe)[..., None]
        return jax.nn.logsumexp(jnp.concatenate([log_few, log_many], axis=-1), axis=-1) - later

    def draw(self, key: Array, number: Real) -> Real:
        """Charges of numbers of photoelectrons, at least one [p.e.]."""
        few_key, many_key = jax.random.split(key)
        uniform = jax.random.uniform(few_key, (*number.shape, N_CONVOLVED))
        grid = _DRAW_STEP_PE * jnp.arange(self.cumulative.shape[0])
        singles = jnp.interp(uniform, jnp.asarray(self.cumulative), grid)
        few = jnp.where(jnp.arange(N_CONVOLVED) < number[..., None], singles, 0.0).sum(axis=-1)
        many = jax.random.gamma(many_key, self.shape_per_pe * number) / self.shape_per_pe
        return jnp.where(number <= N_CONVOLVED, few, many)


def _numbers(log_later: Real, log_charge: Real, shape_per_pe: float) -> tuple[Float[Array, "*batch term"], Real]:
    """Numbers of photoelectrons from 5 on that matter, and their distance; constants for derivatives."""
    centre = jnp.exp(jax.lax.stop_gradient(log_later + shape_per_pe * log_charge) / (1.0 + shape_per_pe))
    step = jnp.maximum(_STRIDE * jnp.sqrt(centre / (1.0 + shape_per_pe)), 1.0)
    first = jnp.maximum(jnp.round(centre - 0.5 * _TERMS * step), N_CONVOLVED + 1.0)
    return first[..., None] + step[..., None] * jnp.arange(_TERMS), step


def _log_many(
    number: Float[Array, "*batch term"], log_later: Real, log_charge: Real, shape_per_pe: float
) -> Float[Array, "*batch term"]:
    """Logarithm of later^(k-1)/Gamma(k) times the gamma density of k, without the exponential factor of the charge."""
    log_number = jnp.log(number)
    factorials = _log_gamma(number, log_number)
    factorials += _log_gamma(shape_per_pe * number, log_number + np.log(shape_per_pe))
    slope = log_later + shape_per_pe * (log_charge + np.log(shape_per_pe))
    return slope[..., None] * number - factorials - (log_later + log_charge)[..., None]


def _log_gamma(z: Real, log_z: Real) -> Real:
    """Stirling's series: within 4e-9 from z = 5 on."""
    square = 1.0 / (z * z)
    series = (1 / 12 - square * (1 / 360 - square / 1260)) / z
    return (z - 0.5) * log_z - z + 0.5 * np.log(2 * np.pi) + series


def _interpolate(
    table: Float[Array | np.ndarray, "point number 2"], charge_pe: Real, step_pe: float
) -> Float[Array, "*batch number"]:
    """Cubic through values and slopes of a table, straight beyond its end."""
    position = charge_pe / step_pe
    index = jnp.clip(jnp.floor(jax.lax.stop_gradient(position)), 0, table.shape[0] - 2).astype(int)
    u = (position - index)[..., None]
    inside = jnp.minimum(u, 1.0)
    left, right = (jnp.asarray(table)[i] for i in (index, index + 1))
    rest = 1.0 - inside
    value = rest**2 * ((1.0 + 2.0 * inside) * left[..., 0] + inside * left[..., 1])
    value += inside**2 * ((1.0 + 2.0 * rest) * right[..., 0] - rest * right[..., 1])
    return value + (u - inside) * right[..., 1]


def charge_spectrum(log_density: Callable[[NDArray], NDArray]) -> ChargeSpectrum:
    """Tables of a spectrum.

    Args:
        log_density: ln f_1 of charges from 0 on, positive at 0, of any normalisation and unit; both are brought to one.
    """
    single = _Single(log_density, *_moments(log_density))
    grid = _STEP_PE * np.arange(round(_REACH_PE / _STEP_PE) + 1)
    splines = [CubicSpline(grid, single(grid))]
    for number in range(2, N_CONVOLVED + 1):
        splines.append(CubicSpline(grid, _convolved(single, splines[-1], number, grid)))
    below_grid = _BELOW_STEP_PE * np.arange(round(_BELOW_REACH_PE / _BELOW_STEP_PE) + 1)
    below = [CubicSpline(below_grid, _log_below(spline, n, below_grid)) for n, spline in enumerate(splines, 1)]
    for number in range(N_CONVOLVED + 1, N_BELOW + 1):
        below.append(CubicSpline(below_grid, _log_gamma_below(number, single.variance, below_grid)))
    tables = _table(splines, grid), _table(below, below_grid)
    return ChargeSpectrum(*tables, _cumulative(single), float(1.0 / single.variance))


class _Single(NamedTuple):
    """Logarithm of f_1, with integral and mean one."""

    log_density: Callable[[NDArray], NDArray]
    integral: float
    mean: float
    variance: float

    def __call__(self, charge_pe: NDArray) -> NDArray:
        return self.log_density(charge_pe * self.mean) + np.log(self.mean / self.integral)


def _moments(log_density: Callable[[NDArray], NDArray]) -> tuple[float, float, float]:
    """Integral of a density, mean, and variance over mean squared."""
    charge = 2.0 * _REACH_PE * _PLACE
    weight = 2.0 * _REACH_PE * np.exp(_LOG_WEIGHT + log_density(charge))
    integral, first, second = (float((weight * charge**power).sum()) for power in range(3))
    return integral, first / integral, second * integral / first**2 - 1.0


def _convolved(single: _Single, fewer: CubicSpline, number: int, charge_pe: NDArray) -> NDArray:
    """The logarithm ln f_n - (n - 1) ln q: f_1(q u) f_(n-1)(q (1 - u)) without powers of q, integrated over u."""
    part = charge_pe[:, None] * _PLACE
    terms = single(part) + fewer(charge_pe[:, None] - part) + (number - 2) * np.log1p(-_PLACE)
    return _log_sum(terms + _LOG_WEIGHT)


def _log_below(spline: CubicSpline, number: int, charge_pe: NDArray) -> NDArray:
    """The logarithm ln F_n - n ln q of a tabulated density."""
    terms = spline(charge_pe[:, None] * _PLACE) + (number - 1) * np.log(_PLACE)
    return _log_sum(terms + _LOG_WEIGHT)


def _log_gamma_below(number: int, variance: float, charge_pe: NDArray) -> NDArray:
    """The logarithm ln F_n - (n/v) ln q of the gamma density, by Kummer's function (NIST DLMF 8.5.1)."""
    shape, scaled = number / variance, charge_pe / variance
    return np.log(hyp1f1(1.0, shape + 1.0, scaled)) - scaled - gammaln(shape + 1.0) - shape * np.log(variance)


def _log_sum(terms: NDArray) -> NDArray:
    """Logarithm of the sum of exponentials of each row."""
    largest = terms.max(axis=1)
    return largest + np.log(np.exp(terms - largest[:, None]).sum(axis=1))


def _table(splines: list[CubicSpline], grid: NDArray) -> Float[np.ndarray, "point number 2"]:
    step = grid[1] - grid[0]
    return np.stack([np.stack([spline(grid), step * spline(grid, 1)], axis=-1) for spline in splines], axis=1)


def _cumulative(single: _Single) -> Float[np.ndarray, " point"]:
    """F_1 on a grid, by Simpson's rule in each step."""
    grid = _DRAW_STEP_PE * np.arange(round(_REACH_PE / _DRAW_STEP_PE) + 1)
    ends, middles = np.exp(single(grid)), np.exp(single(grid[:-1] + 0.5 * _DRAW_STEP_PE))
    steps = _DRAW_STEP_PE / 6.0 * (ends[:-1] + 4.0 * middles + ends[1:])
    return np.concatenate([np.zeros(1), np.cumsum(steps)])


@cache
def r3600_spectrum() -> ChargeSpectrum:
    """20-inch R3600 of Super-Kamiokande, variance 0.973.

    Two exponentials and a normal density cut at zero, fitted to the cumulative in WCSim (2024-10), which it follows
    within 0.01 from 0.25 p.e. on.
    """

    def log_density(charge: NDArray) -> NDArray:
        exponentials = [np.log(w / mean) - charge / mean for w, mean in ((0.275, 0.168), (0.125, 1.91))]
        above_zero = ndtr(1.145 / 0.595)
        normal = np.log(0.600 / above_zero / 0.595 / np.sqrt(2 * np.pi)) - 0.5 * ((charge - 1.145) / 0.595) ** 2
        return np.logaddexp(np.logaddexp(*exponentials), normal)

    return charge_spectrum(log_density)


@cache
def normal_spectrum(spread: float) -> ChargeSpectrum:
    """Normal density of mean one, cut at zero.

    Args:
        spread: its standard deviation; below 0.5, since what is cut moves mean and spread.
    """
    return charge_spectrum(lambda charge: -0.5 * ((charge - 1.0) / spread) ** 2)


def r12860_spectrum() -> ChargeSpectrum:
    """20-inch box-and-line R12860 of Hyper-Kamiokande: a spread of 0.35."""
    return normal_spectrum(0.35)
