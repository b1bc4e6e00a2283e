"""When photoelectrons of a sensor are expected: direct light, indirect light and dark noise in a window of time.

Light of one class comes with exponential delays after a normally distributed time, so that its density is a sum of
exponentially modified normal densities,

    h(x) = exp(s^2/(2 tau^2) - x/tau) Phi(x/s - s/tau) / tau,
    H(x) = Phi(x/s) - tau h(x),  1 - H(x) = Phi(-x/s) + tau h(x),

x after the mean of the normal distribution of width s. Its logarithm is taken with that of Phi, so that it stays finite
and smooth in both tails as long as s/tau and |x|/s are below 10^4.

Sensors look from the start of the window to its end. Photoelectrons outside are not seen: the mean, the density g and
its cumulative G are those of photoelectrons inside, so that g integrates to one over the window, and light that a
model moves out of it is missed, not piled up at its ends. With the rate r = mean g, what comes before and after t is
an integral of r: neither a logarithm nor a floor of 1 - G is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.special import SQRT_HALF, erfcx_positive, log_normal_cdf, log_normal_pdf, normal_cdf, normal_pdf

Real = Float[Array, "..."]
Scalar = Float[Array, ""] | float
Constants = Float[Array | np.ndarray, "*sensor component"]

_HALVINGS = 52  # of the window, down to the rounding of a time
_LARGEST_LOG = 700.0  # of a density over the one that the sum of rates is scaled by, for it to stay finite

NONE: Constants = np.zeros(0)
"""Of no exponentials."""


class Delays(eqx.Module):
    """How late light of one class is: not at all, or by exponentials.

    The weights count relative to one another. How many exponentials there are is fixed. All sensors share them, or each
    has its own.

    Attributes:
        prompt: weight of light without delay.
        weight: of each exponential.
        constant_ns: tau of each exponential, above zero [ns].
        start_ns: by how much later than light without delay each exponential begins, or all of them [ns].
        spread_ns: standard deviation of that start, of each exponential, or all of them [ns].
    """

    prompt: Scalar = 1.0
    weight: Constants = eqx.field(default_factory=lambda: NONE)
    constant_ns: Constants = eqx.field(default_factory=lambda: NONE)
    start_ns: Constants | float = 0.0
    spread_ns: Constants | float = 0.0

    def __check_init__(self) -> None:
        if np.shape(self.weight) != np.shape(self.constant_ns) or np.ndim(self.weight) < 1:
            raise ValueError(
                f"weight and constant_ns need one shape (*sensor, component), they have {np.shape(self.weight)} and "
                f"{np.shape(self.constant_ns)}"
            )

    def shares(self) -> tuple[Real, Float[Array, "*sensor component"]]:
        """Share of the prompt light and of each exponential; they add up to one."""
        weight = jnp.asarray(self.weight)
        total = self.prompt + weight.sum(axis=-1)
        return self.prompt / total, weight / total[..., None]

    def stretched(self, factor: Scalar) -> Delays:
        """All delays longer by a factor."""
        times = (self.constant_ns, self.start_ns, self.spread_ns)
        return Delays(self.prompt, self.weight, *(jnp.asarray(factor) * each for each in times))

    def rows(self, shape: tuple[int, ...], index: Int[Array, " row"]) -> Delays:
        """Those of some sensors: of a shape that the sensors' own broadcast to, flattened."""
        return jax.tree.map(lambda values: _take_delays(values, shape, index), self)


def delays_of_moments(
    mean_ns: Real, variance_ns2: Real, least_start: Real | float = 0.0, spread: Real | float = 0.0
) -> Delays:
    """Two exponentials with a mean and a variance, for each sensor.

    Where the standard deviation is small, both are one that begins late. Where it is larger, both begin at the least
    start, with shares p and 1 - p of constants m / (2 p) and m / (2 (1 - p)); m is the mean after the start, and p
    follows from the variance.

    Args:
        mean_ns: of the delay, above zero [ns].
        variance_ns2: of the delay, above zero [ns^2].
        least_start: before which no light comes, over the mean delay, below one.
        spread: standard deviation of the start, over the start.
    """
    wide = 1.0 + jnp.asarray(spread) ** 2
    inside = jnp.maximum(mean_ns**2 - wide * jnp.maximum(mean_ns**2 - variance_ns2, 0.0), 0.0)
    start = jnp.maximum((mean_ns - jnp.sqrt(inside)) / wide, least_start * mean_ns)
    after = mean_ns - start
    excess = jnp.maximum((variance_ns2 - (spread * start) ** 2) / after**2, 1.0)
    share = 0.5 + 0.5 * jnp.sqrt((excess - 1.0) / (excess + 1.0))
    shares = jnp.stack([share, 1.0 - share], axis=-1)
    both = jnp.ones(2)
    return Delays(
        0.0, shares, after[..., None] / (2.0 * shares), start[..., None] * both, (spread * start)[..., None] * both
    )


LAB_EMISSION = Delays(0.0, np.array([0.71, 0.21, 0.06, 0.03]), np.array([4.6, 15.1, 76.0, 397.0]))
"""Emission of linear alkylbenzene with 2.5 g/l PPO after an electron [ns], as used for JUNO, arXiv:2501.09988."""


class Arrivals(eqx.Module):
    """Photoelectrons expected in each sensor and their times.

    Fields that have a value for each sensor broadcast to one shape, `shape`, with the sensors last.

    Attributes:
        direct: photoelectrons of direct light at any time [p.e.].
        indirect: photoelectrons of scattered and reflected light at any time [p.e.].
        dark: photoelectrons of dark noise in the window, uniform in it [p.e.].
        time_ns: mean time of direct light without delay [ns].
        width_ns: its standard deviation, from emission, dispersion and transit time [ns].
        window_start_ns: start of the window [ns].
        window_end_ns: its end [ns].
        direct_delays: delays of direct light, for instance those of scintillation.
        indirect_delays: delays of indirect light after `time_ns`.
    """

    direct: Real | float
    indirect: Real | float
    dark: Real | float
    time_ns: Real
    width_ns: Real | float
    window_start_ns: Real | float
    window_end_ns: Real | float
    direct_delays: Delays = eqx.field(default_factory=Delays)
    indirect_delays: Delays = eqx.field(default_factory=Delays)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the sensors."""
        return jnp.broadcast_shapes(*map(jnp.shape, self._of_sensors()))

    @property
    def mean(self) -> Real:
        """Photoelectrons expected in the window [p.e.]."""
        return jnp.broadcast_to(self.before(jnp.asarray(self.window_end_ns)), self.shape)

    def log_rate(self, time_ns: Real) -> Real:
        """Logarithm of the photoelectrons expected per time [1/ns], mean times density, at a time in the window."""
        light = self._light()
        late, width = self._late(time_ns)
        dark = -jnp.log(jnp.asarray(self.window_end_ns) - self.window_start_ns)
        amounts = _join(light.prompt, light.delayed, jnp.asarray(self.dark))
        logs = _join(log_normal_pdf(late, width), light.log_delayed(late, width), dark)
        largest = jnp.maximum((jnp.log(amounts) + logs).max(axis=-1), jnp.finfo(jnp.float64).min)
        scale = jax.lax.stop_gradient(largest)
        return scale + jnp.log((amounts * jnp.exp(jnp.minimum(logs - scale[..., None], _LARGEST_LOG))).sum(axis=-1))

    def before(self, time_ns: Real) -> Real:
        """Photoelectrons expected between the start of the window and a time in it [p.e.]."""
        light, start = self._light(), jnp.asarray(self.window_start_ns)
        seen = light.come(*self._late(time_ns)) - light.come(*self._late(start))
        return seen + self.dark * (time_ns - start) / (self.window_end_ns - start)

    def after(self, time_ns: Real) -> Real:
        """Photoelectrons expected between a time in the window and its end [p.e.]."""
        light, end = self._light(), jnp.asarray(self.window_end_ns)
        seen = light.to_come(*self._late(time_ns)) - light.to_come(*self._late(end))
        return seen + self.dark * (end - time_ns) / (end - self.window_start_ns)

    def log_density(self, time_ns: Real) -> Real:
        """Logarithm of g, of one photoelectron in the window [1/ns]."""
        return self.log_rate(time_ns) - jnp.log(self.mean)

    def cumulative(self, time_ns: Real) -> Real:
        """G, the probability of one photoelectron in the window to come by a time."""
        return self.before(time_ns) / self.mean

    def log_cumulative(self, time_ns: Real) -> Real:
        """Logarithm of G."""
        return jnp.log(self.before(time_ns)) - jnp.log(self.mean)

    def log_survival(self, time_ns: Real) -> Real:
        """Logarithm of 1 - G."""
        return jnp.log(self.after(time_ns)) - jnp.log(self.mean)

    def time_at(self, expected: Real) -> Real:
        """Time by which so many photoelectrons are expected [ns], between zero and `mean`: the inverse of `before`."""
        shape = jnp.broadcast_shapes(jnp.shape(expected), self.shape)
        ends = tuple(jnp.broadcast_to(end, shape).astype(float) for end in (self.window_start_ns, self.window_end_ns))

        def halve(_: int, ends: tuple[Real, Real]) -> tuple[Real, Real]:
            middle = 0.5 * (ends[0] + ends[1])
            later = self.before(middle) < expected
            return jnp.where(later, middle, ends[0]), jnp.where(later, ends[1], middle)

        start, end = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
        return 0.5 * (start + end)

    def rows(self, shape: tuple[int, ...], index: Int[Array, " row"]) -> Arrivals:
        """The arrivals of some sensors.

        Args:
            shape: one that `shape` broadcasts to.
            index: of the sensors, in this shape, flattened.
        """
        taken = [take_rows(field, shape, index) for field in self._of_sensors()]
        some = eqx.tree_at(lambda a: a._of_sensors(), self, taken)
        delays = [each.rows(shape, index) for each in (self.direct_delays, self.indirect_delays)]
        return eqx.tree_at(lambda a: (a.direct_delays, a.indirect_delays), some, delays)

    def _of_sensors(self) -> list[Real | float]:
        """The fields with a value for each sensor."""
        window = [self.window_start_ns, self.window_end_ns]
        return [self.direct, self.indirect, self.dark, self.time_ns, self.width_ns, *window]

    def _light(self) -> _Light:
        """The parts of direct and indirect light together."""
        direct, indirect = jnp.broadcast_arrays(self.direct, self.indirect)
        (prompt, weight), (late_prompt, late_weight) = self.direct_delays.shares(), self.indirect_delays.shares()
        delayed = jnp.concatenate([direct[..., None] * weight, indirect[..., None] * late_weight], axis=-1)
        both = (self.direct_delays, self.indirect_delays)
        constant = _side_by_side([jnp.asarray(d.constant_ns) for d in both])
        start = _side_by_side([jnp.broadcast_to(d.start_ns, np.shape(d.constant_ns)) for d in both])
        spread = _side_by_side([jnp.broadcast_to(d.spread_ns, np.shape(d.constant_ns)) for d in both])
        return _Light(direct * prompt + indirect * late_prompt, delayed, constant, start, spread)

    def _late(self, time_ns: Real) -> tuple[Real, Real]:
        """Time after the mean time of direct light, and width [ns]."""
        return jnp.asarray(time_ns) - self.time_ns, jnp.asarray(self.width_ns)


class _Light(NamedTuple):
    """Photoelectrons of light at any time: without delay, and with each exponential one, and these delays [ns]."""

    prompt: Real
    delayed: Float[Array, "*sensor component"]
    constant_ns: Float[Array, "*sensor component"]
    start_ns: Float[Array, "*sensor component"]
    spread_ns: Float[Array, "*sensor component"]

    def log_delayed(self, late_ns: Real, width_ns: Real) -> Float[Array, "*batch component"]:
        """Log densities [1/ns] of delayed light, `late_ns` after the mean normal time."""
        return log_delayed(late_ns[..., None] - self.start_ns, self._width(width_ns), self.constant_ns)

    def come(self, late_ns: Real, width_ns: Real) -> Real:
        """Photoelectrons that have come by `late_ns` after the mean normal time."""
        width = self._width(width_ns)
        come = delayed_cdf((late_ns[..., None] - self.start_ns) / width, width / self.constant_ns)
        return self.prompt * normal_cdf(late_ns / width_ns) + (self.delayed * come).sum(axis=-1)

    def to_come(self, late_ns: Real, width_ns: Real) -> Real:
        """Photoelectrons that come later, with relative accuracy."""
        not_begun = normal_cdf((self.start_ns - late_ns[..., None]) / self._width(width_ns))
        pending = self.constant_ns * jnp.exp(self.log_delayed(late_ns, width_ns))
        return self.prompt * normal_cdf(-late_ns / width_ns) + (self.delayed * (not_begun + pending)).sum(axis=-1)

    def _width(self, width_ns: Real) -> Float[Array, "*batch component"]:
        """Of the start of each component [ns]."""
        return jnp.sqrt(width_ns[..., None] ** 2 + self.spread_ns**2)


def delayed_cdf(late: Real, ratio: Real) -> Real:
    """H: probability that a standard normal time plus an exponential delay of mean 1/ratio is below `late`."""
    return _cdf_and_pending(late, ratio)[0]


@jax.custom_jvp
def _cdf_and_pending(late: Real, ratio: Real) -> tuple[Real, Real]:
    """H = Phi(a) - p and p = exp(r^2/2 - a r) Phi(a - r), for a = late and r = ratio.

    Both by exp(-a^2/2) erfcx alone: no logarithm, and one exponential more where a > r.
    """
    over = late - ratio
    density = jnp.exp(-0.5 * late**2)
    tail, its_tail = (0.5 * density * erfcx_positive(SQRT_HALF * jnp.abs(each)) for each in (late, over))
    decay = jnp.exp(jnp.where(over > 0, ratio * (0.5 * ratio - late), -jnp.inf))
    pending = jnp.where(over > 0, decay - its_tail, its_tail)
    return jnp.where(late > 0, 1.0 - tail, tail) - pending, pending


@_cdf_and_pending.defjvp
def _cdf_and_pending_jvp(
    primals: tuple[Real, Real], tangents: tuple[Real, Real]
) -> tuple[tuple[Real, Real], tuple[Real, Real]]:
    """H' = r p da + ((a - r) p + phi(a)) dr, p' = phi(a) da - H'."""
    (late, ratio), (d_late, d_ratio) = primals, tangents
    value, pending = _cdf_and_pending(late, ratio)
    begun = normal_pdf(late)
    change = ratio * pending * d_late + ((late - ratio) * pending + begun) * d_ratio
    return (value, pending), (change, begun * d_late - change)


def log_delayed(late_ns: Real, width_ns: Real, constant_ns: Real | float) -> Real:
    """Log density [1/ns] of a normal time of mean 0 plus an exponential delay.

    Args:
        late_ns: where [ns].
        width_ns: standard deviation of the normal time [ns].
        constant_ns: mean of the delay [ns].
    """
    ratio = width_ns / constant_ns
    return (
        0.5 * ratio**2
        - late_ns / constant_ns
        + log_normal_cdf(late_ns / width_ns - ratio)
        - jnp.log(jnp.asarray(constant_ns))
    )


def take_rows(values: Real | float, shape: tuple[int, ...], index: Int[Array, " row"]) -> Real:
    """Values of some rows of a flattened shape that they broadcast to; one value for all stays one."""
    values = jnp.asarray(values)
    return values if values.ndim == 0 else jnp.broadcast_to(values, shape).reshape(-1).at[index].get(mode="clip")


def _take_delays(values: Constants | Scalar, shape: tuple[int, ...], index: Int[Array, " row"]) -> Array:
    """Constants of some sensors [row, component]; those of all stay as they are."""
    values = jnp.asarray(values)
    if values.ndim < 2:
        return values
    components = values.shape[-1]
    return jnp.broadcast_to(values, (*shape, components)).reshape(-1, components).at[index].get(mode="clip")


def _side_by_side(parts: list[Array]) -> Array:
    """Components of several classes of light, of all sensors or of each."""
    lead = jnp.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return jnp.concatenate([jnp.broadcast_to(part, (*lead, part.shape[-1])) for part in parts], axis=-1)


def _join(first: Real, parts: Float[Array, "*batch component"], last: Real) -> Float[Array, "*batch part"]:
    """One more part before and after the others."""
    shape = jnp.broadcast_shapes(first.shape, parts.shape[:-1], last.shape)
    ends = [jnp.broadcast_to(end, shape)[..., None] for end in (first, last)]
    return jnp.concatenate([ends[0], jnp.broadcast_to(parts, (*shape, parts.shape[-1])), ends[1]], axis=-1)
