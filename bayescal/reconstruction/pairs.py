"""Pairs of clusters of charge and flashes of light: what each flash says of the shift of a cluster.

The light of every cluster is looked up once along its range of drift shifts, and serves all flashes.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from bayescal.light.shifted import LEAST_PE, Scan, scan_of_light
from bayescal.likelihoods.limits import Limits, no_limits, split_limits
from bayescal.reconstruction.clusters import ClusterBatch, in_pieces, padded_size
from bayescal.reconstruction.t0 import (
    Constraint,
    Expected,
    Flash,
    Grid,
    Promise,
    Readout,
    ShiftPosterior,
    node_widths,
    promise,
    refine,
)

_CHUNK_ELEMENTS = 1 << 20

Seen = tuple[Float[NDArray, "flash sensor"], Limits]
"""Counts and limits of flashes, as of `SeenFlashes`."""


class SeenFlashes(NamedTuple):
    """The flashes of an event.

    Attributes:
        counts: light [p.e.], NaN where a sensor is absent or at the end of its range.
        limits: sensors at the end of their range.
        constraint: shift that each flash's time asks for, one a (cluster, flash).
    """

    counts: Float[NDArray, "flash sensor"]
    limits: Limits
    constraint: Constraint


def seen_flashes(
    counts: Float[NDArray, "flash sensor"],
    n_clusters: int,
    constraint: Constraint | None = None,
    saturated: Bool[NDArray, "flash sensor"] | None = None,
) -> SeenFlashes:
    """The flashes of an event, padded in number; those that pad have no sensors.

    Args:
        counts: light [p.e.], NaN where a sensor is absent.
        n_clusters: number of clusters, padding included.
        constraint: shift that each flash's time asks for, one a (cluster, flash); not given where times say nothing.
        saturated: whether a sensor stands at the end of its range, so that its count is a lower limit.
    """
    limits = no_limits(counts.shape[:1])
    if saturated is not None:
        counts, limits = split_limits(counts, saturated)
    padding = padded_size(len(counts)) - len(counts)
    limits = Limits(
        np.pad(limits.sensor, ((0, padding), (0, 0)), constant_values=-1),
        np.pad(limits.least_pe, ((0, padding), (0, 0)), constant_values=1.0),
    )
    unknown = np.full((n_clusters, len(counts)), np.inf)
    times = constraint or Constraint(np.zeros(unknown.shape), unknown)
    mean, width = (np.asarray(values)[:, : len(counts)] for values in (times.mean_cm, times.width_cm))
    times = Constraint(
        np.pad(mean, ((0, 0), (0, padding))), np.pad(width, ((0, 0), (0, padding)), constant_values=np.inf)
    )
    return SeenFlashes(np.pad(counts, ((0, padding), (0, 0)), constant_values=np.nan), limits, times)


class PairRows(eqx.Module):
    """Pairs of a cluster and a flash: their places, and what the time of the flash says of the shift."""

    cluster: Int[Array | np.ndarray, " pair"]
    flash: Int[Array | np.ndarray, " pair"]
    constraint: Constraint


def scan_clusters(batch: ClusterBatch, expected: Expected, grid: Grid) -> Scan:
    """Expected light of all clusters along their ranges, which all flashes share.

    Args:
        batch: the clusters.
        expected: expected light of points.
        grid: numbers of nodes.
    """
    shift = np.linspace(np.asarray(batch.lowest_cm), np.asarray(batch.highest_cm), grid.n_coarse, axis=1)
    return _scan_pieces(tuple(in_pieces(batch)), jnp.asarray(shift), expected)


@eqx.filter_jit
def _scan_pieces(pieces: tuple, shift_cm: Float[Array, "cluster node"], expected: Expected) -> Scan:
    """Sums over pieces of their light at the shifts of their clusters."""
    owner, _, _, photons = pieces

    def one(piece: tuple) -> Float[Array, "node sensor"]:
        owner, position_cm, sense, photons = piece
        return jax.vmap(lambda x: expected(position_cm.at[:, 0].add(x * sense), photons))(shift_cm[owner])

    rows = jax.tree.map(jnp.asarray, pieces)
    n_sensors = eqx.filter_eval_shape(one, jax.tree.map(lambda values: values[0], rows)).shape[1]
    size = max(1, min(owner.size, _CHUNK_ELEMENTS // (shift_cm.shape[1] * photons.shape[1] * n_sensors)))
    mean = jax.ops.segment_sum(jax.lax.map(one, rows, batch_size=size), owner, shift_cm.shape[0])
    return jax.vmap(scan_of_light)(shift_cm, jnp.maximum(mean, LEAST_PE))


def log_mean(log_value: Float[Array, " node"], shift_cm: Float[Array, " node"]) -> Float[Array, ""]:
    """Logarithm of the mean over the range."""
    return logsumexp(log_value, b=node_widths(shift_cm)) - jnp.log(shift_cm[-1] - shift_cm[0])


def rows_at_a_time(scans: Scan, n_rows: int, n_nodes: int = 0) -> int:
    """Rows that are worked on together, so that memory stays bounded."""
    _, n_coarse, n_sensors = scans.mean_pe.shape
    return max(1, min(n_rows, _CHUNK_ELEMENTS // (max(n_coarse, n_nodes) * n_sensors)))


def _pair(scans: Scan, seen: tuple, pair: PairRows) -> tuple[Scan, Flash]:
    """Light of the cluster and the flash of one pair."""
    counts, limits = jax.tree.map(lambda values: jnp.asarray(values)[pair.flash], seen)
    return jax.tree.map(lambda values: values[pair.cluster], scans), Flash(counts, limits, pair.constraint)


@eqx.filter_jit
def promise_pairs(scans: Scan, seen: Seen, readout: Readout, pairs: PairRows) -> tuple[Promise, Float[Array, " pair"]]:
    """What the flash of each pair promises at the coarse nodes, and a bound of the log-evidence by it.

    Args:
        scans: light of all clusters.
        seen: counts and limits of all flashes.
        readout: distribution of the counts of an expected light.
        pairs: the pairs.
    """

    def one(pair: PairRows) -> tuple[Promise, Float[Array, ""]]:
        found, flash = _pair(scans, seen, pair)
        made = promise(found, flash, readout)
        return made, log_mean(made.highest, found.shift_cm)

    rows = jax.tree.map(jnp.asarray, pairs)
    return jax.lax.map(one, rows, batch_size=rows_at_a_time(scans, rows.cluster.size))


@eqx.filter_jit
def refine_pairs(
    scans: Scan, promises: Promise, seen: Seen, readout: Readout, grid: Grid, pairs: PairRows
) -> ShiftPosterior:
    """Posterior of the shift for each pair, in chunks that bound the memory.

    Args:
        scans: light of all clusters.
        promises: of these pairs.
        seen: counts and limits of all flashes.
        readout: distribution of the counts of an expected light.
        grid: numbers of nodes.
        pairs: the pairs.
    """

    def one(row: tuple[PairRows, Promise]) -> ShiftPosterior:
        found, flash = _pair(scans, seen, row[0])
        return refine(found, row[1], flash, readout, grid)

    rows = jax.tree.map(jnp.asarray, (pairs, promises))
    return jax.lax.map(one, rows, batch_size=rows_at_a_time(scans, rows[0].cluster.size, grid.n_fine))
