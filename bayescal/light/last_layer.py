"""The last layer of a network of visibility as a linear model: tracks seen through features that stay as they are.

With the head `LogLink` the visibility of sensor j is v_j(r) = exp(c_j + w_j . phi(r)): phi are the outputs of the last
hidden layer and a constant one, c_j the head's offset, w_j the weights and the bias of sensor j times the head's gain.
Where only w changes, phi of every point of every track is computed once, and sensors are independent of each other
(J. Snoek et al., Scalable Bayesian optimization using deep neural networks, ICML 2015, arXiv:1502.05700).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.light.box import Box
from bayescal.light.library import voxel_centres_cm
from bayescal.light.siren import LOG_GAIN, Layer, LogLink, Siren

FUNCTION_SD = 0.3
"""Standard deviation of ln v, from place to place, to which a library's visibility is trusted before there are data."""
YIELD_SD = 0.3
"""Standard deviation of the logarithm of a factor on all light of a sensor, before there are data."""

_PROBES = (16, 16, 16)  # points of the box over which features are averaged, along x, y and z
_VALUES_AT_ONCE = 1 << 22  # features that are worked on together: 17 MB in single precision

Scalar = Float[Array, ""] | float
Weights = Float[Array, "sensor feature"]


class LightAndSlope(NamedTuple):
    """Light of tracks [track, sensor], and its derivative by the weights of its sensor [sensor, track, feature]."""

    light: Float[Array, "track sensor"]
    slope: Float[Array, "sensor track feature"]


class TrackFeatures(eqx.Module):
    """Tracks as the last layer sees them, in the precision of the network.

    Attributes:
        features: phi of every point, a constant one last.
        photons: emitted at each point; none in the padding, and none outside the network's box.
        offset: c_j of the head.
    """

    features: Float[Array, "track point feature"]
    photons: Float[Array, "track point"]
    offset: Float[Array, " sensor"]

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return self.features.shape[0]

    @property
    def at_a_time(self) -> int:
        """Tracks that are worked on together, so that memory is bounded."""
        n_tracks, n_points, n_features = self.features.shape
        widest = max(n_points, self.offset.size) * (n_features + self.offset.size)
        return min(n_tracks, max(1, _VALUES_AT_ONCE // widest))

    def light(self, weights: Weights) -> Float[Array, "track sensor"]:
        """Photons that each sensor detects by expectation, sum over points of photons * v; v is not bounded by one.

        Gradients compute the visibilities a second time instead of keeping them.
        """
        of_track = jax.checkpoint(lambda track: self._emitted(track[0], track[1], weights).sum(axis=0))
        return jax.lax.map(of_track, (self.features, self.photons), batch_size=self.at_a_time)

    def light_and_slope(self, weights: Weights) -> LightAndSlope:
        """The light of all tracks together, and its slope, which is as large as all features."""
        emitted = self._emitted(self.features, self.photons, weights)
        return LightAndSlope(emitted.sum(axis=1), jnp.einsum("tpj,tpf->jtf", emitted, self.features))

    def part(self, first: Array | int, count: int) -> TrackFeatures:
        """Tracks in a row, so many from the first one on."""
        rows = [jax.lax.dynamic_slice_in_dim(array, first, count) for array in (self.features, self.photons)]
        return TrackFeatures(rows[0], rows[1], self.offset)

    def _emitted(self, features: Array, photons: Array, weights: Weights) -> Float[Array, "*track point sensor"]:
        """Photons of each point that each sensor detects."""
        log_visibility = self.offset + features @ weights.astype(features.dtype).T
        return photons[..., None] * jnp.exp(log_visibility)


def track_features(
    siren: Siren,
    points_cm: Float[Array | np.ndarray, "track point 3"],
    photons: Float[Array | np.ndarray, "track point"],
) -> TrackFeatures:
    """What the last layer needs of tracks.

    Args:
        siren: a network with the head `LogLink`.
        points_cm: where light is emitted, rows padded to the same length with any position [cm].
        photons: emitted at each point, zero in the padding.
    """
    features = _with_one(siren.features(points_cm))
    inside = siren.box.contains(points_cm)
    seen = jnp.where(inside, jnp.asarray(photons), 0.0).astype(features.dtype)
    return TrackFeatures(features, seen, _head(siren).offset.astype(features.dtype))


def last_layer_weights(siren: Siren) -> Weights:
    """Weights and bias of each sensor times the head's gain, in double precision."""
    last = siren.layers[-1]
    return LOG_GAIN * jnp.concatenate([last.weight, last.bias[:, None]], axis=1).astype(float)


def with_last_layer(siren: Siren, weights: Weights) -> Siren:
    """The network with another last layer, in the precision that it has."""
    scaled = (jnp.asarray(weights) / LOG_GAIN).astype(siren.layers[-1].weight.dtype)
    return replace(siren, layers=(*siren.layers[:-1], Layer(scaled[:, :-1], scaled[:, -1])))


def weight_scale(siren: Siren) -> Float[Array, ""]:
    """Standard deviation of independent weights for which that of ln v is one: 1 / sqrt(mean of |phi|^2 in the box)."""
    unit = voxel_centres_cm(Box(np.zeros(3), np.ones(3)), _PROBES).reshape(-1, 3)
    features = _with_one(siren.features(siren.box.lower_cm + siren.box.size_cm * unit))
    return 1 / jnp.sqrt((features.astype(float) ** 2).sum(axis=1).mean())


def weight_sd(
    n_features: int, scale: Float[Array, ""], function_sd: Scalar = FUNCTION_SD, yield_sd: Scalar = YIELD_SD
) -> Float[Array, " feature"]:
    """Prior standard deviations of the weights of a sensor around those of a library.

    All weights alike would hold the mean of ln v over the box to function_sd / sqrt(mean of |phi|^2), a few per cent.
    Yields of sensors are not known as well as that, and a yield is a shift of the bias.

    Args:
        n_features: weights of a sensor, the bias included.
        scale: as of `weight_scale`.
        function_sd: of ln v from place to place.
        yield_sd: of ln v at all places together.
    """
    return jnp.full(n_features, function_sd * scale, float).at[-1].set(yield_sd)


def _with_one(features: Float[Array, "*point hidden"]) -> Float[Array, "*point feature"]:
    return jnp.concatenate([features, jnp.ones_like(features[..., :1])], axis=-1)


def _head(siren: Siren) -> LogLink:
    """The head, which must be one that makes the last layer linear in ln v."""
    if not isinstance(siren.head, LogLink):
        raise TypeError(f"the last layer can be calibrated under the head LogLink, not {type(siren.head).__name__}")
    return siren.head
