"""Flash matching: with which probability did a cluster of charge make a flash of light, its time being unknown.

The weight of a pair is w_ij = log((1 - missed) int p(n_j | cluster i, x) p(x) dx) - log(rate p_bg(n_j)): the flash's
counts given the cluster, its drift shift x integrated out, against a flash of activity that left no cluster. u_i is the
log-probability that cluster i has no recorded flash. `assignments` turns them into probabilities of all pairs.

Most pairs are hopeless. A pair with w_ij < u_i - 25 has a probability below e^-25, since leaving both partners
unmatched is e^25 times more probable. One scan a cluster serves all flashes: from every coarse node, matrix products
give for all flashes a bound of their likelihood around it; for the pairs that pass, what the likelihood itself promises
at the nodes is a much closer one. The exact integral is computed for the pair of the largest bound of every cluster and
every flash, and then for the pairs that these do not make improbable.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from bayescal.light.shifted import Scan
from bayescal.likelihoods.unmatched import Background as Background
from bayescal.likelihoods.unmatched import Trigger as Trigger
from bayescal.reconstruction.assignments import (
    NEGLIGIBLE,
    AssignmentPosterior,
    Sampling,
    assignment_posterior,
    improbable,
)
from bayescal.reconstruction.clusters import ClusterBatch
from bayescal.reconstruction.pairs import (
    PairRows,
    SeenFlashes,
    log_mean,
    padded_rows,
    promise_pairs,
    refine_pairs,
    scan_clusters,
    seen_flashes,
)
from bayescal.reconstruction.t0 import Constraint, Grid, Light, Readout, ShiftPosterior

_BOUND = 0.5  # of the chi-square: counts of large variance have longer tails than the normal distribution
_SIGMAS = 6.0  # a time that asks for a shift this far outside the allowed range excludes a pair


class Matching(NamedTuple):
    """Posterior over which cluster made which flash, and of the shifts of the pairs that matter.

    Attributes:
        assignments: probabilities of all pairs.
        log_weight: w_ij, -inf for pairs that cannot have a probability above e^-25.
        log_unmatched: u_i.
        pairs: indices of cluster and flash of each pair whose integral was computed.
        shifts: posterior of the shift for each of these pairs.
    """

    assignments: AssignmentPosterior
    log_weight: Float[NDArray, "cluster flash"]
    log_unmatched: Float[NDArray, " cluster"]
    pairs: Int[NDArray, "pair 2"]
    shifts: ShiftPosterior


def match(  # noqa: PLR0913 both sides, the light, the alternatives and three options
    batch: ClusterBatch,
    counts: Float[NDArray, "flash sensor"],
    light: Light,
    alternatives: tuple[Background, Trigger],
    grid: Grid,
    constraint: Constraint | None = None,
    sampling: Sampling | None = None,
    saturated: Bool[NDArray, "flash sensor"] | None = None,
) -> Matching:
    """Match the clusters and flashes of one event.

    Args:
        batch: the clusters.
        counts: light of the flashes [p.e.], NaN where a sensor is absent.
        light: expected light and its readout.
        alternatives: flashes without a cluster, and clusters without a flash.
        grid: numbers of nodes.
        constraint: shift that each flash's time asks for, one a (cluster, flash) with `batch.n_clusters` rows; not
            given where the times say nothing.
        sampling: how the sums over matchings are done.
        saturated: whether a sensor stands at the end of its range, so that its count is a lower limit; none where not
            given.
    """
    scans = scan_clusters(batch, light.expected, grid)
    flashes = seen_flashes(counts, int((np.asarray(batch.row) >= 0).sum()), constraint, saturated)
    found = weigh(scans, flashes, light.readout, alternatives, grid)
    posterior = assignment_posterior(found.log_weight, found.log_unmatched, sampling)
    return Matching(posterior, found.log_weight, found.log_unmatched, found.pairs, found.shifts)


class Weights(NamedTuple):
    """What `assignment_posterior` needs, and the pairs that matter: fields as of `Matching`."""

    log_weight: Float[NDArray, "cluster flash"]
    log_unmatched: Float[NDArray, " cluster"]
    pairs: Int[NDArray, "pair 2"]
    shifts: ShiftPosterior


def weigh(
    scans: Scan, flashes: SeenFlashes, readout: Readout, alternatives: tuple[Background, Trigger], grid: Grid
) -> Weights:
    """Weights of all pairs of an event.

    Args:
        scans: light of the clusters along their ranges, and rows of padding.
        flashes: the flashes.
        readout: distribution of the counts of an expected light.
        alternatives: flashes without a cluster, and clusters without a flash.
        grid: numbers of nodes.
    """
    background, trigger = alternatives
    bound, unmatched = _pair_bounds(scans, flashes, readout, trigger)
    log_background = background.log_density(flashes.counts, flashes.limits)
    reference = log_background + unmatched[:, None] - np.log1p(-trigger.missed)
    likely = np.argwhere(bound - reference > -NEGLIGIBLE)
    promises, log_highest = promise_pairs(scans, flashes[:2], readout, _rows(likely, flashes.constraint))
    bound = np.full(bound.shape, -np.inf)
    bound[tuple(likely.T)] = log_highest - reference[tuple(likely.T)]
    bound = np.where(bound > -NEGLIGIBLE, bound, -np.inf)
    first = np.isfinite(bound) & (_is_best(bound) | _is_best(bound.T).T)
    known = np.full(bound.shape, -np.inf)
    chosen, parts = first, []
    for _ in range(2):
        place = np.flatnonzero(chosen[tuple(likely.T)])
        pairs, own = likely[place], jax.tree.map(lambda values, place=place: values[place], promises)
        shifts = refine_pairs(scans, own, flashes[:2], readout, grid, _rows(pairs, flashes.constraint))
        known[tuple(pairs.T)] = shifts.log_evidence - reference[tuple(pairs.T)]
        parts.append((pairs, shifts))
        chosen = np.isfinite(bound) & ~first & ~improbable(np.where(first, known, bound), known)
    return Weights(known + unmatched[:, None], unmatched, *_in_order(parts))


def _pair_bounds(
    scans: Scan, flashes: SeenFlashes, readout: Readout, trigger: Trigger
) -> tuple[Float[NDArray, "cluster flash"], Float[NDArray, " cluster"]]:
    """A bound of the log-evidence of each pair, its time included, and u of each cluster."""
    n_clusters, n_flashes = flashes.constraint.mean_cm.shape
    log_bound, log_unmatched = map(np.asarray, _bounds(scans, padded_rows(flashes.counts), readout, trigger))
    ends_cm = np.asarray(scans.shift_cm)[:n_clusters, [0, -1]]
    return log_bound[:n_clusters, :n_flashes] + _time_bound(ends_cm, flashes.constraint), log_unmatched[:n_clusters]


def _is_best(gain: NDArray) -> NDArray:
    """Whether a pair is the best of its row."""
    return np.arange(gain.shape[1]) == np.argmax(gain, axis=1)[:, None]


def _rows(pairs: Int[NDArray, "pair 2"], constraint: Constraint) -> PairRows:
    """The pairs with what the time of the flash asks of the cluster."""
    cluster, flash = pairs.T
    return PairRows(cluster, flash, jax.tree.map(lambda values: values[cluster, flash], constraint))


def _in_order(parts: list[tuple[NDArray, ShiftPosterior]]) -> tuple[NDArray, ShiftPosterior]:
    """Pairs by cluster and flash, and their posteriors."""
    pairs = np.concatenate([pairs for pairs, _ in parts])
    order = np.lexsort(pairs.T[::-1])
    shifts = jax.tree.map(lambda *values: np.concatenate(values)[order], *[shifts for _, shifts in parts])
    return pairs[order], shifts


@eqx.filter_jit
def _bounds(
    scans: Scan, counts: Float[Array | np.ndarray, "flash sensor"], readout: Readout, trigger: Trigger
) -> tuple[Float[Array, "cluster flash"], Float[Array, " cluster"]]:
    """A bound of the log-evidence of each pair, and log-probability of no recorded flash of each cluster."""
    present = jnp.isfinite(counts).astype(float)
    seen = jnp.where(jnp.isfinite(counts), counts, 0.0)

    def one(found: Scan) -> tuple[Float[Array, " flash"], Float[Array, ""]]:
        variance = readout(found.mean_pe).variance
        return _log_bound(found, variance, seen, present), _log_unmatched(found, variance, trigger)

    return jax.lax.map(one, scans)


@eqx.filter_jit
def log_no_flash(scans: Scan, readout: Readout, trigger: Trigger) -> Float[Array, " cluster"]:
    """u: log-probability that each cluster, anywhere on its range, has no recorded flash."""
    return jax.vmap(lambda found: _log_unmatched(found, readout(found.mean_pe).variance, trigger))(scans)


def _log_bound(
    found: Scan,
    variance: Float[Array, "node sensor"],
    seen: Float[Array, "flash sensor"],
    present: Float[Array, "flash sensor"],
) -> Float[Array, " flash"]:
    """A bound of the log-likelihood of each flash anywhere on a cluster's range.

    Counts around the expected light extrapolated along its slope, from each node by the best step of at most half a
    coarse one. The largest probability of a count of variance V is below 1/sqrt(max(4 V, 1)); away from it, a part of
    the chi-square is counted, with a variance of one added for counts where next to nothing is expected.
    """
    mean, slope, wide = found.mean_pe, found.slope_pe_per_cm, variance + 1.0
    square = seen**2 @ (1 / wide).T - 2 * seen @ (mean / wide).T + present @ (mean**2 / wide).T
    score = seen @ (slope / wide).T - present @ (mean * slope / wide).T
    information = jnp.maximum(present @ (slope**2 / wide).T, 1e-12)
    half = (found.shift_cm[1] - found.shift_cm[0]) / 2
    step = jnp.clip(score / information, -half, half)
    least = jnp.maximum(square - 2 * score * step + information * step**2, 0.0)
    log_width = present @ jnp.log(jnp.maximum(4 * variance, 1.0)).T
    return jnp.max(-0.5 * (_BOUND * least + log_width), axis=1)


def _log_unmatched(found: Scan, variance: Float[Array, "node sensor"], trigger: Trigger) -> Float[Array, ""]:
    """u: log-probability that a cluster, anywhere on its range, has no recorded flash."""
    each = trigger.log_unrecorded(found.mean_pe.sum(axis=-1), variance.sum(axis=-1))
    return log_mean(each, found.shift_cm)


def _time_bound(ends_cm: Float[NDArray, "cluster 2"], constraint: Constraint) -> NDArray:
    """Highest log-density of a flash's time on each cluster's range; -inf where it asks for a shift far outside."""
    known = np.isfinite(constraint.width_cm)
    width = np.where(known, constraint.width_cm, 1.0)
    lowest, highest = ends_cm[:, :1], ends_cm[:, 1:]
    inside = (constraint.mean_cm > lowest - _SIGMAS * width) & (constraint.mean_cm < highest + _SIGMAS * width)
    return np.where(known, np.where(inside, -np.log(np.sqrt(2 * np.pi) * width), -np.inf), 0.0)
