from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from bayescal.diagnostics.wall_maps import HammerSphere, UnrolledCylinder, map_around
from bayescal.optical.geometry import Cylinder, fibonacci_directions, grid_on_cylinder

TANK, BALL = UnrolledCylinder(2.0, 3.0), HammerSphere(2.0)


def test_barrel_and_caps_meet_at_azimuth_zero():
    """By hand: a quarter turn is pi in a tank of radius 2; caps are folded outwards from where they touch."""
    position = np.array([[2, 0, 1.0], [0, 2, -1.0], [1.9, 0, 1.5], [1.9, 0, -1.5], [0, 1.0, 1.5], [-1.9, 0, 1.5]])
    place = TANK.place_m(position)
    by_hand = [[0, 1], [np.pi, -1], [0, 1.6], [0, -1.6], [1, 3.5], [0, 5.4]]
    np.testing.assert_allclose(place, by_hand, atol=1e-12)


def test_no_sensor_of_super_kamiokande_overlaps_another_or_an_outline():
    """All 11,146 at their size: the centres are as far apart on the map as two radii, and inside of their part."""
    tank, radius = Cylinder(16.9, 36.2), 0.254
    position = grid_on_cylinder(tank, 0.707, 150, 51, radius)
    discs = UnrolledCylinder(16.9, 36.2).discs(position, radius)
    assert len(position) == 11_146
    assert KDTree(discs.place_m).query(discs.place_m, k=2)[0][:, 1].min() > 2 * radius
    across, up = discs.place_m.T
    barrel = np.abs(up) < 18.1
    assert barrel.sum() == 7_650
    assert np.abs(up[barrel]).max() < 18.1 - radius
    assert np.abs(across[barrel]).max() <= np.pi * 16.9 + 1e-9
    assert np.hypot(across[~barrel], np.abs(up[~barrel]) - 35.0).max() < 16.9 - radius
    np.testing.assert_allclose([discs.first_m, discs.second_m], 2 * radius)


def test_outlines_enclose_the_unrolled_wall():
    rectangle, top, bottom = TANK.outlines()
    np.testing.assert_allclose(np.ptp(rectangle, axis=0), [4 * np.pi, 3.0])
    assert top[:, 1].min() == pytest.approx(rectangle[:, 1].max())
    assert bottom[:, 1].max() == pytest.approx(rectangle[:, 1].min())


def test_sphere_is_mapped_as_by_hammer():
    """Centre, poles and the ends of the equator, which are 4 and 2 square roots of two radii apart."""
    position = 2.0 * np.array([[1, 0, 0], [0, 0, 1], [0, 0, -1], [-1, 1e-12, 0], [-1, -1e-12, 0]])
    place = BALL.place_m(position) / (2 * np.sqrt(2))
    np.testing.assert_allclose(place, [[0, 0], [0, 1], [0, -1], [2, 0], [-2, 0]], atol=1e-9)


def test_ellipses_are_the_first_order_of_the_map():
    """Areas are those of the discs, and steps around a point lie on its ellipse."""
    position = 2.0 * fibonacci_directions(40)
    drawn_on, size = BALL, 1e-5
    discs = drawn_on.discs(position, size)
    np.testing.assert_allclose(discs.first_m * discs.second_m, 4 * size**2)
    centre = drawn_on.place_m(position)
    turn = np.radians(discs.angle_deg)
    for angle in (0.3, 1.7, 4.0):
        east = np.cross([0, 0, 1], position)
        east /= np.linalg.norm(east, axis=1, keepdims=True)
        north = np.cross(position / 2.0, east)
        x, y = (drawn_on.place_m(position + size * (np.cos(angle) * east + np.sin(angle) * north)) - centre).T
        along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        np.testing.assert_allclose((2 * along / discs.first_m) ** 2 + (2 * across / discs.second_m) ** 2, 1, rtol=1e-3)


def test_map_around_sensors():
    found = map_around(grid_on_cylinder(Cylinder(5.0, 8.0), 0.5, 60, 15, 0.1))
    assert isinstance(found, UnrolledCylinder)
    assert (found.radius_m, found.height_m) == pytest.approx((5.0, 8.0))
    ball = map_around(17.5 * fibonacci_directions(500))
    assert isinstance(ball, HammerSphere)
    assert ball.radius_m == pytest.approx(17.5)
