"""Results side by side: what a mode with its curvature says and what the whole posterior says, or one run and the next.

The last result is the reference: differences and width ratios of the others are in units of its standard deviation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table

from bayescal.diagnostics.answers import Answer, Line, line
from bayescal.diagnostics.contents import group, is_mode, scalars
from bayescal.diagnostics.figures import palette
from bayescal.diagnostics.files import write_figure
from bayescal.diagnostics.names import numbered_names
from bayescal.diagnostics.numbers import measured, pretty_unit, rounded
from bayescal.diagnostics.plots import Curve, marginals
from bayescal.diagnostics.plots_intervals import series_figure
from bayescal.errors import InputError
from bayescal.inference.result import Result

HEADERS = ("parameter", "result", "estimate ± sd", "difference [sd]", "width ratio", "comment")


@dataclass(frozen=True)
class Comparison:
    """Results side by side.

    Attributes:
        results: by the name to show; the last is the reference.
        curves: what each contributes to a figure, in the same order.
        lines: the parameters that the reference shares with others.
    """

    results: Mapping[str, Result]
    curves: tuple[Curve, ...]
    lines: tuple[Line, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the results, the reference last."""
        return tuple(self.results)

    @property
    def reference(self) -> str:
        """Name of the result that the others are compared with."""
        return self.names[-1]

    @property
    def runs(self) -> bool:
        """Whether these are runs: one method, and every result from data of its own."""
        data = [data_digest(result) for result in self.results.values()]
        methods = {result.method for result in self.results.values()}
        return len(methods) == 1 and None not in data and len(set(data)) == len(data)

    @property
    def same_data(self) -> bool | None:
        """Whether all results are of the same data, None where that is not known of one of them."""
        data = {data_digest(result) for result in self.results.values()}
        return None if None in data else len(data) == 1

    @property
    def figure(self) -> Figure:
        """Overlaid marginals; of runs each parameter against the runs."""
        return series_figure(self.curves) if self.runs else marginals(self.curves)

    def table(self) -> Table:
        """The comparison for a terminal."""
        table = Table(title=" and ".join(self.names), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.caption, table.caption_justify = reading(self), "left"
        for header in HEADERS:
            table.add_column(header, justify="left" if header in {"parameter", "result", "comment"} else "right")
        for each in self.lines:
            for cells in line_cells(each):
                table.add_row(*cells)
            table.add_section()
        return table

    def save(self, path: str | Path) -> None:
        """Write the figure as PNG, PDF or SVG, by the path's suffix."""
        write_figure(self.figure, Path(path))


def compare(results: Sequence[Result], names: Sequence[str] | None = None) -> Comparison:
    """Compare results parameter by parameter: methods on the same data, or the same constants in several runs.

    Args:
        results: two or more, modes with their curvature or draws; the last is the one the others are compared with.
        names: what to call them, all different; by default their methods, numbered where several have the same.

    Raises:
        InputError: fewer than two results, names that do not fit, or no scalar parameter in common with the last.
    """
    if len(results) < 2:
        raise InputError(f"a comparison needs at least two results, got {len(results)}; name another one")
    names = numbered_names(results) if names is None else tuple(names)
    if not len(set(names)) == len(names) == len(results):
        raise InputError(f"{len(results)} results need as many different names, got {', '.join(names)}")
    curves = tuple(map(comparable, names, results, palette(len(results))))
    lines = [line(label, curves) for label in curves[-1].components]
    shared = tuple(each for each in lines if len(each.answers) > 1)
    if not shared:
        others = ", ".join(sorted({name for result in results[:-1] for name in result.names}))
        raise InputError(
            f"the results share no parameter, so there is nothing to compare: the last has "
            f"{', '.join(results[-1].names)}, the others {others}"
        )
    return Comparison(dict(zip(names, results, strict=True)), curves, shared)


def comparable(name: str, result: Result, color: str) -> Curve:
    """The scalar parameters of a result; of a mode those with curvature, for what is computed from them has none."""
    components = {c.label: c for c in scalars(result) if not is_mode(result) or c.mode_sd is not None}
    return Curve(name, components, is_mode(result), color)


def data_digest(result: Result) -> str | None:
    """What tells the data of a result from others: the digest of their file, else of the observed arrays."""
    known = result.attrs.get("data_sha256")
    observed = group(result, "observed_data")
    if known or not observed.data_vars:
        return known
    arrays = (np.ascontiguousarray(observed[name].values).tobytes() for name in sorted(map(str, observed.data_vars)))
    return hashlib.sha256(b"".join(arrays)).hexdigest()


def line_cells(compared: Line) -> list[list[str]]:
    """A line as text, one row a result: the parameter stands in the first row, its unit in the second."""
    first = [compared.parameter, pretty_unit(compared.unit), *[""] * len(compared.answers)]
    rows = [answer_cells(each) for each in compared.answers]
    rows[-1][2:4] = ["reference", ""]
    return [[start, *row] for start, row in zip(first, rows, strict=False)]


def answer_cells(found: Answer) -> list[str]:
    """An answer as text: name, estimate, difference, width ratio, comment."""
    estimate = f"{measured(found.value, found.sd)} ± {measured(found.sd, found.sd)}"
    difference = "-" if found.difference is None else f"{found.difference:+.2f}"
    return [found.name, estimate, difference, rounded(found.width_ratio, 2), found.comment]


def reading(comparison: Comparison) -> str:
    """How to read the table."""
    modes = [curve.name for curve in comparison.curves if curve.from_mode]
    draws = [curve.name for curve in comparison.curves if not curve.from_mode]
    kinds = [f"{', '.join(modes)}: mode ± sd by its curvature."] if modes else []
    kinds += [f"{', '.join(draws)}: mean ± sd of the draws."] if draws and modes else []
    kinds += ["Mean ± sd of the draws."] if not modes else []
    return f"{' '.join(kinds)} Differences and width ratios are in standard deviations of {comparison.reference}."
