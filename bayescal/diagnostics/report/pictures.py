"""The figures of a page on one result, each None where the result has nothing for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from bayescal.diagnostics.contents import Component, constant, group, has_chains, scalars
from bayescal.diagnostics.figures import POSTERIOR
from bayescal.diagnostics.loo import leave_one_out, loo_figure
from bayescal.diagnostics.numbers import measured, pretty_unit
from bayescal.diagnostics.plots import marginal_drawings, own_curves
from bayescal.diagnostics.plots_chains import energy_drawings, rank_drawings, trace_drawings
from bayescal.diagnostics.plots_optical import is_on_wall, panel_size, residual_shades, wall_drawings, wall_of_residuals
from bayescal.diagnostics.plots_pairs import MOST_PARAMETERS, pair_figure
from bayescal.diagnostics.predictive import Check, check_figure
from bayescal.diagnostics.report.elements import Picture, Words, drawn, picture
from bayescal.diagnostics.residuals import PLACE, Residuals, pit_figure, residual_map, residuals
from bayescal.diagnostics.summary import row_maker
from bayescal.inference.result import Result

SMALL, FLAT = (3.0, 2.1), (3.6, 1.6)  # panels [inch]

MARGINALS = Words(
    "marginals",
    "Prior and posterior",
    "Each parameter by itself. Where the posterior follows the grey prior, the data say nothing about it.",
)
PAIRS = Words(
    "pairs",
    "Pairs",
    "Contours hold 68 % and 95 % of the probability. A thin diagonal ellipse is a combination that the data fix; bent "
    f"contours are beyond any covariance matrix. At most the first {MOST_PARAMETERS} parameters are drawn.",
    "whole",
)
TRACES = Words(
    "traces",
    "Traces",
    "Each colour is a chain. Good chains look like the same noise from left to right; drifts and levels do not.",
    "flat",
)
RANKS = Words(
    "ranks",
    "Ranks",
    "How each chain's draws rank among all draws, less what equal chains would show. The grey band holds all of a "
    "right chain's line in 99 of 100 cases.",
)
ENERGY = Words(
    "energy",
    "Energy",
    "The two distributions are alike where the sampler reaches the tails in few steps; a much narrower orange one "
    "means that it does not.",
    "flat",
)
ELBO = Words(
    "elbo",
    "Bound of the evidence",
    "What the fit of the approximation has raised, step by step; it should have come to rest.",
    "flat",
)
PREDICTIVE = Words(
    "predictive",
    "Data made with the posterior",
    "Summaries of data made with the posterior's parameters (bands) and of the data that were seen (points). A small p "
    "means that the model cannot make such data.",
    "medium",
)
EVENTS = Words(
    "events",
    "Events left out one by one",
    "Pull of each event's log-likelihood against what the model expects of it, and k-hat of the weights that leave it "
    "out. Orange: beyond the dashed bound.",
    "wide",
)
PITS = Words(
    "readouts",
    "Ranks of the readouts",
    "Where each readout's record ranks among those of made data: uniform, within the band, where the model is right.",
)
MAP = Words(
    "readout-map",
    "Map of the readouts",
    "Pulls of the readouts where they are. Neighbours of one colour point to what the model lacks there.",
    "wide",
)

WALL = Words(
    "wall",
    "The sensors on the wall",
    "What each sensor recorded, the mean of made data, and the residual: the standard normal deviate of its rank among "
    "made data. A cylinder is unrolled, with its caps above and below; a sphere is in Hammer's projection.",
    "medium",
)


def marginals_picture(result: Result) -> Picture | None:
    """Prior, posterior, mode and truth of every scalar parameter."""
    texts = {component.label: in_words(result, component) for component in scalars(result)}
    return drawn(MARGINALS, marginal_drawings(own_curves(result)), texts, SMALL) if texts else None


def in_words(result: Result, component: Component) -> str:
    """A parameter's estimate in words, for those who cannot see its density."""
    row = row_maker(result)(component)
    kind = "mode" if row["mean"] is None else "mean"
    value = f"{kind} {measured(row[kind], row['sd'] or 0.0)}"
    spread = f", standard deviation {measured(row['sd'], row['sd'])}" if row["sd"] else ""
    unit = f" {pretty_unit(component.unit)}" if component.unit else ""
    truth = f", truth {measured(component.truth, row['sd'] or 0.0)}" if component.truth is not None else ""
    return f"{component.label}: {value}{spread}{truth}{unit}"


def pairs_picture(result: Result) -> Picture | None:
    """Every pair of parameters that move."""
    moving = [component.label for component in scalars(result) if not constant(component)][:MOST_PARAMETERS]
    if len(moving) < 2:
        return None
    shown = picture(PAIRS, {f"contours and draws of {', '.join(moving)}": pair_figure(result)}, {})
    return replace(shown, keys=())  # the figure has room for its own legend


def chain_pictures(result: Result) -> list[Picture]:
    """Traces, ranks and energies; of an approximation by steps its bound."""
    if not has_chains(result):
        bound = group(result, "approximation").get("elbo")
        draw = {} if bound is None else {"by step": partial(_draw_bound, bound=bound.values)}
        return [drawn(ELBO, draw, {}, FLAT)] if draw else []
    moving = any(not constant(component) for component in scalars(result))
    shown = [drawn(TRACES, trace_drawings(result), {}, FLAT), drawn(RANKS, rank_drawings(result), {}, SMALL)]
    energy = [drawn(ENERGY, energy_drawings(result), {}, FLAT)] if "energy" in group(result, "sample_stats") else []
    return [*(shown if moving else []), *energy]


def predictive_picture(checks: Sequence[Check]) -> Picture | None:
    """Each summary of the data over those of made data."""
    figures = {check.name: check_figure(check) for check in checks}
    return picture(PREDICTIVE, figures, {check.name: check.sentence for check in checks}) if figures else None


def events_picture(result: Result) -> Picture | None:
    """Pull and k-hat of every event."""
    if not group(result, "log_likelihood").data_vars:
        return None
    return picture(EVENTS, {"pull and k-hat of every event": loo_figure(leave_one_out(result))}, {})


def readout_pictures(result: Result) -> list[Picture]:
    """Ranks of the readouts, and their pulls where they are."""
    if "pit" not in group(result, "residuals"):
        return []
    found = residuals(result)
    shown = [picture(PITS, {f"histogram for {', '.join(found.quantities)}": pit_figure(found)}, {})]
    if set(PLACE) <= set(found.data.coords):
        shown.append(picture(MAP, {"pulls by place": residual_map(found)}, {}))
    return [*shown, wall_picture(found)] if is_on_wall(found) else shown


def wall_picture(found: Residuals) -> Picture:
    """Observed, expected and residual of each quantity of an event in an optical detector."""
    wall = wall_of_residuals(found)
    return drawn(WALL, wall_drawings(wall, residual_shades(found)), {}, panel_size(wall))


def _draw_bound(panel: Axes, bound: np.ndarray) -> None:
    panel.plot(np.arange(1, bound.size + 1), bound, color=POSTERIOR, lw=0.7)
    finite = bound[np.isfinite(bound)]
    if finite.size:
        panel.set_ylim(*np.quantile(finite, (0.05, 1.0)) + np.array([-1.0, 1.0]))
    panel.set_xlabel("step")
    panel.set_ylabel("bound [nats]")
