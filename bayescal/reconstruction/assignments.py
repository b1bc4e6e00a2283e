"""Posterior over which cluster made which flash: injective partial matchings of two sets.

A matching M has the probability P(M) prop. prod_{(i,j) in M} e^{w_ij} prod_{unmatched i} e^{u_i}; every cluster has at
most one flash and every flash at most one cluster. Marginals are sums over all matchings, done exactly by dynamic
programming over the subsets of used flashes (the recursion for the permanent of a matrix), separately in each connected
component of the pairs that matter; components too large for that are sampled by Metropolis moves that swap flashes.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray
from numpyro.diagnostics import split_gelman_rubin
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NEGLIGIBLE = 25.0
"""A pair whose log-weight is this far below that of both its partners unmatched has at most the probability e^-25."""

_PASSES = 4  # proposals between kept states, in units of the number of moves


class Sampling(eqx.Module):
    """How components are summed.

    Attributes:
        exact_up_to: members of a component's smaller side up to which the sum is exact; the cost is 2 to that power.
        n_chains: Metropolis chains in larger components.
        n_draws: states kept of each chain, after as many that are not.
        seed: of the chains.
    """

    exact_up_to: int = eqx.field(static=True, default=16)
    n_chains: int = eqx.field(static=True, default=8)
    n_draws: int = eqx.field(static=True, default=500)
    seed: int = eqx.field(static=True, default=0)


class AssignmentPosterior(NamedTuple):
    """Posterior over matchings.

    Attributes:
        probability: that cluster and flash belong together.
        error: standard error of `probability`, zero where the sum is exact.
        unmatched_cluster: probability that a cluster has no flash among these.
        unmatched_flash: probability that a flash has no cluster among these.
        best: flash of each cluster in the most probable matching, -1 for none.
        log_evidence: logarithm of the sum over matchings; NaN where a component is sampled.
        rhat: largest split R-hat of any pair in sampled components, 1 where all sums are exact.
        component: number of each cluster's component, -1 for clusters without a pair that matters.
    """

    probability: Float[NDArray, "cluster flash"]
    error: Float[NDArray, "cluster flash"]
    unmatched_cluster: Float[NDArray, " cluster"]
    unmatched_flash: Float[NDArray, " flash"]
    best: Int[NDArray, " cluster"]
    log_evidence: float
    rhat: float
    component: Int[NDArray, " cluster"]


class _Sum(NamedTuple):
    """Marginals of a component: probabilities, their errors, logarithm of the sum, R-hat."""

    probability: NDArray
    error: NDArray
    log_total: float
    rhat: float


def assignment_posterior(
    log_weight: Float[NDArray, "cluster flash"],
    log_unmatched: Float[NDArray, " cluster"],
    sampling: Sampling | None = None,
) -> AssignmentPosterior:
    """Probabilities of all pairs.

    Args:
        log_weight: w_ij, that the flash comes from the cluster, relative to the flash being background; -inf where
            that is impossible.
        log_unmatched: u_i, finite, that the cluster has no flash.
        sampling: how components are summed.
    """
    settings = sampling or Sampling()
    gain = np.asarray(log_weight, float) - np.asarray(log_unmatched, float)[:, None]
    gain = np.where((gain < -NEGLIGIBLE) | improbable(gain, gain), -np.inf, gain)
    probability, error = np.zeros(gain.shape), np.zeros(gain.shape)
    log_evidence, rhat = float(np.sum(log_unmatched)), 1.0
    components = _components(gain)
    label = np.full(len(gain), -1)
    for number, (rows, columns) in enumerate(components):
        part = _component_sum(gain[np.ix_(rows, columns)], settings)
        probability[np.ix_(rows, columns)], error[np.ix_(rows, columns)] = part.probability, part.error
        label[rows] = number
        log_evidence, rhat = log_evidence + part.log_total, max(rhat, part.rhat)
    unmatched = (1 - probability.sum(axis=1), 1 - probability.sum(axis=0))
    free_cluster, free_flash = (np.clip(values, 0.0, 1.0) for values in unmatched)
    return AssignmentPosterior(
        probability, error, free_cluster, free_flash, best_assignment(gain), log_evidence, rhat, label
    )


def improbable(
    upper: Float[NDArray, "cluster flash"], lower: Float[NDArray, "cluster flash"]
) -> Bool[NDArray, "cluster flash"]:
    """Pairs that have at most the probability e^-25, since one of the partners has a much better one.

    Every matching with the pair (i, j) has another in which i has its best flash b instead, and the cluster that had b
    has none: P(i, j) <= e^(g_ij - g_ib) (1 + sum of e^g_kb over k != i). The same holds with the sides exchanged.

    Args:
        upper: upper bounds of g, the log-weight of each pair relative to both unmatched; -inf where a pair is out of
            the question.
        lower: lower bounds of g; -inf where nothing is known.
    """
    return _improbable_for_clusters(upper, lower) | _improbable_for_clusters(upper.T, lower.T).T


def _improbable_for_clusters(upper: NDArray, lower: NDArray) -> NDArray:
    """`improbable` by the best flash of each cluster."""
    if not upper.size:
        return np.zeros(upper.shape, bool)
    row, best = np.arange(len(upper)), np.argmax(lower, axis=1)
    rivals = upper[:, best].T.copy()
    rivals[row, row] = -np.inf
    limit = lower[row, best] - np.logaddexp.reduce(rivals, axis=1, initial=0.0) - NEGLIGIBLE
    worse = upper < limit[:, None]
    worse[row, best] = False
    return worse


def best_assignment(gain: Float[NDArray, "cluster flash"]) -> Int[NDArray, " cluster"]:
    """The most probable matching: flash of each cluster, -1 for none.

    Args:
        gain: log-weight of each pair relative to both unmatched, w_ij - u_i.
    """
    n, m = gain.shape
    unmatched = np.where(np.eye(n, dtype=bool), 0.0, np.inf)
    row, column = linear_sum_assignment(np.concatenate([-gain, unmatched], axis=1))
    best = np.full(n, -1)
    best[row] = np.where(column < m, column, -1)
    return best


def _components(gain: NDArray) -> list[tuple[NDArray, NDArray]]:
    """Clusters and flashes of each connected component with at least one pair."""
    n, m = gain.shape
    row, column = np.nonzero(np.isfinite(gain))
    graph = coo_array((np.ones(row.size), (row, n + column)), shape=(n + m, n + m))
    label = connected_components(graph, directed=False)[1]
    return [
        (np.flatnonzero(label[:n] == number), np.flatnonzero(label[n:] == number)) for number in np.unique(label[row])
    ]


def _component_sum(gain: NDArray, settings: Sampling) -> _Sum:
    """Marginals of a component, by subsets of its smaller side or by sampling."""
    if min(gain.shape) > settings.exact_up_to:
        return _sampled(gain, settings)
    if gain.shape[1] > gain.shape[0]:
        probability, log_total = _exact(gain.T)
        return _Sum(probability.T, np.zeros(gain.shape), log_total, 1.0)
    probability, log_total = _exact(gain)
    return _Sum(probability, np.zeros(gain.shape), log_total, 1.0)


def _exact(gain: NDArray) -> tuple[NDArray, float]:
    """Marginals and logarithm of the sum by dynamic programming over subsets of columns, in logarithms.

    A subset is a number whose bit j tells whether column j is used; an array over subsets, seen as (higher bits, bit j,
    lower bits), has those without and with j at the two places of its middle axis.
    """
    n, m = gain.shape
    pairs = [np.flatnonzero(np.isfinite(row)) for row in gain]
    after = np.zeros((n + 1, 1 << m))
    for i in reversed(range(n)):
        after[i] = after[i + 1]
        for j in pairs[i]:
            without, with_it = after[i].reshape(-1, 2, 1 << j), after[i + 1].reshape(-1, 2, 1 << j)
            without[:, 0] = np.logaddexp(without[:, 0], gain[i, j] + with_it[:, 1])
    log_total = after[0, 0]
    probability = np.zeros((n, m))
    before = np.full(1 << m, -np.inf)
    before[0] = 0.0
    for i in range(n):
        following = before.copy()
        for j in pairs[i]:
            free = before.reshape(-1, 2, 1 << j)[:, 0] + gain[i, j]
            used = following.reshape(-1, 2, 1 << j)
            used[:, 1] = np.logaddexp(used[:, 1], free)
            probability[i, j] = np.exp(free + after[i + 1].reshape(-1, 2, 1 << j)[:, 1] - log_total).sum()
        before = following
    return probability, float(log_total)


def _sampled(gain: NDArray, settings: Sampling) -> _Sum:
    """Marginals by Metropolis chains that start at the best matchings of randomly disturbed weights."""
    n, m = gain.shape
    rng = np.random.default_rng(settings.seed)
    starts = [best_assignment(gain + rng.gumbel(scale=2.0, size=gain.shape)) for _ in range(settings.n_chains)]
    cluster, flash = np.nonzero(np.isfinite(gain))
    moves = np.concatenate([np.stack([cluster, flash]), np.stack([np.arange(n), np.full(n, m)])], axis=1)
    table = np.full((n + 1, m + 1), -np.inf)
    table[:n, :m], table[:, m] = gain, 0.0
    keys = jax.random.split(jax.random.key(settings.seed), settings.n_chains)
    start = np.where(np.array(starts) < 0, m, np.array(starts))
    states = np.asarray(_chains(keys, jnp.asarray(start), jnp.asarray(table), jnp.asarray(moves.T), settings.n_draws))
    paired = states[..., None] == np.arange(m)
    by_chain = paired.mean(axis=1)
    error = by_chain.std(axis=0, ddof=1) / np.sqrt(settings.n_chains)
    traces = paired[:, :, cluster, flash].astype(float)
    varying = traces.std(axis=(0, 1)) > 0
    with np.errstate(divide="ignore"):  # chains that each stay at another place: infinite
        rhat = split_gelman_rubin(traces[:, :, varying]).max() if varying.any() else 1.0
    return _Sum(by_chain.mean(axis=0), error, np.nan, float(rhat))


@eqx.filter_jit
def _chains(
    keys: Array, start: Int[Array, "chain n"], table: Float[Array, "n1 m1"], moves: Int[Array, "move 2"], n_draws: int
) -> Int[Array, "chain draw n"]:
    """States of chains whose moves give one cluster another flash, or none; its former owner gets what it had.

    A move and the one back are drawn with the same probability, so that a move is accepted by the ratio of weights
    alone. In `table` and in the states the last flash stands for none, the last cluster for nobody.
    """
    nobody, none = table.shape[0] - 1, table.shape[1] - 1

    def move(state: tuple, key: Array) -> tuple[tuple, None]:
        flash_of, owner = state
        draw_key, accept_key = jax.random.split(key)
        cluster, wanted = moves[jax.random.randint(draw_key, (), 0, moves.shape[0])]
        had, other = flash_of[cluster], owner[wanted]
        change = table[cluster, wanted] - table[cluster, had] + table[other, had] - table[other, wanted]
        change = jnp.where(other == nobody, table[cluster, wanted] - table[cluster, had], change)
        accepted = (jnp.log(jax.random.uniform(accept_key)) < change) & (wanted != had)
        moved = flash_of.at[other].set(had).at[cluster].set(wanted), owner.at[had].set(other).at[wanted].set(cluster)
        moved = moved[0].at[nobody].set(none), moved[1].at[none].set(nobody)
        return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), moved, state), None

    def draw(state: tuple, key: Array) -> tuple[tuple, Int[Array, " n"]]:
        state, _ = jax.lax.scan(move, state, jax.random.split(key, _PASSES * moves.shape[0]))
        return state, state[0][:nobody]

    def chain(key: Array, start: Int[Array, " n"]) -> Int[Array, "draw n"]:
        flash_of = jnp.append(start, none)
        owner = jnp.full(none + 1, nobody).at[start].set(jnp.arange(nobody)).at[none].set(nobody)
        return jax.lax.scan(draw, (flash_of, owner), jax.random.split(key, 2 * n_draws))[1][n_draws:]

    return jax.vmap(chain)(keys, start)
