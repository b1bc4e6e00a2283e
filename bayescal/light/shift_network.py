"""A small network that guesses where along the drift a cluster of charge lies, from its points and its flash.

Points go through two layers each, and their mean, weighted by photons, is what the network knows of the cluster: it
depends neither on the order of the points nor on how finely a cluster is divided, as the light does not. With the
logarithm of the light of each sensor it gives the mass of each of many equal bins of the allowed range of shifts.

Its guess is never the answer: it only says where the likelihood is computed (`bayescal.reconstruction.proposed_shift`).
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.light.siren import AXES, Layer

_BESIDE = 2  # features of a cluster beside its points: range of shifts and photons


class ShiftDensity(eqx.Module):
    """Density of a shift: even within each of equal bins of the allowed range.

    Attributes:
        lowest_cm, highest_cm: ends of the range.
        mass: probability of each bin.
    """

    lowest_cm: Float[Array, "*cluster"]
    highest_cm: Float[Array, "*cluster"]
    mass: Float[Array, "*cluster bin"]

    @property
    def edge_cm(self) -> Float[Array, "*cluster edge"]:
        """Edges of the bins [cm]."""
        return jnp.linspace(self.lowest_cm, self.highest_cm, self.mass.shape[-1] + 1, axis=-1)

    @property
    def centre_cm(self) -> Float[Array, "*cluster bin"]:
        """Middles of the bins [cm]."""
        return (self.edge_cm[..., 1:] + self.edge_cm[..., :-1]) / 2

    @property
    def mean_cm(self) -> Float[Array, "*cluster"]:
        """Mean shift [cm]."""
        return (self.mass * self.centre_cm).sum(axis=-1)


class Scaling(eqx.Module):
    """What is subtracted from the features and what they are divided by, for numbers of the order of one.

    Attributes:
        position_cm: mean and width of the coordinates of points at the lowest shift.
        beside: of the range of shifts [cm] and of the logarithm of the photons.
        light: of log(1 + p.e.) of each sensor.
    """

    position_cm: Float[Array, "2 3"]
    beside: Float[Array, "2 2"]
    light: Float[Array, "2 sensor"]


class NetworkSize(eqx.Module):
    """Sizes of a network.

    Attributes:
        bins: of the range of shifts; narrower than the light tells the shift.
        point_features: what is known of each point.
        hidden_features: neurons of the layers behind.
        hidden_layers: of them.
    """

    bins: int = eqx.field(static=True, default=64)
    point_features: int = eqx.field(static=True, default=64)
    hidden_features: int = eqx.field(static=True, default=256)
    hidden_layers: int = eqx.field(static=True, default=3)

    def shapes(self, n_sensors: int) -> tuple[tuple[int, int], ...]:
        """(out, in) of every layer's weights: two of the points, the hidden ones, and the last."""
        p, h = self.point_features, self.hidden_features
        first = (h, p + _BESIDE + 2 * n_sensors)
        return ((p, AXES), (p, p), first, *[(h, h)] * (self.hidden_layers - 1), (self.bins, h))


class ShiftNetwork(eqx.Module):
    """The network, in the precision of its weights.

    Attributes:
        layers: those of the points, then the others; what training changes.
        scaling: of the features.
        size: of the network.
        detector: name of the detector that it was trained for.
    """

    layers: tuple[Layer, ...]
    scaling: Scaling
    size: NetworkSize
    detector: str = eqx.field(static=True)

    def __check_init__(self) -> None:
        """Refuse layers that are not of these sizes."""
        shapes, wanted = tuple(layer.weight.shape for layer in self.layers), self.size.shapes(self.n_sensors)
        if shapes != wanted:
            raise ValueError(f"layers must have the shapes {wanted}, they have {shapes}")

    @property
    def n_sensors(self) -> int:
        """Number of sensors of the detector."""
        return self.scaling.light.shape[1]

    def __call__(
        self,
        position_cm: Float[Array, "point 3"],
        photons: Float[Array, " point"],
        range_cm: Float[Array, ""],
        counts: Float[Array, " sensor"],
    ) -> Float[Array, " bin"]:
        """Logarithm of the mass of each bin of the range of shifts.

        Args:
            position_cm: points at the lowest shift.
            photons: emitted at each, zero in the padding.
            range_cm: from the lowest to the highest shift.
            counts: light of the flash [p.e.], NaN where a sensor is absent.
        """
        photons = jnp.asarray(photons)
        total = photons.sum()
        h = self._scaled(position_cm, self.scaling.position_cm)
        for layer in self.layers[:2]:
            h = jax.nn.silu(layer(h))
        cluster = (photons / total).astype(h.dtype) @ h
        beside = self._scaled(jnp.stack([range_cm, jnp.log(total)]), self.scaling.beside)
        present = jnp.isfinite(counts)
        light = self._scaled(jnp.log1p(jnp.where(present, counts, 0.0)), self.scaling.light)
        h = jnp.concatenate([cluster, beside, jnp.where(present, light, 0.0), present.astype(h.dtype)])[None]
        for layer in self.layers[2:-1]:
            h = jax.nn.silu(layer(h))
        return jax.nn.log_softmax(self.layers[-1](h)[0])

    def _scaled(self, values: Float[Array, "*row feature"], by: Float[Array, "2 feature"]) -> Array:
        return ((values - by[0]) / by[1]).astype(self.layers[0].weight.dtype)


def initialise_network(
    key: PRNGKeyArray, n_sensors: int, scaling: Scaling, size: NetworkSize, detector: str
) -> ShiftNetwork:
    """A network with random weights in single precision; its last layer is zero, so that all shifts are equal.

    Weights are uniform within sqrt(6/n_in) (K. He et al., arXiv:1502.01852), biases zero.

    Args:
        key: random key.
        n_sensors: of the detector.
        scaling: of the features.
        size: of the network.
        detector: its name.
    """
    shapes = size.shapes(n_sensors)
    layers = []
    for number, (n_out, n_in) in enumerate(shapes):
        bound = math.sqrt(6 / n_in) if number < len(shapes) - 1 else 0.0
        weight = jax.random.uniform(jax.random.fold_in(key, number), (n_out, n_in), jnp.float32, -bound, bound)
        layers.append(Layer(weight, jnp.zeros(n_out, jnp.float32)))
    return ShiftNetwork(tuple(layers), scaling, size, detector)
