"""PhotonCounts and AnalogueCharge: photoelectrons that light sensors record around an expected number.

With m photoelectrons expected, dark counts included, the number is negative binomial with mean m and variance
F m + (s m)^2: F is the excess noise of the sensor, for instance (1 + spread of a photoelectron's charge squared) /
(1 - probability of cross-talk), and s the relative error of the model of the light. F = 1 and s = 0 is the Poisson
distribution. Losses in use elsewhere, (n - m)^2/(m + 25) and the like, have their minimum at a wrong m, because their
width depends on m without the normalisation; these are densities.
"""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import constraints

from bayescal.likelihoods.negative_binomial import TINY_MEAN, draw, log_probability, log_tails
from bayescal.special import log_normal_cdf, log_normal_pdf

Real = Float[Array, "..."]


class PhotonCounts(dist.Distribution):
    """Whole numbers of photoelectrons.

    Batch shape: that of the arguments together; event shape (). Dead sensors have log density 0, whatever their value
    (NaN, too); draws of theirs are 0.

    Args:
        mean: photoelectrons expected from light, not below zero.
        excess_noise: F, at least 1.
        model_error: s, relative.
        dark: photoelectrons expected without light.
        saturation: counts at or above it (1 or more) are one outcome, recorded as this number; none where absent.
        threshold: counts below it are one outcome, recorded as 0; none where absent.
        live: False for sensors that are dead or absent; all are alive where absent.
    """

    # NumPyro declares these otherwise than its own distributions define them
    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.nonnegative_integer  # pyright: ignore
    pytree_data_fields = ("expected", "overdispersion", "saturation", "threshold", "live")

    def __init__(  # noqa: PLR0913 a distribution and all of its options
        self,
        mean: ArrayLike,
        *,
        excess_noise: ArrayLike = 1.0,
        model_error: ArrayLike = 0.0,
        dark: ArrayLike = 0.0,
        saturation: ArrayLike | None = None,
        threshold: ArrayLike | None = None,
        live: ArrayLike | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.expected, self.overdispersion, self.live = _moments(mean, dark, excess_noise, model_error, live)
        self.saturation = None if saturation is None else jnp.asarray(saturation, jnp.float64)
        self.threshold = None if threshold is None else jnp.asarray(threshold, jnp.float64)
        limits = [jnp.shape(limit) for limit in (saturation, threshold) if limit is not None]
        shape = jnp.broadcast_shapes(self.expected.shape, self.overdispersion.shape, self.live.shape, *limits)
        super().__init__(batch_shape=shape, event_shape=(), validate_args=validate_args)

    @property
    def mean(self) -> Real:
        """Mean of the photoelectrons, before saturation and threshold."""
        return jnp.broadcast_to(self.expected, self.batch_shape)

    @property
    def variance(self) -> Real:
        """Variance of the photoelectrons, before saturation and threshold."""
        return jnp.broadcast_to(self.expected * (1.0 + self.overdispersion), self.batch_shape)

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Array:
        """Counts as recorded, integers."""
        count = draw(key, self.expected, self.overdispersion, self.shape(sample_shape))
        if self.threshold is not None:
            count = jnp.where(count < self.threshold, 0, count)
        if self.saturation is not None:
            count = jnp.where(count >= self.saturation, self.saturation.astype(count.dtype), count)
        return jnp.where(self.live, count, 0)

    def log_prob(self, value: ArrayLike) -> Real:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Log probability of recorded counts; any count at or above the saturation is the saturated outcome."""
        count = jnp.where(self.live, jnp.asarray(value, jnp.float64), 0.0)
        at_rail, below = self._at_rail(count), self._suppressed(count)
        log_p = log_probability(jnp.where(at_rail | below, 0.0, count), self.expected, self.overdispersion)
        if self.saturation is not None:
            tails = log_tails(jnp.where(at_rail, self.saturation, 1.0), self.expected, self.overdispersion)
            log_p = jnp.where(at_rail, tails.above, log_p)
        if self.threshold is not None:
            tails = log_tails(jnp.where(below, self.threshold, 1.0), self.expected, self.overdispersion)
            log_p = jnp.where(below, jnp.where(count > 0, -jnp.inf, tails.below), log_p)
        return jnp.where(self.live, log_p, 0.0)

    def pit(self, key: Array, value: ArrayLike) -> Real:
        """Randomised probability integral transform of recorded counts.

        P(recorded < value) + U P(recorded = value) with U uniform on (0, 1): uniform where the model is right, NaN
        for dead sensors.
        """
        count = jnp.where(self.live, jnp.asarray(value, jnp.float64), 0.0)
        if self.saturation is not None:
            count = jnp.minimum(count, self.saturation)
        lower = log_tails(jnp.maximum(count, 1.0), self.expected, self.overdispersion).below
        lower = jnp.where(count > 0, jnp.exp(lower), 0.0)
        position = lower + jax.random.uniform(key, lower.shape) * jnp.exp(self.log_prob(count))
        return jnp.where(self.live, position, jnp.nan)

    def _at_rail(self, count: Real) -> Array:
        return count >= (jnp.inf if self.saturation is None else self.saturation)

    def _suppressed(self, count: Real) -> Array:
        return count < (0.0 if self.threshold is None else self.threshold)


class CountReadout(eqx.Module):
    """`PhotonCounts` as a function of the expected light, for given constants.

    Attributes:
        model_error: s, relative.
        excess_noise: F, at least 1.
        dark: photoelectrons expected without light.
    """

    model_error: Real | float = 0.0
    excess_noise: Real | float = 1.0
    dark: Real | float = 0.0

    def __call__(self, light: Real) -> PhotonCounts:
        """Distribution of the counts of an expected light [p.e.]."""
        return PhotonCounts(light, excess_noise=self.excess_noise, model_error=self.model_error, dark=self.dark)


class AnalogueCharge(dist.Distribution):
    """Charge of photoelectrons [p.e.] with electronics noise: whole numbers as of `PhotonCounts`, plus a normal error.

    Batch shape: that of the arguments together; event shape (). The sum over the number of photoelectrons runs over
    the `terms` numbers nearest to the charge; what it leaves out is the part of the normal distribution outside
    terms/2, 4e-8 for a noise of terms/11 (5.8 p.e. as it comes). Dead sensors have log density 0, whatever their
    value, and draws of 0.

    Args:
        mean: photoelectrons expected from light, not below zero.
        noise: standard deviation of the electronics noise [p.e.].
        excess_noise: F, at least 1.
        model_error: s, relative.
        dark: photoelectrons expected without light.
        saturation: charges at or above it are one outcome, recorded as this charge, of which `log_prob` gives the
            probability instead of a density [p.e.]; none where absent.
        live: False for sensors that are dead or absent; all are alive where absent.
        terms: photoelectron numbers in the sum.
    """

    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.real  # pyright: ignore
    pytree_data_fields = ("expected", "overdispersion", "noise", "saturation", "live")
    pytree_aux_fields = ("terms",)

    def __init__(  # noqa: PLR0913 a distribution and all of its options
        self,
        mean: ArrayLike,
        noise: ArrayLike,
        *,
        excess_noise: ArrayLike = 1.0,
        model_error: ArrayLike = 0.0,
        dark: ArrayLike = 0.0,
        saturation: ArrayLike | None = None,
        live: ArrayLike | None = None,
        terms: int = 64,
        validate_args: bool | None = None,
    ) -> None:
        self.expected, self.overdispersion, self.live = _moments(mean, dark, excess_noise, model_error, live)
        self.noise = jnp.asarray(noise, jnp.float64)
        self.saturation = None if saturation is None else jnp.asarray(saturation, jnp.float64)
        self.terms = terms
        shapes = [jnp.shape(a) for a in (self.expected, self.overdispersion, self.noise, self.live)]
        shapes += [] if self.saturation is None else [self.saturation.shape]
        super().__init__(batch_shape=jnp.broadcast_shapes(*shapes), event_shape=(), validate_args=validate_args)

    @property
    def mean(self) -> Real:
        """Mean charge before saturation [p.e.]."""
        return jnp.broadcast_to(self.expected, self.batch_shape)

    @property
    def variance(self) -> Real:
        """Variance of the charge before saturation [p.e.^2]."""
        return jnp.broadcast_to(self.expected * (1.0 + self.overdispersion) + self.noise**2, self.batch_shape)

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Real:
        """Charges as recorded [p.e.]."""
        count_key, noise_key = jax.random.split(key)
        shape = self.shape(sample_shape)
        charge = draw(count_key, self.expected, self.overdispersion, shape)
        charge = charge + self.noise * jax.random.normal(noise_key, shape)
        if self.saturation is not None:
            charge = jnp.minimum(charge, self.saturation)
        return jnp.where(self.live, charge, 0.0)

    def log_prob(self, value: ArrayLike) -> Real:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Log density of recorded charges [1/p.e.]; log probability of those at the saturation or above."""
        charge = jnp.where(self.live, jnp.asarray(value, jnp.float64), 0.0)
        if self.saturation is not None:
            charge = jnp.minimum(charge, self.saturation)
        first = jnp.maximum(jnp.round(charge) - self.terms // 2, 0.0)
        log_count = self._log_probabilities(first)
        away = charge[..., None] - first[..., None] - jnp.arange(self.terms)
        noise = self.noise[..., None]
        log_density = jax.nn.logsumexp(log_count + log_normal_pdf(away, noise), axis=-1)
        if self.saturation is not None:
            beyond = log_tails(first + self.terms, self.expected, self.overdispersion).above
            above = jax.nn.logsumexp(log_count + log_normal_cdf(-away / noise), axis=-1)
            log_density = jnp.where(charge >= self.saturation, jnp.logaddexp(above, beyond), log_density)
        return jnp.where(self.live, log_density, 0.0)

    def _log_probabilities(self, first: Real) -> Float[Array, "*batch term"]:
        """Log probabilities of the photoelectron numbers from `first` on, by their ratios."""
        mean, overdispersion = self.expected + TINY_MEAN, self.overdispersion
        start = log_probability(first, mean, overdispersion)[..., None]
        count = first[..., None] + jnp.arange(self.terms - 1)
        log_ratios = jnp.log(mean[..., None] + count * overdispersion[..., None]) - jnp.log1p(count)
        log_ratios -= jnp.log1p(overdispersion)[..., None]
        steps = jnp.concatenate([jnp.zeros_like(log_ratios[..., :1]), jnp.cumsum(log_ratios, axis=-1)], axis=-1)
        return start + steps


def _moments(
    mean: ArrayLike, dark: ArrayLike, excess_noise: ArrayLike, model_error: ArrayLike, live: ArrayLike | None
) -> tuple[Real, Real, Array]:
    """Expected photoelectrons, the excess of variance over mean relative to the mean, and which sensors live."""
    expected = jnp.asarray(mean, jnp.float64) + dark
    overdispersion = jnp.asarray(excess_noise, jnp.float64) - 1.0 + jnp.asarray(model_error) ** 2 * expected
    return expected, overdispersion, jnp.asarray(True if live is None else live)
