"""Error-function family: one polynomial each, without branches, accurate to the precision of its argument.

The hot loops of the simulators and likelihoods evaluate these functions millions of times. Library versions switch
between several series; here `erfcx(z) = exp(z^2) erfc(z) = t R(t)` with `t = 1 / (1 + C z)` and one polynomial R on
[0, 1], fitted when the module is loaded to SciPy's `erfcx`: relative error 5e-7 in float32 (degree 10) and 7e-15 in
float64 (degree 22).
Derivatives are given in closed form, so that a gradient costs a few multiplications.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import erfcx as _scipy_erfcx

Real = Float[Array, "..."]

_SCALE = 0.35
SQRT_HALF = float(np.sqrt(0.5))
INV_SQRT_2PI = float(1 / np.sqrt(2 * np.pi))


def _fit(degree: int) -> tuple[float, ...]:
    """Coefficients of R, lowest power first, by least squares at Chebyshev points of t in (0, 1)."""
    t = (1 + np.cos((np.arange(2000) + 0.5) * np.pi / 2000)) / 2
    z = (1 / t - 1) / _SCALE
    fit = np.polynomial.chebyshev.Chebyshev.fit(t, _scipy_erfcx(z) / t, degree, domain=[0, 1])
    return tuple(fit.convert(kind=np.polynomial.Polynomial).coef.tolist())


_COEFFICIENTS = {"float32": _fit(10), "float64": _fit(22)}


def erfcx_positive(z: Real) -> Real:
    """exp(z^2) erfc(z) for z >= 0."""
    t = 1 / (1 + _SCALE * z)
    result = jnp.zeros_like(t)
    for coefficient in reversed(_COEFFICIENTS[str(t.dtype)]):
        result = result * t + coefficient
    return t * result


def normal_pdf(x: Real) -> Real:
    """Density of the standard normal distribution."""
    return INV_SQRT_2PI * jnp.exp(-0.5 * x * x)


@jax.custom_jvp
def normal_cdf(x: Real) -> Real:
    """Cumulative distribution of the standard normal, Phi(x), with relative accuracy in the lower tail."""
    tail = 0.5 * jnp.exp(-0.5 * x * x) * erfcx_positive(jnp.abs(x) * SQRT_HALF)
    return jnp.where(x > 0, 1 - tail, tail)


@normal_cdf.defjvp
def _normal_cdf_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return normal_cdf(x), normal_pdf(x) * dx


@jax.custom_jvp
def log_normal_cdf(x: Real) -> Real:
    """Logarithm of Phi(x), finite for every finite x: about -x^2/2 - log(-x sqrt(2 pi)) far below zero."""
    half_square = 0.5 * x * x
    scaled = 0.5 * erfcx_positive(jnp.abs(x) * SQRT_HALF)
    # for x > 0 the argument of log1p stays above -1/2
    return jnp.where(
        x > 0, jnp.log1p(-jnp.where(x > 0, scaled * jnp.exp(-half_square), 0.5)), jnp.log(scaled) - half_square
    )


@log_normal_cdf.defjvp
def _log_normal_cdf_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    value = log_normal_cdf(x)
    return value, jnp.exp(-0.5 * x * x - value) * INV_SQRT_2PI * dx


def log_normal_pdf(x: Real, scale: Real | float) -> Real:
    """Log density of a centred normal distribution of width `scale`."""
    z = x / scale
    return -0.5 * z * z - jnp.log(scale) - 0.5 * jnp.log(2 * jnp.pi)
