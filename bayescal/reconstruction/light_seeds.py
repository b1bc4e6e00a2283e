"""Where an event of an optical detector may be, by coarse scans of its hits, and which sensors its light reaches."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter1d

from bayescal.optical.geometry import Cylinder, Tank
from bayescal.optical.medium import SPEED_OF_LIGHT_M_PER_NS

_STEP_M = 1.5
_FINER = 3  # rounds of scans around the best point, each with half the step
_WIDTH_NS = 4.0  # of residuals that agree; those of scattered light do not
_MARGIN_M = 0.5
_BIN_NS = 1.0  # of the histogram of starts


class EventSeed(NamedTuple):
    """A start for a reconstruction.

    Attributes:
        position_m: middle of the early light [m].
        time_ns: of its emission [ns].
        direction: unit vector, mean of the directions of the light.
    """

    position_m: Float[np.ndarray, " 3"]
    time_ns: float
    direction: Float[np.ndarray, " 3"]


def seed_event(
    sensor_m: Float[np.ndarray, "hit 3"],
    charge_pe: Float[np.ndarray, " hit"],
    time_ns: Float[np.ndarray, " hit"],
    tank: Tank,
    delay_ns_per_m: float,
    brightest: int = 500,
) -> EventSeed:
    """The point whose light explains most of the times of hits, and the mean direction from there to the charge.

    Args:
        sensor_m: places of the hit sensors [m].
        charge_pe: their charges [p.e.].
        time_ns: their times [ns].
        tank: in which the event is.
        delay_ns_per_m: of light [ns/m].
        brightest: hits that the scan looks at: those of most charge are of direct light.
    """
    points, step = _grid(tank), _STEP_M
    bright = np.argsort(-charge_pe)[:brightest]
    seen, times = sensor_m[bright], time_ns[bright]
    best = _best(points, seen, times, delay_ns_per_m)
    for _ in range(_FINER):
        step /= 2
        corner = step * np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        best = _best(best[0] + corner, seen, times, delay_ns_per_m)
    way = sensor_m - best[0]
    mean = np.sum(charge_pe[:, None] * way / np.linalg.norm(way, axis=1, keepdims=True), axis=0)
    return EventSeed(best[0], best[1], mean / np.linalg.norm(mean))


def starts_along(seed: EventSeed, length_m: float, number: int) -> dict[str, Float[np.ndarray, " number"]]:
    """Starts of a track on the line of a seed, by parameter: `vertex_x`, `vertex_y`, `vertex_z` [m], `event_time` [ns].

    The cone of a relativistic track is the same wherever on its line the track began, with the time to match, so the
    place where most times agree is only somewhere near it.

    Args:
        seed: place, time and direction.
        length_m: of the track; starts reach from one length ahead of the seed to two and a half behind it [m].
        number: of starts.
    """
    back = np.linspace(-length_m, 2.5 * length_m, number)
    places = seed.position_m - back[:, None] * seed.direction
    times = seed.time_ns - back / SPEED_OF_LIGHT_M_PER_NS
    return dict(zip(("vertex_x", "vertex_y", "vertex_z", "event_time"), (*places.T, times), strict=True))


def bright_sensors(light_pe: Float[np.ndarray, " sensor"], least_pe: float) -> Int[np.ndarray, " bright"]:
    """Numbers of the sensors with more than so much light, and of the next ones up to a tenth of all.

    Sets of few sizes let events share compiled programs.

    Args:
        light_pe: expected at each sensor [p.e.].
        least_pe: of those wanted [p.e.].
    """
    tenth = math.ceil(light_pe.size / 10)
    tenths = max(1, math.ceil(np.sum(light_pe > least_pe) / tenth))
    return np.sort(np.argsort(-light_pe)[: tenths * tenth])


def _grid(tank: Tank) -> Float[np.ndarray, "point 3"]:
    """Points within the tank."""
    half = tank.height_m / 2 if isinstance(tank, Cylinder) else tank.radius_m
    side, up = np.arange(-tank.radius_m, tank.radius_m, _STEP_M), np.arange(-half, half, _STEP_M)
    points = np.stack(np.meshgrid(side, side, up, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.asarray(tank.depth_m(points)) > _MARGIN_M
    return points[inside] if inside.any() else np.zeros((1, 3))


def _best(
    points: Float[np.ndarray, "point 3"],
    sensor_m: Float[np.ndarray, "hit 3"],
    time_ns: Float[np.ndarray, " hit"],
    delay_ns_per_m: float,
) -> tuple[Float[np.ndarray, " 3"], float]:
    """The point, and its time, that most hits agree with: the peak of the times at which their light started."""
    square = np.sum(points**2, axis=1)[:, None] + np.sum(sensor_m**2, axis=1) - 2 * points @ sensor_m.T
    start = time_ns - delay_ns_per_m * np.sqrt(np.maximum(square, 0.0))
    first = start.min()
    place = ((start - first) / _BIN_NS).astype(int)
    n_bins = int(place.max()) + 1
    flat = place + n_bins * np.arange(len(points))[:, None]
    count = np.bincount(flat.ravel(), minlength=n_bins * len(points)).reshape(-1, n_bins)
    score = gaussian_filter1d(count.astype(float), _WIDTH_NS / _BIN_NS, axis=1, mode="constant")
    best, when = np.unravel_index(np.argmax(score), score.shape)
    return points[best], float(first + _BIN_NS * (when + 0.5))
