from __future__ import annotations

import jax
import numpy as np

from bayescal.light.made_tracks import PHOTONS_PER_CM, contained_tracks, crossing_tracks
from bayescal.readers.light_detector import read_light_detector


def test_tracks_cross_their_volume_from_cathode_to_anode():
    detector = read_light_detector("2x2")
    tracks = crossing_tracks(jax.random.key(1), detector, 16, n_points=5)
    drift = detector.all_drift
    np.testing.assert_array_equal(tracks.volume, np.arange(16) % 8)
    points = tracks.position_cm.reshape(16, 5, 3)
    lower, upper = drift.lower_cm[tracks.volume], drift.upper_cm[tracks.volume]
    assert ((points > lower[:, None]) & (points < upper[:, None])).all()
    step = points[:, 1] - points[:, 0]
    first, last = points[:, 0] - step / 2, points[:, -1] + step / 2
    np.testing.assert_allclose(first[:, 0], drift.cathode_x_cm[tracks.volume])
    np.testing.assert_allclose(last[:, 0], drift.anode_x_cm[tracks.volume])
    length = np.linalg.norm(last - first, axis=1)
    np.testing.assert_allclose(tracks.photons.reshape(16, 5).sum(axis=1), PHOTONS_PER_CM * length)


def test_tracks_inside_a_volume_begin_at_its_lower_face():
    detector = read_light_detector("2x2")
    tracks = contained_tracks(jax.random.key(1), detector, 16, n_points=100)
    drift, points = detector.all_drift, tracks.position_cm.reshape(16, 100, 3)
    lower, upper = drift.lower_cm[tracks.volume], drift.upper_cm[tracks.volume]
    assert ((points > lower[:, None]) & (points < upper[:, None])).all()
    step = np.abs(points[:, 1] - points[:, 0])[:, 0]
    np.testing.assert_allclose(points[:, :, 0].min(axis=1) - step / 2, lower[:, 0], atol=1e-9)
    assert np.isnan(tracks.known_time_us).all()
