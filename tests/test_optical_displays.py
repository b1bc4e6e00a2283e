"""Rings of light on the wall."""

import numpy as np
import pytest

from bayescal.diagnostics.wall_maps import line_on_map
from bayescal.optical.geometry import Cylinder, Sphere
from bayescal.optical_displays import ring_on_wall, wall_map


def test_ring_on_a_sphere_is_a_circle():
    """From the centre, the cone meets the wall on a circle about the axis, which meets it in the middle."""
    axis = np.array([0.6, 0.0, 0.8])
    edge, centre = ring_on_wall(Sphere(2.0), np.zeros(3), axis, 0.75)
    np.testing.assert_allclose(centre, [2 * axis])
    np.testing.assert_allclose(edge @ axis, 1.5)
    np.testing.assert_allclose(np.linalg.norm(edge, axis=1), 2.0)
    np.testing.assert_allclose(edge[0], edge[-1], atol=1e-12)


def test_ring_is_cut_where_the_map_is():
    """A cone backwards from the middle of a flat tank crosses the seam at 180 degrees and both caps."""
    tank = Cylinder(2.0, 2.0)
    ring = ring_on_wall(tank, np.array([0.1, 0.0, 0.0]), np.array([-1.0, 0.0, 0.0]), 0.7)
    line = line_on_map(wall_map(tank), ring.edge_m)
    gaps = np.flatnonzero(np.isnan(line[:, 0]))
    assert len(gaps) == 4
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert np.nanmax(steps) < 0.1


def test_ring_outside_of_the_tank():
    with pytest.raises(ValueError, match=r"apex of a ring must be inside of the tank: \[3. 0. 0.\] m is not"):
        ring_on_wall(Cylinder(2.0, 3.0), np.array([3.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0]), 0.75)
