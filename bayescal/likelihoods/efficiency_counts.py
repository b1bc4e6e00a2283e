"""EfficiencyCounts: photoelectrons that sensors count in calibration runs, their efficiencies integrated out.

A sensor of efficiency eps counts k_r ~ Poisson(eps mu_r + delta_r) in run r, with mu_r expected for efficiency one and
delta_r from the dark noise; eps ~ Gamma(shape, rate). Without dark counts the integral over eps is closed. With them
it is a finite mixture over the number D of dark counts in all runs of the sensor, whose weights are the coefficients
of the polynomial, in x, prod_r (1 + x delta_r / mu_r)^k_r. Given D, eps ~ Gamma(shape + K - D, rate + M), where
K = sum of k_r and M = sum of mu_r.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import gammaln
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from scipy.stats import poisson

Real = Float[Array, "..."]

_LOST = 1e-12  # probability of more dark counts than are summed over


class _Sums(NamedTuple):
    """Of one sensor's runs, shape of the batch; `weight` has a first axis of D."""

    counted: Real
    exposure: Real
    log_factors: Real
    weight: Real


class EfficiencyCounts(dist.Distribution):
    """Counts of sensors in calibration runs.

    Batch shape (sensor,); event shape (run,). Entries that are not live have no weight; draws of theirs are 0.

    Args:
        mean: photoelectrons expected for an efficiency of one, shape (sensor, run), above zero.
        shape: of the gamma distribution of the efficiencies, their mean squared over their variance.
        rate: of it, shape over mean; a number or one a sensor.
        dark: counts expected without light, shape (sensor, run), (run,) or ().
        live: which entries count, shape (sensor, run); all where absent.
        n_dark: dark counts of a sensor in all runs that are summed over, `dark_limit` of what is expected.
    """

    # NumPyro declares these otherwise than its own distributions define them
    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.independent(constraints.nonnegative_integer, 1)  # pyright: ignore
    pytree_data_fields = ("expected", "shape_", "rate", "dark", "live")
    pytree_aux_fields = ("n_dark",)

    def __init__(  # noqa: PLR0913 a distribution and all of its options
        self,
        mean: ArrayLike,
        shape: ArrayLike,
        rate: ArrayLike,
        *,
        dark: ArrayLike = 0.0,
        live: ArrayLike | None = None,
        n_dark: int = 0,
        validate_args: bool | None = None,
    ) -> None:
        self.expected = jnp.asarray(mean, jnp.float64)
        n_sensors, n_runs = self.expected.shape
        self.live = jnp.broadcast_to(True if live is None else jnp.asarray(live), self.expected.shape)
        self.dark = jnp.where(self.live, jnp.broadcast_to(jnp.asarray(dark, jnp.float64), self.expected.shape), 0.0)
        self.shape_ = jnp.broadcast_to(jnp.asarray(shape, jnp.float64), (n_sensors,))
        self.rate = jnp.broadcast_to(jnp.asarray(rate, jnp.float64), (n_sensors,))
        self.n_dark = n_dark
        super().__init__(batch_shape=(n_sensors,), event_shape=(n_runs,), validate_args=validate_args)

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Array:
        """Counts, integers: efficiencies are drawn, then counts."""
        efficiency_key, count_key = jax.random.split(key)
        efficiency = jax.random.gamma(efficiency_key, self.shape_, (*sample_shape, *self.batch_shape)) / self.rate
        mean = jnp.where(self.live, efficiency[..., None] * self.expected + self.dark, 0.0)
        return jax.random.poisson(count_key, mean)

    def log_prob(self, value: ArrayLike) -> Real:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Log probability of the counts of each sensor."""
        sums = self._sums(value)
        total, exposure = self.shape_ + sums.counted, self.rate + sums.exposure
        closed = self.shape_ * jnp.log(self.rate) - total * jnp.log(exposure) + gammaln(total) - gammaln(self.shape_)
        return sums.log_factors + closed + jnp.log(jnp.sum(sums.weight, axis=0))

    def draw_efficiency(self, key: Array, value: ArrayLike) -> Real:
        """Efficiencies from their posterior given the counts and everything else, shape (sensor,)."""
        dark_key, efficiency_key = jax.random.split(key)
        sums = self._sums(value)
        dark = jax.random.categorical(dark_key, jnp.log(sums.weight), axis=0)
        return jax.random.gamma(efficiency_key, self.shape_ + sums.counted - dark) / (self.rate + sums.exposure)

    def _sums(self, value: ArrayLike) -> _Sums:
        count = jnp.where(self.live, jnp.asarray(value, jnp.float64), 0.0)
        mean = jnp.where(self.live, self.expected, 1.0)
        factors = jnp.where(self.live, count * jnp.log(mean) - gammaln(count + 1) - self.dark, 0.0).sum(axis=-1)
        total, exposure = count.sum(axis=-1), jnp.where(self.live, mean, 0.0).sum(axis=-1)
        return _Sums(total, exposure, factors, self._dark_weights(count, mean, total, exposure))

    def _dark_weights(self, count: Real, mean: Real, total: Real, exposure: Real) -> Real:
        """Probability of D dark counts over that of none, shape (D, sensor)."""
        coefficients = _coefficients(count, self.dark / mean, self.n_dark)
        left = self.shape_ + total - jnp.arange(1, self.n_dark + 1)[:, None]
        possible = jnp.arange(1, self.n_dark + 1)[:, None] <= total
        factor = jnp.cumprod(jnp.where(possible, (self.rate + exposure) / jnp.where(possible, left, 1.0), 0.0), axis=0)
        return coefficients * jnp.concatenate([jnp.ones_like(total)[None], factor])


def dark_limit(dark: ArrayLike) -> int:
    """How many dark counts of a sensor to sum over for their probability beyond it to be below 1e-12.

    Args:
        dark: expected in each run, shape (run,) or (sensor, run).
    """
    expected = float(np.max(np.sum(np.atleast_1d(dark), axis=-1)))
    return int(poisson.isf(_LOST, expected)) if expected > 0 else 0


def _coefficients(count: Real, ratio: Real, degree: int) -> Real:
    """Of the powers of x in prod_r (1 + x ratio_r)^count_r, by Newton's identities from the sums of powers.

    Their error is below 1e-9 of the polynomial at x = 1 where the ratios are below one: where less is dark than light.
    Loops, not unrolled: compilers fuse the recursion into programs that grow exponentially.
    """
    one = jnp.ones_like(count[..., 0])
    if degree == 0:
        return one[None]

    def next_sum(power: Real, _: None) -> tuple[Real, Real]:
        power = -power * ratio
        return power, -power.sum(axis=-1)

    def next_coefficient(before: Real, number: Array) -> tuple[Real, Real]:
        """`before` are the coefficients from the last one backwards."""
        found = jnp.sum(sums * before, axis=0) / number
        return jnp.concatenate([found[None], before[:-1]]), found

    sums = jax.lax.scan(next_sum, count, length=degree)[1]
    none = jnp.zeros((degree, *one.shape)).at[0].set(one)
    return jnp.concatenate([one[None], jax.lax.scan(next_coefficient, none, jnp.arange(1, degree + 1))[1]])
