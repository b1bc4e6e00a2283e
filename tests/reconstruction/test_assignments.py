from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

from bayescal.reconstruction.assignments import Sampling, assignment_posterior, best_assignment


def enumerate_matchings(log_weight: np.ndarray, log_unmatched: np.ndarray) -> tuple[np.ndarray, float, tuple[int, ...]]:
    """Marginals, logarithm of the sum and the best matching by going through all of them."""
    n, m = log_weight.shape
    choices = [
        c for c in itertools.product(range(-1, m), repeat=n) if len(set(f := [j for j in c if j >= 0])) == len(f)
    ]
    totals = np.array(
        [sum(log_unmatched[i] if j < 0 else log_weight[i, j] for i, j in enumerate(choice)) for choice in choices]
    )
    log_total = logsumexp(totals)
    probability = np.zeros((n, m))
    for choice, total in zip(choices, totals, strict=True):
        for i, j in enumerate(choice):
            if j >= 0:
                probability[i, j] += np.exp(total - log_total)
    return probability, log_total, choices[int(np.argmax(totals))]


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (4, 1), (3, 3), (5, 5), (5, 3), (3, 5)])
def test_marginals_are_those_of_all_matchings(n: int, m: int) -> None:
    rng = np.random.default_rng(10 * n + m)
    log_weight, log_unmatched = rng.normal(0, 2, (n, m)), rng.normal(-1, 1, n)
    log_weight[rng.random((n, m)) < 0.2] = -np.inf
    probability, log_total, best = enumerate_matchings(log_weight, log_unmatched)
    found = assignment_posterior(log_weight, log_unmatched)
    np.testing.assert_allclose(found.probability, probability, atol=1e-12)
    np.testing.assert_allclose(found.unmatched_cluster, 1 - probability.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.unmatched_flash, 1 - probability.sum(axis=0), atol=1e-12)
    assert found.log_evidence == pytest.approx(log_total, abs=1e-11)
    assert found.best.tolist() == list(best)
    assert (found.error == 0).all()
    assert found.rhat == 1.0


def test_two_clusters_and_two_flashes_by_hand() -> None:
    """Nine weights: 1 for nothing, e^w for one pair, two matchings of two pairs."""
    a, b, c, d = 2.0, 3.0, 5.0, 0.5
    total = 1 + a + b + c + d + a * d + b * c
    found = assignment_posterior(np.log([[a, b], [c, d]]), np.zeros(2))
    assert found.log_evidence == pytest.approx(np.log(total), abs=1e-14)
    assert found.probability[0, 0] == pytest.approx((a + a * d) / total, abs=1e-14)
    assert found.unmatched_flash[1] == pytest.approx((1 + a + c) / total, abs=1e-14)
    assert found.best.tolist() == [1, 0]


def test_large_weights_do_not_overflow() -> None:
    """exp(900) is infinite; a constant on all pairs of a cluster that must be matched changes nothing."""
    rng = np.random.default_rng(3)
    log_weight = rng.normal(0, 1, (4, 4))
    without = np.full(4, -1000.0)
    expected = enumerate_matchings(log_weight, without)
    found = assignment_posterior(log_weight + 900.0, without + 900.0)
    np.testing.assert_allclose(found.probability, expected[0], atol=1e-12)
    np.testing.assert_allclose(found.probability.sum(axis=1), 1.0, atol=1e-12)
    assert found.log_evidence == pytest.approx(expected[1] + 3600.0, rel=1e-13)


def test_components_equal_the_whole() -> None:
    """Two blocks in one event, rows and columns shuffled, against each block alone."""
    rng = np.random.default_rng(5)
    blocks = [rng.normal(0, 2, (3, 2)), rng.normal(0, 2, (2, 4))]
    alone = [assignment_posterior(block, np.full(len(block), -0.5)) for block in blocks]
    whole = np.full((6, 6), -np.inf)
    whole[:3, :2], whole[3:5, 2:] = blocks
    rows, columns = rng.permutation(6), rng.permutation(6)
    found = assignment_posterior(whole[np.ix_(rows, columns)], np.full(6, -0.5))
    expected = np.zeros((6, 6))
    expected[:3, :2], expected[3:5, 2:] = (part.probability for part in alone)
    np.testing.assert_allclose(found.probability, expected[np.ix_(rows, columns)], atol=1e-12)
    assert found.log_evidence == pytest.approx(sum(part.log_evidence for part in alone) - 0.5, abs=1e-12)
    assert len(set(found.component[rows < 3])) == 1
    assert found.component[rows == 5] == -1
    assert found.unmatched_cluster[rows == 5] == 1.0


def test_hopeless_pairs_are_left_out_without_harm() -> None:
    log_weight = np.array([[3.0, -40.0], [-27.0, 1.0]])
    exact = enumerate_matchings(log_weight, np.zeros(2))[0]
    found = assignment_posterior(log_weight, np.zeros(2))
    assert found.probability[0, 1] == 0.0
    np.testing.assert_allclose(found.probability, exact, atol=2 * np.exp(-25))
    assert found.component.tolist() == [0, 1]


def test_pairs_beside_much_better_ones_are_left_out_without_harm() -> None:
    """Each is better than both partners unmatched, but their best partners are free; where these are not, it stays."""
    rng = np.random.default_rng(9)
    log_weight = rng.normal(3.0, 1.0, (4, 4)) + 60.0 * np.eye(4)
    found = assignment_posterior(log_weight, np.zeros(4))
    np.testing.assert_allclose(found.probability, enumerate_matchings(log_weight, np.zeros(4))[0], atol=1e-9)
    assert len(set(found.component)) == 4
    log_weight[1, :2] = log_weight[0, :2]  # two look-alikes
    found = assignment_posterior(log_weight, np.zeros(4))
    np.testing.assert_allclose(found.probability, enumerate_matchings(log_weight, np.zeros(4))[0], atol=1e-9)
    assert len(set(found.component)) == 3


def test_twelve_look_alikes() -> None:
    """With equal weights every flash is as probable as any other; the number of matchings by hand."""
    found = assignment_posterior(np.zeros((12, 12)), np.full(12, -20.0))
    np.testing.assert_allclose(found.probability, 1 / 12, rtol=1e-6)
    count = sum(
        np.prod(np.arange(12 - k + 1, 13, dtype=float)) ** 2
        / np.prod(np.arange(1, k + 1, dtype=float))
        * np.exp(-20.0 * (12 - k))
        for k in range(13)
    )
    assert found.log_evidence == pytest.approx(np.log(count), rel=1e-12)


def test_the_best_matching_may_leave_out_a_good_pair() -> None:
    gain = np.array([[5.0, 4.0], [4.5, -np.inf], [-1.0, -2.0]])
    assert best_assignment(gain).tolist() == [1, 0, -1]


def test_sampled_marginals_agree_with_the_exact_ones() -> None:
    """Seven clusters, six flashes; the pull of every pair follows Student's t with seven degrees of freedom."""
    rng = np.random.default_rng(7)
    log_weight, log_unmatched = rng.normal(0, 1.5, (7, 6)), rng.normal(-1, 0.5, 7)
    exact = assignment_posterior(log_weight, log_unmatched)
    found = assignment_posterior(log_weight, log_unmatched, Sampling(exact_up_to=3, n_draws=200))
    pull = (found.probability - exact.probability) / np.maximum(found.error, 1e-3)
    assert np.abs(pull).max() < 8.5  # p = 6e-5 each, 42 pairs
    assert np.sqrt((pull**2).mean()) < 2.0
    assert found.rhat < 1.05
    assert (found.error > 0).all()
    assert np.isnan(found.log_evidence)
    assert found.best.tolist() == exact.best.tolist()


def test_a_pair_of_probability_p_is_right_a_fraction_p() -> None:
    """Events drawn from the model: three clusters of known places, flashes seen with unit errors, half of them too near
    to tell; a fifth of the flashes missed and 1.5 background flashes an event."""
    rng = np.random.default_rng(21)
    missed, rate, width = 0.2, 1.5, 20.0
    stated, right, free, without = [], [], [], []
    for _ in range(600):
        place = rng.uniform(-4, 4, 3)
        seen = np.flatnonzero(rng.random(3) > missed)
        flashes = np.concatenate([rng.normal(place[seen]), rng.uniform(-width / 2, width / 2, rng.poisson(rate))])
        if not flashes.size:
            continue
        owner = np.concatenate([seen, np.full(flashes.size - seen.size, -1)])
        log_density = -0.5 * (flashes - place[:, None]) ** 2 - 0.5 * np.log(2 * np.pi)
        found = assignment_posterior(
            log_density + np.log(1 - missed) - np.log(rate / width), np.full(3, np.log(missed))
        )
        stated.append(found.probability.ravel())
        right.append((owner == np.arange(3)[:, None]).ravel())
        free.append(found.unmatched_cluster)
        without.append(~np.isin(np.arange(3), seen))
    for probability, happened in ((stated, right), (free, without)):
        p, truth = np.concatenate(probability), np.concatenate(happened)
        slot = np.digitize(p, np.linspace(0, 1, 11)[1:-1])
        count, expected, variance = (np.bincount(slot, values, 10) for values in (truth, p, p * (1 - p)))
        chi_square = ((count - expected) ** 2 / variance).sum()
        # pairs of one event are not independent: somewhat less or more than ten degrees of freedom
        assert 1.0 < chi_square < 32.0
