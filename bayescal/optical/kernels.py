"""What zones of a tank see of each other, by the difference of their azimuths."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bayescal.optical.geometry import Tank, fibonacci_directions
from bayescal.optical.rings import Ring

_DIRECTIONS = 2000  # for mean chords
_SINKHORN = 200  # steps of Sinkhorn's iteration, which makes form factors reciprocal and complete
_MIRRORED = np.array([1, -1, 1, 1, 1, 1, -1, 1, -1])  # sign of each moment where the azimuth changes its sign


class Kernel(NamedTuple):
    """What zones see of each other, shape (from, to, difference of azimuth).

    Attributes:
        weight: solid angle [sr] of patches seen from cells, volume over squared distance [m] of cells seen from
            cells, or form factors of patches.
        distance_m: mean distance [m].
    """

    weight: Float[np.ndarray, "source target azimuth"]
    distance_m: Float[np.ndarray, "source target azimuth"]


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    """Vectors turned about z."""
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = vector[..., 0] * cosine - vector[..., 1] * sine, vector[..., 0] * sine + vector[..., 1] * cosine
    return np.stack([x, y, vector[..., 2]], axis=-1)


class _Ways(NamedTuple):
    """From every point of every source zone at azimuth 0 to every point of the target zones at one azimuth."""

    way_m: np.ndarray  # [source, point, target, point, axis]
    square: np.ndarray  # its squared length
    weight: np.ndarray

    def along(self, vector: np.ndarray) -> np.ndarray:
        """Cosine between ways and vectors."""
        return np.einsum("...i,...i->...", self.way_m, vector) / np.sqrt(self.square)


def _ways(sources: Ring, targets: Ring, angle: float, least_m: float = 0.0) -> _Ways:
    way = _turned(targets.point_m, angle)[None, None] - sources.point_m[:, :, None, None]
    square = np.einsum("...i,...i->...", way, way) + least_m**2
    return _Ways(way, square, sources.weight[:, :, None, None] * targets.weight[None, None])


def _sum(values: np.ndarray) -> np.ndarray:
    """Over the points of both zones."""
    return values.sum(axis=(1, 3))


def _half_turn(n_azimuth: int) -> np.ndarray:
    """Differences of azimuth from none to half a turn."""
    return 2 * np.pi * np.arange(n_azimuth // 2 + 1) / n_azimuth


def _whole_turn(halves: list[np.ndarray], sign: np.ndarray | float = 1.0) -> np.ndarray:
    """Along axis 2, values at all differences of azimuth, from those to half a turn and their sign if mirrored."""
    return np.stack([*halves, *(sign * each for each in halves[-2:0:-1])], axis=2)


def cells_see_patches(cells: Ring, patches: Ring, n_azimuth: int) -> tuple[Kernel, np.ndarray]:
    """Solid angles that sum to 4 pi over the wall, mean distances, and moments of the directions."""
    solid, distance, moments = [], [], []
    for angle in _half_turn(n_azimuth):
        ways = _ways(cells, patches, angle)
        weight = ways.weight * np.maximum(-ways.along(_turned(patches.normal, angle)), 0.0) / ways.square
        total, length = _sum(weight), np.sqrt(ways.square)
        axes = np.moveaxis(ways.way_m, -1, 0) / length
        products = [axes[one] * axes[two] for one, two in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
        moments.append(np.stack([_sum(weight * each) / total for each in (*axes, *products)], axis=-1))
        solid.append(total * patches.size)
        distance.append(_sum(weight * length) / total)
    weight = _whole_turn(solid)
    weight *= 4 * np.pi / weight.sum(axis=(1, 2), keepdims=True)
    return Kernel(weight, _whole_turn(distance)), _whole_turn(moments, _MIRRORED)


def cells_see_cells(tank: Tank, cells: Ring, n_azimuth: int) -> Kernel:
    """Volume over squared distance, in sum 4 pi times the mean chord from a cell's centre."""
    least = 0.25 * np.cbrt(cells.size.min())
    weight, distance = [], []
    for angle in _half_turn(n_azimuth):
        ways = _ways(cells, cells, angle, least)
        part = ways.weight / ways.square
        weight.append(_sum(part) * cells.size)
        distance.append(_sum(ways.weight / np.sqrt(ways.square)) / _sum(part))
    total = _whole_turn(weight)
    directions = fibonacci_directions(_DIRECTIONS)
    chord = np.asarray(tank.chord_m(cells.centre_m[:, None], directions[None])).mean(axis=1)
    total *= 4 * np.pi * chord[:, None, None] / total.sum(axis=(1, 2), keepdims=True)
    return Kernel(total, _whole_turn(distance))


def patches_see_patches(patches: Ring, n_azimuth: int) -> Kernel:
    """Form factors that sum to 1 and are reciprocal: area times factor is symmetric."""
    least = 1e-6 * np.sqrt(patches.size.min())  # a point sees nothing of itself
    exchange, distance = [], []
    for angle in _half_turn(n_azimuth):
        ways = _ways(patches, patches, angle, least)
        leaving = np.maximum(ways.along(patches.normal[:, :, None, None]), 0.0)
        arriving = np.maximum(-ways.along(_turned(patches.normal, angle)), 0.0)
        weight = ways.weight * leaving * arriving / (np.pi * ways.square)
        total = _sum(weight)
        exchange.append(total * patches.size[:, None] * patches.size)
        distance.append(_sum(weight * np.sqrt(ways.square)) / np.where(total > 0, total, 1.0))
    symmetric, scale = _whole_turn(exchange), np.ones(patches.size.size)
    for _ in range(_SINKHORN):
        scale = np.sqrt(scale * patches.size / np.einsum("kla,l->k", symmetric, scale))
    factor = symmetric * scale[:, None, None] * scale[None, :, None] / patches.size[:, None, None]
    return Kernel(factor, _whole_turn(distance))
