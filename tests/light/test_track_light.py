from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.flashes import clusters_from_points
from bayescal.light.box import Box
from bayescal.light.detector import expected_pe, in_every_volume, physical_visibility
from bayescal.light.made_tracks import crossing_tracks
from bayescal.light.track_light import Nodes, padded_points, track_light
from bayescal.light.visibility import Medium
from bayescal.readers.light_detector import read_light_detector


def test_nodes_reproduce_polynomials_and_hold_at_the_ends():
    nodes = Nodes(1.0, 3.0, 5)
    for x in (1.0, 1.7, 2.9):
        np.testing.assert_allclose(nodes.weights(x) @ nodes.places**4, x**4, rtol=1e-12)
    np.testing.assert_array_equal(nodes.weights(7.0), nodes.weights(3.0))


def test_light_of_two_volumes_is_that_of_a_sum_over_points():
    """Between the nodes to 0.1 %, in a detector with opaque walls between two of its volumes, one a mirror image."""
    detector = read_light_detector("2x2")
    detector = replace(detector, centre_cm=detector.centre_cm[:2], mirrored=detector.mirrored[:2], dead_sensors=())
    tracks = crossing_tracks(jax.random.key(1), detector, 3, n_points=6)
    light = track_light(tracks, detector)
    reflectivity = np.array([0.3, 0.05, 0.1, 0.02, 0.2, 0.0])
    for medium in (Medium(700.0, 70.0, 1.1), Medium(9000.0, 130.0, 0.2)):
        visibility = replace(physical_visibility(detector, medium), reflectivity=reflectivity)
        exact = expected_pe(1.0, in_every_volume(detector, visibility), *padded_points(tracks))
        found = np.tile(detector.sensors.efficiency, 2) * light(medium, reflectivity)
        np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-12)
        assert (np.asarray(exact) > 0).sum() == 3 * 48


def test_points_are_padded_without_light():
    clusters = clusters_from_points(
        ([0, 0], [0, 1], [0, 0]), (np.zeros(2), np.zeros(2)), [0, 1, 1], np.eye(3), [1.0, 2.0, 3.0]
    )
    points, photons = padded_points(clusters)
    np.testing.assert_array_equal(photons, [[1.0, 0.0], [2.0, 3.0]])
    np.testing.assert_array_equal(points[0], np.eye(3)[[0, 0]])


def test_a_detector_that_is_too_large_is_refused():
    detector = read_light_detector("module0")
    half = 60.0 * np.asarray(detector.box.upper_cm)
    sensors = replace(detector.sensors, position_cm=60.0 * np.asarray(detector.sensors.position_cm))
    drift = replace(detector.drift, lower_cm=-half[None], upper_cm=half[None])
    large = replace(detector, box=Box(-half, half), sensors=sensors, drift=drift)
    with pytest.raises(InputError, match="module0: light interpolated in the optical constants is off by"):
        track_light(crossing_tracks(jax.random.key(1), large, 3, n_points=6), large)
