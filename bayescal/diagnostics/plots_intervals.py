"""Intervals of several results: a line a result for each parameter, or a parameter against the runs it was found in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from bayescal.diagnostics.contents import Component
from bayescal.diagnostics.figures import INK, PANEL, PRIOR, Drawing, arrange, name_axis
from bayescal.diagnostics.plots import Curve, draw_truth, labels, normal_scale, those_with
from bayescal.diagnostics.summary import LEVELS

LONGEST_NAME = 22
MOST_TICKS = 12
LINES = ((LEVELS["95"], 1.2), (LEVELS["68"], 3.6))
"""Probability of each interval and the width of its line."""


class Intervals(NamedTuple):
    """Centre (mode, or median of the draws) and the ends of the intervals, widest first."""

    centre: float
    ends: tuple[tuple[float, float], ...]


def intervals(component: Component, *, from_mode: bool) -> Intervals:
    """Central intervals of 95 % and 68 %: of the normal at the mode, or of the draws."""
    levels = [level for level, _ in LINES]
    if from_mode and component.mode is not None:
        pulls = [np.array(norm.interval(level)) for level in levels]
        ends = [component.mode + normal_scale(component) * pull for pull in pulls]
        centre = component.mode
    else:
        ends = [np.quantile(component.draws, (0.5 - level / 2, 0.5 + level / 2)) for level in levels]
        centre = np.median(component.draws)
    return Intervals(float(centre), tuple((float(low), float(high)) for low, high in ends))


def forest_figure(curves: Sequence[Curve]) -> Figure:
    """Central 68 % (thick) and 95 % (thin) intervals of every scalar parameter, one line a result."""
    return arrange(forest_drawings(curves), size=forest_size(curves), header=0.0)


def forest_size(curves: Sequence[Curve]) -> tuple[float, float]:
    """Size of a panel that has room for every line [inch]."""
    return PANEL[0], 0.8 + 0.28 * len(curves)


def forest_drawings(curves: Sequence[Curve]) -> dict[str, Drawing]:
    """How to draw the lines, by parameter; the grey band is the last result's 68 %."""
    return {label: partial(_draw_forest, curves=those_with(label, curves), label=label) for label in labels(curves)}


def series_figure(curves: Sequence[Curve]) -> Figure:
    """Every scalar parameter against the results in their order, for instance runs in time, with the same intervals."""
    return arrange(series_drawings(curves), header=0.0)


def series_drawings(curves: Sequence[Curve]) -> dict[str, Drawing]:
    """How to draw a parameter against the results, by parameter."""
    return {label: partial(_draw_series, curves=curves, label=label) for label in labels(curves)}


def short_name(name: str) -> str:
    """A name that leaves room for the figure: its middle is left out where it is long."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[1 - half :]}"


def _draw_forest(panel: Axes, curves: Sequence[Curve], label: str) -> None:
    reference = curves[-1].components[label]
    panel.axvspan(*intervals(reference, from_mode=curves[-1].from_mode).ends[-1], color=PRIOR, alpha=0.22, lw=0)
    for place, each in enumerate(curves):
        found = intervals(each.components[label], from_mode=each.from_mode)
        for ends, (_, width) in zip(found.ends, LINES, strict=True):
            panel.plot(ends, (-place, -place), color=each.color, lw=width, solid_capstyle="butt")
        panel.plot(found.centre, -place, "o", color=each.color, ms=5, mec="white", mew=0.8)
    draw_truth(panel, reference)
    panel.set_yticks(-np.arange(len(curves)), [short_name(each.name) for each in curves])
    panel.set_ylim(0.6 - len(curves), 0.6)
    name_axis(panel.xaxis, label, reference.unit, panel.get_xlim())


def _draw_series(panel: Axes, curves: Sequence[Curve], label: str) -> None:
    places = [place for place, each in enumerate(curves) if label in each.components]
    for place in places:
        each = curves[place]
        found = intervals(each.components[label], from_mode=each.from_mode)
        for ends, (_, width) in zip(found.ends, LINES, strict=True):
            panel.plot((place, place), ends, color=curves[-1].color, lw=width, solid_capstyle="butt")
        panel.plot(place, found.centre, "o", color=curves[-1].color, ms=4, mec="white", mew=0.6)
    last = curves[places[-1]].components[label]
    if last.truth is not None:
        panel.axhline(last.truth, color=INK, lw=1.1, ls=(0, (4, 2)), label="truth", zorder=4)
    ticks = range(0, len(curves), -(-len(curves) // MOST_TICKS))
    names = [short_name(curves[tick].name) for tick in ticks]
    panel.set_xticks(ticks, names, rotation=40, ha="right", rotation_mode="anchor")
    panel.set_xlim(-0.6, len(curves) - 0.4)
    name_axis(panel.yaxis, label, last.unit, panel.get_ylim(), separator="\n")
