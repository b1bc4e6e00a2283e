import numpy as np
import pytest

from bayescal.diagnostics.predictive import check_summary, predictive_checks, predictive_figure, result_summaries
from bayescal.errors import InputError


def histograms(rate, n, seed):
    return np.random.default_rng(seed).poisson(rate, (n, 6)).astype(float)


def test_p_values_of_equal_data_are_uniform():
    p = [check_summary("h", (h := histograms(8.0, 100, seed))[0], h[1:]).p_value for seed in range(300)]
    for level in (0.05, 0.5):
        assert abs(np.mean(np.array(p) <= level) - level) < 4 * np.sqrt(level * (1 - level) / 300)  # false alarm 6e-5


def test_other_data_are_noticed():
    check = check_summary("h", np.full(6, 30.0), histograms(8.0, 200, 1))
    assert check.p_value == pytest.approx(1 / 201)
    assert not check.good
    assert (check.pulls > 3).all()
    assert "does not reproduce" in check.sentence


def test_pulls_by_hand():
    check = check_summary("x", np.array([2.0]), np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(check.pulls, [1 / np.sqrt(2 / 3)])
    assert check.p_value == pytest.approx(2 / 3)


def test_a_bin_that_never_changes_says_nothing():
    check = check_summary("h", np.array([0.0, 1.0]), np.array([[0.0, 1.0], [0.0, 2.0]]))
    assert check.pulls[0] == 0


def test_a_result_brings_its_summaries(nuts_result, map_result):
    summaries = result_summaries(nuts_result)
    assert set(summaries) == {"adc_histogram", "total_charge"}
    assert summaries["adc_histogram"][1].shape == (2000, 5)
    assert all(check.good for check in predictive_checks(summaries))
    assert result_summaries(map_result) == {}


@pytest.mark.parametrize(
    ("observed", "replicated", "words"),
    [
        (np.zeros(3), np.zeros((5, 4)), "do not fit"),
        (np.zeros(3), np.zeros((0, 3)), "do not fit"),
        (np.array([np.nan]), np.zeros((5, 1)), "not finite"),
    ],
)
def test_bad_summaries_are_refused(observed, replicated, words):
    with pytest.raises(InputError, match=words):
        check_summary("h", observed, replicated)


def test_figure_has_a_panel_for_values_and_pulls(nuts_result):
    figure = predictive_figure(predictive_checks(result_summaries(nuts_result)))
    titles = [axes.get_title() for cell in figure.subfigs for axes in cell.axes]
    assert any(title.startswith("adc_histogram   p = ") for title in titles)
    assert len(titles) == 3
    with pytest.raises(InputError, match="no predictive checks"):
        predictive_figure(())
