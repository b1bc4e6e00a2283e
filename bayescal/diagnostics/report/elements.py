"""What a page is made of: tables of text, and figures whose panels the page arranges by its width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayescal.diagnostics.figures import INK, PAGE_COLORS, Drawing, inline_svg, legend_entries, one_each
from bayescal.diagnostics.numbers import superscript

MOST_PANELS = 60
"""Panels of one figure; further parameters are in the tables only."""

Stroke = Literal["line", "dashed", "dots", "band"]
"""How something is drawn."""


@dataclass(frozen=True)
class Sheet:
    """A table of the page: what it shows, headers, rows of text whose first cell names the row, and a note below."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Key(NamedTuple):
    """An entry of a figure's legend: what it is, its colour in CSS, and how it is drawn."""

    label: str
    color: str
    stroke: Stroke
    opacity: float


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        anchor: unique on the page.
        heading: what it shows.
        caption: how to read it.
        keys: its legend.
        panels: SVG elements.
        layout: class of the style sheet that sets the panels' width.
    """

    anchor: str
    heading: str
    caption: str
    keys: tuple[Key, ...]
    panels: tuple[Markup, ...]
    layout: str


class Words(NamedTuple):
    """Anchor, heading and caption of a figure, and the layout of its panels."""

    anchor: str
    heading: str
    caption: str
    layout: str = "small"


def sheet(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> Sheet:
    """A table with its powers of ten in print."""
    return Sheet(caption, headers, [[superscript(cell) for cell in row] for row in rows], note)


def drawn(
    words: Words, drawings: Mapping[str, Drawing], texts: Mapping[str, str], size: tuple[float, float]
) -> Picture:
    """A figure of at most `MOST_PANELS` panels.

    Args:
        words: its anchor, heading, caption and layout.
        drawings: how to draw each panel, by name.
        texts: what a panel shows in words, by name; by default its name.
        size: width and height of a panel [inch].
    """
    chosen = dict(list(drawings.items())[:MOST_PANELS])
    left_out = len(drawings) - len(chosen)
    note = f" Not drawn: {left_out} more of {len(drawings)}." if left_out else ""
    figures = one_each(chosen, size)
    return picture(words._replace(caption=words.caption + note), figures, texts)


def picture(words: Words, figures: Mapping[str, Figure], texts: Mapping[str, str]) -> Picture:
    """Figures as the panels of one, with a common legend."""
    panels = tuple(
        Markup(inline_svg(figure, f"{words.anchor}-{number}", f"{words.heading}: {texts.get(name, name)}"))
        for number, (name, figure) in enumerate(figures.items())
    )
    entries = legend_entries([panel for figure in figures.values() for panel in figure.axes])
    keys = tuple(key(label, artist) for label, artist in entries.items())
    return Picture(words.anchor, words.heading, words.caption, keys, panels, words.layout)


def key(label: str, artist: Artist) -> Key:
    """A legend's entry as a page shows it."""
    if isinstance(artist, Line2D):
        stroke = "dots" if artist.get_linestyle() == "None" else "dashed" if artist.is_dashed() else "line"
        return Key(label, css_color(artist.get_color()), stroke, 1.0)
    face = artist.get_facecolor() if isinstance(artist, Patch) else INK
    opacity = artist.get_alpha()
    return Key(label, css_color(face), "band", float(opacity) if isinstance(opacity, float) else 1.0)


def css_color(color) -> str:
    """A colour of a figure in CSS: the page's own where the figure takes that, too."""
    code = to_hex(color)
    return f"var({PAGE_COLORS[code]})" if code in PAGE_COLORS else code
