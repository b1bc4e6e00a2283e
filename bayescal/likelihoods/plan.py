"""What the likelihood of observed hits can know before the fit: intervals, the ticks to watch, and who contributes.

Everything here is NumPy, outside compiled functions. Arrays are padded to few sizes, so that data sets share programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from bayescal.charge.coverage import Coverage, _pad, padded_size
from bayescal.charge.electronics import Electronics
from bayescal.charge.signals import Request, request
from bayescal.errors import InputError
from bayescal.likelihoods.intervals import OffsetGrid, Stretches

GRID_STEP_E = 450.0
"""Step of the offset grid [e-]: half the reset noise, smaller than every noise it has to resolve."""

_SHAPES = ((8, 24), (32, 36), (36, 52), (64, 80), (128, 80), (512, 80), (2048, 80), (8192, 80))
"""Numbers of stretches and offsets of a group of intervals, the cheaper first; few: each is a program of its own."""

_DISCARDS = {24: 1, 36: 2, 52: 3, 80: 3}
"""Discarded firings that are followed, by number of offsets: what the charge of such an interval makes likely."""

_OFFSET_REACH_E = 4500.0

_LENGTHS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512)
"""Lengths of stretches that are tried [ticks]."""


class Tolerance(NamedTuple):
    """How the ticks of an interval are gathered into stretches.

    Attributes:
        charge_e: largest change of the collected charge over a stretch [e-]; 0 watches every tick by itself.
        margin_ticks: ticks by which the reference signal may be early or late.
    """

    charge_e: float = 250.0
    margin_ticks: int = 6


_TOLERANCE = Tolerance()


class Intervals(eqx.Module):
    """Intervals between restarts, all with the same number of stretches and the same grid of offsets.

    Attributes:
        row: pixel row; slot: hit that ends the interval.
        ends_in_hit: whether a hit or the window ends it; real: whether it is one, or padding.
        stretches: the watched ticks.
        origin_us: origin of the interval's clock [us].
        time_us: on this clock, ends of ticks: of the stretches, of the digitisations and the last lost in the resets
            that would follow, then of the tick before the interval, of the firing and of its digitisation [us].
        request: charges that contribute.
        grid: the offsets.
        discards: discarded firings that are followed.
    """

    row: Int[NDArray, " interval"]
    slot: Int[NDArray, " interval"]
    ends_in_hit: Bool[NDArray, " interval"]
    real: Bool[NDArray, " interval"]
    stretches: Stretches
    origin_us: Float[NDArray, " interval"]
    time_us: Float[NDArray, "interval time"]
    request: Request
    grid: OffsetGrid
    discards: int = eqx.field(static=True)


class HitPlan(eqx.Module):
    """The intervals of observed hits, by size.

    Attributes:
        groups: intervals of equal shape.
        tick: firing ticks for which the plan was made, NaN in empty slots.
        dtype: precision of the large arrays.
    """

    groups: tuple[Intervals, ...]
    tick: Float[NDArray, "row slot"]
    dtype: str = eqx.field(static=True, default="float32")


class _Flat(NamedTuple):
    """All intervals of an input, one row each."""

    row: NDArray
    slot: NDArray
    base: NDArray
    watch: NDArray
    end: NDArray
    hit: NDArray


def plan_hits(
    tick: Float[NDArray, "row slot"],
    signal_e: Float[NDArray, "row tick"],
    coverage: Coverage,
    chip: Electronics,
    tolerance: Tolerance = _TOLERANCE,
) -> HitPlan:
    """Plan the likelihood of observed hits.

    Args:
        tick: firing ticks of each pixel row, increasing, NaN in empty slots.
        signal_e: charge collected by the end of ticks first_tick - 1 ... end_tick - 1 for reference constants [e-].
        coverage: the pairs.
        chip: constants of the pixel chip.
        tolerance: how ticks are gathered.

    Raises:
        InputError: where a hit lies outside the window or within the dead time of the one before.
    """
    flat = _intervals(tick, coverage, chip)
    start, ticks = _stretches(flat, _longest_stretch(signal_e, tolerance), chip)
    last = np.minimum(flat.end, chip.end_tick - 1) - chip.first_tick + 1
    charge = signal_e[flat.row, last] - signal_e[flat.row, flat.base - chip.first_tick]
    shape = _shape((ticks > 0).sum(axis=1), _needed_offsets(flat, charge, chip))
    members = {number: np.flatnonzero(shape == number) for number in np.unique(shape)}
    groups = (
        _group(_Flat(*(values[index] for values in flat)), start[index], ticks[index], _SHAPES[number], coverage, chip)
        for number, index in members.items()
    )
    return HitPlan(tuple(groups), tick)


def _intervals(tick: Float[NDArray, "row slot"], coverage: Coverage, chip: Electronics) -> _Flat:
    """Cut the time of every pixel at its hits."""
    count = np.isfinite(tick).sum(axis=1)
    rows = np.flatnonzero(np.asarray(coverage.pixel) >= 0)
    parts = []
    for slot in range(tick.shape[1]):
        row = rows[count[rows] >= slot]
        base = np.full(row.size, chip.first_tick) if slot == 0 else tick[row, slot - 1].astype(int) + chip.restart_ticks
        watch = base if slot == 0 else base + chip.busy_ticks - 1
        hit = count[row] > slot
        end = np.where(hit, np.nan_to_num(tick[row, slot]), chip.end_tick).astype(int)
        _check_order(row[hit & ((end < watch) | (end >= chip.end_tick))], slot, tick, coverage)
        part = _Flat(row, np.full(row.size, slot), base, watch, end, hit)
        parts.append(_Flat(*(values[watch < chip.end_tick] for values in part)))
    return _Flat(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _check_order(row: Int[NDArray, " bad"], slot: int, tick: Float[NDArray, "row slot"], coverage: Coverage) -> None:
    if row.size:
        raise InputError(
            f"pixel {coverage.pixel[row[0]]} of event index {coverage.event[row[0]]} fires at tick "
            f"{tick[row[0], slot]:.0f}, outside the window or within the dead time of the hit before: use the "
            "electronics with which the hits were recorded"
        )


def _longest_stretch(signal_e: Float[NDArray, "row tick"], tolerance: Tolerance) -> Int[NDArray, "row tick"]:
    """Longest stretch that may start at each tick: the charge changes by no more than the tolerance over it."""
    change = np.abs(np.diff(signal_e, axis=1))
    change = maximum_filter1d(change, 2 * tolerance.margin_ticks + 1, axis=1)
    longest = np.ones(change.shape, dtype=int)
    for length in _LENGTHS:
        largest = maximum_filter1d(change, length, axis=1, origin=-(length // 2))
        longest[largest * length <= tolerance.charge_e] = length
    return longest


def _stretches(
    flat: _Flat, longest: Int[NDArray, "row tick"], chip: Electronics
) -> tuple[Int[NDArray, "interval stretch"], Int[NDArray, "interval stretch"]]:
    """First tick and number of ticks of the stretches of every interval."""
    now = flat.watch.copy()
    starts, ticks = [], []
    while (now < flat.end).any() or not starts:
        allowed = longest[flat.row, np.minimum(now - chip.first_tick, longest.shape[1] - 1)]
        taken = np.minimum(allowed, flat.end - now)
        starts.append(now)
        ticks.append(taken)
        now = now + taken
    return np.stack(starts, axis=1), np.stack(ticks, axis=1)


def _needed_offsets(
    flat: _Flat, charge_e: Float[NDArray, " interval"], chip: Electronics
) -> Float[NDArray, " interval"]:
    """Offsets of a grid down to the charge that discards can lose: none where no restart fits into the interval."""
    lost_e = np.where(flat.end - flat.watch < chip.restart_ticks, 0.0, 1.2 * np.maximum(charge_e, 0.0))
    return np.minimum((2 * _OFFSET_REACH_E + lost_e) / GRID_STEP_E + 1, _SHAPES[-1][1])


def _shape(count: Int[NDArray, " interval"], needed: Float[NDArray, " interval"]) -> Int[NDArray, " interval"]:
    """First of the shapes that holds an interval's stretches and offsets."""
    fits = [(count <= n_stretches) & (needed <= n_offsets) for n_stretches, n_offsets in _SHAPES]
    return np.argmax(np.stack(fits), axis=0)


def _group(
    flat: _Flat,
    start: Int[NDArray, "interval stretch"],
    ticks: Int[NDArray, "interval stretch"],
    shape: tuple[int, int],
    coverage: Coverage,
    chip: Electronics,
) -> Intervals:
    """Intervals of one shape, padded."""
    n_stretches, n_offsets = shape
    start, ticks = start[:, :n_stretches], ticks[:, :n_stretches]
    missing = ((0, 0), (0, n_stretches - start.shape[1]))
    start = np.where(ticks > 0, start, flat.end[:, None])
    start = np.pad(start, missing, mode="edge") if start.shape[1] < n_stretches else start
    start = np.where(np.arange(n_stretches) < (ticks > 0).sum(axis=1)[:, None], start, flat.end[:, None])
    ticks = np.pad(ticks, missing)
    middle = start + 0.5 * np.maximum(ticks - 1, 0)
    after = np.stack([flat.base - 1, flat.end, flat.end + chip.hold_ticks], axis=1)
    tick = np.concatenate([middle, middle + chip.hold_ticks, middle + chip.restart_ticks - 1, after], axis=1)
    origin = np.median(middle, axis=1)
    n_intervals = padded_size(flat.row.size)

    def pad(values: NDArray, fill: float = 0) -> NDArray:
        return _pad(values, n_intervals, fill)

    return Intervals(
        row=pad(flat.row, coverage.n_rows - 1),
        slot=pad(flat.slot),
        ends_in_hit=pad(flat.hit),
        real=pad(np.ones(flat.row.size, dtype=bool)),
        stretches=Stretches(pad(start).astype(float), pad(ticks).astype(float), pad(flat.end).astype(float)),
        origin_us=pad(origin * chip.tick_us),
        time_us=pad((tick - origin[:, None] + 0.5) * chip.tick_us),
        request=_contributors(flat.row, coverage),
        grid=OffsetGrid(_OFFSET_REACH_E - GRID_STEP_E * (n_offsets - 1), GRID_STEP_E, n_offsets),
        discards=_DISCARDS[n_offsets],
    )


def _contributors(row: Int[NDArray, " interval"], coverage: Coverage) -> Request:
    """The pairs that put charge on the pixel of each interval."""
    first = np.searchsorted(coverage.pair_row, row)
    count = np.searchsorted(coverage.pair_row, row, side="right") - first
    interval = np.repeat(np.arange(row.size), count)
    pair = np.arange(interval.size) - np.repeat(np.cumsum(count) - count, count) + first[interval]
    return request(pair, interval, coverage.pair_row.size - 1, padded_size(interval.size))


def common_shapes(plans: Sequence[HitPlan], coverage: Coverage) -> list[HitPlan]:
    """Plans of several data sets for the same coverage, padded to the same shapes so that all share one program."""
    kinds = {_kind(group): group for plan in plans for group in plan.groups}
    found = [{_kind(group): group for group in plan.groups} for plan in plans]
    sizes = {
        kind: (
            max(groups[kind].row.size for groups in found if kind in groups),
            max(groups[kind].request.pair.size for groups in found if kind in groups),
        )
        for kind in sorted(kinds)
    }
    return [
        HitPlan(
            tuple(_resized(groups.get(kind, _emptied(kinds[kind])), *sizes[kind], coverage) for kind in sizes),
            plan.tick,
            plan.dtype,
        )
        for plan, groups in zip(plans, found, strict=True)
    ]


def _kind(group: Intervals) -> tuple[int, int, int]:
    """What intervals must have in common to share a group: stretches, offsets, discards."""
    return group.stretches.start.shape[1], group.grid.size, group.discards


def _emptied(group: Intervals) -> Intervals:
    """The group without any interval."""
    return jax.tree.map(lambda values: values[:0], group)


def _resized(group: Intervals, n_intervals: int, n_entries: int, coverage: Coverage) -> Intervals:
    """The group with more padding."""
    bare = eqx.tree_at(lambda g: g.request, group, Request(np.zeros(0, int), np.zeros(0, int)))
    padded = jax.tree.map(lambda values: _pad(values, n_intervals, 0), bare)
    row = _pad(group.row, n_intervals, coverage.n_rows - 1)
    entries = request(group.request.pair, group.request.row, coverage.pair_row.size - 1, n_entries)
    return eqx.tree_at(lambda g: (g.row, g.request), padded, (row, entries))
