"""Posterior of the last layer of a network of visibility, from counts of light of known tracks.

The sensors are independent of each other given the features, so that the posterior is one Gaussian a sensor: Fisher
scoring, H_j = sum_t J J^T / var + prior with J = d m_tj / d w_j, finds all modes in one compiled program, and H_j are
the precisions. The features of a network that was trained on a library do not suit the detector to the last per cent.
What they lack is an error of the expected light, part of the counts' variance: without it intervals get ever narrower
around light that is wrong. The fit spreads it as it weighs counts, so that it is the same share t of the counting noise
for all light, one for each kind of sensor: t sqrt(F m) of an expected light m. A relative error would be set by the
bright tracks, and is far below what faint ones need. t is found in turn with the weights, in mean-field approximation:
its posterior for the mean of the log-likelihood over theirs, then theirs for its root mean square. The mode of t would
not do: it is zero as long as data are too few to tell an error from none. Data tell t and F only together: an F that is
too low is taken for an error of the light.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from bayescal.light.last_layer import TrackFeatures, Weights
from bayescal.likelihoods.counts import PhotonCounts

Counts = Float[Array | np.ndarray, "track sensor"]
PerSensor = Float[Array | np.ndarray, " sensor"]
PerKind = Float[Array | np.ndarray, " kind"]

START_ERROR = 0.05
"""Error of the light, as a share of the counting noise, from which its fit starts."""

_CONVERGED = 1e-4  # of a log-posterior, what the next step promises
_UPHILL = 1e-2  # of a log-posterior: smaller losses are rounding in single precision
_STEPS = 50
_ROUNDS = 8
_SETTLED = 0.05  # relative change between rounds
_ERROR_SD = 0.1  # of the half-normal prior of t
_COARSE = np.geomspace(1e-3, 1.0, 16)  # values of t among which its posterior is looked for
_FINE = np.linspace(0.0, 1.0, 24)  # those on which it is then summed, from one end of it to the other
_DEPTH = 10.0  # of the log-posterior at its ends
_NODES, _NODE_WEIGHTS = np.sqrt(3) * np.array([-1.0, 0.0, 1.0]), np.array([1.0, 4.0, 1.0]) / 6  # Gauss-Hermite


class LightReadout(eqx.Module):
    """How sensors count light.

    Attributes:
        kind: number of each sensor's kind, from 0.
        live: sensors that record.
        light_yield: photo-electrons per photon that the network says is detected.
        excess_noise: F of each kind, see `PhotonCounts`.
        dark: photo-electrons that are there without light.
        saturation: counts at or above it are one outcome; none where absent.
    """

    kind: tuple[int, ...] = eqx.field(static=True)
    live: Bool[Array | np.ndarray, " sensor"]
    light_yield: ArrayLike = 1.0
    excess_noise: ArrayLike = 1.0
    dark: ArrayLike = 0.0
    saturation: ArrayLike | None = None

    @property
    def n_kinds(self) -> int:
        """Number of kinds."""
        return max(self.kind) + 1

    def counts(self, light: Counts, model_error: PerKind, live: Bool[Array, "track sensor"]) -> PhotonCounts:
        """Distribution of the counts of photons that are detected by expectation.

        Args:
            light: that the network expects.
            model_error: t of each kind.
            live: which counts there are.
        """
        return PhotonCounts(
            self.light_yield * jnp.asarray(light, float),
            excess_noise=self.of_sensors(self.excess_noise) * (1.0 + self.of_sensors(model_error) ** 2),
            dark=self.dark,
            saturation=self.saturation,
            live=live & self.live,
        )

    def by_kind(self, values: PerSensor) -> PerKind:
        """Sums over the sensors of each kind."""
        return jax.ops.segment_sum(jnp.asarray(values), np.array(self.kind), self.n_kinds)

    def of_sensors(self, values: ArrayLike) -> Array:
        """Values of each kind, or one for all, as values of each sensor."""
        return jnp.broadcast_to(jnp.asarray(values, float), (self.n_kinds,))[np.array(self.kind)]


class WeightPrior(eqx.Module):
    """Independent normal weights.

    Attributes:
        mean: of the weights, as a rule those of the library.
        sd: standard deviations, of a shape that broadcasts with them.
    """

    mean: Weights
    sd: ArrayLike


class ExpectedLight(NamedTuple):
    """Expected light of tracks by a posterior, dark counts not included [p.e.].

    Attributes:
        mean: at the weights' mode.
        sd_weights: standard deviation by the weights alone, to first order.
        sd: with the model error, that of the light of one track and sensor.
    """

    mean: Counts
    sd_weights: Counts
    sd: Counts


class LastLayerPosterior(eqx.Module):
    """One Gaussian for the weights of each sensor, and the model error beside.

    Attributes:
        mean: mode of the weights.
        precision_root: Cholesky factor L of the precision L L^T.
        model_error: t of each kind; where it was fitted, its root mean square.
    """

    mean: Weights
    precision_root: Float[Array, "sensor feature feature"]
    model_error: PerKind

    @property
    def covariance_root(self) -> Float[Array, "sensor feature feature"]:
        """Cholesky factor of the covariance."""
        unit = jnp.broadcast_to(jnp.eye(self.mean.shape[1]), self.precision_root.shape)
        return jnp.linalg.cholesky(cho_solve((self.precision_root, True), unit))

    def draws(self, key: PRNGKeyArray, n: int) -> Float[Array, "draw sensor feature"]:
        """Draws of the weights."""
        standard = jax.random.normal(key, (*self.mean.shape, n))
        away = solve_triangular(self.precision_root, standard, trans=1, lower=True)
        return self.mean + jnp.moveaxis(away, -1, 0)

    def expected_light(self, tracks: TrackFeatures, readout: LightReadout) -> ExpectedLight:
        """Light of tracks that sensors should see, and how well it is known."""
        light, sd = _light_moments(tracks, self.mean, self.precision_root)
        mean, sd = readout.light_yield * light, readout.light_yield * sd
        noise = jnp.sqrt(readout.of_sensors(readout.excess_noise) * mean)
        return ExpectedLight(mean, sd, jnp.hypot(sd, readout.of_sensors(self.model_error) * noise))


def mixture(members: Sequence[ExpectedLight]) -> ExpectedLight:
    """Expected light by several networks, each trained and calibrated by itself: what their features lack differs.

    B. Lakshminarayanan et al., NeurIPS 2017, arXiv:1612.01474: the mean of the means; variances are the mean of the
    variances and the variance of the means.

    Args:
        members: of the same tracks, two or more.
    """
    means, sd_weights, sd = (jnp.stack([jnp.asarray(part) for part in parts]) for parts in zip(*members, strict=True))
    apart = means.var(axis=0, ddof=1)
    return ExpectedLight(means.mean(axis=0), *(jnp.sqrt((each**2).mean(axis=0) + apart) for each in (sd_weights, sd)))


def fit_last_layer(
    tracks: TrackFeatures,
    counts: Counts,
    readout: LightReadout,
    prior: WeightPrior,
    model_error: PerKind | None = None,
) -> LastLayerPosterior:
    """Posterior of the weights of the last layer.

    Saturated counts are part of the likelihood as such, of its curvature as if they were whole.

    Args:
        tracks: the tracks.
        counts: photo-electrons, NaN where a sensor is absent.
        readout: how they are counted.
        prior: of the weights.
        model_error: t of each kind; fitted where absent.
    """
    counts, fitted = jnp.asarray(counts, float), model_error is None
    error = jnp.full(readout.n_kinds, START_ERROR, float) if fitted else jnp.asarray(model_error, float)
    found = _mode(prior.mean, tracks, counts, error, (readout, prior))
    for _ in range(_ROUNDS if fitted else 0):
        before = error
        moments = _light_moments(tracks, found.mean, found.precision_root)
        error = _error(moments, counts, readout)
        found = _mode(found.mean, tracks, counts, error, (readout, prior))
        if (jnp.abs(error - before) < _SETTLED * before).all():
            break
    return found


class _Sums(NamedTuple):
    """Sums over tracks: log-likelihood, its gradient, Fisher information."""

    value: Float[Array, " sensor"]
    gradient: Float[Array, "sensor feature"]
    information: Float[Array, "sensor feature feature"]


class _Search(NamedTuple):
    """Where the search of the modes stands: the best weights so far, the step from there, and how much of it to try."""

    weights: Weights
    value: Float[Array, " sensor"]
    step: Weights
    promise: Float[Array, " sensor"]
    root: Float[Array, "sensor feature feature"]
    fraction: Float[Array, " sensor"]


@eqx.filter_jit
def _mode(
    start: Weights, tracks: TrackFeatures, counts: Counts, error: PerKind, fixed: tuple[LightReadout, WeightPrior]
) -> LastLayerPosterior:
    """Fisher scoring from some weights; a sensor whose log-posterior would fall goes half as far."""
    readout, prior = fixed
    tightness = jnp.broadcast_to(1 / jnp.asarray(prior.sd, float) ** 2, start.shape)

    def improve(search: _Search) -> _Search:
        weights = search.weights + search.fraction[:, None] * search.step
        sums, away = _sums(weights, tracks, counts, error, readout), weights - prior.mean
        value = sums.value - 0.5 * (tightness * away**2).sum(axis=1)
        gradient = sums.gradient - tightness * away
        root = jnp.linalg.cholesky(sums.information + tightness[..., None] * jnp.eye(start.shape[1]))
        step = cho_solve((root, True), gradient[..., None])[..., 0]
        promise = 0.5 * (gradient * step).sum(axis=1)
        found = _Search(weights, value, step, promise, root, jnp.ones_like(value))
        stay = search._replace(fraction=search.fraction / 2)
        better = value > search.value - _UPHILL
        return jax.tree.map(lambda new, old: jnp.where(_like(better, new), new, old), found, stay)

    def more(state: tuple[Array, _Search]) -> Array:
        return (state[0] < _STEPS) & (state[1].promise > _CONVERGED).any()

    n_sensors, n_features = start.shape
    begin = _Search(
        weights=start,
        value=jnp.full(n_sensors, -jnp.inf, float),
        step=jnp.zeros_like(start),
        promise=jnp.full(n_sensors, jnp.inf, float),
        root=jnp.zeros((n_sensors, n_features, n_features)),
        fraction=jnp.ones(n_sensors),
    )
    found = jax.lax.while_loop(more, lambda state: (state[0] + 1, improve(state[1])), (jnp.asarray(0), begin))[1]
    return LastLayerPosterior(found.weights, found.root, error)


def _like(condition: Bool[Array, " sensor"], values: Array) -> Array:
    """A condition with the axes of values."""
    return condition.reshape(-1, *[1] * (values.ndim - 1))


def _sums(weights: Weights, tracks: TrackFeatures, counts: Counts, error: PerKind, readout: LightReadout) -> _Sums:
    """Sums over all tracks, some tracks at a time; within those in the precision of the features."""
    size, n_sensors, n_features = tracks.at_a_time, *weights.shape

    def add(number: Array, total: _Sums) -> _Sums:
        first, fresh = _begin(number, size, tracks.n_tracks)
        light, slope = tracks.part(first, size).light_and_slope(weights)
        seen = jax.lax.dynamic_slice_in_dim(counts, first, size)
        live = fresh[:, None] & jnp.isfinite(seen)

        def log_probability(light: Array) -> Array:
            return readout.counts(light, error, live).log_prob(seen)

        light = light.astype(float)
        value, score = jax.jvp(log_probability, (light,), (jnp.ones_like(light),))
        variance = readout.counts(light, error, live).variance
        pull = readout.light_yield * jnp.where(live & readout.live, 1 / jnp.sqrt(variance), 0.0)
        pulled = slope * pull.T[..., None].astype(slope.dtype)
        part = _Sums(
            value.sum(axis=0),
            jnp.einsum("jtf,jt->jf", slope, score.T.astype(slope.dtype)),
            jnp.einsum("jtf,jtg->jfg", pulled, pulled),
        )
        return jax.tree.map(lambda one, other: one + other.astype(float), total, part)

    zero = _Sums(jnp.zeros(n_sensors), jnp.zeros_like(weights), jnp.zeros((n_sensors, n_features, n_features)))
    return jax.lax.fori_loop(0, -(-tracks.n_tracks // size), add, zero)


def _begin(number: Array, size: int, n_tracks: int) -> tuple[Array, Array]:
    """First track of a part, and which of its tracks no earlier part had: the last part is as long as the others."""
    first = jnp.minimum(number * size, n_tracks - size)
    return first, first + jnp.arange(size) >= number * size


@eqx.filter_jit
def _light_moments(
    tracks: TrackFeatures, weights: Weights, root: Float[Array, "sensor feature feature"]
) -> tuple[Counts, Counts]:
    """Expected light of all tracks, and its standard deviation to first order."""
    size = tracks.at_a_time

    def fill(number: Array, filled: tuple[Array, Array]) -> tuple[Array, Array]:
        first, _ = _begin(number, size, tracks.n_tracks)
        light, slope = tracks.part(first, size).light_and_slope(weights)
        whitened = solve_triangular(root, slope.swapaxes(1, 2).astype(float), lower=True)
        sd = jnp.sqrt((whitened**2).sum(axis=1)).T
        put = jax.lax.dynamic_update_slice_in_dim
        return put(filled[0], light.astype(float), first, 0), put(filled[1], sd, first, 0)

    empty = jnp.zeros((tracks.n_tracks, weights.shape[0]))
    return jax.lax.fori_loop(0, -(-tracks.n_tracks // size), fill, (empty, empty))


@eqx.filter_jit
def _error(moments: tuple[Counts, Counts], counts: Counts, readout: LightReadout) -> PerKind:
    """Root mean square of the model error of each kind, by the log-likelihood's average over the light's posterior."""
    light, sd = moments
    live, relative = jnp.isfinite(counts), sd / jnp.where(light > 0, light, 1.0)

    def at_node(trial: tuple[PerKind, Array, Array]) -> PerKind:
        error, node, weight = trial
        terms = readout.counts(light * jnp.exp(node * relative), error, live).log_prob(counts)
        return weight * readout.by_kind(terms.sum(axis=0))

    def log_posterior(errors: Float[Array, "trial kind"]) -> Float[Array, "trial kind"]:
        trials = jnp.repeat(errors, len(_NODES), axis=0)
        nodes = [jnp.tile(jnp.asarray(each), len(errors)) for each in (_NODES, _NODE_WEIGHTS)]
        parts = jax.lax.map(at_node, (trials, *nodes)).reshape(len(errors), len(_NODES), -1)
        return parts.sum(axis=1) - 0.5 * (errors / _ERROR_SD) ** 2

    coarse = jnp.asarray(_COARSE)
    found = log_posterior(jnp.broadcast_to(coarse[:, None], (len(_COARSE), readout.n_kinds)))
    inside = found > found.max(axis=0) - _DEPTH
    first, last = inside.argmax(axis=0), len(_COARSE) - 1 - inside[::-1].argmax(axis=0)
    low = jnp.where(first > 0, coarse[first - 1], 0.0)
    high = coarse[jnp.minimum(last + 1, len(_COARSE) - 1)]
    errors = low + jnp.asarray(_FINE)[:, None] * (high - low)
    return jnp.sqrt((jax.nn.softmax(log_posterior(errors), axis=0) * errors**2).sum(axis=0))
