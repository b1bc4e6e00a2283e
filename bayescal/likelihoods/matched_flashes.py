"""MatchedFlashes: all flashes of an event from clusters of charge whose times, and so whose flashes, are not known.

Every cluster lies at an unknown drift shift, uniform on its range, and makes photo-electrons as of `PhotonCounts`. Its
flash is recorded if the total reaches the trigger's threshold, but for a small part that is missed; a Poisson number of
flashes comes from activity that left no cluster. The flashes of an event are listed in random order. The density is

    exp(-rate) / m! prod_j (rate p_bg(n_j)) prod_i e^{u_i}  x  sum over matchings of  prod_{(i,j)} e^{w_ij - u_i},

w_ij = log((1 - missed) int p(n_j | cluster i, x) p(x) dx) - log(rate p_bg(n_j)), u_i = log P(cluster i has no recorded
flash): an injective partial matching says which cluster made which flash. Integrals and sums are exact up to the grid
of shifts: the plan has the pairs that matter, the light of their clusters at nodes, and in which connected component of
the pairs they are, so that each sum runs over few clusters and flashes. Drawing matchings and shifts is exact too.

Where the time t of a flash is known it is data too, a density [1/us]: that of a cluster's flash is normal around the
time that its shift means, p(n_j, t_j | x) = p(n_j | x) v N(x - x(t_j); width), v the drift velocity and x(t) the shift
of a cluster of time t; that of unseen activity is uniform over a window around the trigger.
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

from bayescal.light.shifted import Scan, light_between, shift_of_time, time_of_shift
from bayescal.likelihoods.counts import PhotonCounts
from bayescal.likelihoods.limits import Limits, log_at_least
from bayescal.likelihoods.partial_matchings import IMPOSSIBLE, draw_matching, log_sum
from bayescal.likelihoods.shifted_counts import draw_shifts
from bayescal.likelihoods.unmatched import Background, Trigger
from bayescal.special import log_normal_pdf

_CHUNK_ELEMENTS = 1 << 20


class ClusterLight(eqx.Module):
    """Expected light of the clusters of all events.

    Attributes:
        event: place of each cluster's event, not decreasing.
        scan: light along the range of shifts.
        assumed_time_us: time after the trigger that a shift of zero means [us].
        direction: of the drift at each cluster, 1 or -1.
    """

    event: Int[Array | np.ndarray, " cluster"]
    scan: Scan
    assumed_time_us: Float[Array | np.ndarray, " cluster"]
    direction: Float[Array | np.ndarray, " cluster"]


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
        log_background: logarithm of the probability of each flash from unseen activity (density [1/us] where its time
            is known), 0 for padding.
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
        drift_velocity: of the electrons [cm/us], what ties times of flashes to shifts.
    """

    light_scale: Float[Array, ""] | float
    model_error: Float[Array, ""] | float
    background_rate: Float[Array, ""] | float
    drift_velocity: Float[Array, ""] | float


class Recording(eqx.Module):
    """How flashes are recorded, and the room for them.

    Attributes:
        trigger: when a cluster's flash is recorded.
        background: flashes of unseen activity; their rate is that of `Emission`.
        live: sensors that record; the others are absent (NaN).
        excess_noise: variance of counts over their mean, apart from the model's error.
        saturation_pe: counts at or above are one outcome [p.e.]; infinite where nothing saturates.
        width_cm: standard deviation of a cluster's shift for a known time of its flash [cm]; infinite where the times
            of flashes are not measured.
        window_us: length of the window, centred on the trigger, in which flashes of unseen activity are recorded [us].
        n_flashes: room for the flashes of an event.
        n_background: room for those of unseen activity in a made event.
        n_events: number of events.
    """

    trigger: Trigger
    background: Background
    live: Array | np.ndarray
    excess_noise: float = 1.0
    saturation_pe: float = float("inf")
    width_cm: float = float("inf")
    window_us: float = 400.0
    n_background: int = eqx.field(static=True, default=8)
    n_flashes: int = eqx.field(static=True, default=0)
    n_events: int = eqx.field(static=True, default=0)


class MatchedFlashes(dist.Distribution):
    """Flashes of events.

    Batch shape (event,). Event shape (flash, sensor + 1): light of each flash [p.e.], whole numbers, and last its time
    after the trigger [us]; NaN where a sensor is absent or the time not known, and in the rows after the last flash;
    counts at the saturation are lower limits.

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
        shape = (recording.n_flashes, jnp.shape(recording.live)[0] + 1)
        super().__init__(batch_shape=(recording.n_events,), event_shape=shape, validate_args=validate_args)

    def log_prob(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, value: ArrayLike
    ) -> Float[Array, " event"]:
        """Log density of flashes for which the plan was made: a probability, times 1/us for every known time."""
        plan, n_events = self._plan, self.recording.n_events
        log_unrecorded = self.log_unrecorded()
        matched = jax.vmap(log_sum)(self._gains(value, log_unrecorded))
        total = jax.ops.segment_sum(matched, jnp.asarray(plan.component_event), n_events)
        total += jax.ops.segment_sum(log_unrecorded, jnp.asarray(self.light.event), n_events)
        real = jnp.isfinite(jnp.asarray(value)[..., :-1]).any(axis=-1)
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
    ) -> Float[Array, "*sample event flash column"]:
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

    def _log_shares(self, value: Float[Array, "event flash column"]) -> Float[Array, "pair node"]:
        """Log-likelihood of each pair's flash at each node, times the node's share of the range."""
        plan = self._plan
        seen = value[self.place_of_flash]
        counts, log_share = seen[:, :-1], plan.log_width + self._log_time_density(seen[:, -1])

        @jax.checkpoint
        def one(row: tuple) -> Float[Array, " node"]:
            counts, mean_pe, limits, log_share = row
            known = jnp.isfinite(counts) & (counts < self.recording.saturation_pe)
            readout = self._counted(mean_pe)
            each = jnp.where(known, readout.log_prob(jnp.where(known, counts, 0.0)), 0.0).sum(axis=-1)
            return each + log_at_least(readout.mean, readout.variance, limits) + log_share

        rows = jax.tree.map(jnp.asarray, (counts, plan.mean_pe, plan.limits, log_share))
        n_pairs, n_nodes, n_sensors = plan.mean_pe.shape
        return jax.lax.map(one, rows, batch_size=max(1, min(n_pairs, _CHUNK_ELEMENTS // (n_nodes * n_sensors))))

    def _log_time_density(self, time_us: Float[Array, " pair"]) -> Float[Array, "pair node"]:
        """Log density of the time of each pair's flash at each node [1/us], 0 where it is not known."""
        plan, known = self._plan, jnp.isfinite(time_us)
        cluster, velocity = jnp.asarray(plan.cluster), jnp.asarray(self.emission.drift_velocity)
        assumed = jnp.asarray(self.light.assumed_time_us)[cluster]
        direction = jnp.asarray(self.light.direction)[cluster]
        shift = shift_of_time(jnp.where(known, time_us, assumed), assumed, velocity, direction)
        width = jnp.where(known, self.recording.width_cm, 1.0)[:, None]
        log_density = log_normal_pdf(jnp.asarray(plan.shift_cm) - shift[:, None], width) + jnp.log(velocity)
        return jnp.where(known[:, None], log_density, 0.0)

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

    def _sample(self, key: Array) -> Float[Array, "event flash column"]:
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

    def _of_clusters(self, key: Array) -> Float[Array, "cluster column"]:
        """Flashes of the clusters at random shifts, NaN where none is recorded."""
        shift_key, count_key, miss_key, time_key = jax.random.split(key, 4)
        scan, trigger = jax.tree.map(jnp.asarray, self.light.scan), self.recording.trigger
        lowest, highest = scan.shift_cm[:, 0], scan.shift_cm[:, -1]
        shift = lowest + (highest - lowest) * jax.random.uniform(shift_key, lowest.shape)
        light = jax.vmap(light_between)(scan, shift[:, None])[:, 0]
        counts = self._counted(jnp.where(self.recording.live, light, 0.0)).sample(count_key).astype(float)
        recorded = counts.sum(axis=1) >= trigger.threshold_pe
        recorded &= jax.random.uniform(miss_key, recorded.shape) >= trigger.missed
        shift += self.recording.width_cm * jax.random.normal(time_key, shift.shape)
        assumed, direction = jnp.asarray(self.light.assumed_time_us), jnp.asarray(self.light.direction)
        time = time_of_shift(shift, assumed, jnp.asarray(self.emission.drift_velocity), direction)
        return self._as_recorded(counts, time, recorded)

    def _others(self, key: Array) -> Float[Array, "other column"]:
        """Flashes of unseen activity, NaN beyond their number."""
        number_key, total_key, pattern_key, count_key, time_key = jax.random.split(key, 5)
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
        time = recording.window_us * (jax.random.uniform(time_key, there.shape) - 0.5)
        return self._as_recorded(counts, time, there)

    def _as_recorded(
        self, counts: Float[Array, "row sensor"], time_us: Float[Array, " row"], there: Array
    ) -> Float[Array, "row column"]:
        """Counts up to the saturation and times; NaN for what is absent or not measured, and flashes not there."""
        live = jnp.append(self.recording.live, jnp.isfinite(self.recording.width_cm))
        seen = jnp.column_stack([jnp.minimum(counts, self.recording.saturation_pe), time_us])
        return jnp.where(there[:, None] & live, seen, jnp.nan)
