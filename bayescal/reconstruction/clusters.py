"""Clusters of charge as arrays of fixed shapes: points merged, padded, and how far each cluster may be shifted."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import numpy as np
from jax import Array
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayescal.flashes import Clusters
from bayescal.light.detector import DriftVolumes

_LEAST_POINTS = 16  # smallest padded number of points
_LARGEST_CHUNK = 256  # above, the padded number of clusters is a multiple of it
_INSET_CM = 1e-4  # from the faces, where visibilities end
_LEAST_RANGE_CM = 1e-3  # of shifts: a cluster as long as its volume keeps one place


class ClusterBatch(eqx.Module):
    """Clusters padded to one number of points; padding points emit no photons, padding clusters repeat the first.

    Attributes:
        row: index of the cluster among all, -1 for padding.
        position_cm: points if the cluster's time is the one assumed [cm].
        photons: emitted at each point.
        sense: of the shift at each point: 1, or -1 where electrons drift the other way than at the first point.
        lowest_cm, highest_cm: limits of the shift along x that leave all points inside the volume [cm].
    """

    row: Int[Array | np.ndarray, " cluster"]
    position_cm: Float[Array | np.ndarray, "cluster point 3"]
    photons: Float[Array | np.ndarray, "cluster point"]
    sense: Float[Array | np.ndarray, "cluster point"]
    lowest_cm: Float[Array | np.ndarray, " cluster"]
    highest_cm: Float[Array | np.ndarray, " cluster"]

    @property
    def n_clusters(self) -> int:
        """Number of clusters, padding included."""
        return self.row.shape[0]


def merge_points(clusters: Clusters, size_cm: float) -> Clusters:
    """Clusters whose points are the centres of light of cubic cells: fewer look-ups for the same light.

    Args:
        clusters: the clusters.
        size_cm: edge of a cell [cm], small against the distance to the sensors.
    """
    cell = np.floor(clusters.position_cm / size_cm).astype(np.int64)
    names = np.column_stack([clusters.point_cluster, cell])
    order = np.lexsort(names.T[::-1])
    is_new = np.append(True, (np.diff(names[order], axis=0) != 0).any(axis=1))
    kept, index = names[order[is_new]], np.empty_like(order)
    index[order] = np.cumsum(is_new) - 1
    # where a cell emits nothing, the centre is that of its points
    weight = np.asarray(clusters.photons) + 1e-9
    moments = [np.bincount(index, weight * axis) for axis in np.asarray(clusters.position_cm).T]
    position_cm = np.stack(moments, axis=1) / np.bincount(index, weight)[:, None]
    photons = np.bincount(index, clusters.photons)
    return eqx.tree_at(
        lambda c: (c.point_cluster, c.position_cm, c.photons), clusters, (kept[:, 0], position_cm, photons)
    )


def batch_clusters(clusters: Clusters, volumes: DriftVolumes, *, cell_cm: float = 0.0) -> ClusterBatch:
    """All clusters, in their order, as one batch.

    Args:
        clusters: the clusters.
        volumes: where they are.
        cell_cm: points are merged in cells of this size, as by `merge_points` [cm]; 0 leaves them as they are.
    """
    merged = merge_points(clusters, cell_cm) if cell_cm > 0 else clusters
    return _batch(merged, _shift_limits(clusters, volumes), np.arange(clusters.n_clusters))


def bucket_clusters(clusters: Clusters, volumes: DriftVolumes, *, cell_cm: float = 0.0) -> list[ClusterBatch]:
    """All clusters in batches of like size, so that short ones are not padded to the longest; few shapes are compiled.

    Args:
        clusters: the clusters.
        volumes: where they are.
        cell_cm: as in `batch_clusters`.
    """
    merged = merge_points(clusters, cell_cm) if cell_cm > 0 else clusters
    limits = _shift_limits(clusters, volumes)
    n_points = np.bincount(merged.point_cluster, minlength=merged.n_clusters)
    sizes = np.array([_padded_points(int(n)) for n in n_points])
    return [_batch(merged, limits, np.flatnonzero(sizes == size)) for size in np.unique(sizes)]


class _Limits(NamedTuple):
    """Limits of the shift of each cluster [cm]."""

    lowest_cm: NDArray
    highest_cm: NDArray


def _shift_limits(clusters: Clusters, volumes: DriftVolumes) -> _Limits:
    """Shifts that leave a cluster inside its volume; where it is longer than that, the one that centres it."""
    x_cm, begin = clusters.position_cm[:, 0], np.searchsorted(clusters.point_cluster, np.arange(clusters.n_clusters))
    lowest = np.asarray(volumes.lower_cm)[clusters.volume, 0] - np.minimum.reduceat(x_cm, begin)
    highest = np.asarray(volumes.upper_cm)[clusters.volume, 0] - np.maximum.reduceat(x_cm, begin)
    middle, half = (lowest + highest) / 2, np.maximum((highest - lowest) / 2 - _INSET_CM, _LEAST_RANGE_CM / 2)
    return _Limits(middle - half, middle + half)


def _batch(clusters: Clusters, limits: _Limits, rows: NDArray) -> ClusterBatch:
    """The clusters of some rows, padded."""
    padded = _padded_clusters(rows.size)
    row = np.concatenate([rows, np.full(padded - rows.size, -1)])
    taken = np.where(row < 0, rows[0], row)
    begin, end = (np.searchsorted(clusters.point_cluster, taken, side=side) for side in ("left", "right"))
    slot = begin[:, None] + np.arange(_padded_points(int((end - begin).max())))
    real = slot < end[:, None]
    slot = np.where(real, slot, begin[:, None])
    photons = np.where(real, np.asarray(clusters.photons)[slot], 0.0)
    position_cm, sense = np.asarray(clusters.position_cm)[slot], np.ones(photons.shape)
    return ClusterBatch(row, position_cm, photons, sense, limits.lowest_cm[taken], limits.highest_cm[taken])


def unite(batch: ClusterBatch, members: Int[NDArray, "union 2"], direction: Float[NDArray, " cluster"]) -> ClusterBatch:
    """Pairs of clusters of one time as clusters of their own; those that no common shift leaves inside keep one place.

    Args:
        batch: the clusters, whose positions assume the same time.
        members: places in the batch of the two clusters of each pair.
        direction: of the drift at each cluster of the batch, 1 or -1, as in `DriftVolumes`.
    """
    first, second = members.T
    turned = (direction[first] * direction[second])[:, None]
    points, photons = (
        np.concatenate([np.asarray(values)[first], np.asarray(values)[second]], axis=1)
        for values in (batch.position_cm, batch.photons)
    )
    sense = np.concatenate([batch.sense[first], turned * batch.sense[second]], axis=1)
    limits = np.stack([np.asarray(batch.lowest_cm), np.asarray(batch.highest_cm)], axis=1)
    ends = np.sort(turned * limits[second], axis=1)
    lowest, highest = np.maximum(limits[first, 0], ends[:, 0]), np.minimum(limits[first, 1], ends[:, 1])
    middle, half = (lowest + highest) / 2, np.maximum((highest - lowest) / 2, _LEAST_RANGE_CM / 2)
    return ClusterBatch(np.arange(len(members)), points, photons, sense, middle - half, middle + half)


class Pieces(NamedTuple):
    """Points of all clusters of a batch in pieces of one size, so that short clusters are not padded to the longest.

    Attributes:
        owner: place of each piece's cluster in the batch.
        position_cm: points [cm].
        sense: of the shift at each point, as in `ClusterBatch`.
        photons: emitted at each point, zero in the padding.
    """

    owner: Int[NDArray, " piece"]
    position_cm: Float[NDArray, "piece point 3"]
    sense: Float[NDArray, "piece point"]
    photons: Float[NDArray, "piece point"]


def in_pieces(batch: ClusterBatch, size: int = _LEAST_POINTS) -> Pieces:
    """The points of a batch that emit light, in pieces of so many points."""
    emits = (np.asarray(batch.photons) > 0) & (np.asarray(batch.row) >= 0)[:, None]
    cluster, point = np.nonzero(emits)
    n_points = emits.sum(axis=1)
    n_pieces = -(-n_points // size)
    rank = np.arange(cluster.size) - (np.cumsum(n_points) - n_points)[cluster]
    piece, slot = (np.cumsum(n_pieces) - n_pieces)[cluster] + rank // size, rank % size
    shape = (int(n_pieces.sum()), size)
    first = np.asarray(batch.position_cm)[0, 0]
    owner, position_cm = np.zeros(shape[0], np.int64), np.broadcast_to(first, (*shape, 3)).copy()
    sense, photons = np.ones(shape), np.zeros(shape)
    owner[piece] = cluster
    for values, padded in ((batch.position_cm, position_cm), (batch.sense, sense), (batch.photons, photons)):
        padded[piece, slot] = np.asarray(values)[cluster, point]
    return Pieces(owner, position_cm, sense, photons)


def padded_size(n: int) -> int:
    """Smallest of 1, 2, 3, 4, 6, 8, 12, 16, ... that holds n rows, so that few shapes are compiled."""
    doubled = 1 << max(n - 1, 0).bit_length()
    between = 3 * doubled // 4
    return between if doubled > 2 and n <= between else doubled


def _padded_points(n: int) -> int:
    """Number of points in a batch whose largest cluster has n."""
    return max(_LEAST_POINTS, padded_size(n))


def _padded_clusters(n: int) -> int:
    """Number of clusters in a batch that holds n."""
    return padded_size(n) if n <= _LARGEST_CHUNK else -(-n // _LARGEST_CHUNK) * _LARGEST_CHUNK
