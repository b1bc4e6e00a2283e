"""Visibility as a sinusoidal representation network (SIREN): positions in, one visibility a sensor out.

V. Sitzmann et al., NeurIPS 2020, arXiv:2006.09661; for photon libraries, K. V. Tsang et al., arXiv:2211.01505, with
public code in siren-lartpc (slar). A layer is sin(w0 (W h + b)), the first one of the position scaled to [-1, 1], the
last one is linear; a head makes visibilities of its output. `LogLink` is ours, `PseudoLog` and `SinePseudoLog` are
those of slar, for networks that it trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from bayescal.light.box import Box, Points
from bayescal.light.sine import sine

AXES = 3
W0 = 30.0
"""Frequency factor of every layer; arXiv:2006.09661, section 3.2, and slar's default."""
LOG_GAIN = 5.0
"""Natural logarithm of visibility by unit of a linear head: about the range that a sine of amplitude one had."""
SMALLEST_MEAN = 1e-12
"""Mean visibility that a sensor without any light is taken to have, so that its logarithm is finite."""
VALUES_AT_ONCE = 1 << 25
"""Neurons times points that are worked on together: 134 MB in single precision for each array of them."""

Rows = Float[Array, "point 3"]
PerSensor = Float[Array, "*point sensor"]


class LogLink(eqx.Module):
    """v = exp(c_j + 5 y): positive by construction, with a last layer that is a generalised linear model.

    Attributes:
        offset: c_j, by custom the logarithm of the sensor's mean visibility (`log_link`).
    """

    offset: Float[Array, " sensor"]

    def __call__(self, output: PerSensor) -> PerSensor:
        """Visibility, at most one."""
        return jnp.exp(jnp.minimum(self.log_visibility(output), 0.0))

    def log_visibility(self, output: PerSensor) -> PerSensor:
        """Its natural logarithm, not bounded, so that a fit sees a slope everywhere."""
        return self.offset + LOG_GAIN * output


class PseudoLog(eqx.Module):
    """v = 10^(y (Y1 - Y0) + Y0) - eps with Y0 = log10(eps), Y1 = log10(vmax + eps): slar's linear head.

    Attributes:
        scale: slar's factor on the network's output, one for each sensor.
        vmax: largest visibility, to which the result is clamped.
        eps: visibility below which the scale is linear.
    """

    scale: Float[Array, " sensor"]
    vmax: float = eqx.field(static=True, default=1.0)
    eps: float = eqx.field(static=True, default=1e-7)

    def __call__(self, output: PerSensor) -> PerSensor:
        """Visibility from 0 to vmax."""
        return _from_pseudo_log(self.activated(output), self.vmax, self.eps)

    def activated(self, output: PerSensor) -> PerSensor:
        """What is compared with `transformed` visibilities in training."""
        return output * self.scale

    def transformed(self, visibility: PerSensor) -> PerSensor:
        """Pseudo-logarithm of visibilities, from 0 to 1."""
        return _pseudo_log(visibility, self.vmax, self.eps)


class SinePseudoLog(eqx.Module):
    """The pseudo-logarithm on a last layer that is a sine too: slar's default.

    Attributes:
        scale: slar's factor on the network's output, one for each sensor.
        w0: frequency factor of the last layer.
        vmax: largest visibility, to which the result is clamped.
        eps: visibility below which the scale is linear.
    """

    scale: Float[Array, " sensor"]
    w0: float = eqx.field(static=True, default=W0)
    vmax: float = eqx.field(static=True, default=1.0)
    eps: float = eqx.field(static=True, default=1e-7)

    def __call__(self, output: PerSensor) -> PerSensor:
        """Visibility from 0 to vmax."""
        return _from_pseudo_log((self.activated(output) + 1) / 2, self.vmax, self.eps)

    def activated(self, output: PerSensor) -> PerSensor:
        """What is compared with `transformed` visibilities in training."""
        return sine(self.w0 * output) * self.scale

    def transformed(self, visibility: PerSensor) -> PerSensor:
        """Pseudo-logarithm of visibilities, from -1 to 1."""
        return 2 * _pseudo_log(visibility, self.vmax, self.eps) - 1


Head = LogLink | PseudoLog | SinePseudoLog


def log_link(mean_visibility: ArrayLike) -> LogLink:
    """The default head for sensors whose mean visibility over the box is known [sensor]."""
    mean = jnp.maximum(jnp.asarray(mean_visibility, jnp.float32), SMALLEST_MEAN)
    return LogLink(jnp.log(mean))


class Architecture(eqx.Module):
    """Size and frequencies of a network.

    Attributes:
        sensors: outputs, D.
        hidden_features: neurons of a layer, H.
        hidden_layers: layers H x H after the first one, L.
        first_w0: frequency factor of the first layer; it sets the detail that the network starts from.
        hidden_w0: frequency factor of the others.
    """

    sensors: int = eqx.field(static=True)
    hidden_features: int = eqx.field(static=True, default=128)
    hidden_layers: int = eqx.field(static=True, default=1)
    first_w0: float = eqx.field(static=True, default=W0)
    hidden_w0: float = eqx.field(static=True, default=W0)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(out, in) of every layer's weights, in order."""
        h = self.hidden_features
        return ((h, AXES), *[(h, h)] * self.hidden_layers, (self.sensors, h))

    @property
    def n_parameters(self) -> int:
        """Weights and biases of all layers."""
        return sum(n_out * (n_in + 1) for n_out, n_in in self.shapes)


class Layer(eqx.Module):
    """Weights and biases of an affine map."""

    weight: Float[Array, "out in"]
    bias: Float[Array, " out"]

    def __call__(self, h: Float[Array, "point in"]) -> Float[Array, "point out"]:
        """W h + b."""
        return h @ self.weight.T + self.bias


class Siren(eqx.Module):
    """A visibility: call it with points [cm]. Zero on the faces of its box and outside.

    Attributes:
        layers: of the network, the last one linear; what training changes.
        head: makes visibilities of the last layer's output.
        box: what is scaled to [-1, 1].
        architecture: sizes and frequencies.
    """

    layers: tuple[Layer, ...]
    head: Head
    box: Box
    architecture: Architecture

    def __check_init__(self) -> None:
        """Refuse layers that are not those of the architecture."""
        shapes = tuple(layer.weight.shape for layer in self.layers)
        if shapes != self.architecture.shapes:
            raise ValueError(f"layers must have the shapes {self.architecture.shapes}, they have {shapes}")

    def __call__(self, points_cm: Points) -> Float[Array, "*point sensor"]:
        """Probability that each sensor detects a photon emitted at points [cm], in the precision of the weights."""
        return self._in_chunks(self._visibility, points_cm)

    def output(self, points_cm: Points) -> Float[Array, "*point sensor"]:
        """Output of the last layer, before the head; of points that are not inside that of the box's centre."""
        return self._in_chunks(self._output, points_cm)

    def features(self, points_cm: Points) -> Float[Array, "*point hidden"]:
        """Input of the last layer; of points that are not inside that of the box's centre."""
        return self._in_chunks(self._features, points_cm)

    def _features(self, points_cm: Rows) -> Float[Array, "point hidden"]:
        w0 = self.architecture.first_w0
        h = self._scaled(points_cm).astype(self.layers[0].weight.dtype)
        for layer in self.layers[:-1]:
            h = sine(w0 * layer(h))
            w0 = self.architecture.hidden_w0
        return h

    def _output(self, points_cm: Rows) -> Float[Array, "point sensor"]:
        return self.layers[-1](self._features(points_cm))

    def _visibility(self, points_cm: Rows) -> Float[Array, "point sensor"]:
        return jnp.where(self.box.contains(points_cm)[:, None], self.head(self._output(points_cm)), 0.0)

    def _scaled(self, points_cm: Rows) -> Rows:
        """Points as -1 to 1 from face to face; the centre for those that are not inside."""
        scaled = 2 * (points_cm - self.box.lower_cm) / self.box.size_cm - 1
        return jnp.where(self.box.contains(points_cm)[:, None], scaled, 0.0)

    def _in_chunks(self, function: Callable[[Rows], Array], points_cm: Points) -> Array:
        """A function of all points, of so many at a time that memory is bounded, also in the gradient."""
        rows, n = jnp.asarray(points_cm).reshape(-1, AXES), points_cm.size // AXES
        largest = max(1, VALUES_AT_ONCE // sum(n_out for n_out, _ in self.architecture.shapes))
        chunks = max(1, -(-n // largest))
        if chunks == 1:
            values = function(rows)
        else:
            length = -(-n // chunks)
            padded = jnp.pad(rows, ((0, chunks * length - n), (0, 0))).reshape(chunks, length, AXES)
            of_chunk = jax.checkpoint(lambda chunk: function(chunk))  # of no method, as modules cannot be hashed
            values = jax.lax.map(of_chunk, padded).reshape(chunks * length, -1)[:n]
        return values.reshape(*points_cm.shape[:-1], values.shape[-1])


def initialise(key: PRNGKeyArray, architecture: Architecture, head: Head, box: Box) -> Siren:
    """A network with random weights in single precision, drawn as arXiv:2006.09661, section 3.2, and slar do.

    Weights are uniform within 1/n_in in the first layer and sqrt(6/n_in)/w0 in the others; biases, as PyTorch's
    linear layers have them, within 1/sqrt(n_in).

    Args:
        key: random key.
        architecture: sizes and frequencies.
        head: makes visibilities of the output.
        box: where it is defined, the outer faces of a library's voxels.
    """
    layers = []
    for number, (n_out, n_in) in enumerate(architecture.shapes):
        weight_key, bias_key = jax.random.split(jax.random.fold_in(key, number))
        bound = 1 / n_in if number == 0 else math.sqrt(6 / n_in) / architecture.hidden_w0
        weight = _uniform(weight_key, (n_out, n_in), bound)
        layers.append(Layer(weight, _uniform(bias_key, (n_out,), 1 / math.sqrt(n_in))))
    return Siren(tuple(layers), head, box, architecture)


def _uniform(key: PRNGKeyArray, shape: tuple[int, ...], bound: float) -> Array:
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


def _pseudo_log(visibility: PerSensor, vmax: float, eps: float) -> PerSensor:
    low, high = math.log10(eps), math.log10(vmax + eps)
    return (jnp.log10(visibility + eps) - low) / (high - low)


def _from_pseudo_log(y: PerSensor, vmax: float, eps: float) -> PerSensor:
    """The inverse; clipping y first keeps the power finite wherever a linear layer gets to."""
    low, high = math.log10(eps), math.log10(vmax + eps)
    return jnp.clip(10.0 ** (jnp.clip(y, 0.0, 1.0) * (high - low) + low) - eps, 0.0, vmax)
