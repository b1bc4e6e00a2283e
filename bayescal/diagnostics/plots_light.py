"""Figures of light: maps of visibility, observed against predicted light, times of tracks, matchings with flashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from bayescal.diagnostics.figures import INK, LOOK, MODE, POSTERIOR, PRIOR, arrange, hide_values, palette
from bayescal.diagnostics.numbers import pretty_unit
from bayescal.diagnostics.plots_pairs import CORRELATIONS

DECADES = 4.0
"""Decades of visibility below the largest that a map shows."""
STEEPEST_PERCENTILE = 99.0
"""Of the slopes in all maps, at which the colours end."""
RATIO_BINS = 12


@dataclass(frozen=True)
class VisibilityMap:
    """Visibility of one sensor in a plane, and how it changes from left to right.

    Attributes:
        visibility: rows from low to high.
        log_slope: derivative of its logarithm along the columns [1/cm].
    """

    visibility: Float[np.ndarray, "row column"]
    log_slope: Float[np.ndarray, "row column"]


@dataclass(frozen=True)
class Plane:
    """Where maps are: names of the two axes, and their limits [cm]."""

    across: str
    up: str
    limits_cm: tuple[float, float, float, float]


@dataclass(frozen=True)
class TimePosterior:
    """What is known of the time of a track.

    Attributes:
        time_us: where the densities are given, in order [us].
        density: densities by what they are from [1/us].
        truth_us: the true time, NaN where it is not known [us].
    """

    time_us: Float[np.ndarray, " node"]
    density: Mapping[str, Float[np.ndarray, " node"]]
    truth_us: float


@LOOK
def visibility_figure(maps: Mapping[str, VisibilityMap], plane: Plane) -> Figure:
    """Visibility and its relative slope, one column of maps for each source by name, colours shared by a row.

    Args:
        maps: of the same sensor and plane, by source.
        plane: where they are.
    """
    left, right, low, high = plane.limits_cm
    height = min(2.3 * (high - low) / (right - left), 4.0)
    figure = Figure(figsize=(2.3 * len(maps) + 1.4, 2 * height + 0.8), layout="constrained")
    panels = figure.subplots(2, len(maps), sharex=True, sharey=True, squeeze=False)
    images = _draw_maps(panels[0], [each.visibility for each in maps.values()], plane)
    top = max(each.visibility.max() for each in maps.values())
    for image in images:
        image.set(norm=LogNorm(top / 10**DECADES, top), cmap="viridis")
    figure.colorbar(images[0], ax=panels[0], label="visibility", extend="min", shrink=0.9)
    images = _draw_maps(panels[1], [each.log_slope for each in maps.values()], plane)
    steepest = np.nanpercentile(np.abs([each.log_slope for each in maps.values()]), STEEPEST_PERCENTILE)
    for image in images:
        image.set(norm=Normalize(-steepest, steepest), cmap=CORRELATIONS)
    label = f"d ln(visibility) / d{plane.across} [1/cm]"
    figure.colorbar(images[0], ax=panels[1], label=label, extend="both", shrink=0.9)
    for name, upper, lower in zip(maps, *panels, strict=True):
        upper.set_title(name)
        lower.set_xlabel(f"{plane.across} [cm]")
    return figure


def _draw_maps(panels: Sequence[Axes], values: Sequence[np.ndarray], plane: Plane) -> list[AxesImage]:
    """Maps beside each other."""
    panels[0].set_ylabel(f"{plane.up} [cm]")
    return [
        panel.imshow(each, origin="lower", extent=plane.limits_cm) for panel, each in zip(panels, values, strict=True)
    ]


def predicted_light_figure(
    observed_pe: Float[np.ndarray, "row sensor"], predicted_pe: Mapping[str, Float[np.ndarray, "row sensor"]]
) -> Figure:
    """Observed against predicted light, a panel for each prediction, and how far each is off by its size.

    Args:
        observed_pe: counts [p.e.], NaN where a sensor is absent.
        predicted_pe: expected light by what it is from, for example before and after a calibration [p.e.].
    """
    colors = dict(zip(predicted_pe, palette(len(predicted_pe)), strict=True))
    drawings = {
        name: partial(_draw_against, seen=observed_pe, predicted=each, name=name) for name, each in predicted_pe.items()
    }
    ratios = partial(_draw_ratios, seen=observed_pe, predicted=predicted_pe, colors=colors)
    return arrange(drawings | {"ratio": ratios}, size=(3.2, 3.0))


def time_figure(posteriors: Mapping[str, TimePosterior], *, columns: int = 3) -> Figure:
    """Posterior density of the time of each track, from one or more sources, with the truth where it is known.

    Args:
        posteriors: by name of the track; all have the same sources.
        columns: panels a row.
    """
    drawings = {name: partial(_draw_times, name=name, posterior=each) for name, each in posteriors.items()}
    return arrange(drawings, columns=columns, size=(2.9, 1.7))


@LOOK
def matching_figure(
    probability: Mapping[str, Float[np.ndarray, "cluster flash"]], flash_of_cluster: Int[np.ndarray, " cluster"]
) -> Figure:
    """Probability that each cluster made each flash, or none, as one matrix for each source; true pairs are framed.

    Args:
        probability: by source.
        flash_of_cluster: the true flash of each cluster, -1 for none.
    """
    n_clusters, n_flashes = next(iter(probability.values())).shape
    size = (len(probability) * (0.42 * n_flashes + 1.2) + 0.9, 0.42 * n_clusters + 1.5)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(probability), squeeze=False)[0]
    images = [
        _draw_matrix(panel, each, flash_of_cluster) for panel, each in zip(panels, probability.values(), strict=True)
    ]
    for panel, name in zip(panels, probability, strict=True):
        panel.set_title(name)
    figure.colorbar(images[0], ax=panels, label="probability", shrink=0.8)
    return figure


def _draw_against(panel: Axes, seen: np.ndarray, predicted: np.ndarray, name: str) -> None:
    shown = np.isfinite(seen) & (seen > 0) & (predicted > 0)
    low, high = seen[shown].min() / 1.5, seen[shown].max() * 1.5
    edges = np.geomspace(low, high, 70)
    counts, _, _ = np.histogram2d(predicted[shown], seen[shown], [edges, edges])
    panel.pcolormesh(
        edges, edges, np.where(counts > 0, counts, np.nan).T, norm=LogNorm(), cmap="Blues", rasterized=True
    )
    panel.plot([low, high], [low, high], color=INK, lw=0.9, ls=(0, (4, 2)), label="observed = predicted")
    panel.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), title=name)
    panel.set_xlabel("predicted light of a sensor [p.e.]")
    panel.set_ylabel("observed [p.e.]")


def _draw_ratios(panel: Axes, seen: np.ndarray, predicted: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> None:
    """Sums of observed over sums of predicted light in bins of the prediction, which low counts do not bias."""
    for name, each in predicted.items():
        shown = np.isfinite(seen) & (each > 0)
        low, high = np.quantile(each[shown], (0.01, 0.999))
        edges = np.geomspace(low, high, RATIO_BINS + 1)
        slot = np.digitize(each[shown], edges) - 1
        inside = (slot >= 0) & (slot < RATIO_BINS)
        sums = [np.bincount(slot[inside], values[shown][inside], RATIO_BINS) for values in (seen, each)]
        with np.errstate(invalid="ignore"):
            excess = 100 * (sums[0] / sums[1] - 1)
        panel.plot(np.sqrt(edges[:-1] * edges[1:]), excess, "o-", ms=4, lw=1.4, color=colors[name], label=name)
    panel.axhline(0.0, color=INK, lw=0.9, ls=(0, (4, 2)))
    panel.set_xscale("log")
    panel.set_xlabel("predicted light of a sensor [p.e.]")
    panel.set_ylabel("observed / predicted - 1 [%]")
    panel.set_title("mean of all sensors")


def _draw_times(panel: Axes, name: str, posterior: TimePosterior) -> None:
    for source, color in zip(posterior.density, (POSTERIOR, MODE, *palette(8)), strict=False):
        time_us, density = posterior.time_us, posterior.density[source]
        panel.fill_between(time_us, density, color=color, alpha=0.18, lw=0)
        panel.plot(time_us, density, color=color, lw=1.5, label=source)
    if np.isfinite(posterior.truth_us):
        panel.axvline(posterior.truth_us, color=INK, lw=1.1, ls=(0, (4, 2)), label="truth", zorder=4)
    panel.set_title(name)
    panel.set_xlabel(f"time [{pretty_unit('us')}]")
    hide_values(panel)


def _draw_matrix(panel: Axes, probability: np.ndarray, flash_of_cluster: np.ndarray) -> AxesImage:
    """Matrix with a column for clusters without a flash and a row for flashes without a cluster."""
    n_clusters, n_flashes = probability.shape
    shown = np.full((n_clusters + 1, n_flashes + 1), np.nan)
    shown[:-1, :-1] = probability
    shown[:-1, -1], shown[-1, :-1] = 1 - probability.sum(axis=1), 1 - probability.sum(axis=0)
    image = panel.imshow(np.clip(shown, 0, 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(shown):
        if value >= 0.005:
            color = "white" if value > 0.6 else INK
            panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=7)
    alone = np.setdiff1d(np.arange(n_flashes), flash_of_cluster)
    true = [*zip(np.where(flash_of_cluster < 0, n_flashes, flash_of_cluster), range(n_clusters), strict=True)]
    for column, row in [*true, *((flash, n_clusters) for flash in alone)]:
        panel.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=MODE, lw=1.6))
    panel.axhline(n_clusters - 0.5, color=PRIOR, lw=0.8)
    panel.axvline(n_flashes - 0.5, color=PRIOR, lw=0.8)
    panel.set_xticks(range(n_flashes + 1), [*map(str, range(n_flashes)), "none"])
    panel.set_yticks(range(n_clusters + 1), [*map(str, range(n_clusters)), "none"])
    panel.tick_params(length=0)
    panel.set_xlabel("flash")
    panel.set_ylabel("cluster")
    panel.set_frame_on(False)
    return image
