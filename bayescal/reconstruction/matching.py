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
from bayescal.reconstruction.clusters import ClusterBatch, padded_size
from bayescal.reconstruction.pairs import (
    PairRows,
    SeenFlashes,
    log_mean,
    promise_pairs,
    refine_pairs,
    rows_at_a_time,
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
    flashes = seen_flashes(counts, batch.n_clusters, constraint, saturated)
    size = (int((np.asarray(batch.row) >= 0).sum()), len(counts))
    found = weigh(scans, flashes, light.readout, alternatives, grid, size)
    posterior = assignment_posterior(found.log_weight, found.log_unmatched, sampling)
    return Matching(posterior, found.log_weight, found.log_unmatched, found.pairs, found.shifts)


class Weights(NamedTuple):
    """What `assignment_posterior` needs, and the pairs that matter: fields as of `Matching`."""

    log_weight: Float[NDArray, "cluster flash"]
    log_unmatched: Float[NDArray, " cluster"]
    pairs: Int[NDArray, "pair 2"]
    shifts: ShiftPosterior


def weigh(
    scans: Scan,
    flashes: SeenFlashes,
    readout: Readout,
    alternatives: tuple[Background, Trigger],
    grid: Grid,
    size: tuple[int, int],
) -> Weights:
    """Weights of all pairs of an event.

    Args:
        scans: light of the clusters along their ranges, padded in number.
        flashes: the flashes, padded in number.
        readout: distribution of the counts of an expected light.
        alternatives: flashes without a cluster, and clusters without a flash.
        grid: numbers of nodes.
        size: numbers of real clusters and flashes.
    """
    background, trigger = alternatives
    there = np.ix_(*map(range, size))
    log_bound, log_unmatched = _bounds(scans, flashes.counts, readout, trigger)
    unmatched = np.asarray(log_unmatched)[: size[0]]
    counts, limits = jax.tree.map(lambda values: values[: size[1]], (flashes.counts, flashes.limits))
    log_background = background.log_density(counts, limits)
    reference = log_background + unmatched[:, None] - np.log1p(-trigger.missed)
    bound = (np.asarray(log_bound) + _time_bound(scans, flashes.constraint))[there] - reference
    bound = np.where(bound > -NEGLIGIBLE, bound, -np.inf)
    known = np.full(bound.shape, -np.inf)
    likely = _padded_pairs(rows := np.argwhere(np.isfinite(bound)), np.arange(len(rows)))
    promises, log_highest = promise_pairs(scans, flashes[:2], readout, likely.rows(flashes.constraint))
    bound[likely.real] = np.asarray(log_highest)[: likely.n_real] - reference[likely.real]
    bound = np.where(bound > -NEGLIGIBLE, bound, -np.inf)
    first = np.isfinite(bound) & (_is_best(bound) | _is_best(bound.T).T)
    chosen, parts = first, []
    for _ in range(2):
        pairs = _among(likely, chosen)
        chosen_promises = jax.tree.map(lambda values, place=pairs.place: values[place], promises)
        rows = pairs.rows(flashes.constraint)
        shifts = refine_pairs(scans, chosen_promises, flashes[:2], readout, grid, rows)
        known[pairs.real] = np.asarray(shifts.log_evidence)[: pairs.n_real] - reference[pairs.real]
        parts.append((pairs, shifts))
        chosen = np.isfinite(bound) & ~first & ~improbable(np.where(first, known, bound), known)
    return Weights(known + unmatched[:, None], unmatched, *_in_order(parts))


def _is_best(gain: NDArray) -> NDArray:
    """Whether a pair is the best of its row."""
    return np.arange(gain.shape[1]) == np.argmax(gain, axis=1)[:, None]


class _Pairs(NamedTuple):
    """Pairs padded by repeating the first, their places among all that are likely, and how many are real."""

    cluster: NDArray
    flash: NDArray
    place: NDArray
    n_real: int

    @property
    def real(self) -> tuple[NDArray, NDArray]:
        """Clusters and flashes of the real pairs."""
        return self.cluster[: self.n_real], self.flash[: self.n_real]

    def rows(self, constraint: Constraint) -> PairRows:
        """The pairs with what the time of the flash asks of the cluster."""
        mean, width = (np.asarray(each)[self.cluster, self.flash] for each in (constraint.mean_cm, constraint.width_cm))
        return PairRows(self.cluster, self.flash, Constraint(mean, width))


def _padded_pairs(pairs: NDArray, place: NDArray) -> _Pairs:
    """The pairs in a shape of which there are few."""
    rows = np.column_stack([pairs, place]) if len(pairs) else np.zeros((1, 3), int)
    return _Pairs(*np.resize(rows, (padded_size(len(rows)), 3)).T, n_real=len(pairs))  # pyright: ignore


def _among(pairs: _Pairs, chosen: NDArray) -> _Pairs:
    """Those of the pairs that are chosen."""
    place = np.flatnonzero(chosen[pairs.real])
    return _padded_pairs(np.column_stack(pairs.real)[place], place)


def _in_order(parts: list[tuple[_Pairs, ShiftPosterior]]) -> tuple[NDArray, ShiftPosterior]:
    """Pairs by cluster and flash, and their posteriors."""
    pairs = np.concatenate([np.column_stack(pairs.real) for pairs, _ in parts])
    order = np.lexsort(pairs.T[::-1])
    real = [jax.tree.map(lambda v, n=pairs.n_real: np.asarray(v)[:n], shifts) for pairs, shifts in parts]
    return pairs[order], jax.tree.map(lambda *values: np.concatenate(values)[order], *real)


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

    return jax.lax.map(one, scans, batch_size=rows_at_a_time(scans, scans.shift_cm.shape[0]))


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


def _time_bound(scans: Scan, constraint: Constraint) -> NDArray:
    """Highest log-density of a flash's time on each cluster's range; -inf where it asks for a shift far outside."""
    known = np.isfinite(constraint.width_cm)
    width = np.where(known, constraint.width_cm, 1.0)
    ends = np.asarray(scans.shift_cm)[:, [0, -1], None]
    inside = (constraint.mean_cm > ends[:, 0] - _SIGMAS * width) & (constraint.mean_cm < ends[:, 1] + _SIGMAS * width)
    return np.where(known, np.where(inside, -np.log(np.sqrt(2 * np.pi) * width), -np.inf), 0.0)
