"""What a model of matched flashes is given: light of clusters along the drift, and the plan for observed flashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bayescal.errors import InputError
from bayescal.flashes import Clusters, Flashes, LightEvents, flashes_from_rows
from bayescal.light.detector import DriftVolumes
from bayescal.light.shifted import Scan, light_between
from bayescal.likelihoods.counts import CountReadout
from bayescal.likelihoods.limits import Limits, split_limits
from bayescal.likelihoods.matched_flashes import ClusterLight, Emission, MatchedFlashes, MatchPlan, Recording
from bayescal.likelihoods.partial_matchings import IMPOSSIBLE
from bayescal.parameters import Prior
from bayescal.reconstruction.assignments import NEGLIGIBLE, improbable
from bayescal.reconstruction.clusters import batch_clusters
from bayescal.reconstruction.pairs import PairRows, promise_pairs, refine_pairs, scan_clusters
from bayescal.reconstruction.t0 import Constraint, Expected, Grid, make_grid, node_widths, time_constraint

_LAST = np.iinfo(np.int64).max  # sorts after every node
_CUT = 35.0  # nodes whose log-density is this far below the best are left out of a plan
_N_FINE = 32  # nodes of a pair's shift where the flash may be from
_LARGEST_COMPONENT = 14  # members of its smaller side, whose subsets are all gone through
_BROAD_ERROR = 0.3  # of the expected light, in a plan that serves all scales of a search
SEARCHED_SCALES = tuple(np.geomspace(0.6, 1.7, 43).tolist())
"""Scales of light among which a search for the likeliest goes, in steps of 2.5 %."""


class MatchingInputs(eqx.Module):
    """What a model of matched flashes is given beside the flashes.

    Attributes:
        clusters: the clusters of all events.
        event_id: numbers of the events.
        light: expected light of the clusters.
        recording: how flashes are recorded.
        grid: numbers of nodes of a shift.
        priors: priors and fixed values by name.
        plan: for the observed flashes; None before there are any.
    """

    clusters: Clusters
    event_id: NDArray
    light: ClusterLight
    recording: Recording
    grid: Grid
    priors: dict[str, Prior]
    plan: MatchPlan | None = None

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.event_id.shape[0]


class LookUp(eqx.Module):
    """Where the light of clusters is looked up.

    Attributes:
        coarse_cm: largest step of the shifts [cm].
        cell_cm: points are merged in cells of this size [cm].
    """

    coarse_cm: float = 2.5
    cell_cm: float = 2.0


_LOOK_UP = LookUp()


class _Pairs(NamedTuple):
    """Pairs of an event that matter: places of cluster and flash, nodes of the shift and their share of the range."""

    cluster: NDArray
    flash: NDArray
    shift_cm: NDArray
    log_width: NDArray


class _SeenTimes(NamedTuple):
    """Counts, limits and times of the flashes of all events, padding included."""

    counts: NDArray
    limits: Limits
    time_us: NDArray


_NOTHING = _Pairs(np.zeros(1, int), np.zeros(1, int), np.zeros((1, 1)), np.full((1, 1), IMPOSSIBLE))


def matching_inputs(
    clusters: Clusters,
    volumes: DriftVolumes,
    expected: Expected,
    recording: Recording,
    priors: Mapping[str, Prior],
    look_up: LookUp = _LOOK_UP,
) -> MatchingInputs:
    """Inputs of a model of matched flashes: the light of all clusters is looked up here, once.

    Args:
        clusters: the clusters.
        volumes: where they are.
        expected: expected light of points at a scale of one.
        recording: how flashes are recorded; the room for flashes and the number of events are set here.
        priors: priors and fixed values by name.
        look_up: where light is looked up.
    """
    batch = batch_clusters(clusters, volumes, cell_cm=look_up.cell_cm)
    grid = make_grid(batch, coarse_cm=look_up.coarse_cm, n_fine=_N_FINE)
    scans = scan_clusters(batch, expected, grid)
    scans = jax.tree.map(lambda values: values[: clusters.n_clusters], scans)
    event_id, event = np.unique(clusters.event_id, return_inverse=True)
    room = int(np.bincount(event).max()) + recording.n_background
    recording = replace(recording, n_flashes=room, n_events=event_id.size)
    direction = np.asarray(volumes.direction, float)[clusters.volume]
    light = ClusterLight(event.reshape(-1), scans, np.asarray(clusters.assumed_time_us, float), direction)
    return MatchingInputs(clusters, event_id, light, recording, grid, dict(priors))


def arrange(flashes: Flashes, inputs: MatchingInputs, path: Path | str) -> Float[NDArray, "event flash column"]:
    """Flashes of a file in the shape of the model's data, sensors at the end of their range at the saturation.

    The last column holds their times [us], NaN where they are not known or not used.

    Args:
        flashes: the flashes.
        inputs: of the model.
        path: file they come from, for the message.

    Raises:
        InputError: flashes of an event without clusters, below the threshold, with sensors at the end of their range
            below the model's saturation, or out of the window of times.
    """
    recording = inputs.recording
    place = np.searchsorted(inputs.event_id, flashes.event_id)
    unknown = ~np.isin(flashes.event_id, inputs.event_id)
    pe = np.where(recording.live, np.round(np.asarray(flashes.pe)), np.nan)
    faint = np.nansum(pe, axis=1) < recording.trigger.threshold_pe
    short = (np.asarray(flashes.saturated) & (pe < recording.saturation_pe)).any(axis=1)
    measured = np.isfinite(recording.width_cm)
    time = np.where(measured, np.asarray(flashes.time_us), np.nan)
    late = np.abs(time) > recording.window_us / 2
    for bad, fault in (
        (unknown, "belongs to no event with clusters: leave it out, or give the file of its clusters"),
        (faint, f"has less than the threshold of {recording.trigger.threshold_pe} p.e.: leave it out or lower that"),
        (short, f"has a saturated sensor below `saturation_pe` = {recording.saturation_pe:g}: lower that"),
        (late, f"is not in the {recording.window_us:g} us around the trigger: raise `window_us`, or correct its time"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"{path}: event {flashes.event_id[row]}, flash {flashes.flash_id[row]} {fault}")
    rank = np.arange(place.size) - np.searchsorted(place, place)
    data = np.full((inputs.n_events, max(recording.n_flashes, rank.max() + 1), pe.shape[1] + 1), np.nan)
    data[place, rank] = np.column_stack([np.minimum(pe, recording.saturation_pe), time])
    return data


def as_events(data: Float[NDArray, "event flash column"], inputs: MatchingInputs) -> LightEvents:
    """The model's data and its clusters as what a file of flashes holds."""
    data = np.asarray(data)
    event, flash = np.nonzero(np.isfinite(data).any(axis=2))
    pe, time = data[event, flash, :-1], data[event, flash, -1]
    rows = flashes_from_rows(inputs.event_id[event], flash, time, pe, pe >= inputs.recording.saturation_pe)
    return LightEvents(inputs.clusters, rows, np.zeros((0, 2), np.int64))


def with_plan(inputs: MatchingInputs, data: Float[NDArray, "event flash column"], emission: Emission) -> MatchingInputs:
    """The inputs with the plan for observed flashes: pairs that matter, and nodes where their shift may be.

    Args:
        inputs: of the model.
        data: the flashes.
        emission: constants near those of the data.

    Raises:
        InputError: if too many clusters and flashes of an event look alike for their matchings to be summed.
    """
    inputs, plan = _planned(inputs, data, emission)
    real = plan.table >= 0
    members = np.minimum(real.any(axis=1).sum(axis=1), real.any(axis=2).sum(axis=1))
    if members.max() > _LARGEST_COMPONENT:
        event = inputs.event_id[plan.component_event[np.argmax(members)]]
        raise InputError(
            f"event {event} has {members.max()} clusters and flashes that look alike, at most {_LARGEST_COMPONENT} can "
            "be summed over: select events, or clusters with more light"
        )
    return replace(inputs, plan=plan)


def likeliest_scale(inputs: MatchingInputs, data: Float[NDArray, "event flash column"], emission: Emission) -> float:
    """The scale of light that explains the flashes best, to 2.5 %, the other constants being given.

    Args:
        inputs: of the model.
        data: the flashes.
        emission: the other constants; its scale is not used.
    """
    broad = Emission(1.0, _BROAD_ERROR, emission.background_rate, emission.drift_velocity)
    inputs, plan = _planned(inputs, data, broad)
    values = _log_mixtures(replace(inputs, plan=plan), jnp.asarray(data), broad)
    return SEARCHED_SCALES[int(np.argmax(values))]


@eqx.filter_jit
def _log_mixtures(
    planned: MatchingInputs, data: Float[Array, "event flash column"], broad: Emission
) -> Float[Array, " scale"]:
    """Log-likelihood by scale where each flash is from any cluster or none, whatever the others are from."""
    readout = MatchedFlashes(planned.light, broad, planned.recording, planned.plan)
    event, flash = readout.place_of_flash
    number, n_flashes = event * planned.recording.n_flashes + flash, data.shape[0] * data.shape[1]

    def of_scale(scale: Float[Array, ""]) -> Float[Array, ""]:
        scaled = replace(broad, light_scale=scale)
        weight = MatchedFlashes(planned.light, scaled, planned.recording, planned.plan).log_weights(data)
        highest = jnp.maximum(jax.ops.segment_max(weight, number, n_flashes), 0.0)
        total = jax.ops.segment_sum(jnp.exp(weight - highest[number]), number, n_flashes)
        return (highest + jnp.log(jnp.exp(-highest) + total)).sum()

    return jax.lax.map(of_scale, jnp.asarray(SEARCHED_SCALES))


def with_common_plans(inputs: Sequence[MatchingInputs]) -> list[MatchingInputs]:
    """Inputs of several data sets of the same clusters, their plans padded to common shapes: all share one program."""
    plans = [_made(one) for one in inputs]
    shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(plan)] for plan in plans]
    largest = [tuple(max(sizes) for sizes in zip(*shape, strict=True)) for shape in zip(*shapes, strict=True)]
    return [replace(one, plan=_padded_plan(plan, largest)) for one, plan in zip(inputs, plans, strict=True)]


def _made(inputs: MatchingInputs) -> MatchPlan:
    if inputs.plan is None:
        raise ValueError("plans can be padded to common shapes once there are any: use with_plan first")
    return inputs.plan


def _planned(
    inputs: MatchingInputs, data: Float[NDArray, "event flash column"], emission: Emission
) -> tuple[MatchingInputs, MatchPlan]:
    """The inputs with room for the flashes, and a plan of any size."""
    data = np.asarray(data)
    recording = replace(inputs.recording, n_flashes=data.shape[1])
    rows, time_us = data[..., :-1].reshape(-1, data.shape[2] - 1), data[..., -1]
    counts, limits = split_limits(rows, rows >= recording.saturation_pe)
    real = np.any(np.isfinite(data), axis=2)
    log_background = np.where(np.isfinite(time_us), -np.log(recording.window_us), 0.0)
    known = jax.tree.map(lambda values: values[real.ravel()], (counts, limits))
    log_background[real] += replace(recording.background, rate=1.0).log_density(*known)
    seen = _SeenTimes(counts, limits, time_us.ravel())
    pairs = _pairs_that_matter(replace(inputs, recording=recording), seen, log_background, emission)
    plan = _plan(inputs, pairs, limits, log_background)
    return replace(inputs, recording=recording), plan


def _pairs_that_matter(inputs: MatchingInputs, seen: _SeenTimes, log_background: NDArray, emission: Emission) -> _Pairs:
    """Pairs of all events that are not improbable at given constants, all events at once."""
    light, recording, scale = inputs.light, inputs.recording, emission.light_scale
    scans = Scan(light.scan.shift_cm, scale * light.scan.mean_pe, scale * light.scan.slope_pe_per_cm)
    event = np.asarray(light.event)
    there = np.any(np.isfinite(seen.counts), axis=1) | np.any(np.asarray(seen.limits.sensor) >= 0, axis=1)
    cluster, flash = np.nonzero(there.reshape(log_background.shape)[event])
    readout = CountReadout(emission.model_error, recording.excess_noise)
    unseen = np.asarray(_log_unrecorded(light, emission, recording))
    reference = log_background[event[cluster], flash] + np.log(float(emission.background_rate))
    reference += unseen[cluster] - np.log1p(-recording.trigger.missed)
    number = event[cluster] * recording.n_flashes + flash
    rows = PairRows(cluster, number, _constraint(inputs, cluster, seen.time_us[number], emission))
    reference -= np.where(np.isfinite(seen.time_us[number]), np.log(float(emission.drift_velocity)), 0.0)
    promises, highest = promise_pairs(scans, seen[:2], readout, rows)
    kept = np.flatnonzero(highest - reference > -NEGLIGIBLE)
    chosen, rows = jax.tree.map(lambda values: values[kept], (promises, rows))
    shifts = refine_pairs(scans, chosen, seen[:2], readout, inputs.grid, rows)
    gain = np.full((event.size, log_background.shape[1]), -np.inf)
    gain[cluster[kept], flash[kept]] = shifts.log_evidence - reference[kept]
    probable = [gain[event == number] for number in range(inputs.n_events)]
    probable = np.concatenate([(own > -NEGLIGIBLE) & ~improbable(own, own) for own in probable])
    real = np.flatnonzero(probable[cluster[kept], flash[kept]])
    if not real.size:
        return _NOTHING
    shift, log_density = np.asarray(shifts.shift_cm)[real], np.asarray(shifts.log_density)[real]
    share = np.asarray(node_widths(jnp.asarray(shift))) / (shift[:, -1:] - shift[:, :1])
    log_width = np.log(np.maximum(share, 1e-300))
    log_width = np.where(log_density > log_density.max(axis=1, keepdims=True) - _CUT, log_width, IMPOSSIBLE)
    return _Pairs(cluster[kept][real], flash[kept][real], shift, log_width)


def _constraint(inputs: MatchingInputs, cluster: NDArray, time_us: NDArray, emission: Emission) -> Constraint:
    """What the time of its flash says of the shift of each cluster."""
    assumed = jnp.asarray(inputs.light.assumed_time_us)[cluster]
    direction = jnp.asarray(inputs.light.direction)[cluster]
    velocity, width = jnp.asarray(emission.drift_velocity), jnp.asarray(inputs.recording.width_cm)
    made = time_constraint(jnp.asarray(time_us), assumed, velocity, direction, width)
    return jax.tree.map(np.asarray, made)


@eqx.filter_jit
def _log_unrecorded(light: ClusterLight, emission: Emission, recording: Recording) -> Float[Array, " cluster"]:
    """Log-probability that each cluster has no recorded flash."""
    return MatchedFlashes(light, emission, recording).log_unrecorded()


def _plan(inputs: MatchingInputs, pairs: _Pairs, limits: Limits, log_background: NDArray) -> MatchPlan:
    """The plan of all pairs, their nodes without those of no weight."""
    kept = np.sort(np.where(pairs.log_width > IMPOSSIBLE, np.arange(pairs.shift_cm.shape[1]), _LAST), axis=1)
    n_nodes = max(1, int((kept < _LAST).sum(axis=1).max(initial=1)))
    kept = kept[:, :n_nodes]
    last = np.where(kept < _LAST, kept, -1).max(axis=1, initial=0)
    node = np.minimum(kept, last[:, None])
    shift = np.take_along_axis(pairs.shift_cm, node, axis=1)
    log_width = np.where(kept < _LAST, np.take_along_axis(pairs.log_width, node, axis=1), IMPOSSIBLE)
    event = np.asarray(inputs.light.event)[pairs.cluster]
    flash = event * log_background.shape[1] + pairs.flash
    table, component_event = _tables(inputs, pairs.cluster, flash, event)
    mean = _light_at(inputs.light.scan, jnp.asarray(pairs.cluster), jnp.asarray(shift))
    own = jax.tree.map(lambda values: values[flash], limits)
    return MatchPlan(
        pairs.cluster, pairs.flash, shift, log_width, np.asarray(mean), own, table, component_event, log_background
    )


@eqx.filter_jit
def _light_at(scans: Scan, cluster: Array, shift_cm: Array) -> Float[Array, "pair node sensor"]:
    """Light of the cluster of each pair at its nodes."""

    def one(row: tuple) -> Float[Array, "node sensor"]:
        cluster, shift_cm = row
        return light_between(jax.tree.map(lambda values: values[cluster], scans), shift_cm)

    return jax.lax.map(one, (cluster, shift_cm))


def _tables(
    inputs: MatchingInputs, cluster: NDArray, flash: NDArray, event: NDArray
) -> tuple[Int[NDArray, "component row column"], Int[NDArray, " component"]]:
    """Numbers of the pairs of each connected component, and its event; the smaller side gives the columns."""
    n_clusters = inputs.clusters.n_clusters
    size = n_clusters + flash.max(initial=0) + 1
    graph = coo_array((np.ones(cluster.size), (cluster, n_clusters + flash)), shape=(size, size))
    label = connected_components(graph, directed=False)[1][cluster]
    found = []
    for number in np.unique(label):
        pair = np.flatnonzero(label == number)
        row, column = (np.unique(side[pair], return_inverse=True)[1] for side in (cluster, flash))
        if column.max() > row.max():
            row, column = column, row
        found.append((pair, row, column))
    shape = tuple(max([1, *(part[axis].max() + 1 for part in found)]) for axis in (1, 2))
    table = np.full((max(len(found), 1), *shape), -1)
    for number, (pair, row, column) in enumerate(found):
        table[number, row, column] = pair
    return table, np.array([event[part[0][0]] for part in found] or [0])


def _padded_plan(plan: MatchPlan, shapes: list[tuple[int, ...]]) -> MatchPlan:
    """The plan in larger shapes; what is added has no weight."""
    fill = MatchPlan(0, 0, None, IMPOSSIBLE, 1.0, Limits(-1, 1.0), -1, 0, 0.0)  # pyright: ignore
    leaves, structure = jax.tree.flatten(plan)
    fills = jax.tree.leaves(fill, is_leaf=lambda leaf: leaf is None)

    def padded(leaf: NDArray, shape: tuple[int, ...], value: float | None) -> NDArray:
        widths = [(0, wanted - size) for wanted, size in zip(shape, np.shape(leaf), strict=True)]
        if value is None:
            return np.pad(leaf, widths, mode="edge")
        return np.pad(leaf, widths, constant_values=value)

    return jax.tree.unflatten(structure, map(padded, leaves, shapes, fills))
