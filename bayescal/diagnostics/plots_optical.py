"""Figures of optical detectors: what every sensor saw, should have seen, and how far that is off, on the wall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator
from scipy.spatial import KDTree

from bayescal.diagnostics.figures import GRID, INK, MODE, MUTED, Drawing, arrange
from bayescal.diagnostics.residuals import Residuals
from bayescal.diagnostics.sensor_records import Record, charge_record, time_record
from bayescal.diagnostics.wall_maps import Places, Ring, WallMap, line_on_map, map_around

Values = Float[np.ndarray, " sensor"]

REACH = 3.0
"""Residual at which the colours end."""

PLACE_M = ("x_m", "y_m", "z_m")
"""Columns of residuals with the places of sensors."""

SIZE = 0.36
"""Radius of a sensor over the distance to the next where it is not known; that of Super-Kamiokande's tubes."""

WIDTH, BESIDE = 3.3, 0.85
"""Width of a map, and height of its title and colour bar [inch]."""

SILENT, FAINT = "#e9edf1", "#d5e3ef"
"""Colours of sensors that have no value, and of amounts below the scale."""


def _colours(name: str, colors: list[str]) -> Colormap:
    """A map of colours in which nothing is pale."""
    return LinearSegmentedColormap.from_list(name, colors).with_extremes(bad=SILENT)


AMOUNTS = _colours("amounts", ["#a5cdea", "#5b9dd0", "#2f5fa6", "#3b2a78", "#1c0b33"]).with_extremes(
    bad=SILENT, under=FAINT
)
"""From little to much."""

TIMES = _colours("times", ["#3b1c6b", "#a62c7d", "#e8634f", "#f2a63b", "#d9c64a"])
"""From early to late."""

RESIDUALS = _colours("residuals", ["#1f4e8c", "#7fb0dc", "#f1f2f4", "#eb9a73", "#a8321f"])
"""From too little to too much."""


@dataclass(frozen=True)
class Wall:
    """Where sensors are.

    Attributes:
        drawn_on: map of the wall.
        position_m: their centres [m].
        radius_m: of each [m].
        live: False for those that record nothing.
    """

    drawn_on: WallMap
    position_m: Float[np.ndarray, "sensor 3"]
    radius_m: float
    live: Bool[np.ndarray, " sensor"]


@dataclass(frozen=True)
class Shade:
    """A value of every sensor, and its colour.

    Attributes:
        values: NaN where there is none.
        label: what they are, with the unit.
        norm: from values to the range of colours; cmap: the colours.
    """

    values: Values
    label: str
    norm: Normalize
    cmap: Colormap


@dataclass(frozen=True)
class Rings:
    """Edges of Cherenkov rings.

    Attributes:
        posterior: of draws of it.
        truth: the true one, None where it is not known.
    """

    posterior: Sequence[Ring]
    truth: Ring | None = None


def is_on_wall(found: Residuals) -> bool:
    """Whether residuals are of one event and know where their sensors are."""
    coordinates = found.data.coords
    return set(PLACE_M) <= set(coordinates) and np.unique(coordinates["event"].values).size == 1


def wall_of_residuals(found: Residuals) -> Wall:
    """The wall around the sensors of a result, all alive, and as large as leaves a gap between them."""
    position = np.stack([found.data[name].values for name in PLACE_M], axis=-1)
    distance, _ = KDTree(position).query(position, k=2)
    return Wall(map_around(position), position, SIZE * float(np.median(distance[:, 1])), np.ones(len(position), bool))


def residual_shades(found: Residuals) -> dict[str, Shade]:
    """Colours of all quantities of one event: `time` is a time [ns], every other a charge or a count [p.e.]."""
    shades: dict[str, Shade] = {}
    for name in found.quantities:
        shades |= (
            time_shades(time_record(found, name)) if name == "time" else charge_shades(charge_record(found, name), name)
        )
    return shades


def charge_shades(record: Record, name: str = "charge") -> dict[str, Shade]:
    """Colours of observed, expected and residual charge; the first two share theirs, which are logarithmic."""
    observed, expected = (np.where(values > 0, values, np.nan) for values in (record.observed, record.expected))
    low, high = _range(observed, (0.05, 0.995), (0.1, 1.0))
    scale = LogNorm(low, high)
    label = f"{name} [p.e.]"
    return {
        f"{name}, observed": Shade(observed, label, scale, AMOUNTS),
        f"{name}, expected": Shade(expected, label, scale, AMOUNTS),
        f"{name}, residual": residual_shade(record.residual),
    }


def time_shades(record: Record) -> dict[str, Shade]:
    """Colours of observed, expected and residual times; the first two share theirs."""
    low, high = _range(record.observed, (0.02, 0.85), (0.0, 1.0))
    scale = Normalize(low, high)
    label = "time [ns]"
    return {
        "time, observed": Shade(record.observed, label, scale, TIMES),
        "time, expected": Shade(record.expected, label, scale, TIMES),
        "time, residual": residual_shade(record.residual),
    }


def residual_shade(values: Values, label: str = "residual [standard deviations]") -> Shade:
    """Colours of residuals in units of their standard deviations: white at 0, the same on both sides."""
    return Shade(values, label, Normalize(-REACH, REACH), RESIDUALS)


def amount_shade(values: Values, label: str) -> Shade:
    """Colours of any values, linear over the central 98 % of them."""
    low, high = _range(values, (0.01, 0.99), (0.0, 1.0))
    return Shade(values, label, Normalize(low, high), AMOUNTS)


def _range(values: Values, quantiles: tuple[float, float], otherwise: tuple[float, float]) -> tuple[float, float]:
    """Two quantiles of the values that there are, a little apart where they are one."""
    seen = values[np.isfinite(values)]
    low, high = np.quantile(seen, quantiles) if seen.size else otherwise
    return float(low), float(max(high, low + 1e-6 * abs(low) + 1e-12))


def wall_figure(wall: Wall, shades: Mapping[str, Shade], rings: Rings | None = None, *, columns: int = 3) -> Figure:
    """Maps of the wall, one for each of several values of the sensors, by title.

    Args:
        wall: where the sensors are.
        shades: values and colours.
        rings: to draw on every map.
        columns: maps a row; 1 for a phone.

    Raises:
        ValueError: values are not one a sensor.
    """
    return arrange(wall_drawings(wall, shades, rings), columns=columns, size=panel_size(wall))


def wall_drawings(wall: Wall, shades: Mapping[str, Shade], rings: Rings | None = None) -> dict[str, Drawing]:
    """How to draw each map; arguments and errors as of `wall_figure`."""
    for title, shade in shades.items():
        if shade.values.shape != wall.live.shape:
            raise ValueError(f"{title}: {shade.values.size} values for {wall.live.size} sensors; give one for each")
    lines = _draw_nothing if rings is None else _ring_drawing(wall.drawn_on, rings)
    return {
        title: partial(_draw_map, wall=wall, shade=shade, title=title, lines=lines) for title, shade in shades.items()
    }


def panel_size(wall: Wall) -> tuple[float, float]:
    """Width and height of a map with its title and colour bar [inch]."""
    extent = np.ptp(np.concatenate(wall.drawn_on.outlines()), axis=0)
    return WIDTH, WIDTH * extent[1] / extent[0] + BESIDE


def _draw_map(panel: Axes, wall: Wall, shade: Shade, title: str, lines: Drawing) -> None:
    """Outlines, sensors, dead ones, rings, a scale and a colour bar."""
    drawn_on = wall.drawn_on
    panel.add_collection(LineCollection(drawn_on.guides(), colors=GRID, linewidths=0.5, zorder=0.5))
    panel.add_collection(LineCollection(drawn_on.outlines(), colors=MUTED, linewidths=0.7, zorder=0.6))
    sensors = _add_sensors(panel, drawn_on, wall, shade)
    dead = drawn_on.place_m(wall.position_m[~wall.live])
    if len(dead):
        panel.plot(*dead.T, "x", ms=3.0, mew=0.7, color=INK, label="dead", zorder=3)
    lines(panel)
    _draw_frame(panel, drawn_on)
    panel.set_title(title)
    bar = panel.figure.colorbar(
        sensors, ax=panel, label=shade.label, location="bottom", shrink=0.75, aspect=28, pad=0.02, extend="both"
    )
    if isinstance(shade.norm, LogNorm):
        bar.set_ticks(LogLocator(subs=(1.0, 2.0, 5.0)), minor=False)
        bar.formatter = FormatStrFormatter("%g")
        bar.minorticks_off()


def _add_sensors(panel: Axes, drawn_on: WallMap, wall: Wall, shade: Shade) -> EllipseCollection:
    """All live sensors as one collection, those without a value pale."""
    discs = drawn_on.discs(wall.position_m[wall.live], wall.radius_m)
    collection = EllipseCollection(
        discs.first_m,
        discs.second_m,
        discs.angle_deg,
        units="xy",
        offsets=discs.place_m,
        offset_transform=panel.transData,
        cmap=shade.cmap,
        norm=shade.norm,
        linewidths=0,
        rasterized=True,
        zorder=2,
        in_layout=False,
    )
    collection.set_array(np.ma.masked_invalid(shade.values[wall.live]))
    panel.add_collection(collection)
    return collection


def _ring_drawing(drawn_on: WallMap, rings: Rings) -> Drawing:
    """How to draw rings, with their lines found once for all maps."""
    truth = None if rings.truth is None else _on_map(drawn_on, [rings.truth])
    return partial(_draw_rings, posterior=_on_map(drawn_on, rings.posterior), truth=truth)


def _on_map(drawn_on: WallMap, rings: Sequence[Ring]) -> tuple[Places, Places]:
    """Edges of rings as one line with gaps, and their centres [m]."""
    gap = np.full((1, 2), np.nan)
    edges = [np.concatenate([gap, line_on_map(drawn_on, ring.edge_m)]) for ring in rings]
    centres = [drawn_on.place_m(ring.centre_m) for ring in rings]
    return np.concatenate([gap, *edges]), np.concatenate([gap, *centres])


def _draw_rings(panel: Axes, posterior: tuple[Places, Places], truth: tuple[Places, Places] | None) -> None:
    """Edge and centre of every ring, the truth on top."""
    edge, centre = posterior
    panel.plot(*edge.T, color=MODE, lw=0.45, alpha=0.8, label="ring, posterior", zorder=4)
    panel.plot(*centre.T, "+", color=MODE, ms=5, mew=0.5, zorder=4)
    if truth is not None:
        edge, centre = truth
        panel.plot(*edge.T, color=INK, lw=0.6, ls=(0, (5, 4)), label="truth", zorder=5)
        panel.plot(*centre.T, "x", color=INK, ms=4, mew=0.7, zorder=5)


def _draw_nothing(panel: Axes) -> None:
    del panel


def _draw_frame(panel: Axes, drawn_on: WallMap) -> None:
    """Limits, a scale and the names of the ends."""
    every = np.concatenate(drawn_on.outlines())
    low, high = every.min(axis=0), every.max(axis=0)
    margin = 0.02 * (high - low)
    panel.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    panel.set_aspect("equal")
    panel.set_axis_off()
    length = 10.0 ** np.floor(np.log10(drawn_on.radius_m))
    panel.plot([low[0], low[0] + length], [low[1], low[1]], color=INK, lw=1.2, solid_capstyle="butt")
    panel.annotate(
        f"{length:g} m",
        (low[0], low[1]),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=7.5,
        ha="left",
        va="bottom",
    )
    for name, place in drawn_on.names().items():
        panel.text(*place, name, fontsize=7.5, color=MUTED, ha="right", va="center")
