"""Figures of precision: expected widths against exposure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from bayescal.diagnostics.figures import INK, LOOK, POSTERIOR, PRIOR, common_legend, name_axis, panel_grid
from bayescal.forecast import Forecast

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
