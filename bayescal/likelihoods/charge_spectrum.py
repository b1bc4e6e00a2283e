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
from typing import Any, NamedTuple

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

_MANY_STEP = 0.01  # of the table of sums over gamma densities, in ln c; cubics leave 2e-8 in its logarithm
_MANY_END = np.log(1e5)  # of this table; straight beyond
_LEAST_RATIO = 1e-9  # of its second term to its first where it begins; straight before
_SPAN = 12.0  # standard deviations of the terms about the largest one that are added up for it


class ChargeSpectrum(eqx.Module):
    """Densities and cumulatives of the charge of n photoelectrons; made by `charge_spectrum`.

    Attributes:
        few: ln f_n - (n - 1) ln q and its slope times the step, n = 1, ..., 4, every 0.04 p.e.
        many: logarithm of the sum of terms from n = 5 on, without its asymptote, and its slope times the step, in ln c;
            see `log_density`.
        below: ln F_n - p_n ln q and its slope times the step, n = 1, ..., 16, every 0.02 p.e.
        cumulative: F_1 every 0.005 p.e.
        shape_per_pe: 1/v.
    """

    few: Float[Array | np.ndarray, "point number 2"]
    many: Float[Array | np.ndarray, "point 1 2"]
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

        The logarithm of the sum of P(k - 1) f_k(q) over k = 1, 2, ... With a = 1/v and the gamma densities from 5 on,
        the terms are (later q^a a^a)^k / (Gamma(k) Gamma(a k)) but for a common factor. They are largest near
        c = (later q^a)^(1/(1 + a)), and their sum is a function of c alone: Wright's, without its first terms. Its
        logarithm, (1 + a) c + (1/2 - a) ln(a c) - ln(2 pi (1 + a))/2 for large c (E. Wright, Q. J. Math. 11 (1940) 36),
        is tabulated as what is left beside that.

        Args:
            charge_pe: charge above zero [p.e.].
            later: expected number of later photoelectrons.
        """
        log_charge, log_later = jnp.log(charge_pe), jnp.log(later + TINY_MEAN)
        few = np.arange(N_CONVOLVED)
        log_few = self.log_few(charge_pe) + few * log_later[..., None] - gammaln(few + 1.0)
        shape = self.shape_per_pe
        log_centre = (log_later + shape * log_charge) / (1.0 + shape)
        left = _interpolate(self.many, log_centre - _start(shape), _MANY_STEP)[..., 0]
        log_many = _asymptote(log_centre, jnp.exp(log_centre), shape) + left
        log_many += shape * (log_charge + np.log(shape) - charge_pe) - log_charge
        return jax.nn.logsumexp(jnp.concatenate([log_few, log_many[..., None]], axis=-1), axis=-1) - later

    def draw(self, key: Array, number: Real) -> Real:
        """Charges of numbers of photoelectrons, at least one [p.e.]."""
        few_key, many_key = jax.random.split(key)
        uniform = jax.random.uniform(few_key, (*number.shape, N_CONVOLVED))
        grid = _DRAW_STEP_PE * jnp.arange(self.cumulative.shape[0])
        singles = jnp.interp(uniform, jnp.asarray(self.cumulative), grid)
        few = jnp.where(jnp.arange(N_CONVOLVED) < number[..., None], singles, 0.0).sum(axis=-1)
        many = jax.random.gamma(many_key, self.shape_per_pe * number) / self.shape_per_pe
        return jnp.where(number <= N_CONVOLVED, few, many)


def _start(shape_per_pe: float) -> float:
    """Of the table of sums over gamma densities, in ln c: where the first term is the sum."""
    log_ratio = np.log(_LEAST_RATIO) + np.log(N_CONVOLVED + 1.0) + gammaln((N_CONVOLVED + 2) * shape_per_pe)
    log_ratio -= gammaln((N_CONVOLVED + 1) * shape_per_pe) + shape_per_pe * np.log(shape_per_pe)
    return float(log_ratio / (1.0 + shape_per_pe))


def _asymptote(log_centre: Any, centre: Any, shape_per_pe: float) -> Any:
    """Logarithm of Wright's function for large c, less that of its argument."""
    power = (0.5 - shape_per_pe) * (log_centre + np.log(shape_per_pe))
    return (1.0 + shape_per_pe) * centre + power - 0.5 * np.log(2.0 * np.pi * (1.0 + shape_per_pe))


def _interpolate(
    table: Float[Array | np.ndarray, "point number 2"], place: Real, step: float
) -> Float[Array, "*batch number"]:
    """Cubic through values and slopes of a table, straight beyond its ends."""
    position = place / step
    index = jnp.clip(jnp.floor(jax.lax.stop_gradient(position)), 0, table.shape[0] - 2).astype(int)
    u = (position - index)[..., None]
    inside = jnp.clip(u, 0.0, 1.0)
    left, right = (jnp.asarray(table)[i] for i in (index, index + 1))
    rest = 1.0 - inside
    value = rest**2 * ((1.0 + 2.0 * inside) * left[..., 0] + inside * left[..., 1])
    value += inside**2 * ((1.0 + 2.0 * rest) * right[..., 0] - rest * right[..., 1])
    return value + (u - inside) * jnp.where(u < 0.0, left[..., 1], right[..., 1])


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
    shape = float(1.0 / single.variance)
    tables = _table(splines, grid), _many(shape), _table(below, below_grid)
    return ChargeSpectrum(*tables, _cumulative(single), shape)


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


def _many(shape_per_pe: float) -> Float[np.ndarray, "point 1 2"]:
    """Logarithm of the sum over gamma densities without its asymptote; its slope is by the mean number."""
    log_centre = np.arange(_start(shape_per_pe), _MANY_END, _MANY_STEP)
    rows = [_sum_at(each, shape_per_pe) for each in log_centre]
    return np.array(rows)[:, None] * np.array([1.0, _MANY_STEP])


def _sum_at(log_centre: float, shape_per_pe: float) -> tuple[float, float]:
    """A value of that table and its slope."""
    centre = np.exp(log_centre)
    reach = _SPAN * np.sqrt(centre / (1.0 + shape_per_pe)) + _SPAN
    number = np.arange(max(N_CONVOLVED + 1, int(centre - reach)), int(centre + reach) + N_CONVOLVED + 2)
    log_argument = (1.0 + shape_per_pe) * log_centre + shape_per_pe * np.log(shape_per_pe)
    terms = (number - 1) * log_argument - gammaln(number) - gammaln(shape_per_pe * number)
    largest = terms.max()
    weight = np.exp(terms - largest)
    value = largest + np.log(weight.sum()) - _asymptote(log_centre, centre, shape_per_pe)
    further = weight @ (number - 1) / weight.sum()
    return value, (1.0 + shape_per_pe) * (further - centre) - 0.5 + shape_per_pe


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
