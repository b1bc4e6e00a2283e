"""The table of a result: one row a parameter with units, intervals, and how well the draws know them.

R-hat, effective sample sizes and Monte Carlo standard error follow A. Vehtari et al., Bayesian Analysis 16 (2021) 667
(rank-normalised, split chains), as ArviZ computes them. The contraction of prior to posterior is 1 - (sd / prior sd)^2
(M. Betancourt, arXiv:1803.08393): 0 where the data say nothing, 1 where they say all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import arviz_stats
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from scipy.stats import norm

from bayescal.diagnostics.contents import Component, constant, is_mode, members, scalars, vectors
from bayescal.diagnostics.numbers import measured, pretty_unit, rounded
from bayescal.inference.result import Result

Row = dict[str, Any]
"""One line of the table: `parameter`, `unit`, and numbers by column, None where one does not apply."""

TextOfRow = Callable[[Row], str]

NUMBERS = (
    *("mode", "mean", "sd", "median", "low_68", "high_68", "low_95", "high_95"),
    *("r_hat", "ess_bulk", "ess_tail", "mcse", "contraction"),
)
"""Keys of a row's numbers, in the order of a file."""

LEVELS = {"68": 0.68, "95": 0.95}
"""Central intervals by name, and the probability inside."""

STACKS = (
    ("parameter", "unit"),
    ("truth",),
    ("mode",),
    ("mean", "median"),
    ("sd", "MCSE"),
    ("68 %",),
    ("95 %",),
    ("R-hat", "contraction"),
    ("ESS bulk", "ESS tail"),
)
"""Headers that share a column, one above the other, so that a table fits into a terminal and onto a phone."""


def summary_rows(result: Result) -> list[Row]:
    """The table's rows; a vector parameter takes one row with the worst of its members' figures.

    Returns:
        `parameter`, `unit`, `mean` (or `mode`), `sd`, `median`, `low_68`, `high_68`, `low_95`, `high_95`, `r_hat`,
        `ess_bulk`, `ess_tail`, `mcse`, `contraction`, `truth`; a mode has no draws and hence no figures of a chain.
    """
    row = row_maker(result)
    return [row(c) for c in scalars(result)] + [
        _vector_row(name, [row(c) for c in members(result, name)]) for name in vectors(result)
    ]


def member_rows(result: Result) -> list[Row]:
    """The table's rows with one row for each member of the vector parameters."""
    row = row_maker(result)
    return [row(c) for c in scalars(result)] + [row(c) for name in vectors(result) for c in members(result, name)]


def summary_table(result: Result) -> Table:
    """The table for a terminal."""
    return rows_table(summary_rows(result), f"Parameters, method {result.method}")


def rows_table(rows: Sequence[Row], title: str) -> Table:
    """Rows as a table for a terminal, two lines a row so that it fits; columns that no row fills are left out."""
    columns = stacked_columns(rows)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption, table.caption_justify = footnote(rows), "left"
    for header in columns:
        table.add_column(header, justify="left" if "parameter" in header else "right", overflow="fold")
    for row in rows:
        table.add_row(*(text(row) for text in columns.values()))
    return table


def stacked_columns(rows: Sequence[Row]) -> dict[str, TextOfRow]:
    """Columns of two lines: headers, each with the text of a row in it; what no row fills is left out."""
    filled = {key for row in rows for key, value in row.items() if value is not None}
    shown = {header: text for header, (key, text) in _COLUMNS.items() if key in filled}
    stacks = [[header for header in stack if header in shown] for stack in STACKS]
    return {"\n".join(stack): _stacked([shown[header] for header in stack]) for stack in stacks if stack}


def footnote(rows: Sequence[Row]) -> str:
    """How to read the intervals, and the rows that stand for several values where there are any."""
    intervals = "68 % and 95 %: central intervals, the lower end above the upper."
    if not any("values)" in str(row["parameter"]) for row in rows):
        return intervals
    several = "average of the means, median of sd and contraction, worst of the chain's figures"
    return f"{intervals} Rows of several values: {several}."


def row_maker(result: Result) -> Callable[[Component], Row]:
    """The function that makes the row of one component, for draws or for a mode."""
    return mode_row if is_mode(result) else draws_row


def mode_row(component: Component) -> Row:
    """The row of a mode: the mode, its standard deviation by the curvature, and normal intervals around it.

    A variable computed from the parameters has no curvature: the mean of the draws, at the mode one, and no deviation.
    """
    mode, sd = component.mode, component.mode_sd
    if mode is None or sd is None:
        return _empty_row(component) | {"mode": float(component.draws.mean())}
    row = _empty_row(component) | {"mode": mode, "sd": sd, "contraction": contraction(sd, component.prior)}
    for name, level in LEVELS.items():
        row[f"low_{name}"], row[f"high_{name}"] = map(float, norm.interval(level, loc=mode, scale=sd))
    return row


def draws_row(component: Component) -> Row:
    """The row of a sampled parameter, its numbers from all chains together."""
    draws = component.draws
    row = _empty_row(component) | {"mean": float(draws.mean()), "median": float(np.median(draws))}
    for name, level in LEVELS.items():
        row[f"low_{name}"], row[f"high_{name}"] = map(float, np.quantile(draws, (0.5 - level / 2, 0.5 + level / 2)))
    sd = float(draws.std(ddof=1)) if draws.size > 1 else 0.0
    return row | {"sd": sd, "contraction": contraction(sd, component.prior)} | chain_figures(component)


def chain_figures(component: Component) -> Row:
    """R-hat, effective sample sizes and Monte Carlo standard error; not a number where the draws do not move."""
    if constant(component) or component.draws.shape[1] < 4:
        return dict.fromkeys(("r_hat", "ess_bulk", "ess_tail", "mcse"), float("nan"))
    draws = component.draws
    with np.errstate(divide="ignore", invalid="ignore"):  # one chain may stand still while others move
        return {
            "r_hat": float(arviz_stats.rhat(draws)),
            "ess_bulk": float(arviz_stats.ess(draws, method="bulk")),
            "ess_tail": float(arviz_stats.ess(draws, method="tail", prob=(0.05, 0.95))),
            "mcse": float(arviz_stats.mcse(draws, method="mean")),
        }


def contraction(sd: float, prior: np.ndarray) -> float | None:
    """How much narrower than its prior a parameter has become, or None without draws of the prior."""
    return float(1 - sd**2 / prior.var(ddof=1)) if prior.size > 1 and np.ptp(prior) > 0 else None


def _empty_row(component: Component) -> Row:
    row: Row = {"parameter": component.label, "unit": component.unit, "truth": component.truth}
    return row | dict.fromkeys(NUMBERS)


def _vector_row(name: str, rows: Sequence[Row]) -> Row:
    combine = {
        "mean": np.mean,
        "mode": np.mean,
        "sd": np.median,
        "contraction": np.median,
        "r_hat": np.max,
        "ess_bulk": np.min,
        "ess_tail": np.min,
        "mcse": np.max,
    }
    row = dict.fromkeys(rows[0]) | {"parameter": f"{name} ({len(rows)} values)", "unit": rows[0]["unit"]}
    for key, function in combine.items():
        if all(member[key] is not None for member in rows):
            row[key] = float(function([member[key] for member in rows]))
    return row


def _stacked(texts: Sequence[TextOfRow]) -> TextOfRow:
    return lambda row: "\n".join(text(row) for text in texts)


def _by_sd(key: str) -> TextOfRow:
    return lambda row: measured(row[key], row["sd"] or 0.0)


def _decimals(key: str, digits: int) -> TextOfRow:
    return lambda row: rounded(row[key], digits)


def _interval(level: str) -> TextOfRow:
    low, high = _by_sd(f"low_{level}"), _by_sd(f"high_{level}")
    return lambda row: "-" if row[f"low_{level}"] is None else f"{low(row)}\n{high(row)}"


_COLUMNS: dict[str, tuple[str, TextOfRow]] = {
    "parameter": ("parameter", lambda row: str(row["parameter"])),
    "unit": ("unit", lambda row: pretty_unit(str(row["unit"]))),
    "truth": ("truth", _by_sd("truth")),
    "mode": ("mode", _by_sd("mode")),
    "mean": ("mean", _by_sd("mean")),
    "sd": ("sd", _by_sd("sd")),
    "median": ("median", _by_sd("median")),
    "68 %": ("low_68", _interval("68")),
    "95 %": ("low_95", _interval("95")),
    "R-hat": ("r_hat", _decimals("r_hat", 4)),
    "ESS bulk": ("ess_bulk", _decimals("ess_bulk", 0)),
    "ESS tail": ("ess_tail", _decimals("ess_tail", 0)),
    "MCSE": ("mcse", lambda row: measured(row["mcse"], row["mcse"] or 0.0)),
    "contraction": ("contraction", _decimals("contraction", 3)),
}
"""Header of each column, the key that must be filled for it to be shown, and the text of a row in it."""
