"""Marginal densities of one result or of several, beside prior, truth and curvature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from bayescal.diagnostics.contents import Component, constant, is_mode, scalars
from bayescal.diagnostics.densities import density
from bayescal.diagnostics.figures import (
    INK,
    MODE,
    POSTERIOR,
    PRIOR,
    Drawing,
    arrange,
    hide_values,
    name_axis,
    window,
)
from bayescal.inference.result import Result


@dataclass(frozen=True)
class Curve:
    """What one result contributes to a figure.

    Attributes:
        name: what it is called.
        components: its parameters by label.
        from_mode: whether they are a mode's, to be drawn as a normal.
        color: of everything that is drawn of it.
    """

    name: str
    components: Mapping[str, Component]
    from_mode: bool
    color: str


def curve(name: str, result: Result, color: str) -> Curve:
    """A result with its name and colour."""
    return Curve(name, {component.label: component for component in scalars(result)}, is_mode(result), color)


def marginal_figure(result: Result) -> Figure:
    """Marginal posterior of every scalar parameter, with prior, curvature at the mode and truth where known."""
    return marginals(own_curves(result))


def own_curves(result: Result) -> list[Curve]:
    """What a result says about its parameters: the density of its draws, and the normal at the mode."""
    posterior = curve("posterior", result, POSTERIOR)
    at_mode = Curve("mode and curvature", posterior.components, True, MODE)
    if all(component.mode is None for component in posterior.components.values()):
        return [posterior]
    return [at_mode] if posterior.from_mode else [posterior, at_mode]


def marginals(curves: Sequence[Curve]) -> Figure:
    """Marginal densities of several results in common panels; a parameter that one lacks is drawn without it."""
    return arrange(marginal_drawings(curves))


def marginal_drawings(curves: Sequence[Curve]) -> dict[str, Drawing]:
    """How to draw the marginals, by parameter."""
    return {label: partial(_draw_marginals, curves=those_with(label, curves), label=label) for label in labels(curves)}


def labels(curves: Sequence[Curve]) -> list[str]:
    """All parameters, in the order of the last curve, which has the word."""
    return list(dict.fromkeys(label for each in reversed(curves) for label in each.components))


def those_with(label: str, curves: Sequence[Curve]) -> list[Curve]:
    """The curves that have a parameter."""
    return [each for each in curves if label in each.components]


def draw_truth(panel: Axes, component: Component) -> None:
    """A dashed line at the value that made simulated data, where it is known."""
    if component.truth is not None:
        panel.axvline(component.truth, color=INK, lw=1.1, ls=(0, (4, 2)), label="truth", zorder=4)


def normal_scale(component: Component) -> float:
    """Standard deviation of the normal at the mode; a parameter on a bound has none and is drawn as a line."""
    return component.mode_sd or 0.0


def _draw_marginals(panel: Axes, curves: Sequence[Curve], label: str) -> None:
    shown = [each.components[label] for each in curves]
    truths = [component.truth for component in shown if component.truth is not None]
    low, high = window([_bulk(each, label) for each in curves], truths)
    grid = np.linspace(low, high, 400)
    for each in curves:
        _draw_curve(panel, each, label, grid)
    _draw_prior(panel, shown[-1], grid)
    draw_truth(panel, shown[-1])
    panel.set_xlim(low, high)
    name_axis(panel.xaxis, label, shown[-1].unit, (low, high))
    hide_values(panel)


def _bulk(curve: Curve, label: str) -> np.ndarray:
    component = curve.components[label]
    if curve.from_mode and component.mode is not None:
        return component.mode + normal_scale(component) * np.linspace(-3.2, 3.2, 101)
    return component.draws


def _draw_curve(panel: Axes, curve: Curve, label: str, grid: np.ndarray) -> None:
    component, color = curve.components[label], curve.color
    if not curve.from_mode and not constant(component):
        x, height = density(component.draws)
        panel.fill_between(x, height, color=color, alpha=0.18, lw=0)
        panel.plot(x, height, color=color, lw=1.6, label=curve.name)
    elif curve.from_mode and normal_scale(component) > 0:
        height = norm.pdf(grid, component.mode, component.mode_sd)
        panel.plot(grid, height, color=color, lw=1.4, ls=(0, (5, 1.5)), label=curve.name)
    elif component.mode is not None or constant(component):
        value = component.draws.mean() if component.mode is None else component.mode
        panel.axvline(value, color=color, lw=1.6, label=curve.name)


def _draw_prior(panel: Axes, component: Component, grid: np.ndarray) -> None:
    if component.prior.size > 20 and np.ptp(component.prior) > 0:
        x, height = density(component.prior)
        panel.plot(grid, np.interp(grid, x, height, left=0, right=0), color=PRIOR, lw=1.2, label="prior", zorder=1)
