"""Current that a drifting charge induces on the pixel that collects it, as a cumulative pulse in time.

The response is the parametrisation of early larnd-sim (carried on by its successors, without a paper). A point charge
that lands at (|dx|, |dy|) from its pixel's centre and drifts for t_d is collected at T - X, with
T = t_d - response_advance + s and X exponential of mean b (fraction a) or c (fraction 1 - a); longitudinal diffusion
adds a normal spread.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.special import INV_SQRT_2PI, SQRT_HALF, erfcx_positive

Real = Float[Array, "..."]
PerCharge = Float[Array, " charge"]
ChargeTime = Float[Array, "charge time"]

A_FAST = (1.060, -0.909, -0.909, 5.856, 0.207, 0.207)
"""Fraction of the fast component against landing place: 1, x, y, xy, x^2, y^2 in cm (larnd-sim)."""
B_FAST_US = (0.679, -1.083, -1.083, 8.772, -5.521, -5.521)
"""Mean of the fast component [us], same polynomial (larnd-sim)."""
C_SLOW_US = (2.644, -9.174, -9.174, 13.483, 45.887, 45.887)
"""Mean of the slow component [us], same polynomial (larnd-sim)."""
START_US = (2.948, -2.705, -2.705, 4.825, 20.814, 20.814)
"""End of the collection after t_d - response_advance [us], same polynomial (larnd-sim)."""
RESPONSE_ADVANCE_US = 5.1
"""Constant by which the parametrised collection precedes the drift time [us]: larnd-sim-jax's 51 samples of 0.1 us."""

_CAP_SOFTNESS = 1e-5


def polynomial(coefficients: tuple[float, ...], terms: Float[Array, "... 6"]) -> Real:
    """Value of a landing-place polynomial for the terms 1, x, y, xy, x^2, y^2."""
    return terms @ jnp.asarray(coefficients)


def fast_fraction(terms: Float[Array, "... 6"]) -> Real:
    """Fraction of the fast component, kept below 1 without a kink (moves no ADC value by more than 0.003 counts)."""
    excess = polynomial(A_FAST, terms) - 1
    return 1 + 0.5 * (excess - jnp.sqrt(excess**2 + _CAP_SOFTNESS))


class Pulse(eqx.Module):
    """Time structure of charges on their way to a pixel.

    Attributes:
        end_us: end of the rising current, T [us].
        width_us: normal spread in time [us].
        fraction: fraction of the fast component.
        fast_us, slow_us: means of the two exponential components [us].
        drift_us: arrival at the anode plane [us], on the same clock as `end_us`.
    """

    end_us: Real
    width_us: Real
    fraction: Real
    fast_us: Real
    slow_us: Real
    drift_us: Real

    def table(self) -> list[Real]:
        """The fields, in order."""
        return [self.end_us, self.width_us, self.fraction, self.fast_us, self.slow_us, self.drift_us]

    @classmethod
    def from_table(cls, table: Float[Array, "6 ..."]) -> Pulse:
        """The inverse of `table`."""
        return cls(*table)

    def on_clock(self, origin_us: Real, dtype: jnp.dtype) -> Pulse:
        """The same pulse with times counted from an origin; subtract in float64, then round to `dtype`."""
        shifted = (
            self.end_us - origin_us,
            self.width_us,
            self.fraction,
            self.fast_us,
            self.slow_us,
            self.drift_us - origin_us,
        )
        return Pulse(*(value.astype(dtype) for value in shifted))


class ParametrisedResponse(eqx.Module):
    """The parametrised response with its full exponential tails."""

    def collected(self, time_us: ChargeTime, pulse: Pulse) -> ChargeTime:
        """Fraction of each charge that its pixel has collected by given times."""
        return self.charge(time_us, jnp.ones_like(pulse.end_us), pulse)

    def charge(self, time_us: ChargeTime, charge_e: PerCharge, pulse: Pulse) -> ChargeTime:
        """What of charges [e-] their pixels have collected by given times [e-]."""
        shape = (pulse.end_us, pulse.width_us, pulse.fraction, pulse.fast_us, pulse.slow_us)
        return _rise(time_us, charge_e, *shape)


class TruncatedResponse(eqx.Module):
    """The response as larnd-sim-jax computes it, for comparison with its output only.

    Each component is cut to the `samples` ticks before the drift time and scaled so that the inner samples sum to one.
    Its edges move in whole ticks, so that it is not differentiable in anything that changes the drift time.
    """

    samples: int = eqx.field(static=True, default=51)
    tick_us: float = eqx.field(static=True, default=0.1)

    def collected(self, time_us: Float[Array, "charge time"], pulse: Pulse) -> Float[Array, "charge time"]:
        """Fraction of each charge collected by given times; the clock's origin must be a whole tick."""
        tick = jnp.floor(pulse.drift_us / self.tick_us + 0.5)
        start = (self.tick_us * (tick - self.samples - 0.5))[:, None]
        stop = start + self.samples * self.tick_us
        time_us = jnp.clip(time_us, start, stop)

        def component(mean_us: Real) -> Real:
            def cdf(t: Real) -> Real:
                return two_component_cdf(t, pulse.end_us, pulse.width_us, jnp.ones_like(mean_us), mean_us, mean_us)

            inner = cdf(stop - self.tick_us) - cdf(start + self.tick_us)
            return (cdf(time_us) - cdf(start)) / inner

        fraction = pulse.fraction[:, None]
        return fraction * component(pulse.fast_us) + (1 - fraction) * component(pulse.slow_us)

    def charge(self, time_us: ChargeTime, charge_e: PerCharge, pulse: Pulse) -> ChargeTime:
        """What of charges [e-] their pixels have collected by given times [e-]."""
        return charge_e[:, None] * self.collected(time_us, pulse)


Response = ParametrisedResponse | TruncatedResponse


def _tail(time_us: Real, width_us: Real, mean_us: Real) -> Real:
    """exp(t/w + sigma^2/(2 w^2)) Phi(-t/sigma - sigma/w): what an exponential rise adds to the normal step.

    Written with erfcx where the argument of Phi is negative and with Phi(-x) = 1 - Phi(x) elsewhere, so that no
    exponent is positive.
    """
    u = time_us / width_us
    ratio = width_us / mean_us
    v = u + ratio
    near = 0.5 * jnp.exp(-0.5 * u * u) * erfcx_positive(jnp.abs(v) * SQRT_HALF)
    far = jnp.exp(jnp.minimum(ratio * (u + 0.5 * ratio), 0.0))
    return jnp.where(v > 0, near, far - near)


def two_component_cdf(
    time_us: ChargeTime,
    end_us: PerCharge,
    width_us: PerCharge,
    fraction: PerCharge,
    fast_us: PerCharge,
    slow_us: PerCharge,
) -> ChargeTime:
    """Cumulative distribution of end + N(0, width^2) - X with X a mixture of two exponentials.

    The times are constants for derivatives; those by the other arguments are sums over time in closed form.

    Args:
        time_us: times, one row a charge [us].
        end_us: end of the rising current [us].
        width_us: normal spread [us].
        fraction: weight of the fast component.
        fast_us: mean of the fast component [us].
        slow_us: mean of the slow component [us].
    """
    return _rise(time_us, jnp.ones_like(end_us), end_us, width_us, fraction, fast_us, slow_us)


@jax.custom_vjp
def _rise(  # noqa: PLR0913 a pulse has five numbers
    time_us: ChargeTime,
    charge_e: PerCharge,
    end_us: PerCharge,
    width_us: PerCharge,
    fraction: PerCharge,
    fast_us: PerCharge,
    slow_us: PerCharge,
) -> ChargeTime:
    """`two_component_cdf` times a charge: one function, so that one evaluation gives all derivatives."""
    step, fast, slow, _ = _cdf_parts(time_us, end_us, width_us, fast_us, slow_us)
    return charge_e[:, None] * (step + fraction[:, None] * fast + (1 - fraction[:, None]) * slow)


def _cdf_parts(
    time_us: ChargeTime, end_us: PerCharge, width_us: PerCharge, fast_us: PerCharge, slow_us: PerCharge
) -> tuple[ChargeTime, ChargeTime, ChargeTime, ChargeTime]:
    """Normal step, tails of both components, and exp(-u^2/2)."""
    late, width = time_us - end_us[:, None], width_us[:, None]
    u = late / width
    gauss = jnp.exp(-0.5 * u * u)
    tail = 0.5 * gauss * erfcx_positive(jnp.abs(u) * SQRT_HALF)
    fast, slow = _tail(late, width, fast_us[:, None]), _tail(late, width, slow_us[:, None])
    return jnp.where(u > 0, 1 - tail, tail), fast, slow, gauss


def _rise_forward(*arguments: Array) -> tuple[ChargeTime, tuple[Array, ...]]:
    return _rise(*arguments), arguments


def _rise_backward(arguments: tuple[Array, ...], cotangent: ChargeTime) -> tuple[Array | None, ...]:
    """The derivatives follow from d tail / dt = tail / w - phi(t / sigma) / sigma."""
    time_us, charge, end_us, width, fraction, mean_fast, mean_slow = arguments
    step, fast, slow, gauss = _cdf_parts(time_us, end_us, width, mean_fast, mean_slow)
    late = time_us - end_us[:, None]

    def total(values: ChargeTime) -> PerCharge:
        return (cotangent * values).sum(axis=1)

    phi = INV_SQRT_2PI * total(gauss)
    sums = ((total(fast), total(late * fast), mean_fast), (total(slow), total(late * slow), mean_slow))
    by_time = [tail / mean for tail, _, mean in sums]
    by_width = [tail * width / mean**2 - phi / mean for tail, _, mean in sums]
    by_mean = [(phi * width - late_tail - tail * width**2 / mean) / mean**2 for tail, late_tail, mean in sums]
    rest = 1 - fraction
    return (
        None,
        total(step) + fraction * sums[0][0] + rest * sums[1][0],
        -charge * (fraction * by_time[0] + rest * by_time[1]),
        charge * (fraction * by_width[0] + rest * by_width[1]),
        charge * (sums[0][0] - sums[1][0]),
        charge * fraction * by_mean[0],
        charge * rest * by_mean[1],
    )


_rise.defvjp(_rise_forward, _rise_backward)
