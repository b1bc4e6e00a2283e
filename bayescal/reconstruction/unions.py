"""Flash matching where two clusters of one time may have made one flash together.

A union of two clusters has one shift and one flash; it is a further way in which both can be matched. The posterior is
that of `assignments` with matchings that may hold unions: a cluster is alone, in one union, or unmatched, and every
flash has at most one origin. Sums over all of them are done by dynamic programming over the subsets of clusters used.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bayescal.reconstruction.assignments import NEGLIGIBLE
from bayescal.reconstruction.clusters import ClusterBatch, unite
from bayescal.reconstruction.matching import Background, Trigger, log_no_flash
from bayescal.reconstruction.pairs import PairRows, promise_pairs, refine_pairs, scan_clusters, seen_flashes
from bayescal.reconstruction.t0 import Grid, Light, no_constraint

_LARGEST = 16  # clusters of a component, whose subsets are all gone through


class Unions(NamedTuple):
    """Pairs of clusters that may have made a flash together.

    Attributes:
        members: places of the two clusters.
        direction: of the drift at every cluster, 1 or -1, as in `DriftVolumes`.
        log_odds: logarithm of the prior odds that the two are of one time, one for all or one a union.
    """

    members: Int[NDArray, "union 2"]
    direction: Float[NDArray, " cluster"]
    log_odds: Float[NDArray, " union"] | float


class UnionPosterior(NamedTuple):
    """Posterior over matchings with unions.

    Attributes:
        probability: that a cluster has a share in a flash, alone or in a union.
        union: that a union made a flash.
        unmatched_cluster: that a cluster has no flash among these.
        unmatched_flash: that a flash has no cluster among these.
        log_evidence: logarithm of the sum over matchings.
    """

    probability: Float[NDArray, "cluster flash"]
    union: Float[NDArray, "union flash"]
    unmatched_cluster: Float[NDArray, " cluster"]
    unmatched_flash: Float[NDArray, " flash"]
    log_evidence: float


def match_with_unions(
    batch: ClusterBatch,
    unions: Unions,
    counts: Float[NDArray, "flash sensor"],
    light: Light,
    alternatives: tuple[Background, Trigger],
    grid: Grid,
) -> UnionPosterior:
    """Match the clusters and flashes of one event, flashes of two clusters among them.

    That the two clusters of a union are of one time but their flash is not recorded counts as both unmatched.

    Args:
        batch: the clusters, whose positions assume the same time.
        unions: which of them may belong together.
        counts: light of the flashes [p.e.], NaN where a sensor is absent.
        light: expected light and its readout.
        alternatives: flashes without a cluster, and clusters without a flash.
        grid: numbers of nodes.

    Raises:
        ValueError: if more than 16 clusters hang together.
    """
    background, trigger = alternatives
    n_clusters = int((np.asarray(batch.row) >= 0).sum())
    both = (scan_clusters(each, light.expected, grid) for each in (batch, unite(batch, *unions[:2])))
    n_unions = len(unions.members)
    scans = jax.tree.map(lambda one, two: jnp.concatenate([one[:n_clusters], two[:n_unions]]), *both)
    unmatched = np.asarray(log_no_flash(scans, light.readout, trigger))[:n_clusters]
    base = np.append(unmatched, unmatched[unions.members].sum(axis=1) - unions.log_odds)
    reference = background.log_density(counts) + base[:, None] - np.log1p(-trigger.missed)
    flashes = seen_flashes(counts, len(base))
    row, flash = (index.ravel() for index in np.indices(reference.shape))
    pairs = PairRows(row, flash, no_constraint(row.size))
    promises, highest = promise_pairs(scans, flashes[:2], light.readout, pairs)
    kept = np.flatnonzero(highest - reference.ravel() > -NEGLIGIBLE)
    pairs, promises = jax.tree.map(lambda values: values[kept], (pairs, promises))
    found = refine_pairs(scans, promises, flashes[:2], light.readout, grid, pairs).log_evidence
    gain = np.full(reference.shape, -np.inf)
    gain.flat[kept] = found - reference.flat[kept]
    posterior = union_posterior(gain[:n_clusters], gain[n_clusters:], unions.members)
    return posterior._replace(log_evidence=posterior.log_evidence + float(unmatched.sum()))


def union_posterior(
    gain: Float[NDArray, "cluster flash"], union_gain: Float[NDArray, "union flash"], members: Int[NDArray, "union 2"]
) -> UnionPosterior:
    """Probabilities of all pairs, exact.

    Args:
        gain: log-weight of each pair relative to both unmatched; -inf where that is impossible.
        union_gain: the same of unions, relative to the flash and both clusters unmatched.
        members: the two clusters of each union.

    Raises:
        ValueError: if more than 16 clusters hang together.
    """
    n_clusters = len(gain)
    origins = [(i,) for i in range(n_clusters)] + [tuple(pair) for pair in members.tolist()]
    weight = np.concatenate([gain, union_gain])
    probability, log_total = np.zeros(weight.shape), 0.0
    for clusters, flashes in _components(weight, origins, n_clusters):
        rows = [row for row, origin in enumerate(origins) if set(origin) <= set(clusters)]
        masks = np.array([sum(1 << clusters.index(i) for i in origins[row]) for row in rows])
        place = np.ix_(np.array(rows), flashes)
        part, log_part = _exact(weight[place].T, masks, len(clusters))
        probability[place], log_total = part.T, log_total + log_part
    share, union = probability[:n_clusters].copy(), probability[n_clusters:]
    for pair, together in zip(members, union, strict=True):
        share[pair] += together
    return UnionPosterior(share, union, 1 - share.sum(axis=1), 1 - probability.sum(axis=0), log_total)


def _components(weight: NDArray, origins: list[tuple[int, ...]], n_clusters: int) -> list[tuple[list[int], NDArray]]:
    """Clusters and flashes that hang together."""
    row, flash = np.nonzero(np.isfinite(weight))
    edges = [(i, n_clusters + j) for r, j in zip(row, flash, strict=True) for i in origins[r]]
    size = n_clusters + weight.shape[1]
    index = np.array(edges, int).reshape(-1, 2).T
    label = connected_components(coo_array((np.ones(index.shape[1]), index), shape=(size, size)), directed=False)[1]
    found = []
    for number in np.unique(label[index[0]]):
        clusters = np.flatnonzero(label[:n_clusters] == number).tolist()
        if len(clusters) > _LARGEST:
            raise ValueError(f"{len(clusters)} clusters hang together, at most {_LARGEST} can be summed over")
        found.append((clusters, np.flatnonzero(label[n_clusters:] == number)))
    return found


def _exact(gain: NDArray, masks: NDArray, n_clusters: int) -> tuple[NDArray, float]:
    """Marginals [flash, origin] and logarithm of the sum; an origin is a mask of the clusters that it uses."""
    subset = np.arange(1 << n_clusters)
    free = [np.flatnonzero(subset & mask == 0) for mask in masks]
    after = np.zeros((len(gain) + 1, subset.size))
    for flash in reversed(range(len(gain))):
        after[flash] = after[flash + 1]
        for origin in np.flatnonzero(np.isfinite(gain[flash])):
            open_, used = free[origin], free[origin] | masks[origin]
            taken = gain[flash, origin] + after[flash + 1][used]
            after[flash, open_] = np.logaddexp(after[flash, open_], taken)
    log_total = after[0, 0]
    probability, before = np.zeros(gain.shape), np.full(subset.size, -np.inf)
    before[0] = 0.0
    for flash in range(len(gain)):
        following = before.copy()
        for origin in np.flatnonzero(np.isfinite(gain[flash])):
            open_, used = free[origin], free[origin] | masks[origin]
            taken = before[open_] + gain[flash, origin]
            following[used] = np.logaddexp(following[used], taken)
            probability[flash, origin] = np.exp(taken + after[flash + 1][used] - log_total).sum()
        before = following
    return probability, float(log_total)
