import numpy as np
import pytest

from bayescal.diagnostics.correlation import correlation, covariance, in_words, strength, strongest_pairs
from bayescal.errors import InputError


def test_matrix_equals_that_of_numpy(nuts_result, known):
    names = known[0]
    draws = np.array([nuts_result.draws(name) for name in names])
    np.testing.assert_allclose(correlation(nuts_result).values, np.corrcoef(draws), rtol=1e-10)
    np.testing.assert_allclose(covariance(nuts_result).values, np.cov(draws), rtol=1e-10)
    assert list(correlation(nuts_result)["parameter"].values) == list(names)


def test_a_mode_uses_its_curvature(map_result, known):
    np.testing.assert_allclose(correlation(map_result).values, known[3], rtol=1e-10)


def test_strongest_pair_in_words(nuts_result):
    (only,) = strongest_pairs(nuts_result)
    assert only.startswith("kb and electrons_per_mev rise together: +0.92, strong")


def test_words():
    assert "trade against each other: -0.97, nearly degenerate; the data fix" in in_words("a", "b", -0.97)
    assert [strength(v) for v in (0.99, -0.8, 0.5, 0.0)] == ["nearly degenerate", "strong", "moderate", "weak"]


def test_draws_that_do_not_move_are_refused(make_sampled):
    result = make_sampled(draws=10)
    result.data["posterior"]["kb"].values[:] = 1.0
    with pytest.raises(InputError, match="kb are all equal"):
        correlation(result)
