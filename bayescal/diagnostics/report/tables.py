"""The tables of a page on one result: constants, chains, bias of an approximation, correlations, events, readouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bayescal.diagnostics import directions, sensitivity
from bayescal.diagnostics.contents import Component, group, is_mode, members, scalars, vectors
from bayescal.diagnostics.correlation import correlation
from bayescal.diagnostics.loo import HEADERS, leave_one_out
from bayescal.diagnostics.numbers import measured, pretty_unit, rounded
from bayescal.diagnostics.report.elements import Sheet, sheet
from bayescal.diagnostics.residuals import residuals
from bayescal.diagnostics.summary import LEVELS, Row, row_maker, summary_rows
from bayescal.errors import InputError
from bayescal.inference.result import Result

MOST_LEANING, MOST_DIRECTIONS = 20, 5
"""Rows of the tables on priors and on directions."""

MOST_MEMBER_ROWS = 200
"""Members of vector parameters are listed one by one up to this number."""

DASH = "-"


class Shade(NamedTuple):
    """A cell of the correlations: its text, the colour's name, and how strong it is from 0 to 1."""

    text: str
    color: str
    strength: float


def constants_sheet(result: Result) -> Sheet | None:
    """Every scalar parameter: prior, estimate and intervals; None without any."""
    components = scalars(result)
    return _constants(result, components, "Constants, each with its prior and its posterior") if components else None


def members_sheet(result: Result) -> Sheet | None:
    """Every member of the vector parameters; None without any or with too many."""
    every = [component for name in vectors(result) for component in members(result, name)]
    return _constants(result, every, "Members of the vector parameters") if 0 < len(every) <= MOST_MEMBER_ROWS else None


def vectors_sheet(result: Result) -> Sheet | None:
    """One row for each vector parameter, None without any."""
    rows = summary_rows(result)[len(scalars(result)) :]
    headers = ("parameter", "mean of its values", "median of their sd", "median contraction")
    cells = [(named(row), _central(row), _by_sd(row, "sd"), rounded(row["contraction"], 3)) for row in rows]
    return sheet("Vector parameters", headers, cells) if rows else None


def chains_sheet(result: Result) -> Sheet:
    """How well the draws know every parameter, worst of its members for a vector."""
    headers = ("parameter", "R-hat", "bulk ESS", "tail ESS", "Monte Carlo error", "of sd")
    rows = [
        (
            str(row["parameter"]),
            rounded(row["r_hat"], 4),
            rounded(row["ess_bulk"], 0),
            rounded(row["ess_tail"], 0),
            measured(row["mcse"], row["mcse"] or 0.0),
            rounded(row["mcse"] / row["sd"] if row["mcse"] and row["sd"] else None, 3),
        )
        for row in summary_rows(result)
    ]
    note = "R-hat compares the chains, ESS is the effective number of draws; after Vehtari et al. (2021)."
    return sheet("How well the draws know each parameter", headers, rows, note)


def bias_sheet(result: Result) -> Sheet | None:
    """How far an approximation was from the posterior before its draws were re-weighted; None for other methods."""
    bias = group(result, "approximation")
    if "shift" not in bias:
        return None
    columns = (bias["parameter"].values, bias["shift"].values, bias["sd_ratio"].values)
    rows = [(str(name), f"{shift:+.2f}", f"{ratio:.2f}") for name, shift, ratio in zip(*columns, strict=True)]
    note = "Before re-weighting, as far as the weights can tell."
    headers = ("parameter", "shift of the mean [sd]", "ratio of the sd")
    return sheet("Bias of the approximation", headers, rows[:MOST_MEMBER_ROWS], note)


def correlation_cells(result: Result) -> list[tuple[str, list[Shade]]]:
    """The rows of the matrix of correlations: parameter and shaded cells."""
    matrix = correlation(result)
    return [
        (str(label), [Shade(f"{value:.2f}", "blue" if value > 0 else "orange", round(abs(value), 3)) for value in row])
        for label, row in zip(matrix["parameter"].values, matrix.values.tolist(), strict=True)
    ]


def sensitivity_sheet(result: Result) -> Sheet | str:
    """How the posterior leans on its priors, most first; or why the result cannot tell."""
    try:
        found = sensitivity.sensitivities(result)
    except InputError as reason:
        return f"No sensitivity to the priors: {reason}."
    note = (
        "How much each marginal moves when all priors, or the likelihood, are made a little stronger or weaker (power "
        f"scaling, Kallioinen et al. 2024); from {sensitivity.THRESHOLD} on it counts."
    )
    cells = [each.cells() for each in found[:MOST_LEANING]]
    return sheet("Does the posterior lean on its priors?", sensitivity.HEADERS, cells, note)


def directions_sheet(result: Result) -> Sheet | str:
    """The combinations of constants that the data constrain least; or why the result cannot tell."""
    try:
        found = directions.directions(result)
    except InputError as reason:
        return f"No directions: {reason}."
    cells = [each.cells() for each in found[:MOST_DIRECTIONS]]
    note = "Along a direction the constants move together as named, and this part of the prior's variance is left."
    return sheet("Combinations that the data constrain least", directions.HEADERS, cells, note)


def events_sheet(result: Result) -> Sheet | None:
    """The events that the model expects least, and the verdict on all; None without their log-likelihoods."""
    if not group(result, "log_likelihood").data_vars:
        return None
    found = leave_one_out(result)
    return sheet("Events that the model expects least", HEADERS, found.table(5), found.sentence)


def readouts_sheet(result: Result) -> Sheet | None:
    """The readouts with the largest pulls, and the verdict on all; None without residuals."""
    if "pit" not in group(result, "residuals"):
        return None
    found = residuals(result)
    return sheet("Readouts with the largest pulls", found.headers, found.table(5), found.sentence)


def named(row: Row) -> str:
    """Parameter and unit, one above the other."""
    return f"{row['parameter']}\n{pretty_unit(str(row['unit']))}".strip()


def _constants(result: Result, components: Sequence[Component], caption: str) -> Sheet:
    rows, priors = [row_maker(result)(component) for component in components], [each.prior for each in components]
    with_truth, with_prior = any(row["truth"] is not None for row in rows), any(prior.size for prior in priors)
    headers = ["parameter", *["truth"] * with_truth, *["prior: central 95 %"] * with_prior]
    headers += [f"{'mode' if is_mode(result) else 'mean'} ± sd", "68 %", "95 %", *["contraction"] * with_prior]
    cells = [
        [
            named(row),
            *[_by_sd(row, "truth")] * with_truth,
            *[prior_interval(prior)] * with_prior,
            f"{_central(row)} ± {_by_sd(row, 'sd')}" if row["sd"] else _central(row),
            *(_interval(row, name) for name in LEVELS),
            *[rounded(row["contraction"], 3)] * with_prior,
        ]
        for row, prior in zip(rows, priors, strict=True)
    ]
    contraction = " Contraction is 1 - (sd / prior sd)²: 0 where the data say nothing, 1 where they say all."
    kind = "of the normal at the mode" if is_mode(result) else "of the draws"
    return sheet(caption, headers, cells, f"68 % and 95 %: central intervals {kind}.{contraction * with_prior}")


def prior_interval(prior: np.ndarray) -> str:
    """The central 95 % of draws of a prior."""
    if prior.size < 2:
        return DASH
    low, high = np.quantile(prior, (0.025, 0.975))
    return f"{low:.3g} … {high:.3g}"


def _interval(row: Row, name: str) -> str:
    low, high = _by_sd(row, f"low_{name}"), _by_sd(row, f"high_{name}")
    return DASH if row[f"low_{name}"] is None else f"{low} … {high}"


def _central(row: Row) -> str:
    return _by_sd(row, "mode" if row["mean"] is None else "mean")


def _by_sd(row: Row, key: str) -> str:
    return measured(row[key], row["sd"] or 0.0)
