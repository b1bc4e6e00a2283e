"""Ionisation steps: the input of the charge and light simulators."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jax import Array
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayescal.errors import InputError


class Segments(eqx.Module):
    """Straight steps of charged particles, one row a step, sorted by event.

    Positions are (x, y, z) with z along the drift field, x along the beam and y up. Readers and generators fill the
    fields with NumPy arrays of 64 bits; inside a compiled function they are JAX arrays.

    Attributes:
        event: index of the row's event into `event_id`, 0 ... n_events - 1, not decreasing.
        event_id: number that names each event.
        track_id: number that names the row's trajectory within its event.
        pdg_id: particle code (PDG Monte Carlo numbering) of the trajectory.
        start_cm, end_cm: ends of the step [cm].
        energy_mev: deposited energy [MeV].
        dedx_mev_per_cm: deposited energy per length, what recombination sees [MeV/cm].
        time_us: time of the deposit after the start of the event [us].
    """

    event: Int[Array | np.ndarray, " segment"]
    event_id: Int[Array | np.ndarray, " event"]
    track_id: Int[Array | np.ndarray, " segment"]
    pdg_id: Int[Array | np.ndarray, " segment"]
    start_cm: Float[Array | np.ndarray, "segment 3"]
    end_cm: Float[Array | np.ndarray, "segment 3"]
    energy_mev: Float[Array | np.ndarray, " segment"]
    dedx_mev_per_cm: Float[Array | np.ndarray, " segment"]
    time_us: Float[Array | np.ndarray, " segment"]

    @property
    def n_segments(self) -> int:
        """Number of rows."""
        return self.energy_mev.shape[0]

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.event_id.shape[0]

    @property
    def length_cm(self) -> Float[Array | np.ndarray, " segment"]:
        """Length of each step [cm]."""
        return ((self.end_cm - self.start_cm) ** 2).sum(axis=-1) ** 0.5

    @property
    def total_length_cm(self) -> Float[Array, ""] | np.floating:
        """Length of all steps [cm]."""
        return self.length_cm.sum()


def from_rows(
    row_event_id: ArrayLike,
    trajectory: tuple[ArrayLike, ArrayLike],
    ends_cm: tuple[ArrayLike, ArrayLike],
    deposit: tuple[ArrayLike, ArrayLike, ArrayLike],
) -> Segments:
    """Build segments from rows in any order: sort them by event, keep the order within an event.

    Args:
        row_event_id: number of the event of each row.
        trajectory: track numbers and particle codes, one a row.
        ends_cm: start and end points, shape (n, 3) each [cm].
        deposit: energy [MeV], energy per length [MeV/cm] and time [us], one a row.
    """
    identity = np.asarray(row_event_id, np.int64)
    order = np.argsort(identity, kind="stable")
    event_id, event = np.unique(identity[order], return_inverse=True)
    whole = [np.asarray(column, np.int64)[order] for column in trajectory]
    real = [np.asarray(column, np.float64)[order] for column in (*ends_cm, *deposit)]
    return Segments(event.astype(np.int64), event_id, *whole, *real)


def select_events(segments: Segments, index: ArrayLike) -> Segments:
    """The rows of some events, given by their indices (not their numbers); the kept events are counted anew from 0."""
    return _select_rows(segments, np.isin(np.asarray(segments.event), np.asarray(index)))


def select(
    segments: Segments,
    *,
    fiducial_cm: ArrayLike | None = None,
    max_cos_drift: float | None = None,
    min_length_cm: float | None = None,
) -> Segments:
    """The rows that pass the cuts that are asked for; without arguments all of them.

    Args:
        segments: the rows to choose from.
        fiducial_cm: lower and upper limits of x, y and z, shape (3, 2) [cm]; a row stays if both its ends are inside.
        max_cos_drift: a trajectory stays if its direction (the sum of its steps) has at most this |cos| to the z axis.
        min_length_cm: a trajectory stays if its steps have at least this length together [cm].

    Raises:
        InputError: if nothing passes.
    """
    keep = np.ones(segments.n_segments, bool)
    trajectory, displacement_cm, length_cm = _trajectories(segments)
    if fiducial_cm is not None:
        keep &= _inside(segments.start_cm, fiducial_cm) & _inside(segments.end_cm, fiducial_cm)
    if max_cos_drift is not None:
        straight_cm = np.linalg.norm(displacement_cm, axis=1)
        keep &= (np.abs(displacement_cm[:, 2]) <= max_cos_drift * straight_cm)[trajectory]
    if min_length_cm is not None:
        keep &= (length_cm >= min_length_cm)[trajectory]
    if not keep.any():
        cuts = f"fiducial_cm={fiducial_cm}, max_cos_drift={max_cos_drift}, min_length_cm={min_length_cm}"
        raise InputError(f"no segment is left of {segments.n_segments} by the selection {cuts}: loosen it")
    return _select_rows(segments, keep)


def batches(segments: Segments, length_cm: float) -> list[Segments]:
    """Whole events in order, packed into batches of at most a total length; nothing is dropped.

    Args:
        segments: the events to pack.
        length_cm: budget of a batch [cm]; an event that is longer makes a batch of its own.
    """
    event_length_cm = np.bincount(segments.event, weights=segments.length_cm, minlength=segments.n_events)
    packed: list[list[int]] = []
    room_cm = -1.0
    for event, size_cm in enumerate(event_length_cm):
        if size_cm > room_cm:
            packed.append([])
            room_cm = length_cm
        packed[-1].append(event)
        room_cm -= size_cm
    return [select_events(segments, events) for events in packed]


def merge(parts: Sequence[Segments]) -> Segments:
    """All rows of several sets whose event numbers differ."""
    columns = zip(*(_row_columns(part) for part in parts), strict=True)
    event_id, track_id, pdg_id, start_cm, end_cm, energy, dedx, time_us = (np.concatenate(column) for column in columns)
    return from_rows(event_id, (track_id, pdg_id), (start_cm, end_cm), (energy, dedx, time_us))


def _row_columns(segments: Segments) -> tuple[NDArray, ...]:
    """The columns of `from_rows`, one after another."""
    columns = (
        segments.event_id[segments.event],
        segments.track_id,
        segments.pdg_id,
        segments.start_cm,
        segments.end_cm,
        segments.energy_mev,
        segments.dedx_mev_per_cm,
        segments.time_us,
    )
    return tuple(np.asarray(column) for column in columns)


def _select_rows(segments: Segments, keep: NDArray) -> Segments:
    """The rows where `keep` holds; events without rows go."""
    event_id, track_id, pdg_id, start_cm, end_cm, energy, dedx, time_us = (c[keep] for c in _row_columns(segments))
    return from_rows(event_id, (track_id, pdg_id), (start_cm, end_cm), (energy, dedx, time_us))


def _trajectories(segments: Segments) -> tuple[NDArray, NDArray, NDArray]:
    """Trajectory index of each row; displacement and length of each trajectory [cm]."""
    names = np.stack([segments.event, segments.track_id], axis=1)
    _, index = np.unique(names, axis=0, return_inverse=True)
    index = index.reshape(-1)
    displacement_cm = np.stack([np.bincount(index, step) for step in (segments.end_cm - segments.start_cm).T], axis=1)
    return index, displacement_cm, np.bincount(index, segments.length_cm)


def _inside(position_cm: ArrayLike, limits_cm: ArrayLike) -> NDArray:
    """Whether positions, shape (n, 3), lie within limits, shape (3, 2) [cm]."""
    low, high = np.asarray(limits_cm, float).T
    return ((position_cm >= low) & (position_cm <= high)).all(axis=1)
