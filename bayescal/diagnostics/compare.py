"""Two results side by side: what a mode with its curvature says, and what the whole posterior says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table
from scipy.stats import skew

from bayescal.diagnostics.contents import Component, constant, is_mode, scalars
from bayescal.diagnostics.files import write_figure
from bayescal.diagnostics.numbers import measured, pretty_unit
from bayescal.diagnostics.plots import Curve, marginals
from bayescal.errors import InputError
from bayescal.inference.result import Result

SYMMETRIC = 0.25
"""Skewness that 400 effective draws of a normal exceed in one of 25 cases (its standard error is sqrt(6 / 400))."""


@dataclass(frozen=True)
class Estimate:
    """One result's answer for one parameter: `mode` or `mean`, the number and its standard deviation."""

    kind: str
    value: float
    sd: float


@dataclass(frozen=True)
class Line:
    """One parameter in both results.

    Attributes:
        parameter: its name, with `unit`.
        first: the answer of the first result.
        second: the answer of the second result.
        difference: first minus second, in standard deviations of the second.
        width_ratio: standard deviation of the first over that of the second.
        skewness: of the draws of the second (of the first where the second has none), or None without draws.
        comment: what the numbers mean, in words.
    """

    parameter: str
    unit: str
    first: Estimate
    second: Estimate
    difference: float
    width_ratio: float
    skewness: float | None
    comment: str


@dataclass(frozen=True)
class Comparison:
    """Two results side by side; `names` are what the columns are called."""

    names: tuple[str, str]
    lines: tuple[Line, ...]
    figure: Figure

    def table(self) -> Table:
        """The comparison for a terminal."""
        table = Table(title=f"{self.names[0]} and {self.names[1]}", title_justify="left", box=SIMPLE_HEAD)
        for header in self.headers():
            table.add_column(header, justify="left" if header in {"parameter", "unit", "comment"} else "right")
        for cells in self.cells():
            table.add_row(*cells)
        return table

    def headers(self) -> list[str]:
        """The headers of the table's columns."""
        kinds = (self.lines[0].first.kind, self.lines[0].second.kind)
        answers = [f"{name}: {kind} ± sd" for name, kind in zip(self.names, kinds, strict=True)]
        return ["parameter", "unit", *answers, "difference [sd]", "width ratio", "comment"]

    def cells(self) -> list[list[str]]:
        """The table's rows as text."""
        return [
            [
                line.parameter,
                pretty_unit(line.unit),
                _plus_minus(line.first),
                _plus_minus(line.second),
                f"{line.difference:+.2f}",
                f"{line.width_ratio:.2f}",
                line.comment,
            ]
            for line in self.lines
        ]

    def save(self, path: str | Path) -> None:
        """Write the figure as PNG, PDF or SVG, by the path's suffix."""
        write_figure(self.figure, Path(path))


def compare(first: Result, second: Result) -> Comparison:
    """Compare two results parameter by parameter, usually a mode with the posterior from the same data.

    Args:
        first: a mode with its curvature, or draws.
        second: the same; differences are in units of its standard deviation.

    Raises:
        InputError: the results have no scalar parameter in common.
    """
    theirs = comparable(second)
    pairs = [(mine, theirs[label]) for label, mine in comparable(first).items() if label in theirs]
    if not pairs:
        raise InputError(
            f"the results share no parameter, so there is nothing to compare: one has "
            f"{', '.join(first.names)}, the other {', '.join(second.names)}"
        )
    names = _names(first, second)
    mine, others = zip(*pairs, strict=True)
    curves = (Curve(names[0], mine, is_mode(first)), Curve(names[1], others, is_mode(second)))
    return Comparison(names, tuple(_line(curves, index) for index in range(len(pairs))), marginals(curves))


def comparable(result: Result) -> dict[str, Component]:
    """The scalar parameters by name; of a mode those with curvature, for what is computed from them has none."""
    return {c.label: c for c in scalars(result) if not is_mode(result) or c.mode_sd is not None}


def mode_estimate(component: Component) -> Estimate:
    """The answer of a mode and its curvature."""
    if component.mode is None or component.mode_sd is None:
        raise InputError(f"the mode of {component.label} has no curvature; fit it again with method laplace")
    return Estimate("mode", component.mode, component.mode_sd)


def draws_estimate(component: Component) -> Estimate:
    """The answer of draws: mean and standard deviation."""
    if constant(component):
        raise InputError(f"the draws of {component.label} are all equal; there is no spread to compare with")
    return Estimate("mean", float(component.draws.mean()), float(component.draws.std(ddof=1)))


def skewness_in_words(skewness: float | None) -> str:
    """What a skewness means for a symmetric error bar."""
    if skewness is None:
        return ""
    if abs(skewness) < SYMMETRIC:
        return "symmetric"
    strength = "strongly skewed" if abs(skewness) > 1 else "skewed"
    return f"{strength}, longer tail to {'high' if skewness > 0 else 'low'} values"


def _line(curves: tuple[Curve, Curve], index: int) -> Line:
    component = curves[0].components[index]
    a, b = ((mode_estimate if curve.from_mode else draws_estimate)(curve.components[index]) for curve in curves)
    drawn = [curve.components[index] for curve in reversed(curves) if not curve.from_mode]
    skewness = float(skew(drawn[0].draws.ravel())) if drawn else None
    difference, ratio = (a.value - b.value) / b.sd, a.sd / b.sd
    comment = _comment(difference, ratio, skewness)
    return Line(component.label, component.unit, a, b, difference, ratio, skewness, comment)


def _comment(difference: float, ratio: float, skewness: float | None) -> str:
    words = [skewness_in_words(skewness)]
    if abs(difference) > 0.5:
        words.append(f"centres {abs(difference):.1f} sd apart")
    if not 0.8 < ratio < 1.25:
        words.append(f"first {'wider' if ratio > 1 else 'narrower'} by {abs(ratio - 1):.0%}")
    return "; ".join(word for word in words if word)


def _names(first: Result, second: Result) -> tuple[str, str]:
    titles = {"map": "MAP", "laplace": "Laplace", "blackjax_nuts": "NUTS (BlackJAX)"}
    titles |= {name: name.upper() for name in ("nuts", "mclmc", "smc", "hmcecs")}
    one, other = (titles.get(result.method, result.method) for result in (first, second))
    return (one, other) if one != other else (f"{one} A", f"{other} B")


def _plus_minus(estimate: Estimate) -> str:
    return f"{measured(estimate.value, estimate.sd)} ± {measured(estimate.sd, estimate.sd)}"
