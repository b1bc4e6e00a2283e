"""Clusters of charge, flashes of light, and which of them are known to belong together."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike


class Clusters(eqx.Module):
    """Clusters of charge, sorted by event and cluster, and their points in the same order.

    Attributes:
        event_id: number of the event.
        cluster_id: number of the cluster within its event.
        volume: number of the drift volume, from 0.
        assumed_time_us: time after the trigger that the positions assume [us].
        known_time_us: time after the trigger where something else than light tells it [us], NaN otherwise.
        point_cluster: index of each point's cluster, not decreasing.
        position_cm: where photons are emitted if the cluster's time is the assumed one [cm], x along the drift field.
        photons: number emitted at each point.
    """

    event_id: Int[Array | np.ndarray, " cluster"]
    cluster_id: Int[Array | np.ndarray, " cluster"]
    volume: Int[Array | np.ndarray, " cluster"]
    assumed_time_us: Float[Array | np.ndarray, " cluster"]
    known_time_us: Float[Array | np.ndarray, " cluster"]
    point_cluster: Int[Array | np.ndarray, " point"]
    position_cm: Float[Array | np.ndarray, "point 3"]
    photons: Float[Array | np.ndarray, " point"]

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return self.event_id.shape[0]


class Flashes(eqx.Module):
    """Flashes of light, sorted by event and flash.

    Attributes:
        event_id: number of the event.
        flash_id: number of the flash within its event.
        time_us: time after the trigger [us], NaN where it is not known.
        pe: light of each sensor [p.e.], NaN where the sensor is absent.
        saturated: whether a sensor stands at the end of its range.
    """

    event_id: Int[Array | np.ndarray, " flash"]
    flash_id: Int[Array | np.ndarray, " flash"]
    time_us: Float[Array | np.ndarray, " flash"]
    pe: Float[Array | np.ndarray, "flash sensor"]
    saturated: Bool[Array | np.ndarray, "flash sensor"]

    @property
    def n_flashes(self) -> int:
        """Number of flashes."""
        return self.event_id.shape[0]


class LightEvents(eqx.Module):
    """Clusters and flashes of the same events.

    Attributes:
        clusters: the clusters.
        flashes: the flashes.
        links: indices of clusters and flashes that are known to belong together; there may be none.
    """

    clusters: Clusters
    flashes: Flashes
    links: Int[np.ndarray, "link 2"]


def clusters_from_points(
    identity: tuple[ArrayLike, ArrayLike, ArrayLike],
    times_us: tuple[ArrayLike, ArrayLike],
    point_cluster: ArrayLike,
    position_cm: ArrayLike,
    photons: ArrayLike,
) -> Clusters:
    """Clusters from rows in any order; the points of a cluster keep their order.

    Args:
        identity: numbers of event, cluster and volume, one a cluster.
        times_us: assumed and known times [us], one a cluster.
        point_cluster: index of each point's cluster among the rows given.
        position_cm: positions of the points, shape (n, 3) [cm].
        photons: emitted at each point.
    """
    names = [np.asarray(column, np.int64) for column in identity]
    order = np.lexsort(names[1::-1])
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    owner = place[np.asarray(point_cluster, np.int64)]
    points = np.argsort(owner, kind="stable")
    event_id, cluster_id, volume = (column[order] for column in names)
    assumed, known = (np.asarray(column, np.float64)[order] for column in times_us)
    position, light = np.asarray(position_cm, np.float64)[points], np.asarray(photons, np.float64)[points]
    return Clusters(event_id, cluster_id, volume, assumed, known, owner[points], position, light)


def flashes_from_rows(
    event_id: ArrayLike, flash_id: ArrayLike, time_us: ArrayLike, pe: ArrayLike, saturated: ArrayLike | None = None
) -> Flashes:
    """Flashes from rows in any order.

    Args:
        event_id: numbers of the events.
        flash_id: numbers of the flashes.
        time_us: times after the trigger [us], NaN where not known.
        pe: light, shape (flash, sensor) [p.e.], NaN where absent.
        saturated: of the same shape, whether a sensor stands at the end of its range; none where not given.
    """
    events, numbers = np.asarray(event_id, np.int64), np.asarray(flash_id, np.int64)
    order = np.lexsort((numbers, events))
    light = np.asarray(pe, np.float64)[order]
    full = np.zeros(light.shape, bool) if saturated is None else np.asarray(saturated, bool)[order]
    return Flashes(events[order], numbers[order], np.asarray(time_us, np.float64)[order], light, full)
