"""ShiftedCounts: light of clusters whose shift along the drift field is unknown, integrated over all shifts.

A cluster whose time is not known is displaced by an unknown x, uniform between limits that keep it inside its volume.
With m(x) the light that it would give, the counts n of its flash have the probability

    p(n) = integral of p(n | m(x)) q(x) dx,  q(x) = 1/(highest - lowest), times what a measured time says,

by the trapezoidal rule over nodes at which m was computed before the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.nn import logsumexp
from jaxtyping import Array, Float
from numpyro.distributions import constraints

from bayescal.likelihoods.counts import PhotonCounts


class ShiftNodes(eqx.Module):
    """Light at the nodes of the integral.

    Attributes:
        shift_cm: nodes, increasing [cm].
        weight: of the integral over the uniform density of shifts; sums to one.
        light: for a scale of one [p.e.].
    """

    shift_cm: Float[Array | np.ndarray, "cluster node"]
    weight: Float[Array | np.ndarray, "cluster node"]
    light: Float[Array | np.ndarray, "cluster node sensor"]


class Sensing(eqx.Module):
    """How sensors count: arguments of `PhotonCounts` beside the mean, and a factor on the light.

    Attributes:
        scale: factor on all light, one number or one a sensor.
        excess_noise: variance over mean.
        model_error: relative error of the model of the light.
        dark: photo-electrons without light.
    """

    scale: Float[Array, ...] | float
    excess_noise: Float[Array, ...] | float
    model_error: Float[Array, ...] | float
    dark: Float[Array, ...] | float

    def counts(self, light: Float[Array, "*batch sensor"], live: Array) -> PhotonCounts:
        """Distribution of the counts for an expected light of scale one [p.e.]."""
        return PhotonCounts(
            self.scale * light,
            excess_noise=self.excess_noise,
            model_error=self.model_error,
            dark=self.dark,
            live=live,
        )


class ShiftedCounts(dist.Distribution):
    """Counts of the flashes of clusters whose shifts are unknown.

    Batch shape (cluster,), event shape (sensor,). Sensors that are not alive say nothing, whatever their value.

    Args:
        light_at: light of all clusters for their shifts [cm], as [cluster, sensor] [p.e.]; what `sample` needs.
        limits_cm: lowest and highest shift of each cluster [cm].
        sensing: how sensors count.
        live: sensors that record, [cluster, sensor] or [sensor].
        nodes: light at nodes; what `log_prob` needs.
        log_prior: log of what is known of the shift beside the uniform density, at the nodes [cluster, node].
    """

    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.independent(constraints.nonnegative_integer, 1)  # pyright: ignore
    pytree_data_fields = ("light_at", "limits_cm", "sensing", "live", "nodes", "log_prior")

    def __init__(  # noqa: PLR0913 a distribution and all of its options
        self,
        light_at: Callable[[Float[Array, " cluster"]], Float[Array, "cluster sensor"]],
        limits_cm: tuple[Float[Array, " cluster"], Float[Array, " cluster"]],
        sensing: Sensing,
        live: Array,
        *,
        nodes: ShiftNodes | None = None,
        log_prior: Float[Array, "cluster node"] | float = 0.0,
        validate_args: bool | None = None,
    ) -> None:
        self.light_at, self.limits_cm, self.sensing = light_at, limits_cm, sensing
        self.live, self.nodes, self.log_prior = jnp.asarray(live), nodes, log_prior
        super().__init__(
            batch_shape=jnp.shape(limits_cm[0]), event_shape=self.live.shape[-1:], validate_args=validate_args
        )

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Array:
        """Counts of clusters at random shifts."""

        def draw(key: Array) -> Array:
            shift_key, count_key = jax.random.split(key)
            shift = jax.random.uniform(shift_key, self.batch_shape, minval=self.limits_cm[0], maxval=self.limits_cm[1])
            return self.sensing.counts(self.light_at(shift), self.live).sample(count_key)

        size = int(np.prod(sample_shape))
        return jax.lax.map(draw, jax.random.split(key, size)).reshape(self.shape(sample_shape))

    def log_prob(self, value: Array) -> Float[Array, " cluster"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Log probability of the flashes' counts [cluster, sensor]."""
        return logsumexp(self._at_nodes(value), axis=-1)

    def draw_shift(self, key: Array, value: Array) -> Float[Array, " cluster"]:
        """An exact draw of the shifts given the counts, under the density that the integral implies [cm]."""
        nodes = self._planned()
        node_key, place_key = jax.random.split(key)
        node = jax.random.categorical(node_key, self._at_nodes(value), axis=-1)[:, None]
        shift = jnp.asarray(nodes.shift_cm)
        edges = jnp.concatenate([shift[:, :1], (shift[:, 1:] + shift[:, :-1]) / 2, shift[:, -1:]], axis=1)
        low, high = (jnp.take_along_axis(edges, node + end, axis=1)[:, 0] for end in (0, 1))
        return low + (high - low) * jax.random.uniform(place_key, low.shape)

    def _planned(self) -> ShiftNodes:
        if self.nodes is None:
            raise ValueError("log_prob needs the light at nodes: ShiftedCounts(..., nodes=...)")
        return self.nodes

    def _at_nodes(self, value: Array) -> Float[Array, "cluster node"]:
        """Log of the integrand times the weight."""
        nodes = self._planned()
        live = jnp.broadcast_to(self.live, (*self.batch_shape, *self.event_shape))[:, None]
        each = self.sensing.counts(jnp.asarray(nodes.light), live).log_prob(jnp.asarray(value)[:, None])
        return each.sum(axis=-1) + jnp.log(jnp.asarray(nodes.weight)) + self.log_prior
