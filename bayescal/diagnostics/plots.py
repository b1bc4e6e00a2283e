"""Figures of parameters: marginal densities beside prior, truth and curvature; intervals of several results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from bayescal.diagnostics.contents import Component, constant, is_mode, scalars
from bayescal.diagnostics.densities import density
from bayescal.diagnostics.figures import (
    CHAINS,
    INK,
    LOOK,
    MODE,
    POSTERIOR,
    PRIOR,
    common_legend,
    hide_values,
    name_axis,
    panel_grid,
    window,
)
from bayescal.diagnostics.summary import LEVELS
from bayescal.inference.result import Result


@dataclass(frozen=True)
class Curve:
    """What one result contributes to the marginals: its name, its parameters, and whether they are a mode's."""

    name: str
    components: Sequence[Component]
    from_mode: bool


def marginal_figure(result: Result) -> Figure:
    """Marginal posterior of every scalar parameter, with prior, curvature at the mode and truth where known."""
    components = scalars(result)
    curves = [] if is_mode(result) else [Curve("posterior", components, False)]
    if any(component.mode is not None for component in components):
        curves.append(Curve("mode and curvature", components, True))
    return marginals(curves or [Curve("posterior", components, False)])


@LOOK
def marginals(curves: Sequence[Curve]) -> Figure:
    """Marginal densities of several results in common panels.

    Args:
        curves: the results, each with the same parameters in the same order.
    """
    figure, panels = panel_grid(len(curves[0].components), header=0.35)
    colors = _colors(curves)
    for index, panel in enumerate(panels):
        shown = [curve.components[index] for curve in curves]
        low, high = window([_bulk(curve, index) for curve in curves], [c.truth for c in shown if c.truth is not None])
        grid = np.linspace(low, high, 400)
        for curve, color in zip(curves, colors, strict=True):
            _draw_curve(panel, curve, index, grid, color)
        _draw_prior(panel, shown[0], grid)
        draw_truth(panel, shown[0])
        panel.set_xlim(low, high)
        name_axis(panel.xaxis, shown[0].label, shown[0].unit, (low, high))
        hide_values(panel)
    common_legend(figure, panels)
    return figure


@LOOK
def interval_figure(results: dict[str, Result]) -> Figure:
    """Central 68 % (thick) and 95 % (thin) intervals of every scalar parameter, one line a result.

    Args:
        results: results by the name to show; a parameter missing in one leaves its line empty.
    """
    curves = [Curve(name, scalars(result), is_mode(result)) for name, result in results.items()]
    components = {c.label: c for curve in reversed(curves) for c in curve.components}
    figure, panels = panel_grid(len(components), height=0.8 + 0.28 * len(results))
    for component, panel in zip(components.values(), panels, strict=True):
        for height, (curve, color) in enumerate(zip(curves, _colors(curves), strict=True)):
            for mine in (c for c in curve.components if c.label == component.label):
                _draw_interval(panel, Curve(curve.name, [mine], curve.from_mode), -height, color)
        draw_truth(panel, component)
        panel.set_yticks(-np.arange(len(results)), list(results))
        panel.set_ylim(0.6 - len(results), 0.6)
        name_axis(panel.xaxis, component.label, component.unit, panel.get_xlim())
    return figure


def draw_truth(panel: Axes, component: Component) -> None:
    """A dashed line at the value that made simulated data, where it is known."""
    if component.truth is not None:
        panel.axvline(component.truth, color=INK, lw=1.1, ls=(0, (4, 2)), label="truth", zorder=4)


def normal_scale(component: Component) -> float:
    """Standard deviation of the normal at the mode; a parameter on a bound has none and is drawn as a line."""
    return component.mode_sd or 0.0


def _colors(curves: Sequence[Curve]) -> list[str]:
    colors = [MODE if curve.from_mode else POSTERIOR for curve in curves]
    return colors if len(set(colors)) == len(colors) else list(CHAINS[: len(curves)])


def _bulk(curve: Curve, index: int) -> np.ndarray:
    component = curve.components[index]
    if curve.from_mode and component.mode is not None:
        return component.mode + normal_scale(component) * np.linspace(-3.2, 3.2, 101)
    return component.draws


def _draw_curve(panel: Axes, curve: Curve, index: int, grid: np.ndarray, color: str) -> None:
    component = curve.components[index]
    if not curve.from_mode and not constant(component):
        x, height = density(component.draws)
        panel.fill_between(x, height, color=color, alpha=0.18, lw=0)
        panel.plot(x, height, color=color, lw=1.6, label=curve.name)
    elif curve.from_mode and normal_scale(component) > 0:
        panel.plot(grid, norm.pdf(grid, component.mode, component.mode_sd), color=color, lw=1.4, label=curve.name)
    elif component.mode is not None or constant(component):
        value = component.draws.mean() if component.mode is None else component.mode
        panel.axvline(value, color=color, lw=1.6, label=curve.name)


def _draw_prior(panel: Axes, component: Component, grid: np.ndarray) -> None:
    if component.prior.size > 20 and np.ptp(component.prior) > 0:
        x, height = density(component.prior)
        panel.plot(grid, np.interp(grid, x, height, left=0, right=0), color=PRIOR, lw=1.2, label="prior", zorder=1)


def _draw_interval(panel: Axes, curve: Curve, height: float, color: str) -> None:
    component = curve.components[0]
    mode = component.mode if curve.from_mode else None
    for level, width in zip(sorted(LEVELS.values(), reverse=True), (1.2, 3.6), strict=True):
        if mode is not None:
            low, high = mode + normal_scale(component) * np.array(norm.interval(level))
        else:
            low, high = np.quantile(component.draws, (0.5 - level / 2, 0.5 + level / 2))
        panel.plot([low, high], [height, height], color=color, lw=width, solid_capstyle="butt")
    center = np.median(component.draws) if mode is None else mode
    panel.plot(center, height, "o", color=color, ms=5, mec="white", mew=0.8)
