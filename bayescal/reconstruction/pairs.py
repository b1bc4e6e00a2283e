"""Pairs of clusters of charge and flashes of light: what each flash says of the shift of a cluster.

The light of every cluster is looked up once along its range of drift shifts, and serves all flashes. Programs take rows
(pieces of clusters, pairs) in blocks of one size and work on as many as there are, so that events of other numbers of
clusters and flashes seldom need another program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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

_BLOCK = 256  # rows that a program is given
_LEAST_ROWS = 8  # smallest padded number of clusters or flashes
_PIECE_ELEMENTS = 1 << 16  # look-ups of pieces that are worked on together
_PAIR_ELEMENTS = 1 << 15  # counts of pairs that are worked on together
_LARGEST_CHUNK = 8  # rows that are worked on together, at most, since the last ones of an event are seldom as many

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
    """The flashes of an event, the limits of each padded in number.

    Args:
        counts: light [p.e.], NaN where a sensor is absent.
        n_clusters: number of clusters, without padding.
        constraint: shift that each flash's time asks for, one a (cluster, flash), with rows for these clusters first;
            not given where times say nothing.
        saturated: whether a sensor stands at the end of its range, so that its count is a lower limit.
    """
    limits = no_limits(counts.shape[:1])
    if saturated is not None and saturated.any():
        counts, limits = split_limits(counts, saturated)
        columns = ((0, 0), (0, padded_size(limits.sensor.shape[1]) - limits.sensor.shape[1]))
        limits = Limits(
            np.pad(limits.sensor, columns, constant_values=-1), np.pad(limits.least_pe, columns, constant_values=1.0)
        )
    unknown = np.full((n_clusters, len(counts)), np.inf)
    times = constraint or Constraint(np.zeros(unknown.shape), unknown)
    return SeenFlashes(counts, limits, jax.tree.map(lambda values: np.asarray(values)[:n_clusters], times))


def padded_rows(values: Float[NDArray, "row ..."]) -> Float[NDArray, "padded ..."]:
    """Clusters or flashes padded in number by repeating them, 8 at least, so that few shapes are compiled."""
    return np.resize(values, (padded_size(max(len(values), _LEAST_ROWS)), *values.shape[1:]))


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

    Returns:
        The rows of the batch, and further ones without light where that is small.
    """
    begins = range(0, batch.n_clusters, _BLOCK)
    parts = [jax.tree.map(lambda values, n=n: np.asarray(values)[n : n + _BLOCK], batch) for n in begins]
    scans = [_scan_some(part, expected, grid) for part in parts]
    return scans[0] if len(scans) == 1 else jax.tree.map(lambda *values: jnp.concatenate(values), *scans)


def _scan_some(batch: ClusterBatch, expected: Expected, grid: Grid) -> Scan:
    """`scan_clusters` of at most a block of clusters."""
    lowest, highest = (padded_rows(np.asarray(limit)) for limit in (batch.lowest_cm, batch.highest_cm))
    shift = jnp.asarray(np.linspace(lowest, highest, grid.n_coarse, axis=1))
    light = [_light_of_pieces(pieces, n, shift, expected) for pieces, n in _blocks(tuple(in_pieces(batch)))]
    return _scans(shift, sum(light[1:], start=light[0]))


@eqx.filter_jit
def _scans(shift_cm: Float[Array, "cluster node"], light: Float[Array, "cluster node sensor"]) -> Scan:
    """The scans of clusters from their light."""
    return jax.vmap(scan_of_light)(shift_cm, jnp.maximum(light, LEAST_PE))


@eqx.filter_jit
def _light_of_pieces(
    pieces: tuple[Array, ...], n_pieces: Int[Array, ""], shift_cm: Float[Array, "cluster node"], expected: Expected
) -> Float[Array, "cluster node sensor"]:
    """Light of the first of the pieces at the shifts of their clusters, summed over those of each cluster."""

    def one(piece: tuple[Array, ...]) -> Float[Array, "node sensor"]:
        owner, position_cm, sense, photons = piece
        return jax.vmap(lambda x: expected(position_cm.at[:, 0].add(x * sense), photons))(shift_cm[owner])

    n_sensors = eqx.filter_eval_shape(one, jax.tree.map(lambda values: values[0], pieces)).shape[1]
    size = _chunk_size(_PIECE_ELEMENTS // (shift_cm.shape[1] * pieces[3].shape[1] * n_sensors))

    def add(number: Array, total: Float[Array, "cluster node sensor"]) -> Float[Array, "cluster node sensor"]:
        rows = _chunk(pieces, number, size)
        owner = jnp.where(number * size + jnp.arange(size) < n_pieces, rows[0], len(total))
        return total.at[owner].add(jax.vmap(one)(rows), mode="drop")

    return jax.lax.fori_loop(0, -(-n_pieces // size), add, jnp.zeros((*shift_cm.shape, n_sensors)))


def log_mean(log_value: Float[Array, " node"], shift_cm: Float[Array, " node"]) -> Float[Array, ""]:
    """Logarithm of the mean over the range."""
    return logsumexp(log_value, b=node_widths(shift_cm)) - jnp.log(shift_cm[-1] - shift_cm[0])


def promise_pairs(
    scans: Scan, seen: Seen, readout: Readout, pairs: PairRows
) -> tuple[Promise, Float[NDArray, " pair"]]:
    """What the flash of each pair promises at the coarse nodes, and a bound of the log-evidence by it.

    Args:
        scans: light of all clusters.
        seen: counts and limits of all flashes.
        readout: distribution of the counts of an expected light.
        pairs: the pairs, of any number.
    """
    return _of_blocks(lambda block, n: _promises(scans, readout, block, n), seen, pairs)


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
        pairs: the pairs, of any number.
    """
    return _of_blocks(lambda block, n: _posteriors(scans, readout, grid, block, n), seen, pairs, promises)


@eqx.filter_jit
def _promises(
    scans: Scan, readout: Readout, pairs: tuple, n_pairs: Int[Array, ""]
) -> tuple[Promise, Float[Array, " pair"]]:
    """`promise_pairs` of the first of the pairs."""

    def one(pair: tuple[Array, Flash, None]) -> tuple[Promise, Float[Array, ""]]:
        found = jax.tree.map(lambda values: values[pair[0]], scans)
        made = promise(found, pair[1], readout)
        return made, log_mean(made.highest, found.shift_cm)

    return _of_first(one, pairs, n_pairs, scans.mean_pe[0].size)


@eqx.filter_jit
def _posteriors(scans: Scan, readout: Readout, grid: Grid, pairs: tuple, n_pairs: Int[Array, ""]) -> ShiftPosterior:
    """`refine_pairs` of the first of the pairs."""

    def one(pair: tuple[Array, Flash, Promise]) -> ShiftPosterior:
        found = jax.tree.map(lambda values: values[pair[0]], scans)
        return refine(found, pair[2], pair[1], readout, grid)

    return _of_first(one, pairs, n_pairs, grid.n_fine * scans.mean_pe.shape[2])


def _of_blocks(program: Callable, seen: Seen, pairs: PairRows, beside: Promise | None = None) -> Any:
    """What a program makes of pairs, their flashes, and what comes beside each pair."""
    counts, limits = jax.tree.map(np.asarray, seen)
    parts = []
    for (block, more), n in _blocks((pairs, beside)):
        own = jax.tree.map(lambda values, flash=block.flash: values[flash], limits)
        flashes = Flash(counts[block.flash], own, block.constraint)
        made = program((block.cluster, flashes, more), n)
        parts.append(jax.tree.map(lambda values, n=n: np.asarray(values)[:n], made))
    return jax.tree.map(lambda *values: np.concatenate(values), *parts)


def _blocks(rows: Any) -> Iterator[tuple[Any, Int[Array, ""]]]:
    """Arrays in blocks of rows, at least one, the last padded by repetition; and the number of real rows in each."""
    n_rows = len(jax.tree.leaves(rows)[0])
    for begin in range(0, max(n_rows, 1), _BLOCK):
        real = jax.tree.map(lambda values, begin=begin: np.asarray(values)[begin : begin + _BLOCK], rows)
        block = jax.tree.map(lambda values: np.resize(values, (_BLOCK, *values.shape[1:])), real)
        yield block, jnp.asarray(min(_BLOCK, n_rows - begin))


def _of_first(one: Callable, rows: Any, n_rows: Int[Array, ""], n_elements: int) -> Any:
    """A function, of so many elements, of the first rows of a block; the others give zeros."""
    rows, size = jax.tree.map(jnp.asarray, rows), _chunk_size(_PAIR_ELEMENTS // n_elements)
    shapes = eqx.filter_eval_shape(jax.vmap(one), rows)

    def fill(number: Array, out: Any) -> Any:
        made = jax.vmap(one)(_chunk(rows, number, size))
        return jax.tree.map(
            lambda all_, own: jax.lax.dynamic_update_slice_in_dim(all_, own, number * size, 0), out, made
        )

    empty = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), shapes)
    return jax.lax.fori_loop(0, -(-n_rows // size), fill, empty)


def _chunk(rows: Any, number: Array, size: int) -> Any:
    """Rows of one chunk of a block."""
    return jax.tree.map(lambda values: jax.lax.dynamic_slice_in_dim(values, number * size, size), rows)


def _chunk_size(room: int) -> int:
    """Rows that are worked on together, a divisor of the block: the largest power of two for which there is room."""
    return 1 << (min(max(room, 1), _LARGEST_CHUNK).bit_length() - 1)
