"""The report: what goes on the page, and the page itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from bayescal.diagnostics.compare import Comparison, compare
from bayescal.diagnostics.contents import constant, group, is_mode, scalars
from bayescal.diagnostics.convergence import convergence
from bayescal.diagnostics.correlation import has_covariance, strongest_pairs
from bayescal.diagnostics.figures import inline_svg
from bayescal.diagnostics.files import write_text
from bayescal.diagnostics.numbers import superscript
from bayescal.diagnostics.plots import marginal_figure
from bayescal.diagnostics.plots_chains import energy_figure, rank_figure, trace_figure
from bayescal.diagnostics.plots_pairs import correlation_figure, pair_figure
from bayescal.diagnostics.predictive import Check, predictive_checks, predictive_figure, result_summaries
from bayescal.diagnostics.summary import Row, footnote, member_rows, stacked_columns, summary_rows
from bayescal.inference.result import Result

MOST_MEMBER_ROWS = 200
"""Members of vector parameters are listed one by one up to this number."""


@dataclass(frozen=True)
class Sheet:
    """A table of the page: headers, rows of text, and a note below."""

    headers: list[str]
    rows: list[list[str]]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure of the page: anchor, heading, how to read it, and the SVG element."""

    anchor: str
    heading: str
    caption: str
    svg: Markup


def report(result: Result, path: str | Path, map_result: Result | None = None) -> None:
    """Write the page.

    Args:
        result: what it is about.
        path: HTML file to write.
        map_result: a mode from the same data to compare with.

    Raises:
        InputError: the file cannot be written, or the results share no parameter.
    """
    write_text(path, page(result, map_result))


def page(result: Result, map_result: Result | None = None) -> str:
    """The page as HTML that needs no other file."""
    environment = Environment(
        loader=PackageLoader("bayescal.diagnostics", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = resources.files("bayescal.diagnostics.report").joinpath("style.css").read_text(encoding="utf-8")
    checks = predictive_checks(result_summaries(result))
    comparison = None if map_result is None else compare(map_result, result)
    return environment.get_template("template.html.j2").render(
        style=Markup(style),
        method=result.method,
        verdict=convergence(result),
        parameters=parameter_sheet(summary_rows(result)),
        members=member_sheet(result),
        comparison=None if comparison is None else comparison_sheet(comparison),
        pairs=strongest_pairs(result) if has_covariance(result) else [],
        pictures=pictures(result, checks, comparison),
        checks=checks,
        provenance=provenance_rows(result.attrs),
    )


def parameter_sheet(rows: list[Row]) -> Sheet:
    """Rows of a summary as a table of the page."""
    columns = stacked_columns(rows)
    cells = [[superscript(text(row)) for text in columns.values()] for row in rows]
    return Sheet(list(columns), cells, footnote(rows))


def member_sheet(result: Result) -> Sheet | None:
    """Every member of the vector parameters, or None without any or with too many."""
    rows = member_rows(result)[len(scalars(result)) :]
    return parameter_sheet(rows) if 0 < len(rows) <= MOST_MEMBER_ROWS else None


def comparison_sheet(comparison: Comparison) -> Sheet:
    """A comparison as a table of the page."""
    cells = [[superscript(cell) for cell in row] for row in comparison.cells()]
    return Sheet(
        comparison.headers(), cells, "Difference and width ratio are in units of the second's standard deviation."
    )


def pictures(result: Result, checks: tuple[Check, ...], comparison: Comparison | None) -> dict[str, Picture]:
    """The page's figures by anchor; only those that the result has something for."""
    figures = {name: draw(result) for name, draw in drawable(result).items()}
    if comparison is not None:
        figures["comparison"] = comparison.figure
    if checks:
        figures["predictive"] = predictive_figure(checks)
    return {anchor: picture(anchor, figure) for anchor, figure in figures.items()}


def picture(anchor: str, figure: Figure) -> Picture:
    """A figure with the words that belong to it."""
    heading, caption = CAPTIONS[anchor]
    return Picture(anchor, heading, caption, Markup(inline_svg(figure, heading)))


def drawable(result: Result) -> dict[str, Callable[[Result], Figure]]:
    """The figures that a result has enough for, by anchor."""
    components = scalars(result)
    moving = [component for component in components if not constant(component)]
    stats = group(result, "sample_stats")
    enough = {
        "marginals": (marginal_figure, bool(components)),
        "pairs": (pair_figure, bool(moving)),
        "correlations": (correlation_figure, len(components) > 1 and has_covariance(result)),
        "traces": (trace_figure, bool(components) and not is_mode(result)),
        "ranks": (rank_figure, bool(components) and not is_mode(result)),
        "energy": (energy_figure, "energy" in stats),
    }
    return {anchor: draw for anchor, (draw, possible) in enough.items() if possible}


def provenance_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Everything stored with a result as name and text; nested names are joined by a dot."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}.{inner}", text) for inner, text in provenance_rows(value)]
        else:
            rows.append((str(name), fact_text(value)))
    return rows


def fact_text(value: Any) -> str:
    """One fact as text; a long list by its first members."""
    if isinstance(value, list) and len(value) > 12:
        return f"{', '.join(map(fact_text, value[:12]))}, … ({len(value)} in all)"
    if isinstance(value, list):
        return ", ".join(map(fact_text, value))
    return f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)


CAPTIONS = {
    "comparison": (
        "Mode and posterior",
        "The normal at the mode beside the density of the draws. Where they differ, the mode's error bar misleads.",
    ),
    "marginals": (
        "Marginal distributions",
        "Each parameter by itself. Where the posterior follows the grey prior, the data say nothing about it.",
    ),
    "pairs": (
        "Pairs",
        "Contours hold 68 % and 95 % of the probability. A thin diagonal ellipse is a combination that the data fix; "
        "bent contours are beyond any covariance matrix. At most the first eight parameters are drawn.",
    ),
    "correlations": ("Correlations", "Plus and minus one: the two parameters cannot be told apart by these data."),
    "traces": (
        "Traces",
        "Each colour is a chain. Good chains look like the same noise from left to right; drifts and levels do not.",
    ),
    "ranks": (
        "Ranks",
        "How each chain's draws rank among all draws, less what equal chains would show. The grey band holds all of a "
        "right chain's line in 99 of 100 cases.",
    ),
    "energy": (
        "Energy",
        "The two distributions are alike where the sampler reaches the tails in few steps; a much narrower orange one "
        "means that it does not.",
    ),
    "predictive": (
        "Predictive check",
        "Summaries of data made with the posterior's parameters (bands) and of the data that were seen (points). "
        "A small p means that the model cannot make such data.",
    ),
}
"""Heading of each figure and how to read it."""
