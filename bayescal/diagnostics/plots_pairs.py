"""Figures of parameters in pairs: contours and points of every pair, and the matrix of correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from bayescal.diagnostics.contents import Component, constant, scalars
from bayescal.diagnostics.correlation import correlation
from bayescal.diagnostics.densities import contour_levels, density, joint_density
from bayescal.diagnostics.figures import (
    INK,
    LOOK,
    MODE,
    MUTED,
    POSTERIOR,
    PRIOR,
    legend_entries,
    name_axis,
    thinned,
    window,
)
from bayescal.errors import InputError
from bayescal.inference.result import Result

PROBABILITIES = (0.68, 0.95)
MOST_PARAMETERS = 8
COLORS = ["#c1592a", "#f3c9ae", "#f4f5f7", "#aecbe6", "#2f6fab"]
CORRELATIONS = LinearSegmentedColormap.from_list("correlations", COLORS)
CELL_INK = "#22303d"  # unlike INK: a page in dark colours leaves it dark, for it stands on light cells


@LOOK
def pair_figure(result: Result) -> Figure:
    """Every pair of scalar parameters: points, contours of 68 % and 95 %, prior, mode and truth; marginals above.

    Raises:
        InputError: the result has no draws that move.
    """
    components = [component for component in scalars(result) if not constant(component)][:MOST_PARAMETERS]
    if not components:
        raise InputError("the result has no draws that move, so there are no pairs to draw; fit it with method nuts")
    n = len(components)
    figure = Figure(figsize=(1.6 * n + 0.8, 1.6 * n + 0.8), layout="constrained")
    grid = GridSpec(n, n, figure)
    limits = [window([c.draws], _marks(c)) for c in components]
    for row, column in ((i, j) for i in range(n) for j in range(i + 1)):
        panel = figure.add_subplot(grid[row, column])
        if column == row:
            _draw_diagonal(panel, components[row])
        else:
            _draw_pair(panel, components[column], components[row])
            panel.set_ylim(limits[row])
        panel.set_xlim(limits[column])
        _name_outer(panel, (row, column), components, limits)
    entries = legend_entries(figure.axes)
    figure.legend(entries.values(), entries.keys(), loc="upper right", markerscale=3, fontsize=10)
    return figure


@LOOK
def correlation_figure(result: Result) -> Figure:
    """The correlations of the scalar parameters as numbers on colour."""
    matrix = correlation(result)
    labels = [str(label) for label in matrix["parameter"].values]
    size = 1.6 + 0.62 * len(labels)
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(matrix.values, cmap=CORRELATIONS, vmin=-1, vmax=1)
    for (row, column), value in np.ndenumerate(matrix.values):
        color = "white" if abs(value) > 0.75 else CELL_INK
        panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=8)
    panel.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(labels)), labels)
    bar = figure.colorbar(image, ax=panel, shrink=0.8, label="correlation")
    for frame in (panel, bar.ax):
        frame.set_frame_on(False)
    panel.tick_params(length=0)
    return figure


def _marks(component: Component) -> list[float]:
    return [value for value in (component.truth, component.mode) if value is not None]


def _draw_diagonal(panel: Axes, component: Component) -> None:
    x, height = density(component.draws)
    panel.fill_between(x, height, color=POSTERIOR, alpha=0.2, lw=0)
    panel.plot(x, height, color=POSTERIOR, lw=1.4)
    if component.prior.size > 20 and np.ptp(component.prior) > 0:
        panel.plot(*density(component.prior), color=PRIOR, lw=1.0)
    if component.mode is not None:
        panel.axvline(component.mode, color=MODE, lw=1.1)
    if component.truth is not None:
        panel.axvline(component.truth, color=INK, lw=1.0, ls=(0, (4, 2)))
    panel.set_ylim(bottom=0)


def _draw_pair(panel: Axes, x: Component, y: Component) -> None:
    if x.prior.size == y.prior.size > 0:
        panel.plot(x.prior, y.prior, ".", ms=2.0, color=PRIOR, alpha=0.5, zorder=0, rasterized=True, label="prior")
    points = thinned(np.array([x.draws.ravel(), y.draws.ravel()]), 1000)
    panel.plot(*points, ".", ms=1.6, color=POSTERIOR, alpha=0.35, zorder=1, rasterized=True, label="posterior")
    grid_x, grid_y, mass = joint_density(x.draws, y.draws)
    levels = contour_levels(mass, PROBABILITIES)
    panel.contour(grid_x, grid_y, mass.T, levels=levels, colors=[POSTERIOR], linewidths=[0.9, 1.5][-levels.size :])
    if x.mode is not None and y.mode is not None:
        panel.plot(x.mode, y.mode, "D", ms=4, color=MODE, mec="white", mew=0.5, zorder=5, label="mode")
    if x.truth is not None and y.truth is not None:
        panel.plot(x.truth, y.truth, "+", ms=8, color=INK, mew=1.5, zorder=6, label="truth")


def _name_outer(
    panel: Axes, place: tuple[int, int], components: Sequence[Component], limits: Sequence[tuple[float, float]]
) -> None:
    """Names and values on the left and lower edge of the figure only."""
    row, column = place
    panel.locator_params(nbins=3)
    if row == len(components) - 1:
        name_axis(panel.xaxis, components[column].label, components[column].unit, limits[column], separator="\n")
        panel.tick_params(axis="x", labelrotation=40)
    else:
        panel.tick_params(axis="x", labelbottom=False)
    if column == 0 and row > 0:
        name_axis(panel.yaxis, components[row].label, components[row].unit, limits[row], separator="\n")
    elif column == row:
        panel.set_yticks([])
        panel.spines["left"].set_color(MUTED)
        panel.spines["left"].set_visible(False)
    else:
        panel.tick_params(axis="y", labelleft=False)
