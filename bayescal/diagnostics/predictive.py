"""Posterior predictive checks: do data made with the posterior's parameters look like the data that were seen?

A summary is any array computed alike from observed and replicated data: a histogram, a charge for each event, one
number. Observed and replicated arrays are treated alike: mean and standard deviation are those of all of them
together, the discrepancy of each is the sum of its squared pulls, and the p-value is the share of arrays whose
discrepancy reaches the observed one (A. Gelman, X.-L. Meng and H. Stern, Statistica Sinica 6 (1996) 733). Were the
parameters known it would be uniform; because they were fitted to the same data it tends to the middle, so a small value
is a sign of trouble and a large one no proof (M. Bayarri and J. Berger, JASA 95 (2000) 1127).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bayescal.diagnostics.contents import group
from bayescal.diagnostics.figures import INK, LOOK, MUTED, POSTERIOR, common_legend
from bayescal.errors import InputError
from bayescal.inference.result import Result

SUSPICIOUS = 0.01
"""A p-value below this is worth a look."""

Summaries = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Observed array [...] and replicated arrays [draw, ...] by name of the summary."""


@dataclass(frozen=True)
class Check:
    """How one summary of the observed data compares with its replicas.

    Attributes:
        name: of the summary.
        observed: its value [...].
        replicated: its values from posterior draws [draw, ...].
        pulls: observed less mean, in standard deviations; both of all arrays, the observed one included [...].
        p_value: share of the arrays, the observed one included, with at least the observed discrepancy.
    """

    name: str
    observed: np.ndarray
    replicated: np.ndarray
    pulls: np.ndarray
    p_value: float

    @property
    def good(self) -> bool:
        """Whether the p-value is not suspiciously small."""
        return self.p_value >= SUSPICIOUS

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        worst = float(np.abs(self.pulls).max())
        outcome = "the model reproduces it" if self.good else "the model does not reproduce it"
        return f"{self.name}: p = {self.p_value:.3f}, largest pull {worst:.1f}; {outcome}"


def predictive_checks(summaries: Summaries) -> tuple[Check, ...]:
    """Compare each summary with its replicas.

    Raises:
        InputError: shapes that do not fit, no replicas, or values that are not finite.
    """
    return tuple(check_summary(name, observed, replicated) for name, (observed, replicated) in summaries.items())


def check_summary(name: str, observed: np.ndarray, replicated: np.ndarray) -> Check:
    """Compare one summary with its replicas.

    Args:
        name: of the summary.
        observed: its value [...].
        replicated: its values from posterior draws [draw, ...].
    """
    observed, replicated = np.asarray(observed, dtype=float), np.asarray(replicated, dtype=float)
    if replicated.shape[1:] != observed.shape or replicated.ndim == 0 or len(replicated) == 0 or observed.size == 0:
        raise InputError(
            f"summary {name}: replicas of shape {replicated.shape} do not fit the observed shape {observed.shape}; "
            f"expected (draws, {', '.join(map(str, observed.shape))})"
        )
    everything = np.concatenate([observed[None], replicated])
    if not np.isfinite(everything).all():
        raise InputError(f"summary {name}: a value is not finite; compute it so that it always is")
    deviations = everything - everything.mean(axis=0)
    sd = everything.std(axis=0)
    pulls = np.divide(deviations, sd, out=np.zeros_like(deviations), where=sd > 0)
    discrepancy = (pulls**2).reshape(len(everything), -1).sum(axis=1)
    p_value = float((discrepancy >= discrepancy[0] * (1 - 1e-12)).mean())
    return Check(name, observed, replicated, pulls[0], p_value)


def result_summaries(result: Result) -> Summaries:
    """Summaries that a result holds: variables that are in both observed_data and posterior_predictive."""
    observed, replicated = group(result, "observed_data"), group(result, "posterior_predictive")
    return {
        str(name): (observed[name].values, values.values.reshape(-1, *values.shape[2:]))
        for name, values in replicated.items()
        if name in observed and values.shape[2:] == observed[name].shape
    }


@LOOK
def predictive_figure(checks: tuple[Check, ...]) -> Figure:
    """Each summary over the 68 % and 95 % bands of its replicas, with the pulls below; single numbers as histograms.

    Raises:
        InputError: there is nothing to draw.
    """
    if not checks:
        raise InputError("there are no predictive checks to draw; add the group posterior_predictive to the result")
    columns = min(2, len(checks))
    rows = -(-len(checks) // columns)
    height = 3.0 * rows + 0.35  # inch; the legend takes the last part
    layout = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - 0.35 / height))
    figure = Figure(figsize=(4.6 * columns, height), layout=layout)
    cells = figure.subfigures(rows, columns, squeeze=False).ravel()
    panels = [_draw_check(cell, check) for check, cell in zip(checks, cells, strict=False)]
    common_legend(figure, panels)
    return figure


@LOOK
def check_figure(check: Check) -> Figure:
    """One summary over the bands of its replicas, without legend, for a page that arranges several by its width."""
    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    _draw_check(figure, check)
    return figure


def _draw_check(cell: FigureBase, check: Check) -> Axes:
    if check.observed.size == 1:
        panel = _draw_number(cell.subplots(), check)
    else:
        upper, lower = cell.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        panel = _draw_array(upper, lower, check)
    panel.set_title(f"{check.name}   p = {check.p_value:.3f}")
    return panel


def _draw_array(upper: Axes, lower: Axes, check: Check) -> Axes:
    observed, pulls = check.observed.ravel(), check.pulls.ravel()
    replicated = check.replicated.reshape(len(check.replicated), -1)
    x = np.arange(observed.size)
    edges = np.arange(observed.size + 1) - 0.5
    for level, alpha in ((0.95, 0.18), (0.68, 0.35)):
        low, high = np.quantile(replicated, (0.5 - level / 2, 0.5 + level / 2), axis=0)
        upper.stairs(
            high, edges, baseline=low, fill=True, color=POSTERIOR, alpha=alpha, lw=0, label=f"replicas {level:.0%}"
        )
    marker = "." if observed.size > 60 else "o"
    upper.plot(x, observed, marker, ms=3.5, color=INK, label="observed", zorder=4)
    lower.axhspan(-2, 2, color=POSTERIOR, alpha=0.12, lw=0)
    lower.axhline(0, color=MUTED, lw=0.6)
    lower.plot(x, pulls, marker, ms=3, color=INK)
    reach = max(3.5, 1.1 * float(np.abs(pulls).max()))
    lower.set_ylim(-reach, reach)
    lower.set_ylabel("pull")
    lower.set_xlabel("number in the summary")
    return upper


def _draw_number(panel: Axes, check: Check) -> Axes:
    panel.hist(check.replicated.ravel(), bins=30, color=POSTERIOR, alpha=0.35, label="replicas")
    panel.axvline(float(check.observed.ravel()[0]), color=INK, lw=1.6, label="observed")
    panel.set_ylabel("replicas")
    panel.set_xlabel(check.name)
    return panel
