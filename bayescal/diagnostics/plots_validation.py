"""Figures of a validation: cumulative ranks less what uniform ones would show, and coverage of intervals."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bayescal.diagnostics.calibration import MOST_CELLS, ecdf_band
from bayescal.diagnostics.figures import INK, LOOK, MODE, MUTED, POSTERIOR, PRIOR, common_legend, panel_grid
from bayescal.diagnostics.validation import LEVEL, LEVELS, Validation


@LOOK
def ecdf_figure(outcome: Validation) -> Figure:
    """Cumulative distribution of the ranks of each quantity less the uniform one, with its simultaneous band.

    The bands of all quantities together hold all lines of right posteriors with a probability of 1 - LEVEL. A line
    above the band on the left and below it on the right: posteriors too narrow; the reverse: too wide; on one side all
    along: off to one side.
    """
    figure, panels = panel_grid(len(outcome.quantities), header=0.35)
    n = outcome.quantities[0].uniform.n_replicas
    cells = min(outcome.n_draws + 1, MOST_CELLS)
    grid, low, high = ecdf_band(n, 1 - LEVEL / len(outcome.quantities), cells)
    for quantity, panel in zip(outcome.quantities, panels, strict=True):
        below = (quantity.ranks[:, None] + 0.5 <= grid * (outcome.n_draws + 1)).mean(axis=0)
        panel.fill_between(grid, low - grid, high - grid, color=PRIOR, alpha=0.3, lw=0, label="right posteriors")
        panel.axhline(0, color=MUTED, lw=0.6)
        color = POSTERIOR if quantity.good else MODE
        panel.step(grid, below - grid, where="mid", color=color, lw=1.4, label=f"{n} replicas")
        panel.set_title(f"{quantity.name}   p = {quantity.uniform_p:.2g}")
        panel.set_xlabel("rank of the truth")
        panel.set_xlim(0, 1)
    common_legend(figure, panels[:1])
    return figure


@LOOK
def coverage_figure(outcome: Validation) -> Figure:
    """Share of the central intervals that hold the truth, with its exact 95 % interval, for each quantity and level."""
    figure, panels = panel_grid(
        len(LEVELS), columns=len(LEVELS), width=3.6, height=0.9 + 0.26 * len(outcome.quantities)
    )
    height = -np.arange(len(outcome.quantities))
    for index, (level, panel) in enumerate(zip(LEVELS, panels, strict=True)):
        tests = [quantity.coverage[index] for quantity in outcome.quantities]
        panel.axvline(tests[0].nominal, color=INK, lw=1.0, ls=(0, (4, 2)))
        for y, test, quantity in zip(height, tests, outcome.quantities, strict=True):
            color = POSTERIOR if quantity.coverage_p[index] > LEVEL else MODE
            panel.plot(test.rate_interval, (y, y), color=color, lw=1.6)
            panel.plot(test.rate, y, "o", color=color, ms=5, mec="white", mew=0.8)
        panel.set_yticks(height, [quantity.name for quantity in outcome.quantities])
        panel.set_xlabel(f"coverage of central {level:.0%} intervals")
    return figure
