"""The look of all figures: colours, sizes, a grid of panels, and figures as SVG that an HTML page can hold."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from io import StringIO

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bayescal.diagnostics.numbers import power_text, pretty_unit

INK, MUTED, GRID = "#22303c", "#72808e", "#d7dee5"
POSTERIOR, MODE, PRIOR = "#2f6fab", "#d9742b", "#9aa5b1"
CHAINS = ("#2f6fab", "#d9742b", "#2a9d8f", "#8e5ea2", "#b8860b", "#c0395b", "#5b7f3a", "#4c5b9b")

LOOK = matplotlib.rc_context(
    {
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.titlecolor": INK,
        "axes.titlesize": 9.5,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.formatter.useoffset": False,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "text.parse_math": False,  # names are plain text, also with a dollar in them
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "figure.dpi": 100,
        "svg.fonttype": "none",
        "svg.hashsalt": "bayescal",
    }
)
"""Decorator of every function that draws: the look holds inside it and nowhere else."""

Panels = list[Axes]
Drawing = Callable[[Axes], None]
"""Draws one panel."""

PANEL = (3.0, 2.1)
"""Width and height of a panel [inch]: a third of a page, or a phone held upright."""


@LOOK
def arrange(
    drawings: Mapping[str, Drawing], *, columns: int = 3, size: tuple[float, float] = PANEL, header: float = 0.35
) -> Figure:
    """All panels in one figure, with one legend above them where they have labels.

    Args:
        drawings: how to draw each panel, by name.
        columns: panels a row.
        size: width and height of a panel [inch].
        header: room for the legend [inch].
    """
    figure, panels = panel_grid(len(drawings), columns=columns, width=size[0], height=size[1], header=header)
    for draw, panel in zip(drawings.values(), panels, strict=True):
        draw(panel)
    common_legend(figure, panels)
    return figure


@LOOK
def one_each(drawings: Mapping[str, Drawing], size: tuple[float, float] = PANEL) -> dict[str, Figure]:
    """The same panels as figures of their own without legend, for a page that arranges them by its width."""
    figures = {}
    for name, draw in drawings.items():
        figures[name], (panel,) = panel_grid(1, width=size[0], height=size[1])
        draw(panel)
    return figures


def palette(count: int) -> list[str]:
    """Colours for several results, of which the last is the one that the others are compared with."""
    if count <= len(CHAINS):
        return [*CHAINS[1:count], CHAINS[0]]
    return [*map(to_hex, matplotlib.colormaps["viridis"](np.linspace(0.05, 0.9, count - 1))), CHAINS[0]]


def panel_grid(
    n: int, *, columns: int = 3, width: float = 3.0, height: float = 2.1, header: float = 0.0
) -> tuple[Figure, Panels]:
    """A figure with n panels in rows.

    Args:
        n: number of panels.
        columns: panels a row, fewer when n is smaller.
        width: of a panel [inch].
        height: of a panel [inch].
        header: room above the panels for a common legend [inch].
    """
    columns = min(columns, n)
    rows = -(-n // columns)
    size = (width * columns, height * rows + header)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - header / size[1])))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[n:]:
        unused.remove()
    return figure, list(axes[:n])


def legend_entries(panels: Panels) -> dict[str, Artist]:
    """What is drawn in any of the panels, by its label."""
    return {label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}


def common_legend(figure: Figure, panels: Panels) -> None:
    """One legend above all panels, with each entry once."""
    entries = legend_entries(panels)
    if entries:
        figure.legend(entries.values(), entries.keys(), loc="upper center", ncols=min(5, len(entries)))


def hide_values(panel: Axes) -> None:
    """A density needs no values on its axis."""
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    panel.set_ylim(bottom=0)


def name_axis(axis: Axis, label: str, unit: str, limits: tuple[float, float], *, separator: str = " ") -> None:
    """Label an axis with name and unit; very small or large values get a power of ten in the unit.

    Args:
        axis: `panel.xaxis` or `panel.yaxis`.
        label: the parameter's name.
        unit: its unit.
        limits: smallest and largest value on the axis, in the unit.
        separator: what stands between name and unit.
    """
    size = max(map(abs, limits))
    power = 0 if size == 0 or 1e-2 <= size < 1e5 else math.floor(math.log10(size))
    if power:
        unit = f"10{power_text(power)} {unit}".strip()
        axis.set_major_formatter(lambda value, _: f"{value / 10**power:.6g}")
    axis.set_label_text(separator.join(part for part in (label, f"[{pretty_unit(unit)}]" if unit else "") if part))


def thinned(draws: np.ndarray, most: int) -> np.ndarray:
    """At most so many draws, evenly taken along the last axis."""
    step = -(-draws.shape[-1] // most)
    return draws[..., ::step]


def window(values: Sequence[np.ndarray], marks: Sequence[float]) -> tuple[float, float]:
    """An axis range that shows the bulk of all values and every mark, with a margin.

    Args:
        values: arrays of any shape; their central 99.6 % is shown.
        marks: single values that must be visible.
    """
    edges = [np.quantile(array, (0.002, 0.998)) for array in values]
    low = min([*(edge[0] for edge in edges), *marks])
    high = max([*(edge[1] for edge in edges), *marks])
    margin = 0.08 * (high - low) or 0.01 * abs(high) or 1.0
    return low - margin, high + margin


@LOOK
def inline_svg(figure: Figure, name: str, text: str) -> str:
    """A figure as an SVG element for an HTML page: no file header, no links, a text for screen readers.

    Args:
        figure: what to draw.
        name: unique on the page; the names of the drawing's elements start with it.
        text: what the figure shows, in words.

    Returns:
        The element. Its text takes the page's font, and what is drawn in INK, MUTED and POSTERIOR takes the page's
        colours `--ink`, `--muted` and `--blue`, so that it can be read on a dark page.
    """
    buffer = StringIO()
    figure.savefig(buffer, format="svg", dpi=140, transparent=True, metadata=NO_METADATA)
    svg = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    opening, body = svg[svg.index("<svg") :].split(">", 1)
    view = opening[opening.index('viewBox="') :].split('"')[1]
    prefix = re.sub(r"\W+", "-", name)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", body)
    body = re.sub(r"font-family: [^;\"]*", "font-family: inherit", body)
    for color, variable in PAGE_COLORS.items():
        body = body.replace(color, f"var({variable})")
    return f'<svg role="img" viewBox="{view}"><title>{escape(text)}</title>{body}'


PAGE_COLORS = {INK: "--ink", MUTED: "--muted", POSTERIOR: "--blue"}
"""Variables of a page's style sheet by the colour that they replace in figures."""

NO_METADATA = {key: None for key in ("Date", "Creator", "Format", "Type")}
