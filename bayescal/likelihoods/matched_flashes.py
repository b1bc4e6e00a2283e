"""MatchedFlashes: all flashes of an event from clusters of charge whose times, and so whose flashes, are not known.

Every cluster lies at an unknown drift shift, uniform on its range, and makes photo-electrons as of `PhotonCounts`. Its
flash is recorded if the total reaches the trigger's threshold, but for a small part that is missed; a Poisson number of
flashes comes from activity that left no cluster. The flashes of an event are listed in random order. The density is

    exp(-rate) / m! prod_j (rate p_bg(n_j)) prod_i e^{u_i}  x  sum over matchings of  prod_{(i,j)} e^{w_ij - u_i},

w_ij = log((1 - missed) int p(n_j | cluster i, x) p(x) dx) - log(rate p_bg(n_j)), u_i = log P(cluster i has no recorded
flash): an injective partial matching says which cluster made which flash. Integrals and sums are exact up to the grid
of shifts: the plan has the pairs that matter, the light of their clusters at nodes, and in which connected component of
the pairs they are, so that each sum runs over few clusters and flashes. Drawing matchings and shifts is exact too.
"""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.nn import logsumexp
from jax.scipy.special import gammaln
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from numpyro.distributions import constraints

from bayescal.light.shifted import Scan, light_between
from bayescal.likelihoods.counts import PhotonCounts
from bayescal.likelihoods.limits import Limits, log_at_least
from bayescal.likelihoods.partial_matchings import IMPOSSIBLE, draw_matching, log_sum
from bayescal.likelihoods.shifted_counts import draw_shifts
from bayescal.likelihoods.unmatched import Background, Trigger

_CHUNK_ELEMENTS = 1 << 20


class ClusterLight(eqx.Module):
    """Expected light of the clusters of all events.

    Attributes:
        event: place of each cluster's event, not decreasing.
        scan: light along the range of shifts.
    """

    event: Int[Array | np.ndarray, " cluster"]
    scan: Scan


class MatchPlan(eqx.Module):
    """Pairs of clusters and flashes that matter, and light at nodes of their shifts.

    Attributes:
        cluster: place of the pair's cluster among all.
        flash: place of the flash in its event.
        shift_cm: nodes, increasing; the last is repeated as padding [cm].
        log_width: logarithm of each node's share of the range, `IMPOSSIBLE` for padding.
        mean_pe: light of the cluster at the nodes [p.e.].
        limits: sensors of the flash at the end of their range.
        table: for each connected component of the pairs, numbers of the pairs of its clusters and flashes (or flashes
            and clusters, the fewer as columns); -1 where there is none.
        component_event: place of each component's event.
        log_background: logarithm of the probability of each flash from unseen activity, 0 for padding.
    """

    cluster: Int[Array | np.ndarray, " pair"]
    flash: Int[Array | np.ndarray, " pair"]
    shift_cm: Float[Array | np.ndarray, "pair node"]
    log_width: Float[Array | np.ndarray, "pair node"]
    mean_pe: Float[Array | np.ndarray, "pair node sensor"]
    limits: Limits
    table: Int[Array | np.ndarray, "component row column"]
    component_event: Int[Array | np.ndarray, " component"]
    log_background: Float[Array | np.ndarray, "event flash"]


class Emission(eqx.Module):
    """What is inferred: light of clusters, its spread, and the rate of other flashes.

    Attributes:
        light_scale: factor on the expected light.
        model_error: relative error of the expected light of a sensor.
        background_rate: expected flashes of unseen activity an event.
    """

    light_scale: Float[Array, ""] | float
    model_error: Float[Array, ""] | float
    background_rate: Float[Array, ""] | float


class Recording(eqx.Module):
    """How flashes are recorded, and the room for them.

    Attributes:
        trigger: when a cluster's flash is recorded.
        background: flashes of unseen activity; their rate is that of `Emission`.
        live: sensors that record; the others are absent (NaN).
        excess_noise: variance of counts over their mean, apart from the model's error.
        saturation_pe: counts at or above are one outcome [p.e.]; infinite where nothing saturates.
        n_flashes: room for the flashes of an event.
        n_background: room for those of unseen activity in a made event.
        n_events: number of events.
    """

    trigger: Trigger
    background: Background
    live: Array | np.ndarray
    excess_noise: float = 1.0
    saturation_pe: float = float("inf")
    n_background: int = eqx.field(static=True, default=8)
    n_flashes: int = eqx.field(static=True, default=0)
    n_events: int = eqx.field(static=True, default=0)


class MatchedFlashes(dist.Distribution):
    """Flashes of events.

    Batch shape (event,). Event shape (flash, sensor): light of each flash [p.e.], whole numbers; NaN where a sensor is
    absent and in the rows after the last flash; counts at the saturation are lower limits.

    Args:
        light: expected light of all clusters.
        emission: what is inferred.
        recording: how flashes are recorded.
        plan: of the flashes whose density is asked for; `sample` needs none.
    """

    # NumPyro declares these otherwise than its own distributions define them
    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.independent(constraints.real, 2)  # pyright: ignore
    pytree_data_fields = ("light", "emission", "recording", "plan")

    def __init__(
        self,
        light: ClusterLight,
        emission: Emission,
        recording: Recording,
        plan: MatchPlan | None = None,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.light, self.emission, self.recording, self.plan = light, emission, recording, plan
        shape = (recording.n_flashes, jnp.shape(recording.live)[0])
        super().__init__(batch_shape=(recording.n_events,), event_shape=shape, validate_args=validate_args)

    def log_prob(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, value: ArrayLike
    ) -> Float[Array, " event"]:
        """Log density of flashes for which the plan was made: a probability, since counts are whole numbers."""
        plan, n_events = self._plan, self.recording.n_events
        log_unrecorded = self.log_unrecorded()
        matched = jax.vmap(log_sum)(self._gains(value, log_unrecorded))
        total = jax.ops.segment_sum(matched, jnp.asarray(plan.component_event), n_events)
        total += jax.ops.segment_sum(log_unrecorded, jnp.asarray(self.light.event), n_events)
        real = jnp.isfinite(jnp.asarray(value)).any(axis=-1)
        rate = self.emission.background_rate
        others = jnp.where(real, jnp.log(rate) + plan.log_background, 0.0).sum(axis=-1)
        return total + others - rate - gammaln(real.sum(axis=-1) + 1.0)

    def complete(self, key: Array, value: ArrayLike) -> tuple[Int[Array, " cluster"], Float[Array, " cluster"]]:
        """What the density integrates out, drawn: the flash of each cluster, -1 for none, and its shift [cm]."""
        plan, n_clusters = self._plan, jnp.shape(self.light.event)[0]
        match_key, pair_key, free_key = jax.random.split(key, 3)
        gains = self._gains(value, self.log_unrecorded())
        columns = jax.vmap(draw_matching)(jax.random.split(match_key, len(gains)), gains)
        pair = jnp.take_along_axis(jnp.asarray(plan.table), jnp.maximum(columns, 0)[..., None], axis=2)[..., 0]
        pair = jnp.where(columns >= 0, pair, -1).ravel()
        shares = self._log_shares(jnp.asarray(value))
        shift = draw_shifts(pair_key, jnp.asarray(plan.shift_cm), shares)
        target = jnp.where(pair >= 0, jnp.asarray(plan.cluster)[pair], n_clusters)
        assignment = jnp.full(n_clusters, -1).at[target].set(jnp.asarray(plan.flash)[pair], mode="drop")
        unseen = draw_shifts(free_key, jnp.asarray(self.light.scan.shift_cm), self._log_unseen())
        return assignment, unseen.at[target].set(shift[pair], mode="drop")

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Float[Array, "*sample event flash sensor"]:
        """Make flashes, `sample_shape` times."""
        size = int(np.prod(sample_shape))
        drawn = jax.lax.map(self._sample, jax.random.split(key, size))
        return drawn.reshape(self.shape(sample_shape))

    @property
    def _plan(self) -> MatchPlan:
        if self.plan is None:
            raise ValueError("MatchedFlashes needs the plan of the observed flashes here: MatchedFlashes(..., plan=)")
        return self.plan

    def _counted(self, mean_pe: Array) -> PhotonCounts:
        """Counts of an expected light at a scale of one."""
        scaled, error = self.emission.light_scale * mean_pe, self.emission.model_error
        return PhotonCounts(scaled, excess_noise=self.recording.excess_noise, model_error=error)

    def _log_shares(self, value: Float[Array, "event flash sensor"]) -> Float[Array, "pair node"]:
        """Log-likelihood of each pair's flash at each node, times the node's share of the range."""
        plan = self._plan
        counts = value[self.place_of_flash]

        @jax.checkpoint
        def one(row: tuple) -> Float[Array, " node"]:
            counts, mean_pe, limits, log_width = row
            known = jnp.isfinite(counts) & (counts < self.recording.saturation_pe)
            readout = self._counted(mean_pe)
            each = jnp.where(known, readout.log_prob(jnp.where(known, counts, 0.0)), 0.0).sum(axis=-1)
            return each + log_at_least(readout.mean, readout.variance, limits) + log_width

        rows = jax.tree.map(jnp.asarray, (counts, plan.mean_pe, plan.limits, plan.log_width))
        n_pairs, n_nodes, n_sensors = plan.mean_pe.shape
        return jax.lax.map(one, rows, batch_size=max(1, min(n_pairs, _CHUNK_ELEMENTS // (n_nodes * n_sensors))))

    def log_weights(self, value: ArrayLike) -> Float[Array, " pair"]:
        """Weights w of all pairs of the plan: the flash is the cluster's, relative to it being of unseen activity."""
        plan = self._plan
        log_other = jnp.log(self.emission.background_rate) + jnp.asarray(plan.log_background)[self.place_of_flash]
        log_evidence = logsumexp(self._log_shares(jnp.asarray(value)), axis=-1)
        return log_evidence + jnp.log1p(-self.recording.trigger.missed) - log_other

    @property
    def place_of_flash(self) -> tuple[Array, Array]:
        """Event and place in it of each pair's flash."""
        return jnp.asarray(self.light.event)[jnp.asarray(self._plan.cluster)], jnp.asarray(self._plan.flash)

    def _gains(
        self, value: ArrayLike, log_unrecorded: Float[Array, " cluster"]
    ) -> Float[Array, "component row column"]:
        """Gains, w - u, of all pairs, in the tables of their components."""
        table = jnp.asarray(self._plan.table)
        gain = self.log_weights(value) - log_unrecorded[jnp.asarray(self._plan.cluster)]
        return jnp.where(table >= 0, gain[table], IMPOSSIBLE)

    def _log_unseen(self) -> Float[Array, "cluster node"]:
        """Log-probability that each cluster has no recorded flash, at each shift times the node's share."""
        light = jnp.asarray(self.light.scan.mean_pe)
        readout = self._counted(jnp.where(self.recording.live, light, 0.0))
        each = self.recording.trigger.log_unrecorded(readout.mean.sum(axis=-1), readout.variance.sum(axis=-1))
        n_nodes = light.shape[1]
        share = jnp.ones(n_nodes).at[jnp.array([0, -1])].set(0.5) / (n_nodes - 1)
        return each + jnp.log(share)

    def log_unrecorded(self) -> Float[Array, " cluster"]:
        """Log-probability u that each cluster has no recorded flash."""
        return logsumexp(self._log_unseen(), axis=-1)

    def _sample(self, key: Array) -> Float[Array, "event flash sensor"]:
        """One draw of all events: flashes of clusters and others, those recorded first, in random order."""
        recording, n_events = self.recording, self.recording.n_events
        cluster_key, other_key, order_key = jax.random.split(key, 3)
        made = jnp.concatenate([self._of_clusters(cluster_key), self._others(other_key)])
        event = jnp.concatenate(
            [jnp.asarray(self.light.event), jnp.repeat(np.arange(n_events), recording.n_background)]
        )
        there = jnp.isfinite(made).any(axis=-1)
        disorder = jax.random.uniform(order_key, there.shape)
        order = jnp.lexsort((disorder, ~there, event))
        event, there, made = event[order], there[order], made[order]
        place = jnp.arange(event.size) - jnp.searchsorted(event, event)
        place = jnp.where(there, place, recording.n_flashes)
        empty = jnp.full((n_events, recording.n_flashes, made.shape[1]), jnp.nan)
        return empty.at[event, place].set(made, mode="drop")

    def _of_clusters(self, key: Array) -> Float[Array, "cluster sensor"]:
        """Flashes of the clusters at random shifts, NaN where none is recorded."""
        shift_key, count_key, miss_key = jax.random.split(key, 3)
        scan, trigger = jax.tree.map(jnp.asarray, self.light.scan), self.recording.trigger
        lowest, highest = scan.shift_cm[:, 0], scan.shift_cm[:, -1]
        shift = lowest + (highest - lowest) * jax.random.uniform(shift_key, lowest.shape)
        light = jax.vmap(light_between)(scan, shift[:, None])[:, 0]
        counts = self._counted(jnp.where(self.recording.live, light, 0.0)).sample(count_key).astype(float)
        recorded = counts.sum(axis=1) >= trigger.threshold_pe
        recorded &= jax.random.uniform(miss_key, recorded.shape) >= trigger.missed
        return self._as_recorded(counts, recorded)

    def _others(self, key: Array) -> Float[Array, "other sensor"]:
        """Flashes of unseen activity, NaN beyond their number."""
        number_key, total_key, pattern_key, count_key = jax.random.split(key, 4)
        recording, background = self.recording, self.recording.background
        shape = (recording.n_events, recording.n_background)
        number = jax.random.poisson(number_key, self.emission.background_rate, shape[:1])
        totals = jnp.arange(background.lowest_pe, background.highest_pe + 1.0)
        below = jnp.cumsum(1 / totals)
        place = jax.random.uniform(total_key, (shape[0] * shape[1],)) * below[-1]
        total = totals[jnp.searchsorted(below, place)]
        strength = jnp.where(recording.live, background.concentration, 0.0)
        weight = jax.random.gamma(pattern_key, jnp.maximum(strength, 1e-6), (*total.shape, len(strength)))
        weight = jnp.where(strength > 0, weight, 0.0)
        counts = jax.random.multinomial(count_key, total, weight / weight.sum(axis=1, keepdims=True))
        there = (jnp.arange(shape[1]) < number[:, None]).ravel()
        return self._as_recorded(counts, there)

    def _as_recorded(self, counts: Float[Array, "row sensor"], there: Array) -> Float[Array, "row sensor"]:
        """Counts up to the saturation; NaN for absent sensors and flashes that are not there."""
        counts = jnp.minimum(counts, self.recording.saturation_pe)
        return jnp.where(there[:, None] & jnp.asarray(self.recording.live), counts, jnp.nan)
