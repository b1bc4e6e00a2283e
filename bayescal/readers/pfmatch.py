"""Clusters and flashes from event files of siren-pfmatch.

Ragged datasets with one row an event (https://github.com/CIDeR-ML/siren-pfmatch, `pfmatch/io/h5file.py`): `point`
(x, y, z [cm], photons of all points, flattened), `group` (number of points of each cluster), `flash` (p.e. of all
sensors of all flashes, flattened), `qtime` (time that the positions of a cluster assume [us]), `ftime` (time of a flash
[us]), `match` (pairs of places of clusters and flashes in the event, flattened; may be absent). A time that is not
known is infinite there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.flashes import LightEvents, clusters_from_points, flashes_from_rows
from bayescal.readers.hdf5 import open_hdf5, read_array, require_finite

_COLUMNS = ("point", "group", "flash", "qtime", "ftime")


class _Event(NamedTuple):
    """One event: points, points of each cluster, times of clusters, light and times of flashes, matches."""

    point: NDArray
    group: NDArray
    qtime: NDArray
    flash: NDArray
    ftime: NDArray
    match: NDArray


def read_pfmatch(path: Path | str, n_sensors: int) -> LightEvents:
    """Read an event file.

    The number of an event is its row, that of a cluster or flash its place in the event; all clusters are in volume 0
    and no sensor is saturated.

    Args:
        path: the file.
        n_sensors: number of light sensors, which the file does not tell.

    Raises:
        InputError: if the file cannot be read, lacks a dataset, or its parts do not fit together.
    """
    with open_hdf5(path) as file:
        columns = {name: read_array(file, name) for name in _COLUMNS}
        if isinstance(file.get("match"), h5py.Dataset):
            columns["match"] = read_array(file, "match")
    lengths = {name: len(values) for name, values in columns.items()}
    n_events = lengths["point"]
    if n_events == 0 or set(lengths.values()) != {n_events}:
        raise InputError(f"{path}: need one row an event in each dataset, there are {lengths}: write the file again")
    events = [
        _event(path, row, {name: values[row] for name, values in columns.items()}, n_sensors) for row in range(n_events)
    ]
    return _joined(events)


def _event(path: Path | str, row: int, values: dict[str, NDArray], n_sensors: int) -> _Event:
    """The parts of an event in their shapes, checked."""
    where = f"{path}: event {row}"
    _require_whole(where, "point", values["point"], 4)
    _require_whole(where, "flash", values["flash"], n_sensors)
    point, flash = values["point"].reshape(-1, 4), values["flash"].reshape(-1, n_sensors)
    match = values.get("match", np.zeros(0, np.int64))
    _require_whole(where, "match", match, 2)
    group = values["group"]
    if group.sum() != len(point) or (group <= 0).any():
        raise InputError(f"{where}: `group` splits {len(point)} points into {group.tolist()}; write the event again")
    for name, size in (("qtime", len(group)), ("ftime", len(flash))):
        if len(values[name]) != size:
            raise InputError(f"{where}: `{name}` has {len(values[name])} values, need {size}; write the event again")
    require_finite(where, {"point": point, "flash": flash.sum(axis=1)})
    pairs = match.reshape(-1, 2)
    if pairs.size and ((pairs < 0).any() or (pairs.max(axis=0) >= (len(group), len(flash))).any()):
        raise InputError(f"{where}: `match` names a cluster or flash that is not there; write the event again")
    return _Event(point, group, values["qtime"], flash, values["ftime"], pairs)


def _require_whole(where: str, name: str, values: NDArray, width: int) -> None:
    """Refuse a flattened table whose length is not a multiple of its width."""
    if len(values) % width:
        raise InputError(
            f"{where}: `{name}` has {len(values)} values, which is no multiple of {width}; check the number of sensors"
        )


def _joined(events: list[_Event]) -> LightEvents:
    """All events as one set."""
    columns = list(zip(*events, strict=True))
    point, group, qtime, flash, ftime = (np.concatenate(column) for column in columns[:5])
    n_clusters, n_flashes = (np.array([len(part) for part in column]) for column in (columns[1], columns[3]))
    (cluster_event, cluster), (flash_event, number) = map(_places, (n_clusters, n_flashes))
    clusters = clusters_from_points(
        (cluster_event, cluster, np.zeros(len(group))),
        (np.where(np.isfinite(qtime), qtime, 0.0), np.full(len(group), np.nan)),
        np.arange(len(group)).repeat(group),
        point[:, :3],
        point[:, 3],
    )
    flashes = flashes_from_rows(flash_event, number, np.where(np.isfinite(ftime), ftime, np.nan), flash)
    first = np.stack([np.cumsum(n_clusters) - n_clusters, np.cumsum(n_flashes) - n_flashes], axis=1)
    links = np.concatenate([event.match + start for event, start in zip(events, first, strict=True)])
    return LightEvents(clusters, flashes, links.astype(np.int64))


def _places(counts: NDArray) -> tuple[NDArray, NDArray]:
    """Event and place within it of every cluster or flash."""
    event = np.arange(len(counts)).repeat(counts)
    return event, np.arange(len(event)) - (np.cumsum(counts) - counts)[event]
