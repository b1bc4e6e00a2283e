import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from bayescal.diagnostics.loo import HEADERS, leave_one_out, loo_figure, pooled, pulls
from bayescal.errors import InputError
from bayescal.inference.result import Result


def with_log_likelihood(result, *, spoilt=None, n_events=40):
    """Events of 5 to 20 readouts, each with a normal density around a mean that the draws know to 0.05."""
    rng = np.random.default_rng(5)
    size = rng.integers(5, 21, n_events)
    mean = rng.normal(0.0, 0.05, (1, 400, 1))
    values = np.zeros((1, 400, n_events))
    for event in range(n_events):
        seen = rng.normal(size=size[event]) + np.where((event == spoilt) & (np.arange(size[event]) == 0), 8.0, 0.0)
        values[0, :, event] = (-0.5 * (seen - mean[0]) ** 2).sum(axis=1)
    variable = (("chain", "draw", "event"), values)
    coordinates = {"event": 200 + np.arange(n_events), "recorded": ("event", size)}
    coordinates |= {"expected": ("event", -0.5 * size), "spread": ("event", np.sqrt(0.5 * size))}
    groups = result.data.copy()
    groups["log_likelihood"] = xr.DataTree(xr.Dataset({"hits": variable}, coords=coordinates))
    return Result(groups)


def test_events_that_fit(nuts_result):
    found = leave_one_out(with_log_likelihood(nuts_result))
    assert not found.suspected.any()
    assert not found.influential.any()
    assert found.elpd == pytest.approx(found.log_density.sum())
    assert "every event fits; 0 of 40 have k-hat above 0.62" in found.sentence  # 1 - 1 / log10(400)


def test_a_spoilt_event_is_the_worst(nuts_result):
    found = leave_one_out(with_log_likelihood(nuts_result, spoilt=17))
    assert found.worst()[0] == 17
    np.testing.assert_array_equal(np.flatnonzero(found.suspected), [17])
    assert "events that do not fit: 217" in found.sentence
    first = dict(zip(HEADERS, found.table(3)[0], strict=True))
    assert first["event"] == "217"
    assert float(first["pull"]) < found.limit
    assert len(found.table(3)) == 3


@pytest.mark.parametrize("size", [2, 10, 200])
def test_pulls_are_normal_for_few_and_many_values(size):
    """Minus half a chi-square, which normal values have: shares below three quantiles to five standard errors."""
    observed = 3.0 - 0.5 * np.random.default_rng(1).chisquare(size, 4000)
    found = pulls(observed, np.full(4000, 3.0 - 0.5 * size), np.full(4000, np.sqrt(0.5 * size)))
    for quantile in (0.01, 0.16, 0.84):
        below = (found < norm.ppf(quantile)).mean()
        assert abs(below - quantile) < 5 * np.sqrt(quantile * (1 - quantile) / 4000)


def test_strong_pulls_are_finite():
    found = pulls(np.array([-1e6, 1e6]), np.zeros(2), np.ones(2))
    np.testing.assert_allclose(found, [norm.ppf(1e-300), norm.isf(1e-300)])


def test_spreads_are_pooled():
    found = pooled(np.array([1.0, 3.0]), np.array([5, 0]))
    np.testing.assert_allclose(found**2, [0.5 * (1 + 5 * 10 / 6), 0.5 * (9 + 10 / 6)])


def test_results_without_events(nuts_result):
    with pytest.raises(InputError, match="no log-likelihood of events: fit again"):
        leave_one_out(nuts_result)


def test_figure_names_the_spoilt_event(nuts_result):
    figure = loo_figure(leave_one_out(with_log_likelihood(nuts_result, spoilt=3)))
    assert [panel.get_ylabel() for panel in figure.axes] == ["pull", "k-hat"]
    assert "203" in [text.get_text() for text in figure.axes[0].texts]
