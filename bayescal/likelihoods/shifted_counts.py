"""ShiftedCounts: light of clusters whose shift along the drift field is unknown, integrated over all shifts.

A cluster whose time is not known is displaced by an unknown x, uniform between limits that keep it inside its volume.
With m(x) the light that it would give, the counts n of its flash have the probability

    p(n) = integral of p(n | m(x)) q(x) dx,  q(x) = 1/(highest - lowest), times what a measured time says,

by the trapezoidal rule over nodes that were chosen before the fit.
"""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.nn import logsumexp
from jaxtyping import Array, Float
from numpyro.distributions import constraints

from bayescal.light.shifted import Scan, light_between
from bayescal.likelihoods.counts import PhotonCounts

Scalar = Float[Array, ""] | float


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
        scale: factor on all light.
        excess_noise: variance over mean.
        model_error: relative error of the model of the light.
        dark: photo-electrons without light.
        saturation: counts at or above it are one outcome; none where absent.
    """

    scale: Scalar
    excess_noise: Scalar
    model_error: Scalar
    dark: Scalar
    saturation: float | None = None

    def counts(self, light: Float[Array, "*batch sensor"], live: Array) -> PhotonCounts:
        """Distribution of the counts for an expected light of scale one [p.e.]."""
        return PhotonCounts(
            self.scale * light,
            excess_noise=self.excess_noise,
            model_error=self.model_error,
            dark=self.dark,
            saturation=self.saturation,
            live=live,
        )


class ShiftedCounts(dist.Distribution):
    """Counts of the flashes of clusters whose shifts are unknown.

    Batch shape (cluster,), event shape (sensor,). Sensors that are not alive say nothing, whatever their value.

    Args:
        scan: light of the clusters along their ranges, for a scale of one.
        sensing: how sensors count.
        live: sensors that record, [cluster, sensor] or [sensor].
        nodes: light at nodes; what `log_prob` needs.
        log_prior: log of what is known of the shift beside the uniform density, at the nodes [cluster, node].
    """

    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.independent(constraints.nonnegative_integer, 1)  # pyright: ignore
    pytree_data_fields = ("scan", "sensing", "live", "nodes", "log_prior")

    def __init__(
        self,
        scan: Scan,
        sensing: Sensing,
        live: Array,
        *,
        nodes: ShiftNodes | None = None,
        log_prior: Float[Array, "cluster node"] | float = 0.0,
        validate_args: bool | None = None,
    ) -> None:
        self.scan, self.sensing, self.live = scan, sensing, jnp.asarray(live)
        self.nodes, self.log_prior = nodes, log_prior
        super().__init__(
            batch_shape=scan.shift_cm.shape[:1], event_shape=self.live.shape[-1:], validate_args=validate_args
        )

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Array:
        """Counts of clusters at random shifts."""
        scan = jax.tree.map(jnp.asarray, self.scan)
        lowest, highest = scan.shift_cm[:, 0], scan.shift_cm[:, -1]

        def draw(key: Array) -> Array:
            shift_key, count_key = jax.random.split(key)
            shift = jax.random.uniform(shift_key, self.batch_shape, minval=lowest, maxval=highest)
            light = jax.vmap(light_between)(scan, shift[:, None])[:, 0]
            return self.sensing.counts(light, self.live).sample(count_key)

        size = int(np.prod(sample_shape))
        return jax.lax.map(draw, jax.random.split(key, size)).reshape(self.shape(sample_shape))

    def log_prob(self, value: Array) -> Float[Array, " cluster"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Log probability of the flashes' counts [cluster, sensor]."""
        return logsumexp(self.log_shares(value), axis=-1)

    def draw_shift(self, key: Array, value: Array) -> Float[Array, " cluster"]:
        """A draw of the shifts given the counts, from a density that is linear between the nodes [cm]."""
        shares = self.log_shares(value)
        return draw_shifts(key, jnp.asarray(self._planned().shift_cm), shares)

    def log_shares(self, value: Array) -> Float[Array, "cluster node"]:
        """Logarithm of each node's share of the integral."""
        nodes = self._planned()
        live = jnp.broadcast_to(self.live, (*self.batch_shape, *self.event_shape))[:, None]
        each = self.sensing.counts(jnp.asarray(nodes.light), live).log_prob(jnp.asarray(value)[:, None])
        return each.sum(axis=-1) + jnp.log(jnp.asarray(nodes.weight)) + self.log_prior

    def _planned(self) -> ShiftNodes:
        if self.nodes is None:
            raise ValueError("log_prob needs the light at nodes: ShiftedCounts(..., nodes=...)")
        return self.nodes


def draw_shifts(
    key: Array, shift_cm: Float[Array, "row node"], log_share: Float[Array, "row node"]
) -> Float[Array, " row"]:
    """Shifts drawn from densities that are linear between nodes with these shares of the trapezoidal rule [cm]."""
    node_key, side_key, place_key = jax.random.split(key, 3)
    node = jax.random.categorical(node_key, log_share)
    row = jnp.arange(len(node))
    here = shift_cm[row, node]
    below = here - shift_cm[row, jnp.maximum(node - 1, 0)]
    above = shift_cm[row, jnp.minimum(node + 1, shift_cm.shape[1] - 1)] - here
    up = jax.random.uniform(side_key, node.shape) * (below + above) < above
    # the share of a node is a triangle, highest at the node
    away = 1 - jnp.sqrt(1 - jax.random.uniform(place_key, node.shape))
    return here + away * jnp.where(up, above, -below)
