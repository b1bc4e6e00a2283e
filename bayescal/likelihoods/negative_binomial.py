"""Negative binomial counts of mean m and variance m (1 + phi), with phi = 0 the Poisson distribution reached smoothly.

With concentration k = m/phi the probability of n is Gamma(n + k) / (Gamma(k) n!) (1 + phi)^-(n + k) phi^n, that is

    log P(n) = sum of log(m + i phi), i < n,  -  log n!  -  m log(1 + phi)/phi  -  n log(1 + phi)

in which nothing is singular at phi = 0. Its tails are integrals over the mean of a gamma-distributed variable,

    P(N >= n) = n P(n) times the integral of exp(D(s)) over s < 0,  P(N < n) the same over s > 0,
    D(s) = n s - n log(1 + phi z) - m log(1 + phi z)/phi,  z = (e^s - 1)/(1 + phi),

the incomplete beta function I_x(n, k) at x = phi/(1 + phi) with t/(1 - t) = phi e^s; D is concave. All arguments
broadcast; counts are whole numbers, of any numeric type.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Real = Float[Array, "..."]

TINY_MEAN = 1e-60
"""Added to means where the logarithm of a tail is taken, so that gradients are right at a mean of zero."""

_GROUPS = (range(1), range(1, 5), range(5, 10))
"""The first terms of the sum of logarithms: with one logarithm for the product of each group."""
_TERMS = _GROUPS[-1].stop
_BERNOULLI = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)  # B_2r / (2r (2r - 1)); the rest is below 2e-14
_SERIES_BELOW = 0.05  # of the argument of log_ratio, where 14 terms of its series leave 2e-18
_RATIO_SERIES = tuple((-1) ** k / (k + 1) for k in range(15))
_SLOPE_SERIES = tuple(-((-1) ** k) * (k + 1) / (k + 2) for k in range(15))
_POISSON_BELOW = 1e-14  # overdispersion below which draws are those of a Poisson distribution
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_FALL = 40.0  # natural logarithms by which the integrand of a tail falls over the nodes
_LONGEST = 500.0  # range of the nodes, for the exponential to stay finite
_NEWTON_STEPS = 8


@jax.custom_jvp
def log_ratio(u: Real) -> Real:
    """log(1 + u)/u for u > -1, smooth at zero."""
    small = jnp.abs(u) < _SERIES_BELOW
    far = jnp.where(small, 1.0, u)
    return jnp.where(small, _polynomial(_RATIO_SERIES, jnp.where(small, u, 0.0)), jnp.log1p(far) / far)


@log_ratio.defjvp
def _log_ratio_jvp(primals: tuple[Real], tangents: tuple[Real]) -> tuple[Real, Real]:
    (u,), (du,) = primals, tangents
    ratio = log_ratio(u)
    return ratio, _log_ratio_slope(u, ratio) * du


def _log_ratio_slope(u: Real, ratio: Real) -> Real:
    """Derivative of `log_ratio`, from its value."""
    small = jnp.abs(u) < _SERIES_BELOW
    far = jnp.where(small, 1.0, u)
    near = _polynomial(_SLOPE_SERIES, jnp.where(small, u, 0.0))
    return jnp.where(small, near, (1.0 / (1.0 + far) - ratio) / far)


def _polynomial(coefficients: tuple[float, ...], u: Real) -> Real:
    """Value of a polynomial, coefficients from the constant up."""
    value = jnp.zeros_like(u)
    for coefficient in reversed(coefficients):
        value = value * u + coefficient
    return value


def log_probability(count: Array, mean: Real, overdispersion: Real) -> Real:
    """Log probability of a count; -inf for a count above zero where the mean is zero."""
    count = jnp.asarray(count, jnp.float64)
    ones = jnp.ones_like(count)
    total = _sum_of_logs(count, *(_repeated(each, count.shape) for each in (mean, overdispersion)))
    total -= jax.lax.stop_gradient(_sum_of_logs(count, ones, ones))
    return total - mean * log_ratio(overdispersion) - count * jnp.log1p(overdispersion)


def _repeated(values: Real, shape: tuple[int, ...]) -> Real:
    """Values along the leading axes that they lack, by a product with ones, of which the derivative is one, too.

    The derivative of a broadcast is a sum, which XLA compiles together with its terms and which then reads a few dozen
    arrays across their rows: for one mean a sensor that takes five times as long.
    """
    missing = shape[: max(len(shape) - values.ndim, 0)]
    return jnp.tensordot(jnp.ones((*missing, 1)), values[None], axes=1) if missing else values


@jax.custom_jvp
def _sum_of_logs(count: Real, mean: Real, overdispersion: Real) -> Real:
    """Sum of log(mean + i overdispersion) over i < count: some terms, then the Euler-Maclaurin formula."""
    total = _head(count, mean, overdispersion)
    rest, first, last = _ends(count, mean, overdispersion)
    integral = rest * (jnp.log(last) + log_ratio(rest * overdispersion / first) - 1.0)
    total += jnp.where(rest > 0, integral - 0.5 * jnp.log(last / first), 0.0)
    over_first, over_last = (overdispersion * (rest > 0) / end for end in (first, last))
    for order, coefficient in enumerate(_BERNOULLI):
        power = 2 * order + 1
        total += coefficient * (over_last**power - over_first**power)
    return total


@_sum_of_logs.defjvp
def _sum_of_logs_jvp(primals: tuple[Real, ...], tangents: tuple[Real, ...]) -> tuple[Real, Real]:
    """The derivatives by mean and overdispersion in closed form; the count is data."""
    count, mean, overdispersion = primals
    by_mean, by_overdispersion = _head_slopes(count, mean, overdispersion)
    rest, first, last = _ends(count, mean, overdispersion)
    u = rest * overdispersion / first
    slope = rest**2 * _log_ratio_slope(u, log_ratio(u)) / first**2
    by_mean += rest / last - slope * overdispersion - 0.5 * (1.0 / last - 1.0 / first) * (rest > 0)
    by_overdispersion += (rest * count - 0.5 * count) / last * (rest > 0) + slope * mean
    by_overdispersion += 0.5 * _TERMS / first * (rest > 0)
    for end, sign in ((last, 1.0), (first, -1.0)):
        inverse = (rest > 0) / end
        part = overdispersion * inverse
        falling = sum(
            sign * coefficient * (2 * order + 1) * part ** (2 * order) for order, coefficient in enumerate(_BERNOULLI)
        )
        by_mean -= falling * part * inverse
        by_overdispersion += falling * mean * inverse**2
    value = _sum_of_logs(count, mean, overdispersion)
    return value, by_mean * tangents[1] + by_overdispersion * tangents[2]


def _head(count: Real, mean: Real, overdispersion: Real) -> Real:
    """The first terms of the sum of logarithms."""
    products = (math.prod(jnp.where(i < count, mean + i * overdispersion, 1.0) for i in group) for group in _GROUPS)
    return sum(map(jnp.log, products), start=jnp.zeros(()))


def _head_slopes(count: Real, mean: Real, overdispersion: Real) -> tuple[Real, Real]:
    """Derivatives of the first terms: sums of 1/t_i and of i/t_i, one division for a group."""
    by_mean = by_overdispersion = jnp.zeros(())
    for group in _GROUPS:
        product, ones, numbers = 1.0, 0.0, 0.0
        for i in group:
            there = i < count
            term = jnp.where(there, mean + i * overdispersion, 1.0)
            product, ones, numbers = (
                product * term,
                ones * term + jnp.where(there, product, 0.0),
                numbers * term + jnp.where(there, i * product, 0.0),
            )
        by_mean, by_overdispersion = by_mean + ones / product, by_overdispersion + numbers / product
    return by_mean, by_overdispersion


def _ends(count: Real, mean: Real, overdispersion: Real) -> tuple[Real, Real, Real]:
    """Number of terms after the first ones, the first of them and the one after the last; 0, 1, 1 where there are none.

    A first one of zero, which no mean above zero has, is replaced by one.
    """
    rest = jnp.maximum(count - _TERMS, 0.0)
    first, last = (jnp.where(rest > 0, mean + end * overdispersion, 1.0) for end in (_TERMS, count))
    return rest, jnp.where(first > 0, first, 1.0), last


class LogTails(NamedTuple):
    """Log probabilities of counts below a limit, and at or above it."""

    below: Real
    above: Real


def log_tails(limit: Array, mean: Real, overdispersion: Real) -> LogTails:
    """Log probabilities of the counts below a limit of 1 or more, and of the others.

    The smaller of the two is integrated by a Gauss-Legendre rule over the range in which the integrand matters: its
    relative error is below 1e-10 for concentrations k > 1, and grows to 1e-4 at k = 0.1.
    """
    limit = jnp.asarray(limit, jnp.float64)
    mean = mean + TINY_MEAN
    limit, mean, overdispersion = jnp.broadcast_arrays(limit, mean, overdispersion)
    above_is_small = mean < limit
    side = jnp.where(above_is_small, -1.0, 1.0)
    length = _length(side, *map(jax.lax.stop_gradient, (limit, mean, overdispersion)))
    position = 0.5 * length[..., None] * (1.0 + jnp.asarray(_NODES))
    density = jnp.exp(
        _exponent(side[..., None] * position, limit[..., None], mean[..., None], overdispersion[..., None])
    )
    integral = 0.5 * length * (density @ jnp.asarray(_WEIGHTS))
    small = log_probability(limit, mean, overdispersion) + jnp.log(limit * integral)
    large = jnp.log1p(-jnp.exp(small))
    return LogTails(jnp.where(above_is_small, large, small), jnp.where(above_is_small, small, large))


def _exponent(s: Real, limit: Real, mean: Real, overdispersion: Real) -> Real:
    """The exponent D(s) of the module's docstring."""
    z = jnp.expm1(s) / (1.0 + overdispersion)
    return limit * (s - jnp.log1p(overdispersion * z)) - mean * z * log_ratio(overdispersion * z)


def _length(side: Real, limit: Real, mean: Real, overdispersion: Real) -> Real:
    """Distance from s = 0 at which the exponent has fallen by `_FALL`: Newton's method on a concave function."""
    weight = limit * overdispersion + mean

    def slope(length: Real) -> Real:
        factor = jnp.exp(side * length)
        return side * (weight * factor / (1.0 + overdispersion * factor) - limit)

    steepness, curvature = slope(jnp.zeros_like(limit)), weight / (1.0 + overdispersion) ** 2
    length = 2.0 * _FALL / (steepness + jnp.sqrt(steepness**2 + 2.0 * curvature * _FALL))

    def newton(_: int, length: Real) -> Real:
        fall = -_exponent(side * length, limit, mean, overdispersion)
        return jnp.clip(length + (_FALL - fall) / slope(length), 0.0, _LONGEST)

    return jax.lax.fori_loop(0, _NEWTON_STEPS, newton, jnp.clip(length, 0.0, _LONGEST))


def draw(key: Array, mean: Real, overdispersion: Real, shape: tuple[int, ...]) -> Array:
    """Draw counts: Poisson around gamma-distributed means.

    Args:
        key: used once.
        mean: of the counts.
        overdispersion: variance over mean, minus one.
        shape: of the draws.
    """
    gamma_key, poisson_key = jax.random.split(key)
    spread = (overdispersion > _POISSON_BELOW) & (mean > 0)
    concentration = jnp.where(spread, mean / jnp.where(spread, overdispersion, 1.0), 1.0)
    light = jnp.where(spread, jax.random.gamma(gamma_key, concentration, shape) * overdispersion, mean)
    return jax.random.poisson(poisson_key, light, shape)
