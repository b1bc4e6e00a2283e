from __future__ import annotations

import numpy as np
import pytest

from bayescal.diagnostics.plots_light import (
    Plane,
    TimePosterior,
    VisibilityMap,
    matching_figure,
    predicted_light_figure,
    time_figure,
    visibility_figure,
)


def test_maps_share_their_colours_and_have_units() -> None:
    """Two sources beside each other: visibility above, slope below, one colour bar a row."""
    rows = np.geomspace(1e-5, 1e-2, 12).reshape(3, 4)
    slope = np.linspace(-1, 1, 12).reshape(3, 4)
    maps = {"optics": VisibilityMap(rows, slope), "library": VisibilityMap(2 * rows, np.full((3, 4), np.nan))}
    figure = visibility_figure(maps, Plane("z", "y", (-3.0, 3.0, -6.0, 6.0)))
    upper, lower = figure.axes[:2], figure.axes[2:4]
    assert [panel.get_title() for panel in upper] == ["optics", "library"]
    assert {panel.images[0].norm.vmax for panel in upper} == {2e-2}
    assert [panel.images[0].norm.vmin for panel in upper] == pytest.approx([2e-6, 2e-6])
    steepest = np.nanpercentile(np.abs(slope), 99)
    assert [panel.images[0].norm.vmax for panel in lower] == pytest.approx([steepest, steepest])
    labels = [axes.get_ylabel() for axes in figure.axes[4:]]
    assert labels == ["visibility", "d ln(visibility) / dz [1/cm]"]
    assert (lower[0].get_xlabel(), lower[0].get_ylabel()) == ("z [cm]", "y [cm]")


def test_ratio_is_that_of_sums() -> None:
    """A prediction of half the light is off by 100 %, also where every second count is zero; one sensor is absent."""
    expected = np.tile(np.geomspace(1, 1e3, 12), (20, 1))
    seen = np.where(np.arange(20)[:, None] % 2 == 0, 0.0, 2 * expected)
    seen[:, 5] = np.nan
    figure = predicted_light_figure(seen, {"before": expected / 2, "after": expected})
    before, after, ratio = figure.axes
    assert [panel.get_title() for panel in (before, after)] == ["before", "after"]
    assert before.get_xlim() == before.get_ylim()
    lines = {line.get_label(): line.get_ydata() for line in ratio.lines}
    filled = np.isfinite(lines["after"])
    assert filled.sum() >= 9
    np.testing.assert_allclose(lines["before"][filled], 100.0)
    np.testing.assert_allclose(lines["after"][filled], 0.0, atol=1e-9)


def test_times_have_all_sources_and_the_truth() -> None:
    time_us = np.linspace(0, 10, 50)
    densities = {"light": np.full(50, 0.1), "light and time": np.exp(-((time_us - 3) ** 2))}
    tracks = {f"track {n}": TimePosterior(time_us, densities, truth) for n, truth in enumerate((3.0, np.nan))}
    known, unknown = time_figure(tracks).axes
    assert [line.get_label() for line in known.lines] == ["light", "light and time", "truth"]
    assert [line.get_label() for line in unknown.lines] == ["light", "light and time"]
    assert known.get_xlabel() == "time [µs]"
    np.testing.assert_allclose(known.lines[2].get_xdata(), 3.0)


def test_matrix_has_what_is_left_over_and_frames_the_truth() -> None:
    """Cluster 1 has no flash, flash 0 no cluster; small probabilities have no number."""
    probability = np.array([[0.001, 0.9, 0.0], [0.0, 0.05, 0.15]])
    panel = matching_figure({"light": probability}, np.array([1, -1])).axes[0]
    shown = panel.images[0].get_array()
    np.testing.assert_allclose(shown[:-1, -1], [0.099, 0.8])
    np.testing.assert_allclose(shown[-1, :-1], [0.999, 0.05, 0.85])
    assert "0.00" not in [text.get_text() for text in panel.texts]
    frames = {(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in panel.patches}
    assert frames == {(1.0, 0.0), (3.0, 1.0), (0.0, 2.0), (2.0, 2.0)}
