import itertools
from math import comb

import numpy as np
import pytest

from bayescal.diagnostics.calibration import (
    central_coverage_test,
    coverage_test,
    ecdf_band,
    holm,
    ranks,
    sbc_chi_square_test,
    sbc_ranks_test,
)

N_DRAWS = 99


def normal_ranks(width, shift=0.0, n=200):
    """Ranks when the posterior's width is wrong by a factor or its centre is off, seed fixed."""
    rng = np.random.default_rng(20)
    return ranks(rng.normal(size=n), shift + width * rng.normal(size=(n, N_DRAWS)))


def test_ranks_count_the_draws_below():
    draws = np.array([[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]])
    np.testing.assert_array_equal(ranks(np.array([1.5, 4.0]), draws), [2, 0])


def test_p_values_of_uniform_ranks_are_uniform():
    rng = np.random.default_rng(4)
    p = [sbc_ranks_test(rng.integers(0, N_DRAWS + 1, 60), N_DRAWS).p_value for _ in range(400)]
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(np.array(p) <= level) - level) < 4 * np.sqrt(level * (1 - level) / 400)  # false alarm 6e-5


def test_p_value_is_exact_on_all_samples():
    """Three ranks from 0 to 2: the p-value is the share of the 27 samples that are at least as improbable."""
    samples = list(itertools.product(range(3), repeat=3))
    statistic = {s: sbc_ranks_test(np.array(s), 2).statistic for s in samples}
    for sample in samples:
        share = np.mean([other <= statistic[sample] * (1 + 1e-9) for other in statistic.values()])
        assert sbc_ranks_test(np.array(sample), 2).p_value == pytest.approx(share, abs=1e-12)


def test_right_posterior_passes():
    found = normal_ranks(1.0)
    assert sbc_ranks_test(found, N_DRAWS).p_value > 0.01
    assert sbc_chi_square_test(found, N_DRAWS) > 0.01
    assert central_coverage_test(found, N_DRAWS, 0.68).p_value > 0.01


@pytest.mark.parametrize(("width", "shift"), [(0.7, 0.0), (1.5, 0.0), (1.0, 0.5)])
def test_wrong_posterior_fails(width, shift):
    found = normal_ranks(width, shift)
    assert sbc_ranks_test(found, N_DRAWS).p_value < 0.01
    assert sbc_chi_square_test(found, N_DRAWS) < 0.01


def test_narrow_posterior_covers_too_rarely():
    test = central_coverage_test(normal_ranks(0.7), N_DRAWS, 0.68)
    assert test.p_value < 0.001
    assert test.rate < test.nominal == 0.68


def test_coverage_is_binomial():
    test = coverage_test(np.arange(10) < 10, 0.5)
    assert test.p_value == pytest.approx(2 / 2**10)
    assert (test.covered, test.n_replicas, test.rate) == (10, 10, 1.0)
    two_sided = sum(comb(10, k) for k in (0, 1, 9, 10)) / 2**10
    assert coverage_test(np.arange(10) < 9, 0.5).p_value == pytest.approx(two_sided)


def test_nominal_coverage_is_that_of_whole_ranks():
    assert central_coverage_test(np.arange(20), 19, 0.68).nominal == pytest.approx(14 / 20)


def test_holm_by_hand():
    assert holm({"a": 0.03, "b": 0.01, "c": 0.04}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert list(holm({"x": 0.9, "y": 0.8})) == ["x", "y"]
    assert holm({"x": 0.9, "y": 0.8})["x"] == 1.0


def test_band_holds_uniform_samples_at_its_rate():
    rng = np.random.default_rng(6)
    grid, low, high = ecdf_band(50, 0.9)
    inside = (rng.random((2000, 50, 1)) <= grid).mean(axis=1)
    rate = ((inside >= low - 1e-12) & (inside <= high + 1e-12)).all(axis=1).mean()
    assert 0.9 - 4 * np.sqrt(0.09 / 2000) < rate < 0.92 + 4 * np.sqrt(0.09 / 2000)  # counts are whole: a little more


def test_bad_ranks_are_refused():
    with pytest.raises(ValueError, match="between 0 and 9"):
        sbc_ranks_test(np.array([10]), 9)
    with pytest.raises(ValueError, match="one row"):
        sbc_ranks_test(np.empty(0), 9)
    with pytest.raises(ValueError, match="at least 5"):
        sbc_chi_square_test(np.arange(10), 9)
