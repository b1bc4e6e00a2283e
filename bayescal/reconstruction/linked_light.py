"""Counts of light of clusters whose flash is known: from the flashes of a file, and as flashes to write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.readers.flashes import Clusters, LightEvents, check_sensors, flashes_from_rows

Counts = Float[Array | np.ndarray, "cluster sensor"]


def linked_counts(
    events: LightEvents, clusters: Clusters, n_sensors: int, path: Path | str, saturation: float | None = None
) -> NDArray:
    """Photo-electrons of each cluster's flash, NaN where a sensor is absent or the cluster has no flash.

    Args:
        events: flashes with their links to clusters, which are known by the numbers of event and cluster.
        clusters: those of the calibration.
        n_sensors: sensors of the detector.
        path: file the flashes come from, for messages.
        saturation: photo-electrons at or above which a sensor's count is a lower limit.

    Raises:
        InputError: if there are no links, a link names a cluster that is not one of the calibration's, the flashes have
            other sensors, or a count is none.
    """
    check_sensors(events.flashes, n_sensors, path)
    if not len(events.links):
        raise InputError(f"{path}: `links` has no row, so that no flash is known to be of a cluster; add the links")
    row = {names: index for index, names in enumerate(zip(*_names(clusters), strict=True))}
    counts = np.full((clusters.n_clusters, n_sensors), np.nan)
    for cluster, flash in events.links:
        event, number = (int(column[cluster]) for column in _names(events.clusters))
        if (event, number) not in row:
            raise InputError(
                f"{path}: links: event {event}, cluster {number} is not among the clusters of [inputs]: give flashes "
                "and clusters of the same events"
            )
        counts[row[event, number]] = events.flashes.pe[flash]
    _check_counts(events, path, saturation)
    return counts


def linked_events(clusters: Clusters, counts: Counts) -> LightEvents:
    """Clusters with a flash for each that has a count, linked and at the time that the cluster assumes."""
    counts = np.asarray(counts, float)
    seen = np.flatnonzero(np.isfinite(counts).any(axis=1))
    events, numbers = (np.asarray(column)[seen] for column in _names(clusters))
    flashes = flashes_from_rows(events, numbers, np.asarray(clusters.assumed_time_us)[seen], counts[seen])
    return LightEvents(clusters, flashes, np.stack([seen, np.arange(seen.size)], axis=1))


def _names(clusters: Clusters) -> tuple[list[int], list[int]]:
    """Numbers of event and cluster."""
    return np.asarray(clusters.event_id).tolist(), np.asarray(clusters.cluster_id).tolist()


def _check_counts(events: LightEvents, path: Path | str, saturation: float | None) -> None:
    """Refuse light that is no whole number, and sensors at the end of their range below the saturation."""
    pe, full = np.asarray(events.flashes.pe), np.asarray(events.flashes.saturated)
    known = np.isfinite(pe)
    for wrong, remedy in (
        (known & (pe != np.round(pe)), "no whole number; round to photo-electrons"),
        (
            known & full & (pe < (np.inf if saturation is None else saturation)),
            "saturated; set `saturation` in [inputs] to its least value",
        ),
    ):
        if wrong.any():
            flash, sensor = np.argwhere(wrong)[0]
            where = f"event {events.flashes.event_id[flash]}, flash {events.flashes.flash_id[flash]}, sensor {sensor}"
            raise InputError(f"{path}: pe: {where} has {pe[flash, sensor]:g} p.e., {remedy}")
