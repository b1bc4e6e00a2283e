"""The page on several results: methods on the same data, or the same constants in several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bayescal.diagnostics.answers import Line
from bayescal.diagnostics.compare import HEADERS, Comparison, compare, line_cells, reading
from bayescal.diagnostics.costs import cost
from bayescal.diagnostics.files import write_text
from bayescal.diagnostics.judgement import CHANGED, Judgement, changed, joint_judgement, judgement
from bayescal.diagnostics.numbers import duration, measured, pretty_unit, rounded, superscript
from bayescal.diagnostics.plots import marginal_drawings
from bayescal.diagnostics.plots_intervals import forest_drawings, forest_size, series_drawings
from bayescal.diagnostics.predictive import predictive_checks, result_summaries
from bayescal.diagnostics.report.elements import Picture, Sheet, Words, drawn, sheet
from bayescal.diagnostics.report.page import render, subtitle
from bayescal.diagnostics.report.reproduction import Reproduction, reproduction
from bayescal.inference.result import Result

MOST_OVERLAID = 8
"""Densities that can be told apart in one panel."""

FOREST = Words(
    "intervals",
    "Intervals",
    "Central intervals of 68 % (thick) and 95 % (thin) around the mode or the median; the grey band is the 68 % of the "
    "last result.",
)
SERIES = Words(
    "intervals",
    "Constants by run",
    "Central intervals of 68 % (thick) and 95 % (thin) around the mode or the median, in the order of the runs.",
)
OVERLAID = Words(
    "marginals",
    "Marginal distributions",
    "The density of the draws, or the normal at the mode (dashed). Where they differ, the mode's error bar misleads.",
)


class Summed(NamedTuple):
    """One of the results: its name, what it is, the verdict on it, and how to make it again."""

    name: str
    subtitle: str
    judgement: Judgement
    made: Reproduction


def comparison_report(results: Sequence[Result], path: str | Path, names: Sequence[str] | None = None) -> None:
    """Write the page on several results: one HTML file that needs no other.

    Args:
        results: two or more; the last is the one that the others are compared with.
        path: HTML file to write.
        names: what to call them, all different; by default their methods, numbered where several have the same.

    Raises:
        InputError: the results cannot be compared (see `compare`), or the file cannot be written.
    """
    write_text(path, comparison_page(compare(results, names)))


def comparison_page(comparison: Comparison) -> str:
    """The page as HTML that needs no other file."""
    shown = pictures(comparison)
    links = {"constants": "Constants", **{picture.anchor: picture.heading for picture in shown}}
    return render(
        "comparison.html.j2",
        title=f"Comparison of {len(comparison.results)} {'runs' if comparison.runs else 'results'}",
        subtitle=", ".join(comparison.names),
        judgement=joint_judgement(comparison),
        data_note=data_in_words(comparison),
        links=links | {"results": "Verdict on each result", "cost": "Cost", "reproduce": "Make them again"},
        headers=HEADERS,
        groups=[constant_rows(line) for line in comparison.lines],
        reading=reading(comparison),
        constancy=constancy_sheet(comparison),
        pictures=shown,
        results=[summed(name, result) for name, result in comparison.results.items()],
        costs=cost_sheet(comparison),
    )


def constant_rows(compared: Line) -> list[list[str]]:
    """The rows of one constant, a result each; its unit stands below its name."""
    rows = [[superscript(text) for text in cells] for cells in line_cells(compared)]
    rows[0][0] = f"{compared.parameter}\n{pretty_unit(compared.unit)}".strip()
    return rows


def summed(name: str, result: Result) -> Summed:
    """One of the results."""
    verdict = judgement(result, predictive_checks(result_summaries(result)))
    return Summed(name, subtitle(result), verdict, reproduction(result.attrs))


def data_in_words(comparison: Comparison) -> str:
    """Whether the results are of the same data, as far as that is known."""
    if comparison.runs or comparison.same_data is None:
        return ""
    return "All are of the same data." if comparison.same_data else "They are not all of the same data."


def constancy_sheet(comparison: Comparison) -> Sheet | None:
    """Of runs, whether each constant is the same in all of them."""
    if not comparison.runs:
        return None
    moved = changed(comparison)
    rows = []
    for line in comparison.lines:
        if (found := line.constancy) is not None:
            mean = f"{measured(found.mean, found.sd)} ± {measured(found.sd, found.sd)}"
            word = "changes" if line in moved else "no change seen"
            chi_square = f"{found.chi_square:.1f} / {found.degrees}"
            rows.append(
                (f"{line.parameter}\n{pretty_unit(line.unit)}".strip(), mean, chi_square, f"{found.p_value:.2g}", word)
            )
    note = (
        f"If none changes, any is called changing in {CHANGED:.0%} of all comparisons at most. A prior that the runs "
        "share pulls them together: a large p is no proof of constancy where the data say little."
    )
    return sheet("Constancy", ("parameter", "weighted mean ± sd", "χ² / degrees", "p", "verdict"), rows, note)


def pictures(comparison: Comparison) -> list[Picture]:
    """Intervals, and densities where they can be told apart."""
    curves, texts = comparison.curves, {line.parameter: in_words(line) for line in comparison.lines}
    many = len(curves) > MOST_OVERLAID
    if comparison.runs:
        intervals = drawn(SERIES, series_drawings(curves), texts, (3.4, 2.6))
    else:
        intervals = drawn(FOREST, forest_drawings(curves), texts, forest_size(curves))
    return [intervals] if many else [intervals, drawn(OVERLAID, marginal_drawings(curves), texts, (3.0, 2.1))]


def in_words(line: Line) -> str:
    """A constant's estimates in words, for those who cannot see its figure."""
    found = (f"{each.name} {measured(each.value, each.sd)} ± {measured(each.sd, each.sd)}" for each in line.answers)
    return f"{line.parameter}: {', '.join(found)} {pretty_unit(line.unit)}".strip()


def cost_sheet(comparison: Comparison) -> Sheet:
    """What each result cost."""
    rows = []
    for name, result in comparison.results.items():
        found = cost(result)
        gradients = "-" if found.gradients is None else f"{found.gradients:,}"
        time = "-" if found.wall_time_s is None else duration(found.wall_time_s)
        draws, each = rounded(found.effective_draws, 0), rounded(found.gradients_per_draw, 1)
        rows.append((name, gradients, time, draws, each, found.device or "-"))
    headers = ("result", "gradients", "wall time", "effective draws", "gradients per effective draw", "device")
    note = "Effective draws: the smallest bulk ESS of the parameters, or the effective number of weighted draws."
    return sheet("What each result cost", headers, rows, note)
