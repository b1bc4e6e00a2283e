"""The figure of a correlation study: contraction, directions, and correlations by posterior and by likelihood."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayescal.diagnostics.contraction import Contraction
from bayescal.diagnostics.correlation_study import CorrelationStudy
from bayescal.diagnostics.directions import Direction
from bayescal.diagnostics.figures import LOOK, POSTERIOR, PRIOR
from bayescal.diagnostics.plots_pairs import CELL_INK, CORRELATIONS

MOST = 20
"""Parameters in the figure, the least contracted first."""


@LOOK
def correlation_study_figure(study: CorrelationStudy) -> Figure:
    """Contraction of every parameter, the directions from the least constrained, and the correlations.

    Correlations of the posterior stand above the diagonal; below it, those of the likelihood where they are known, else
    the posterior's again.
    """
    size = max(3.0, 1.4 + 0.5 * len(study.directions))
    figure = Figure(figsize=(3.0 * size, size), layout="constrained")
    bars, map_, matrix = figure.subplots(1, 3)
    _draw_contractions(bars, study.contractions[:MOST])
    _draw_directions(map_, study.directions)
    _draw_correlations(matrix, study)
    return figure


def _draw_contractions(panel: Axes, found: Sequence[Contraction]) -> None:
    """Prior widths as full bars, what is left of them in front."""
    labels, left = [each.label for each in found], [each.posterior_sd / each.prior_sd for each in found]
    panel.barh(labels, 1.0, color=PRIOR, alpha=0.4, label="prior")
    panel.barh(labels, left, color=POSTERIOR, height=0.5, label="posterior")
    panel.invert_yaxis()
    panel.set_xlabel("standard deviation / prior's")
    panel.set_title("What is left of each prior")


def _draw_directions(panel: Axes, found: Sequence[Direction]) -> None:
    steps = np.array([each.steps / np.abs(each.steps).max() for each in found])
    names = [f"{each.share:.2g}" for each in found]
    _colour_map(panel, steps, (found[0].labels, names))
    panel.set_ylabel("share of the prior variance left")
    panel.set_title("Directions, in prior widths")


def _draw_correlations(panel: Axes, study: CorrelationStudy) -> None:
    labels = [str(label) for label in study.posterior["parameter"].values]
    title = "Correlations of the posterior"
    if study.likelihood is not None:
        labels = [label for label in labels if label in study.likelihood.labels]
        title = "Posterior above, pseudo-correlation below"
    values = study.posterior.sel(parameter=labels, parameter_2=labels).values.copy()
    if study.likelihood is not None:
        place = [study.likelihood.labels.index(label) for label in labels]
        lower = np.tril_indices(len(labels), -1)
        values[lower] = study.likelihood.pseudo[np.ix_(place, place)][lower]
    _colour_map(panel, values, (labels, labels))
    panel.set_title(title)


def _colour_map(panel: Axes, values: np.ndarray, names: tuple[Sequence[str], Sequence[str]]) -> None:
    """Numbers from -1 to 1 on colour; columns and rows have names."""
    panel.imshow(values, cmap=CORRELATIONS, vmin=-1, vmax=1)
    for (row, column), value in np.ndenumerate(values):
        color = "white" if abs(value) > 0.75 else CELL_INK
        shown = f"{value:.2f}" if np.isfinite(value) else "-"
        panel.text(column, row, shown, ha="center", va="center", color=color, fontsize=8)
    panel.set_xticks(range(values.shape[1]), list(names[0]), rotation=40, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(values.shape[0]), list(names[1]))
    panel.tick_params(length=0)
    panel.set_frame_on(False)
