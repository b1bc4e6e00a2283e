"""Figures of precision: expected widths against exposure, and profiles over marginal densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bayescal.diagnostics.contents import constant, scalars
from bayescal.diagnostics.densities import density
from bayescal.diagnostics.figures import (
    INK,
    LOOK,
    MODE,
    POSTERIOR,
    PRIOR,
    common_legend,
    hide_values,
    name_axis,
    panel_grid,
)
from bayescal.inference.result import Result

if TYPE_CHECKING:
    from bayescal.forecast import Forecast
    from bayescal.profiles import Profile

POINTS = 60  # of a curve


@LOOK
def forecast_figure(found: Forecast, exposures: Sequence[float]) -> Figure:
    """Expected standard deviation of every constant against exposure, both on logarithmic axes.

    Args:
        found: the forecast.
        exposures: the smallest and largest of them bound the axis; all are marked.
    """
    figure, panels = panel_grid(len(found.labels), header=0.35)
    grid = np.geomspace(min(exposures) / 2.0, max(exposures) * 2.0, POINTS)
    curves = np.array([found.sd(each) for each in grid])
    marks = np.array([found.sd(each) for each in exposures])
    errors = np.array([found.sd_error(each) for each in exposures])
    for index, panel in enumerate(panels):
        panel.axhline(np.sqrt(found.prior[index, index]), color=PRIOR, lw=1.2, label="prior alone")
        panel.axvline(found.exposure, color=INK, lw=0.8, ls=(0, (4, 2)), label="this study")
        panel.plot(grid, curves[:, index], color=POSTERIOR, lw=1.4, label="expected")
        panel.errorbar(exposures, marks[:, index], errors[:, index], fmt=".", color=POSTERIOR, ms=5, lw=1.0)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.grid(visible=True)
        panel.set_xlabel(f"exposure [{found.exposure_unit}]")
        name_axis(panel.yaxis, f"sd of {found.labels[index]}", found.unit[index], (1.0, 1.0), separator="\n")
    common_legend(figure, panels)
    return figure


@LOOK
def profile_figure(found: Sequence[Profile], result: Result) -> Figure:
    """Profiles of likelihood and posterior over the marginal density, each with the same height at its best.

    Args:
        found: of the constants to show.
        result: that they were made for; the marginals are those of its draws, left out for a mode.
    """
    figure, panels = panel_grid(len(found), header=0.35)
    components = {component.label: component for component in scalars(result)}
    for panel, one in zip(panels, found, strict=True):
        component = components[one.label]
        limits = float(one.posterior.value[0]), float(one.posterior.value[-1])
        if not constant(component):
            x, height = density(component.draws)
            panel.fill_between(x, height / height.max(), color=POSTERIOR, alpha=0.25, lw=0, label="marginal")
        for curve, color, style, name in (
            (one.posterior, POSTERIOR, "-", "profile of the posterior"),
            (one.likelihood, MODE, (0, (4, 2)), "profile of the likelihood"),
        ):
            x, y = curve.fine()
            panel.plot(x, np.exp(y), color=color, ls=style, lw=1.4, label=name)
            panel.plot(curve.value, np.exp(curve.log_density), ".", color=color, ms=4)
        if component.truth is not None:
            panel.axvline(component.truth, color=INK, lw=1.0, ls=(0, (1, 2)), label="truth")
        panel.set_xlim(limits)
        hide_values(panel)
        name_axis(panel.xaxis, one.label, one.unit, limits)
    common_legend(figure, panels)
    return figure
