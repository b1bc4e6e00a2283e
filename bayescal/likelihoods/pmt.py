"""PMTReadout: photomultipliers that record the time of their first photoelectron and the charge of all of them.

Photoelectrons come as a Poisson process with the rate r(t) of `Arrivals`, the mean m in the window, L(t) expected
before t and M(t) = m - L(t) after it. The first one comes at t with density r exp(-L), and k - 1 more of them with the
Poisson probability of k - 1 for the mean M. The charge of k has the density f_k, and a sensor whose charge is below the
threshold records nothing, as one without photoelectrons. With F_k the probability of k to stay below:

    no hit       exp(-m) (1 + sum of m^k F_k / k!, k >= 1)
    charge, time r exp(-L) times the sum of P(k - 1; M) f_k(q), k >= 1
    time         r exp(-L) (1 - sum of P(k - 1; M) F_k, k >= 1)

The probability of no hit and the integral of either density over the window (and the charges above the threshold) add
up to one for every m. Where the direct light of a sensor is only known up to a spread s, it is 1 - s or 1 + s times
that expected, with even odds: a mixture of two readouts with its mean and its variance. What a sensor records of its
photoelectrons is an object of `bayescal.likelihoods.recorded`: `HitCharges`, `HitTimes` or `FirstArrival`.
"""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from numpyro.distributions import constraints

from bayescal.likelihoods.recorded import HitCharges, Recorded
from bayescal.optical.arrivals import Arrivals

Real = Float[Array, "..."]

_LEAST_ROWS = 256  # numbers of hit sensors are padded to powers of two from here, so that events share programs


class PMTReadout(dist.Distribution):
    """Hits of photomultipliers.

    Batch shape: that of arrivals, gain, threshold and `live` together, the sensors last. Event shape (2,): charge
    [recorded unit, p.e. for a gain of 1] and time [ns]. A charge of 0 means no hit, whatever the time. `FirstArrival`
    and `HitTimes` use of a charge only whether it is 0. Dead sensors have log density 0, whatever their value, and
    draws of 0. `log_prob` is a density per charge and time of hits (per time without charges) and a probability of
    sensors without one; it is -inf for times outside the window and charges below the threshold.

    Args:
        arrivals: expected photoelectrons and times.
        recorded: what is recorded of them; charge and time of an R3600 with a threshold of 0.25 p.e. as it comes.
        live: False for dead sensors; all are alive where absent.
        spread: relative standard deviation of the direct light of each sensor, below one; none where absent.
        rows: index of the hit sensors in the flattened batch, made by `hit_rows` from the data of `log_prob`; only
            these are then evaluated as hits, and a hit of another sensor has log density NaN.
    """

    # NumPyro declares these otherwise than its own distributions define them
    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.real_vector  # pyright: ignore
    pytree_data_fields = ("arrivals", "recorded", "live", "spread", "rows")

    def __init__(
        self,
        arrivals: Arrivals,
        recorded: Recorded | None = None,
        *,
        live: ArrayLike | None = None,
        spread: Real | None = None,
        rows: Int[Array | np.ndarray, " row"] | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.arrivals = arrivals
        self.recorded = HitCharges() if recorded is None else recorded
        self.live = jnp.asarray(True if live is None else live)
        self.spread = None if spread is None else jnp.asarray(spread)
        self.rows = None if rows is None else jnp.asarray(rows)
        spreads = () if spread is None else jnp.shape(spread)
        shape = jnp.broadcast_shapes(arrivals.shape, self.recorded.shape, self.live.shape, spreads)
        super().__init__(batch_shape=shape, event_shape=(2,), validate_args=validate_args)

    @property
    def hit_probability(self) -> Float[Array, "*batch"]:
        """Probability of a hit; 0 for dead sensors."""
        if self.spread is not None:
            return jnp.mean(self._both().hit_probability, axis=0)
        silent = self.recorded.log_silent(self.arrivals.mean)
        return jnp.where(self.live, -jnp.expm1(silent), jnp.zeros(self.batch_shape))

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Float[Array, "*sample batch 2"]:
        """Charge and time of hits, (0, 0) without one.

        The mean before the first photoelectron is exponentially distributed, the number of those behind it Poisson.
        """
        shape = (*sample_shape, *self.batch_shape)
        if self.spread is not None:
            spread_key, key = jax.random.split(key)
            return self._with_light(1 + self.spread * jax.random.rademacher(spread_key, shape)).sample(key)
        exposure_key, number_key, charge_key = jax.random.split(key, 3)
        mean = self.arrivals.mean
        exposure = jax.random.exponential(exposure_key, shape)
        later = jnp.maximum(mean - exposure, 0.0)
        number = 1.0 + jax.random.poisson(number_key, later).astype(float)
        charge = self.recorded.draw(charge_key, number)
        hit = (exposure < mean) & (charge > 0) & self.live
        time = self.arrivals.time_at(jnp.minimum(exposure, mean))
        return jnp.where(hit[..., None], jnp.stack([charge, time], axis=-1), 0.0)

    def log_prob(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, value: Float[Array, "*batch 2"]
    ) -> Float[Array, "*batch"]:
        """Log density of hits, log probability of no hit."""
        if self.spread is not None:
            samples = max(jnp.ndim(value) - 1 - len(self.batch_shape), 0)
            return logsumexp(self._both(samples).log_prob(value), axis=0) - np.log(2.0)
        shape = jnp.broadcast_shapes(jnp.shape(value)[:-1], self.batch_shape)
        charge, time = (jnp.broadcast_to(jnp.asarray(value)[..., i], shape) for i in (0, 1))
        hit = (charge != 0) & self.live
        log_silent = jnp.broadcast_to(self.recorded.log_silent(self.arrivals.mean), shape)
        if self.rows is None:
            log_p = jnp.where(hit, _log_hit(self.arrivals, self.recorded, hit, charge, time), log_silent)
        else:
            log_p = self._in_rows(log_silent, hit, charge, time)
        return jnp.where(self.live, log_p, 0.0)

    def _both(self, samples: int = 0) -> PMTReadout:
        """With less and with more direct light, along a new first axis, before so many axes of samples."""
        spread = jnp.broadcast_to(jnp.asarray(self.spread), (1,) * samples + self.batch_shape)
        readout = self._with_light(jnp.stack([1 - spread, 1 + spread]))
        if self.rows is None:
            return readout
        size = int(np.prod(self.batch_shape))
        rows = jnp.where(self.rows < size, self.rows + jnp.array([[0], [size]]), 2 * size)
        return PMTReadout(readout.arrivals, self.recorded, live=self.live, rows=rows.reshape(-1))

    def _with_light(self, factor: Real) -> PMTReadout:
        """With direct light known exactly, as so many times that expected."""
        arrivals = eqx.tree_at(lambda a: a.direct, self.arrivals, self.arrivals.direct * factor)
        return PMTReadout(arrivals, self.recorded, live=self.live)

    def _in_rows(
        self, log_silent: Real, hit: Array, charge: Float[Array, "*batch"], time_ns: Float[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """Log density with the hits in the stated rows."""
        rows = self.rows
        assert rows is not None
        there, its_charge, its_time = (a.reshape(-1).at[rows].get(mode="clip") for a in (hit, charge, time_ns))
        arrivals = self.arrivals.rows(self.batch_shape, rows)
        recorded = self.recorded.rows(self.batch_shape, rows)
        log_hit = _log_hit(arrivals, recorded, there, its_charge, its_time)
        log_p = jnp.where(hit, jnp.nan, log_silent).reshape(-1).astype(log_hit.dtype)
        own = log_p.at[rows].get(mode="clip")
        return log_p.at[rows].set(jnp.where(there, log_hit, own), mode="drop").reshape(hit.shape)


def _log_hit(arrivals: Arrivals, recorded: Recorded, hit: Array, charge: Real, time_ns: Real) -> Real:
    """Log density of hits; anything finite elsewhere."""
    start, end = arrivals.window_start_ns, arrivals.window_end_ns
    outside = (time_ns < start) | (time_ns > end)
    time = jnp.where(hit & ~outside, time_ns, 0.5 * (start + end))
    log_first = arrivals.log_rate(time) - arrivals.before(time)
    log_density = log_first + recorded.log_recorded(jnp.where(hit, charge, 1.0), arrivals.after(time))
    return jnp.where(outside, -jnp.inf, log_density)


def hit_rows(value: Float[Array | np.ndarray, "*batch 2"]) -> Int[np.ndarray, " row"]:
    """Index of the hit sensors in the flattened batch, padded by indices behind its end to 256, 512, 1024, ...

    Args:
        value: the data, charge and time of each sensor.
    """
    hit = np.ravel(np.asarray(value)[..., 0] != 0)
    rows = np.flatnonzero(hit)
    size = max(_LEAST_ROWS, 2 ** int(np.ceil(np.log2(max(rows.size, 1)))))
    return np.pad(rows, (0, size - rows.size), constant_values=hit.size)
