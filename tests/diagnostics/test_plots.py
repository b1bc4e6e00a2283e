import matplotlib
import numpy as np
import pytest

from bayescal.diagnostics.compare import compare
from bayescal.diagnostics.densities import contour_levels, density, joint_density
from bayescal.diagnostics.figures import inline_svg, panel_grid, thinned, window
from bayescal.diagnostics.files import write_figure
from bayescal.diagnostics.plots import marginal_figure
from bayescal.diagnostics.plots_chains import energy_figure, rank_figure, trace_figure
from bayescal.diagnostics.plots_intervals import forest_figure, series_figure
from bayescal.diagnostics.plots_pairs import correlation_figure, pair_figure
from bayescal.errors import InputError

FIGURES = (marginal_figure, trace_figure, rank_figure, energy_figure, pair_figure, correlation_figure)


def labels(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in (axes.xaxis.label, axes.yaxis.label))


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_every_figure_is_drawn_and_leaves_no_trace(draw, nuts_result):
    before = dict(matplotlib.rcParams)
    svg = inline_svg(draw(nuts_result), "figure 1", "a <title>")
    assert svg.startswith('<svg role="img" viewBox=')
    assert "<title>a &lt;title&gt;</title>" in svg
    assert "http" not in svg
    assert dict(matplotlib.rcParams) == before


def test_axes_name_parameters_and_units(nuts_result):
    for draw in (marginal_figure, pair_figure, trace_figure):
        text = labels(draw(nuts_result)).replace("\n", " ")
        assert "kb [(kV/cm)(g/cm²)/MeV]" in text
        assert "long_diff [10⁻⁶ cm²/µs]" in text


def test_marginals_show_prior_truth_and_mode(nuts_result, map_result):
    shown = {line.get_label() for line in marginal_figure(nuts_result).axes[0].lines}
    assert shown == {"posterior", "mode and curvature", "prior", "truth"}
    shown = {line.get_label() for line in marginal_figure(map_result).axes[0].lines}
    assert shown == {"mode and curvature", "prior", "truth"}


def test_intervals_of_several_results(nuts_result, map_result):
    figure = forest_figure(compare([map_result, nuts_result]).curves)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["MAP", "NUTS"]
    thick = figure.axes[0].lines[1].get_xdata()
    np.testing.assert_allclose(np.diff(thick), 2 * 0.994458 * 1.5e-3, rtol=1e-4)


def test_a_constant_against_the_runs(make_sampled):
    runs = [make_sampled(seed=seed, draws=100) for seed in range(3)]
    panel = series_figure(compare(runs).curves).axes[0]
    centres = [line.get_ydata()[0] for line in panel.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(centres, [np.median(result.draws("kb")) for result in runs])
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["NUTS 1", "NUTS 2", "NUTS 3"]


def test_many_parameters_are_cut_to_eight_in_pairs(make_sampled):
    result = make_sampled(draws=20)
    posterior = result.data["posterior"].to_dataset()
    more = {f"extra{i}": posterior["kb"] * (1 + i) + posterior["long_diff"] for i in range(7)}
    result.data["posterior"] = type(result.data)(posterior.assign(more))
    assert len(pair_figure(result).axes) == 8 * 9 / 2


def test_a_figure_without_anything_to_show_says_why(map_result):
    with pytest.raises(InputError, match="no draws that move"):
        pair_figure(map_result)
    with pytest.raises(InputError, match="no energies"):
        energy_figure(map_result)


def test_density_integrates_to_one_and_keeps_to_the_range():
    draws = np.random.default_rng(0).uniform(2.0, 3.0, 2000)
    x, height = density(draws)
    assert x.min() >= draws.min()
    assert x.max() <= draws.max()
    assert np.trapezoid(height, x) == pytest.approx(1, abs=0.01)


def test_contours_hold_their_probability():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 20000))
    grid_x, grid_y, mass = joint_density(x, y)
    assert mass.shape == (grid_x.size, grid_y.size)
    for probability, level in zip((0.95, 0.68), contour_levels(mass, (0.68, 0.95)), strict=True):
        assert mass[mass >= level].sum() == pytest.approx(probability, abs=0.02)


def test_small_helpers():
    assert thinned(np.arange(10), 3).tolist() == [0, 4, 8]
    assert thinned(np.arange(2), 3).tolist() == [0, 1]
    low, high = window([np.linspace(0, 1, 1001)], [2.0])
    assert low < 0.01
    assert high > 2.0
    assert window([np.ones(3)], []) == (0.99, 1.01)
    assert len(panel_grid(5)[1]) == 5


def test_figures_are_written_by_their_suffix(tmp_path, nuts_result):
    figure = correlation_figure(nuts_result)
    for suffix, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")):
        write_figure(figure, tmp_path / f"a{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes().startswith(start)
    with pytest.raises(InputError, match="written as"):
        write_figure(figure, tmp_path / "a.doc")
