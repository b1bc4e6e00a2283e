from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from bayescal.reconstruction.assignments import assignment_posterior
from bayescal.reconstruction.clusters import batch_clusters, unite
from bayescal.reconstruction.matching import Background, Trigger, match
from bayescal.reconstruction.t0 import Grid
from bayescal.reconstruction.unions import Unions, match_with_unions, union_posterior

MEMBERS = np.array([[0, 1], [1, 3]])


def test_marginals_are_those_of_all_matchings_with_unions() -> None:
    """Four clusters, three flashes, two unions that share a cluster; one pair and one union impossible."""
    rng = np.random.default_rng(2)
    gain, union_gain = rng.normal(0, 1.5, (4, 3)), rng.normal(0, 1.5, (2, 3))
    gain[2, 0], union_gain[1, 2] = -np.inf, -np.inf
    origins = [(0,), (1,), (2,), (3,), (0, 1), (1, 3)]
    weight = np.concatenate([gain, union_gain])
    totals, probability = [], np.zeros(weight.shape)
    choices = []
    for choice in itertools.product(range(-1, 6), repeat=3):
        used = [i for origin in choice if origin >= 0 for i in origins[origin]]
        if len(set(used)) == len(used):
            choices.append(choice)
            totals.append(sum(weight[origin, j] for j, origin in enumerate(choice) if origin >= 0))
    log_total = logsumexp(totals)
    for choice, total in zip(choices, totals, strict=True):
        for j, origin in enumerate(choice):
            if origin >= 0:
                probability[origin, j] += np.exp(total - log_total)
    found = union_posterior(gain, union_gain, MEMBERS)
    assert found.log_evidence == pytest.approx(log_total, abs=1e-12)
    np.testing.assert_allclose(found.union, probability[4:], atol=1e-12)
    share = probability[:4].copy()
    share[[0, 1]] += probability[4]
    share[[1, 3]] += probability[5]
    np.testing.assert_allclose(found.probability, share, atol=1e-12)
    np.testing.assert_allclose(found.unmatched_flash, 1 - probability.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.unmatched_cluster, 1 - share.sum(axis=1), atol=1e-12)


def test_impossible_unions_change_nothing() -> None:
    rng = np.random.default_rng(3)
    gain = rng.normal(0, 1.5, (4, 3))
    found = union_posterior(gain, np.full((2, 3), -np.inf), MEMBERS)
    np.testing.assert_allclose(found.probability, assignment_posterior(gain, np.zeros(4)).probability, atol=1e-12)


def test_more_clusters_than_can_be_summed_over_are_refused() -> None:
    with pytest.raises(ValueError, match="17 clusters hang together, at most 16"):
        union_posterior(np.zeros((17, 1)), np.zeros((0, 1)), np.zeros((0, 2), int))


def test_a_flash_of_two_clusters_is_matched_with_both(toy, flash) -> None:
    """Clusters 0 and 1 move together and share the first flash; alone, the match with either is poor."""
    clusters = toy.tracks(31, 3)
    batch = batch_clusters(clusters, toy.volumes)
    unions = Unions(np.array([[0, 1], [0, 2]]), np.ones(batch.n_clusters), np.log(0.1))
    pair = unite(batch, unions.members[:1], unions.direction)
    shift = (pair.lowest_cm + pair.highest_cm) / 2
    third = jax.tree.map(lambda values: np.asarray(values)[2:3], batch)
    counts = np.concatenate(
        [flash(toy, pair, shift, 1), flash(toy, third, (third.lowest_cm + third.highest_cm) / 2, 2)]
    )
    alternatives = Background(0.5, 20.0, 1e5, np.full(12, 0.5)), Trigger(20, 1e-3)
    found = match_with_unions(batch, unions, counts, toy.light, alternatives, Grid(16, 64))
    assert found.union[0, 0] > 0.9
    assert found.probability[2, 1] > 0.9
    np.testing.assert_allclose(found.probability.sum(axis=1) + found.unmatched_cluster, 1.0, atol=1e-12)
    alone = match(batch, counts, toy.light, alternatives, Grid(16, 64))
    assert alone.assignments.log_evidence < found.log_evidence
