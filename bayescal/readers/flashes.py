"""Clusters of charge and flashes of light in our own HDF5 schema.

- Dataset `clusters`, one compound row a cluster: `event` (i8) number of the event, `cluster` (i8) number of the cluster
  within it, `volume` (i8) number of the drift volume, from 0; `assumed_time` (f8) time that its positions assume [us],
  0 is the event's trigger; `known_time` (f8) its time where something else than light tells it [us], NaN otherwise.
- Dataset `points`, one compound row a point: `event` and `cluster` it belongs to; `x`, `y`, `z` (f8) [cm], x along the
  drift field, as in photon libraries; `photons` (f8) emitted there.
- Dataset `flashes`, one compound row a flash: `event`, `flash` (i8) number of the flash within it, `time` (f8) after
  the trigger [us], NaN where it is not known.
- Datasets `pe` (f8) and `saturated` (bool), shape (flash, sensor): light of each sensor [p.e.], NaN where a sensor is
  absent; whether it stands at the end of its range, so that `pe` is only a lower limit.
- Dataset `links`, may be absent, one compound row a pair known to belong together: `event`, `cluster`, `flash`.
- Attributes of the file: `format` = "bayescal-flashes", `version` = 1; others are provenance.
- Group `truth`, in simulated files: one dataset a parameter, with the attribute `units`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayescal.errors import InputError
from bayescal.flashes import Clusters, Flashes, LightEvents, clusters_from_points, flashes_from_rows
from bayescal.readers.hdf5 import (
    open_format,
    read_array,
    read_table,
    read_truth_group,
    require_finite,
    require_not_negative,
    write_hdf5,
    write_truth_group,
)

FORMAT = "bayescal-flashes"
VERSION = 1

_CLUSTER = ("event", "cluster", "volume", "assumed_time", "known_time")
_POINT = ("event", "cluster", "x", "y", "z", "photons")
_FLASH = ("event", "flash", "time")
_LINK = ("event", "cluster", "flash")
_WHOLE = ("event", "cluster", "volume", "flash")


def read_flashes(path: Path | str) -> LightEvents:
    """Read the clusters and flashes of a file.

    Raises:
        InputError: if the file cannot be read, is of another format, or has a value that no event can have.
    """
    with open_format(path, FORMAT, VERSION) as file:
        tables = {
            name: read_table(file, name, columns)
            for name, columns in (("clusters", _CLUSTER), ("points", _POINT), ("flashes", _FLASH))
        }
        pe, saturated = (read_array(file, name) for name in ("pe", "saturated"))
        links = read_table(file, "links", _LINK) if "links" in file else None
    clusters = _clusters(path, tables["clusters"], tables["points"])
    _check_light(path, tables["flashes"], pe, saturated)
    event_id, flash_id, time_us = (tables["flashes"][name] for name in _FLASH)
    flashes = flashes_from_rows(event_id, flash_id, time_us, pe, saturated)
    return LightEvents(clusters, flashes, _links(path, clusters, flashes, links))


def read_truth(path: Path | str) -> dict[str, NDArray]:
    """The parameters that a file was simulated with, by name; empty for real data."""
    with open_format(path, FORMAT, VERSION) as file:
        return read_truth_group(file)


def write_flashes(
    path: Path | str,
    events: LightEvents,
    *,
    attributes: Mapping[str, Any] | None = None,
    truth: Mapping[str, ArrayLike] | None = None,
    units: Mapping[str, str] | None = None,
) -> None:
    """Write clusters and flashes; the file appears under its name when it is complete.

    Args:
        path: file to write; an older one is replaced.
        events: clusters, flashes and links.
        attributes: attributes of the file beside those of the format.
        truth: parameters of a simulation by name.
        units: units of these parameters by name.
    """
    clusters, flashes, links = events.clusters, events.flashes, events.links
    owner = clusters.point_cluster
    names = (clusters.event_id, clusters.cluster_id)
    linked = (names[0][links[:, 0]], names[1][links[:, 0]], flashes.flash_id[links[:, 1]])
    tables = {
        "clusters": (_CLUSTER, (*names, clusters.volume, clusters.assumed_time_us, clusters.known_time_us)),
        "points": (_POINT, (names[0][owner], names[1][owner], *clusters.position_cm.T, clusters.photons)),
        "flashes": (_FLASH, (flashes.event_id, flashes.flash_id, flashes.time_us)),
    }
    if len(links):
        tables["links"] = (_LINK, linked)
    with write_hdf5(path) as file:
        file.attrs.update(dict(attributes or {}) | {"format": FORMAT, "version": VERSION})
        for name, (columns, values) in tables.items():
            file[name] = _rows(columns, values)
        file["pe"], file["saturated"] = np.asarray(flashes.pe), np.asarray(flashes.saturated)
        write_truth_group(file, truth or {}, units or {})


def read_clusters(path: Path | str, n_volumes: int) -> Clusters:
    """The clusters of a file, whose flashes are not used.

    Args:
        path: file to read.
        n_volumes: number of drift volumes of the detector.

    Raises:
        InputError: as `read_flashes`, or if a cluster is in a drift volume that the detector does not have.
    """
    clusters = read_flashes(path).clusters
    check_volumes(clusters, n_volumes, path)
    return clusters


def check_volumes(clusters: Clusters, n_volumes: int, path: Path | str) -> None:
    """Refuse clusters of a drift volume that the detector does not have.

    Args:
        clusters: the clusters.
        n_volumes: number of drift volumes of the detector.
        path: file the clusters come from, for the message.
    """
    outside = (np.asarray(clusters.volume) < 0) | (np.asarray(clusters.volume) >= n_volumes)
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"{path}: event {clusters.event_id[row]}, cluster {clusters.cluster_id[row]} is in volume "
            f"{clusters.volume[row]}, the detector has {n_volumes}: check that detector and clusters belong together"
        )


def check_sensors(flashes: Flashes, n_sensors: int, path: Path | str) -> None:
    """Refuse flashes of another number of sensors than the detector's.

    Args:
        flashes: the flashes.
        n_sensors: number of light sensors of the detector.
        path: file the flashes come from, for the message.
    """
    if flashes.pe.shape[1] != n_sensors:
        raise InputError(
            f"{path}: `pe` has {flashes.pe.shape[1]} sensors, the detector has {n_sensors}: "
            "check that detector and flashes belong together"
        )


def _rows(names: tuple[str, ...], values: tuple[ArrayLike, ...]) -> NDArray:
    """Columns as the rows of a compound dataset."""
    rows = np.zeros(len(np.asarray(values[0])), [(name, "i8" if name in _WHOLE else "f8") for name in names])
    for name, column in zip(names, values, strict=True):
        rows[name] = column
    return rows


def _clusters(path: Path | str, rows: dict[str, NDArray], points: dict[str, NDArray]) -> Clusters:
    """Clusters with their points, checked."""
    require_finite(f"{path}: clusters", {"assumed_time": rows["assumed_time"]})
    require_finite(f"{path}: points", {name: points[name] for name in ("x", "y", "z", "photons")})
    require_not_negative(f"{path}: points", {"photons": points["photons"]})
    if np.isinf(rows["known_time"]).any():
        row = int(np.argmax(np.isinf(rows["known_time"])))
        raise InputError(f"{path}: clusters: `known_time` is infinite in row {row}; write NaN where it is not known")
    owner = _indices(f"{path}: points", "cluster", points, _index_of(f"{path}: clusters", "cluster", rows))
    empty = np.bincount(owner, minlength=len(rows["event"])) == 0
    if empty.any():
        row = int(np.argmax(empty))
        raise InputError(
            f"{path}: event {rows['event'][row]}, cluster {rows['cluster'][row]} has no points; leave it out"
        )
    position_cm = np.stack([points[name] for name in ("x", "y", "z")], axis=1)
    identity, times = (tuple(rows[name] for name in names) for names in (_CLUSTER[:3], _CLUSTER[3:]))
    return clusters_from_points(identity, times, owner, position_cm, points["photons"])  # pyright: ignore


def _check_light(path: Path | str, rows: dict[str, NDArray], pe: NDArray, saturated: NDArray) -> None:
    """Refuse light that no flash can have."""
    n_flashes = len(rows["event"])
    if pe.ndim != 2 or len(pe) != n_flashes or saturated.shape != pe.shape:
        raise InputError(
            f"{path}: `pe` and `saturated` have the shapes {pe.shape} and {saturated.shape}, need (flash, sensor) for "
            f"{n_flashes} flashes: write one row a flash"
        )
    _index_of(f"{path}: flashes", "flash", rows)
    for name, values, remedy in (
        ("pe", np.isinf(pe).any(axis=1), "infinite light; write NaN where a sensor is absent"),
        ("pe", (pe < 0).any(axis=1), "negative light; write 0, or NaN where a sensor is absent"),
        ("pe", np.isnan(pe).all(axis=1), "no sensor with light; leave it out"),
        ("time", np.isinf(rows["time"]), "an infinite time; write NaN where it is not known"),
    ):
        if values.any():
            row = int(np.argmax(values))
            where = f"event {rows['event'][row]}, flash {rows['flash'][row]}"
            raise InputError(f"{path}: {name}: {where} has {remedy}")


def _links(path: Path | str, clusters: Clusters, flashes: Flashes, rows: dict[str, NDArray] | None) -> NDArray:
    """Pairs of cluster and flash indices, shape (link, 2)."""
    if rows is None:
        return np.zeros((0, 2), np.int64)
    owners = {"cluster": (clusters.event_id, clusters.cluster_id), "flash": (flashes.event_id, flashes.flash_id)}
    pair = [
        _indices(f"{path}: links", name, rows, {key: i for i, key in enumerate(zip(*map(_whole, names), strict=True))})
        for name, names in owners.items()
    ]
    for name, column in zip(owners, pair, strict=True):
        values, counts = np.unique(column, return_counts=True)
        if (counts > 1).any():
            row = int(np.flatnonzero(column == values[np.argmax(counts)])[1])
            raise InputError(
                f"{path}: links: event {rows['event'][row]}, {name} {rows[name][row]} is linked twice; keep one link"
            )
    return np.stack(pair, axis=1)


def _index_of(where: str, name: str, rows: dict[str, NDArray]) -> dict[tuple[int, int], int]:
    """Row of each (event, number), each of which is there once."""
    keys = list(zip(_whole(rows["event"]), _whole(rows[name]), strict=True))
    index = {key: row for row, key in enumerate(keys)}
    if len(index) < len(keys):
        event, number = next(key for row, key in enumerate(keys) if index[key] != row)
        raise InputError(f"{where}: event {event}, {name} {number} is there twice: give each a number of its own")
    return index


def _indices(where: str, name: str, rows: dict[str, NDArray], index: dict[tuple[int, int], int]) -> NDArray:
    """Index of the cluster or flash that each row names."""
    keys = list(zip(_whole(rows["event"]), _whole(rows[name]), strict=True))
    missing = next((row for row, key in enumerate(keys) if key not in index), None)
    if missing is not None:
        event, number = keys[missing]
        raise InputError(f"{where}: row {missing} names event {event}, {name} {number}, which is not in the file")
    return np.array([index[key] for key in keys], np.int64)


def _whole(values: ArrayLike) -> list[int]:
    """A column of numbers as Python integers."""
    return np.asarray(values).astype(np.int64).tolist()
