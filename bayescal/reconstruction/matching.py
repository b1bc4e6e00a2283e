"""Flash matching: with which probability did a cluster of charge make a flash of light, its time being unknown.

The weight of a pair is w_ij = log((1 - missed) int p(n_j | cluster i, x) p(x) dx) - log(rate p_bg(n_j)): the flash's
counts given the cluster, its drift shift x integrated out, against a flash of activity that left no cluster. u_i is the
log-probability that cluster i has no recorded flash. `assignments` turns them into probabilities of all pairs.

Most pairs are hopeless. A pair with w_ij < u_i - 25 has a probability below e^-25, since leaving both partners
unmatched is e^25 times more probable. One scan a cluster serves all flashes: from every coarse node, matrix products
give for all flashes a bound of their likelihood around it. The exact integral is computed for the pair of the largest
bound of every cluster and every flash, and then for the pairs that these do not make improbable.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from bayescal.likelihoods.negative_binomial import log_probability
from bayescal.reconstruction.assignments import (
    NEGLIGIBLE,
    AssignmentPosterior,
    Sampling,
    assignment_posterior,
    improbable,
)
from bayescal.reconstruction.clusters import ClusterBatch, padded_size
from bayescal.reconstruction.t0 import Constraint, Grid, Light, Scan, ShiftPosterior, chunk_size, refine, scan

_BOUND = 0.5  # of the chi-square: counts of large variance have longer tails than the normal distribution
_SIGMAS = 6.0  # a time that asks for a shift this far outside the allowed range excludes a pair


class Background(eqx.Module):
    """Flashes of activity that left no cluster: log-uniform total, Dirichlet-multinomial pattern.

    Attributes:
        rate: expected number of them in an event. Where flash times constrain the shifts, the number per cm of shift,
            that per us over the drift velocity.
        lowest_pe, highest_pe: limits of the total [p.e.]; totals beyond have the probability of the nearest limit.
        concentration: of the pattern, one a sensor; 0.5 each where all patterns are about equally likely.
    """

    rate: float
    lowest_pe: float
    highest_pe: float
    concentration: Float[np.ndarray, " sensor"]

    def log_density(self, counts: Float[NDArray, "flash sensor"]) -> Float[NDArray, " flash"]:
        """Logarithm of the rate times the probability of counts; NaN where a sensor is absent.

        P(N) = 1 / (N H) for whole totals, H their sum of 1 / N; the pattern: Mosimann, Biometrika 49 (1962) 65.
        """
        present = np.isfinite(counts)
        seen, alpha = np.where(present, counts, 0.0), np.where(present, self.concentration, 0.0)
        total, strength = seen.sum(axis=1), alpha.sum(axis=1)
        alpha = np.where(present, alpha, 1.0)
        each = gammaln(seen + alpha) - gammaln(alpha) - gammaln(seen + 1)
        pattern = gammaln(total + 1) + gammaln(strength) - gammaln(total + strength)
        pattern += np.where(present, each, 0.0).sum(axis=1)
        size = np.log(np.clip(total, self.lowest_pe, self.highest_pe))
        norm = np.log(digamma(self.highest_pe + 1) - digamma(self.lowest_pe))
        return np.log(self.rate) - size - norm + pattern


class Trigger(eqx.Module):
    """When a cluster has no recorded flash.

    Attributes:
        threshold_pe: flashes whose total is below are not recorded [p.e.]; a whole number.
        missed: probability that a flash above the threshold is not recorded either, above zero.
    """

    threshold_pe: int = eqx.field(static=True)
    missed: float


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


def match(  # noqa: PLR0913 both sides, the light, the alternatives and two options
    batch: ClusterBatch,
    counts: Float[NDArray, "flash sensor"],
    light: Light,
    alternatives: tuple[Background, Trigger],
    grid: Grid,
    constraint: Constraint | None = None,
    sampling: Sampling | None = None,
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
    """
    background, trigger = alternatives
    n_clusters, n_flashes = int((np.asarray(batch.row) >= 0).sum()), len(counts)
    scans, log_bound, log_unmatched = scan_clusters(batch, _padded_flashes(counts), light, trigger, grid)
    unmatched = np.asarray(log_unmatched)[:n_clusters]
    log_background = background.log_density(counts)
    bound = np.asarray(log_bound)[:n_clusters, :n_flashes]
    if constraint is not None:
        bound = bound + _time_bound(batch, constraint)[:n_clusters]
    reference = log_background + unmatched[:, None] - np.log1p(-trigger.missed)
    gain = np.where(bound - reference > -NEGLIGIBLE, bound - reference, -np.inf)
    first = np.isfinite(gain) & (_is_best(gain) | _is_best(gain.T).T)
    pairs = np.argwhere(first)
    shifts = _pair_posteriors(batch, scans, counts, light, grid, _of_pairs(pairs, constraint))
    known = np.full(gain.shape, -np.inf)
    known[tuple(pairs.T)] = np.asarray(shifts.log_evidence) - reference[tuple(pairs.T)]
    others = np.argwhere(np.isfinite(gain) & ~first & ~improbable(np.where(first, known, gain), known))
    if len(others):
        more = _pair_posteriors(batch, scans, counts, light, grid, _of_pairs(others, constraint))
        known[tuple(others.T)] = np.asarray(more.log_evidence) - reference[tuple(others.T)]
        pairs, shifts = _in_order((pairs, shifts), (others, more))
    log_weight = known + unmatched[:, None]
    return Matching(assignment_posterior(log_weight, unmatched, sampling), log_weight, unmatched, pairs, shifts)


def _is_best(gain: NDArray) -> NDArray:
    """Whether a pair is the best of its row."""
    return np.arange(gain.shape[1]) == np.argmax(gain, axis=1)[:, None]


def _in_order(*parts: tuple[NDArray, ShiftPosterior]) -> tuple[NDArray, ShiftPosterior]:
    """Pairs by cluster and flash, and their posteriors."""
    pairs = np.concatenate([pairs for pairs, _ in parts])
    order = np.lexsort(pairs.T[::-1])
    shifts = jax.tree.map(lambda *values: jnp.concatenate(values)[order], *(shifts for _, shifts in parts))
    return pairs[order], shifts


@eqx.filter_jit
def scan_clusters(
    batch: ClusterBatch,
    counts: Float[Array | np.ndarray, "flash sensor"],
    light: Light,
    trigger: Trigger,
    grid: Grid,
) -> tuple[Scan, Float[Array, "cluster flash"], Float[Array, " cluster"]]:
    """Expected light of all clusters, a bound of the log-evidence of each pair, and log-probability of no flash.

    Args:
        batch: the clusters.
        counts: light of the flashes [p.e.], NaN where a sensor is absent.
        light: expected light and its readout.
        trigger: when a cluster has no recorded flash.
        grid: numbers of nodes.
    """
    present = jnp.isfinite(counts).astype(float)
    seen = jnp.where(jnp.isfinite(counts), counts, 0.0)

    def one(batch: ClusterBatch) -> tuple[Scan, Float[Array, " flash"], Float[Array, ""]]:
        found = scan(batch, light, grid)
        variance = light.readout(found.mean_pe).variance
        return found, _log_bound(found, variance, seen, present), _log_unmatched(found.mean_pe, variance, trigger)

    rows = jax.tree.map(jnp.asarray, batch)
    return jax.lax.map(one, rows, batch_size=chunk_size(batch, counts.shape[-1], grid))


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


def _log_unmatched(
    mean: Float[Array, "node sensor"], variance: Float[Array, "node sensor"], trigger: Trigger
) -> Float[Array, ""]:
    """u: log-probability that a cluster, anywhere on its range, has no recorded flash.

    The total is taken as negative binomial with the sum of the sensors' means and variances.
    """
    total, spread = mean.sum(axis=-1, keepdims=True), variance.sum(axis=-1, keepdims=True)
    overdispersion = jnp.maximum(spread / total - 1, 0.0)
    below = jnp.exp(log_probability(jnp.arange(trigger.threshold_pe), total, overdispersion))
    return jnp.log(trigger.missed + (1 - trigger.missed) * below.sum(axis=-1).mean())


class _Pairs(NamedTuple):
    """Pairs padded by repeating the first, and how many are real."""

    cluster: NDArray
    flash: NDArray
    constraint: Constraint
    n_real: int


def _of_pairs(pairs: NDArray, constraint: Constraint | None) -> _Pairs:
    """The pairs in the shape that a compiled program takes."""
    n_pairs = len(pairs)
    padded = np.resize(pairs, (padded_size(n_pairs), 2)) if n_pairs else np.zeros((1, 2), int)
    cluster, flash = padded.T
    if constraint is None:
        return _Pairs(cluster, flash, Constraint(np.zeros(len(padded)), np.full(len(padded), np.inf)), n_pairs)
    values = (np.asarray(field)[cluster, flash] for field in (constraint.mean_cm, constraint.width_cm))
    return _Pairs(cluster, flash, Constraint(*values), n_pairs)


def _pair_posteriors(
    batch: ClusterBatch, scans: Scan, counts: NDArray, light: Light, grid: Grid, pairs: _Pairs
) -> ShiftPosterior:
    """Posterior of the shift for each pair."""
    scans, batch = jax.tree.map(lambda values: jnp.asarray(values)[pairs.cluster], (scans, batch))
    found = _refined(scans, batch, jnp.asarray(counts)[pairs.flash], light, grid, pairs.constraint)
    return jax.tree.map(lambda values: values[: pairs.n_real], found)


@eqx.filter_jit
def _refined(
    scans: Scan, batch: ClusterBatch, counts: Array, light: Light, grid: Grid, constraint: Constraint
) -> ShiftPosterior:
    """`refine` for all pairs, in chunks that bound the memory."""

    def one(row: tuple) -> ShiftPosterior:
        scans, batch, counts, constraint = row
        return refine(scans, batch, counts, light, grid, constraint)

    rows = (scans, batch, counts, jax.tree.map(jnp.asarray, constraint))
    return jax.lax.map(one, rows, batch_size=chunk_size(batch, counts.shape[-1], grid))


def _time_bound(batch: ClusterBatch, constraint: Constraint) -> NDArray:
    """Highest log-density of a flash's time on the cluster's range; -inf where it asks for a shift far outside."""
    mean, width = np.asarray(constraint.mean_cm), np.asarray(constraint.width_cm)
    lowest, highest = (np.asarray(limit)[:, None] for limit in (batch.lowest_cm, batch.highest_cm))
    inside = (mean > lowest - _SIGMAS * width) & (mean < highest + _SIGMAS * width)
    return np.where(inside, -np.log(np.sqrt(2 * np.pi) * width), -np.inf)


def _padded_flashes(counts: NDArray) -> NDArray:
    """Flashes padded in number; those that pad have no sensors."""
    padding = np.full((padded_size(len(counts)) - len(counts), counts.shape[1]), np.nan)
    return np.concatenate([counts, padding])
