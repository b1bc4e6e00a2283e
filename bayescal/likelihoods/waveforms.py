"""Waveforms: digitised waveforms of light sensors as a normalised distribution.

The process: photoelectrons arrive as a Poisson process, each with a charge of mean one and its own error, and make a
pulse; a sample is the mean of all pulses over its length, plus white electronics noise. A photoelectron stands far
above the noise, so that a normal distribution with the right mean and covariance describes bright light only: with 5
photoelectrons in a waveform it claims a triplet time five times too precise. Here the number of photoelectrons in
every sample is followed instead.

The pulse is a decaying oscillation, hence all that the past does to a sample is one complex amplitude z. Its
distribution, given the samples so far, is a mixture of normal distributions: one for every *history*, the numbers of
photoelectrons (0, 1, 2, ..., many) in the last samples. A sample arrives: every history branches into the numbers in
that sample, its density is the sum over the branches, each branch is updated as in a Kalman filter, and branches that
differ in the oldest number only are merged into one of the same mean and covariance. Each factor p(sample | samples
before) integrates to one, whatever was merged, and so does their product; what merging costs is sharpness. "Many" has
the mean and the variance of the Poisson distribution above it: in bright light the filter is that of normally
distributed light with exact covariance.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import gammaln
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import constraints

from bayescal.light.waveform import SampledPulse, WaveformLight
from bayescal.special import log_normal_cdf, log_normal_pdf

Real = Float[Array, "..."]

_NUMBERS = 4  # 0, 1, 2 and many photoelectrons in a sample
_HISTORY = 1  # earlier samples whose numbers are kept apart
_DARK = 1e-9  # photoelectrons added to each sample, so that quotients exist without light
_SERIES_BELOW = 1.0  # of the expected number; 16 terms of the series of a tail leave 1e-14
_BLOCK = 25  # samples that a gradient computes anew together, to keep memory small


class Waveforms(dist.Distribution):
    """Waveforms of light sensors [ADC], baseline subtracted, pulses positive.

    Batch shape: that of the light's rows. Event shape (sample,). Dead sensors have log density 0, whatever their value,
    and draws of 0.

    Args:
        light: expected light.
        noise: standard deviation of the white noise of a sample [ADC].
        charge_spread: standard deviation of the charge of a photoelectron [p.e.].
        rail: samples at or above it are one outcome, recorded as this value, for which `log_prob` has a probability
            instead of a density [ADC].
        live: False for dead sensors, one a row or one for all; all are alive where absent.
    """

    # NumPyro declares these otherwise than its own distributions define them
    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.real_vector  # pyright: ignore
    pytree_data_fields = ("light", "noise", "charge_spread", "rail", "live")

    def __init__(  # noqa: PLR0913 a distribution and all of its options
        self,
        light: WaveformLight,
        noise: ArrayLike = 2.6,
        *,
        charge_spread: ArrayLike = 0.1,
        rail: ArrayLike = jnp.inf,
        live: ArrayLike | None = None,
        validate_args: bool | None = None,
    ) -> None:
        shape = light.photoelectrons.shape[:-1]
        self.light = light
        self.noise = jnp.asarray(noise, jnp.float64)
        self.charge_spread = jnp.asarray(charge_spread, jnp.float64)
        self.rail = jnp.asarray(rail, jnp.float64)
        self.live = jnp.broadcast_to(True if live is None else jnp.asarray(live), shape)  # noqa: FBT003
        super().__init__(batch_shape=shape, event_shape=(light.n_samples,), validate_args=validate_args)

    @property
    def mean(self) -> Float[Array, "*row sample"]:
        """Expected waveforms, before they meet the rail [ADC]."""
        return self.light.expected()

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Float[Array, "*sample row sample"]:
        """Play the photoelectrons one by one, `sample_shape` times."""
        light = self.light.photoelectrons

        def draw(key: Array) -> Float[Array, "*row sample"]:
            number_key, charge_key, noise_key = jax.random.split(key, 3)
            number = jax.random.poisson(number_key, light).astype(float)
            charge = number + self.charge_spread * jnp.sqrt(number) * jax.random.normal(charge_key, light.shape)
            noise = self.noise[..., None] * jax.random.normal(noise_key, self.shape())
            drawn = jnp.minimum(self.light.response(charge) + noise, self.rail[..., None])
            return jnp.where(self.live[..., None], drawn, 0.0)

        size = 1
        for length in sample_shape:
            size *= length
        drawn = jax.lax.map(draw, jax.random.split(key, size)) if sample_shape else draw(key)
        return drawn.reshape(self.shape(sample_shape))

    def log_prob(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, value: Float[Array, "*row sample"]
    ) -> Float[Array, "*row"]:
        """Log density of waveforms [1/ADC per sample]."""
        shape = jnp.broadcast_shapes(jnp.shape(value)[:-1], self.batch_shape)
        n_samples = self.light.n_samples
        unit = self.light.adc_per_pulse

        def per_row(values: ArrayLike) -> Float[Array, " row"]:
            return jnp.broadcast_to(values, shape).reshape(-1)

        waveform = jnp.where(self.live[..., None], value, 0.0) / unit[..., None]
        waveform = jnp.broadcast_to(waveform, (*shape, n_samples)).reshape(-1, n_samples)
        nodes = jnp.broadcast_to(self.light.photoelectrons, (*shape, self.light.photoelectrons.shape[-1]))
        pulse = SampledPulse.of(self.light.timing, self.light.sample_ns)
        moments = _moments(self.light.in_samples(nodes.reshape(-1, nodes.shape[-1])), pulse, per_row(self.charge_spread))
        noise = _Noise(per_row((self.noise / unit) ** 2), per_row(self.rail / unit))
        log_density, at_rail = _filter(waveform, moments, noise, pulse)
        total = log_density - (n_samples - at_rail) * jnp.log(jnp.abs(per_row(unit)))
        return jnp.where(self.live, total.reshape(shape), 0.0)


class _Noise(NamedTuple):
    """Electronics of each row in units of a pulse's area: variance of a sample [1/ns^2] and rail [1/ns]."""

    variance: Float[Array, " row"]
    rail: Float[Array, " row"]


class _Moments(NamedTuple):
    """What the photoelectrons of a sample add to the sample itself and to (Re, Im) of the amplitude at its end.

    Attributes:
        log_number: log probability of the numbers 0, 1, ..., many.
        number: mean of each of them.
        variance: of the number in each.
        one: mean of (sample, Re, Im) for one photoelectron.
        one_covariance: its covariance, from arrival inside the sample and charge.
    """

    log_number: Float[Array, "sample row number"]
    number: Float[Array, "sample row number"]
    variance: Float[Array, "sample row number"]
    one: Float[Array, "sample 3 row"]
    one_covariance: Float[Array, "sample 3 3 row"]


def _moments(
    nodes: Float[Array, "row sample node"], pulse: SampledPulse, charge_spread: Float[Array, " row"]
) -> _Moments:
    """Moments of photoelectrons that are expected on the nodes of each sample."""
    nodes = jnp.moveaxis(nodes, 1, 0) + _DARK / nodes.shape[-1]
    expected = nodes.sum(axis=-1)
    share = nodes / expected[..., None]
    within = pulse.within
    one = jnp.einsum("srn,ni->sir", share, within)
    square = jnp.einsum("srn,nij->sijr", share, within[:, :, None] * within[:, None, :])
    covariance = (1.0 + charge_spread**2) * square - one[:, :, None] * one[:, None, :]
    return _Moments(*_numbers(expected), one, covariance)


def _numbers(
    expected: Float[Array, "sample row"],
) -> tuple[Float[Array, "sample row number"], Float[Array, "sample row number"], Float[Array, "sample row number"]]:
    """Log probability, mean and variance of the numbers 0, 1, ..., many of Poisson-distributed photoelectrons."""
    many = _NUMBERS - 1
    at_least = [_poisson_tail(many - back, expected) for back in (0, 1, 2)]
    mean = expected * at_least[1] / at_least[0]
    variance = expected**2 * at_least[2] / at_least[0] + mean - mean**2
    few = jnp.arange(float(many))
    log_few = few * jnp.log(expected)[..., None] - expected[..., None] - gammaln(few + 1.0)
    fixed = jnp.broadcast_to(few, log_few.shape)

    def join(first: Real, last: Real) -> Float[Array, "sample row number"]:
        return jnp.concatenate([first, last[..., None]], axis=-1)

    return join(log_few, jnp.log(at_least[0])), join(fixed, mean), join(jnp.zeros_like(fixed), variance)


def _poisson_tail(least: int, expected: Real) -> Real:
    """Probability of `least` photoelectrons or more, with relative accuracy where few are expected."""
    small = expected < _SERIES_BELOW
    near, far = jnp.where(small, expected, 0.5), jnp.where(small, 1.0, expected)
    term = jnp.exp(-near)
    below = jnp.zeros_like(far)
    for number in range(1, least + 1):
        term = term * near / number
    series = term
    for number in range(least + 1, least + 17):
        term = term * near / number
        series = series + term
    poisson = jnp.exp(-far)
    for number in range(least):
        below = below + poisson
        poisson = poisson * far / (number + 1)
    return jnp.where(small, series, 1.0 - below)


class _Histories(NamedTuple):
    """Mixture of normal distributions of the amplitude (Re, Im); axes (row, oldest number, later numbers).

    Attributes:
        log_weight: of each history, adding up to one in each row.
        mean: of the amplitude.
        covariance: of the amplitude.
    """

    log_weight: Float[Array, "row old late"]
    mean: Float[Array, "2 row old late"]
    covariance: Float[Array, "2 2 row old late"]


def _filter(
    waveform: Float[Array, "row sample"], moments: _Moments, noise: _Noise, pulse: SampledPulse
) -> tuple[Float[Array, " row"], Float[Array, " row"]]:
    """Log density of waveforms in units of a pulse's area, and how many of their samples are at the rail."""
    n_rows, n_samples = waveform.shape
    shape = n_rows, _NUMBERS, _NUMBERS ** (_HISTORY - 1)
    log_weight = jnp.full(shape, -jnp.inf).at[:, 0, 0].set(0.0)
    dark = _Histories(log_weight, jnp.zeros((2, *shape)), jnp.zeros((2, 2, *shape)))

    def step(histories: _Histories, sample: tuple) -> tuple[_Histories, Float[Array, " row"]]:
        return _take(histories, *sample, noise, pulse)

    @jax.checkpoint
    def block(histories: _Histories, samples: tuple) -> tuple[_Histories, Float[Array, "sample row"]]:
        return jax.lax.scan(step, histories, samples)

    samples = waveform.T, moments
    whole = n_samples - n_samples % _BLOCK
    blocks = jax.tree.map(lambda a: a[:whole].reshape(-1, _BLOCK, *a.shape[1:]), samples)
    histories, log_density = jax.lax.scan(block, dark, blocks)
    _, rest = block(histories, jax.tree.map(lambda a: a[whole:], samples))
    total = log_density.sum(axis=(0, 1)) + rest.sum(axis=0)
    return total, (waveform >= noise.rail[:, None]).sum(axis=-1)


def _take(
    histories: _Histories,
    sample: Float[Array, " row"],
    moments: _Moments,
    noise: _Noise,
    pulse: SampledPulse,
) -> tuple[_Histories, Float[Array, " row"]]:
    """Branch the histories, weigh the branches with a sample and merge them; the sample's log density."""
    observed, ahead, log_number = _branch(histories, moments, pulse)
    variance = observed.covariance + noise.variance[:, None, None, None]
    excess = sample[:, None, None, None] - observed.mean
    at_rail = (sample >= noise.rail)[:, None, None, None]
    log_density, shift, gain = _seen(excess, variance, at_rail)
    mean = ahead.mean + observed.cross * (shift / variance)
    covariance = ahead.covariance - observed.cross[:, None] * observed.cross[None, :] * (gain / variance)
    merged = _merge(histories.log_weight[..., None] + log_number + log_density, mean, covariance)
    total = jax.nn.logsumexp(merged.log_weight, axis=(1, 2))
    shape = histories.log_weight.shape
    merged = jax.tree.map(lambda a: a.reshape(*a.shape[: a.ndim - 3], *shape), merged)
    return merged._replace(log_weight=merged.log_weight - total[:, None, None]), total


class _Observed(NamedTuple):
    """Mean and variance of the next sample for each branch, without noise, and its covariance with the amplitude."""

    mean: Float[Array, "row old late number"]
    covariance: Float[Array, "row old late number"]
    cross: Float[Array, "2 row old late number"]


class _Ahead(NamedTuple):
    """Mean and covariance of the amplitude at the end of the next sample for each branch."""

    mean: Float[Array, "2 row old late number"]
    covariance: Float[Array, "2 2 row old late number"]


def _branch(
    histories: _Histories, moments: _Moments, pulse: SampledPulse
) -> tuple[_Observed, _Ahead, Float[Array, "row 1 1 number"]]:
    """Predict a sample and the amplitude at its end for every number of photoelectrons in the sample."""
    rows = [
        (jnp.imag(pulse.observed), jnp.real(pulse.observed)),
        (jnp.real(pulse.decay), -jnp.imag(pulse.decay)),
        (jnp.imag(pulse.decay), jnp.real(pulse.decay)),
    ]
    mean, covariance = histories.mean, histories.covariance
    carried = [a * mean[0] + b * mean[1] for a, b in rows]
    half = [(a * covariance[0, 0] + b * covariance[0, 1], a * covariance[0, 1] + b * covariance[1, 1]) for a, b in rows]
    number, variance, log_number = (a[:, None, None, :] for a in (moments.number, moments.variance, moments.log_number))
    one, one_covariance = moments.one[..., None, None, None], moments.one_covariance[..., None, None, None]

    def mean_of(i: int) -> Float[Array, "row old late number"]:
        return carried[i][..., None] + number * one[i]

    def covariance_of(i: int, j: int) -> Float[Array, "row old late number"]:
        past = rows[j][0] * half[i][0] + rows[j][1] * half[i][1]
        return past[..., None] + number * one_covariance[i, j] + variance * one[i] * one[j]

    observed = _Observed(mean_of(0), covariance_of(0, 0), jnp.stack([covariance_of(0, 1), covariance_of(0, 2)]))
    across = covariance_of(1, 2)
    spread = jnp.stack([jnp.stack([covariance_of(1, 1), across]), jnp.stack([across, covariance_of(2, 2)])])
    return observed, _Ahead(jnp.stack([mean_of(1), mean_of(2)]), spread), log_number


def _seen(excess: Real, variance: Real, at_rail: Array) -> tuple[Real, Real, Real]:
    """Log density of a sample, or log probability of the rail, and what it does to the sample's own distribution.

    Returns:
        The logarithm; by how much the mean of the noisy sample moves; by which share its variance shrinks.
    """
    width = jnp.sqrt(variance)
    pull = excess / width
    over = jnp.where(at_rail, pull, 0.0)
    log_above = log_normal_cdf(-over)
    hazard = jnp.exp(log_normal_pdf(over, 1.0) - log_above)
    log_density = jnp.where(at_rail, log_above, log_normal_pdf(excess, width))
    return log_density, jnp.where(at_rail, width * hazard, excess), jnp.where(at_rail, hazard * (hazard - over), 1.0)


def _merge(
    log_weight: Float[Array, "row old late number"],
    mean: Float[Array, "2 row old late number"],
    covariance: Float[Array, "2 2 row old late number"],
) -> _Histories:
    """Merge branches that differ in the oldest number only."""
    total = jax.nn.logsumexp(log_weight, axis=1)
    share = jnp.exp(log_weight - total[:, None])
    middle = (share * mean).sum(axis=2)
    away = mean - middle[:, :, None]
    spread = (share * (covariance + away[:, None] * away[None, :])).sum(axis=3)
    return _Histories(total, middle, spread)
