"""What a display of an optical detector shows: its wall as a map, and rings of light on it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bayescal.diagnostics.plots_optical import Wall
from bayescal.diagnostics.wall_maps import HammerSphere, Points, Ring, UnrolledCylinder, WallMap
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.emission import frame_about
from bayescal.optical.geometry import Cylinder, Tank

_RING_POINTS = 720

Vector = Float[np.ndarray, " 3"]


def wall_of(detector: OpticalDetector) -> Wall:
    """The wall of a detector with its sensors."""
    sensors = detector.sensors
    return Wall(wall_map(detector.tank), np.asarray(sensors.position_m), sensors.radius_m, np.asarray(sensors.live))


def wall_map(tank: Tank) -> WallMap:
    """The map of a tank's wall."""
    if isinstance(tank, Cylinder):
        return UnrolledCylinder(tank.radius_m, tank.height_m)
    return HammerSphere(tank.radius_m)


def ring_on_wall(tank: Tank, apex_m: Vector, axis: Vector, cos_opening: float) -> Ring:
    """Where a cone of light meets the wall.

    Args:
        tank: that holds the light.
        apex_m: where the light starts, inside the tank [3] [m].
        axis: direction of the cone, a unit vector [3].
        cos_opening: cosine of the angle between axis and light.

    Raises:
        ValueError: the cone's apex is outside of the tank.
    """
    if not bool(tank.contains(np.reshape(apex_m, (1, 3)))[0]):
        raise ValueError(f"the apex of a ring must be inside of the tank: {np.asarray(apex_m)} m is not")
    turn = np.linspace(0, 2 * np.pi, _RING_POINTS + 1)
    first, second, along = frame_about(axis)
    across = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
    sine = np.sqrt(1 - cos_opening**2)
    return Ring(_reach(tank, apex_m, cos_opening * along + sine * across), _reach(tank, apex_m, along[None]))


def _reach(tank: Tank, apex_m: Vector, direction: Points) -> Points:
    """From a point along directions to the wall [m]."""
    apex = np.broadcast_to(apex_m, direction.shape)
    return apex + np.asarray(tank.chord_m(apex, direction))[:, None] * direction
