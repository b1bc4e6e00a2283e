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

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

Real = Float[Array, "..."]

TINY_MEAN = 1e-300
"""Added to means where the logarithm of a tail is taken, so that gradients are right at a mean of zero."""

_HEAD = 10  # terms of the sum of logarithms that are added one by one before the Euler-Maclaurin formula
_BERNOULLI = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)  # B_2r / (2r (2r - 1)); the rest is below 2e-14
_SERIES_BELOW = 0.05  # of the argument of log_ratio, where 14 terms of its series leave 2e-18
_POISSON_BELOW = 1e-14  # overdispersion below which draws are those of a Poisson distribution
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_FALL = 40.0  # natural logarithms by which the integrand of a tail falls over the nodes
_LONGEST = 500.0  # range of the nodes, for the exponential to stay finite
_NEWTON_STEPS = 8


def log_ratio(u: Real) -> Real:
    """log(1 + u)/u for u > -1, smooth at zero."""
    small = jnp.abs(u) < _SERIES_BELOW
    near, far = jnp.where(small, u, 0.0), jnp.where(small, 1.0, u)
    series = jnp.zeros_like(near)
    for power in range(14, -1, -1):
        series = series * near + (-1) ** power / (power + 1)
    return jnp.where(small, series, jnp.log1p(far) / far)


def log_probability(count: Array, mean: Real, overdispersion: Real) -> Real:
    """Log probability of a count; -inf for a count above zero where the mean is zero."""
    count = jnp.asarray(count, jnp.float64)
    total = _sum_of_logs(count, mean, overdispersion) - gammaln(count + 1.0)
    return total - mean * log_ratio(overdispersion) - count * jnp.log1p(overdispersion)


def _sum_of_logs(count: Real, mean: Real, overdispersion: Real) -> Real:
    """Sum of log(mean + i overdispersion) over i < count: some terms, then the Euler-Maclaurin formula."""
    total = jnp.zeros(jnp.broadcast_shapes(jnp.shape(count), jnp.shape(mean), jnp.shape(overdispersion)))
    for index in range(_HEAD):
        total += jnp.log(jnp.where(index < count, mean + index * overdispersion, 1.0))
    rest = jnp.maximum(count - _HEAD, 0.0)
    long = rest > 0
    first = jnp.where(long, mean + _HEAD * overdispersion, 1.0)
    last = jnp.where(long, mean + count * overdispersion, 1.0)
    growth = jnp.log(last / jnp.where(first > 0, first, 1.0))
    integral = rest * (jnp.log(last) + log_ratio(rest * overdispersion / jnp.where(first > 0, first, 1.0)) - 1.0)
    total += jnp.where(long, integral - 0.5 * growth, 0.0)
    for order, coefficient in enumerate(_BERNOULLI):
        ends = [(overdispersion / jnp.where(end > 0, end, 1.0)) ** (2 * order + 1) for end in (first, last)]
        total += jnp.where(long, coefficient * (ends[1] - ends[0]), 0.0)
    return total


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
    length = jax.lax.stop_gradient(_length(side, limit, mean, overdispersion))
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
    for _ in range(_NEWTON_STEPS):
        length = jnp.clip(length, 0.0, _LONGEST)
        fall = -_exponent(side * length, limit, mean, overdispersion)
        length = length + (_FALL - fall) / slope(length)
    return jnp.clip(length, 0.0, _LONGEST)


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
