from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from bayescal.likelihoods.partial_matchings import IMPOSSIBLE, draw_matching, log_sum
from bayescal.testing import check_counts

GAIN = np.array([[1.0, -0.5], [0.3, IMPOSSIBLE], [-1.0, 0.8]])
CHOICES = [c for c in itertools.product((-1, 0, 1), repeat=3) if len(set(u := [j for j in c if j >= 0])) == len(u)]
TOTALS = np.array([sum(GAIN[i, j] for i, j in enumerate(choice) if j >= 0) for choice in CHOICES])


def test_sum_and_gradient_are_those_over_all_matchings() -> None:
    """The derivative by a gain is the probability of its pair; nothing is infinite where a pair is impossible."""
    value, slope = jax.jit(jax.value_and_grad(log_sum))(GAIN)
    assert float(value) == pytest.approx(logsumexp(TOTALS), abs=1e-14)
    expected = np.zeros(GAIN.shape)
    for choice, probability in zip(CHOICES, softmax(TOTALS), strict=True):
        for i, j in enumerate(choice):
            if j >= 0:
                expected[i, j] += probability
    np.testing.assert_allclose(slope, expected, atol=1e-14)


def test_draws_have_the_probabilities_of_matchings() -> None:
    keys = jax.random.split(jax.random.key(1), 4000)
    found = np.asarray(jax.jit(jax.vmap(lambda key: draw_matching(key, GAIN)))(keys))
    number = {choice: index for index, choice in enumerate(CHOICES)}
    counts = np.bincount([number[tuple(row)] for row in found.tolist()], minlength=len(CHOICES))
    check_counts(counts, softmax(TOTALS))
