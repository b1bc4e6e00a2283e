"""Tracks of minimum ionising particles that cross the drift from cathode to anode, to calibrate light on."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.flashes import Clusters, clusters_from_points
from bayescal.light.detector import LightDetector

PHOTONS_PER_CM = 24_000 * 2.2
"""Photons per MeV at 0.5 kV/cm times MeV/cm of a minimum ionising track, as in siren-pfmatch's toy."""


def crossing_tracks(key: PRNGKeyArray, detector: LightDetector, n_tracks: int, n_points: int = 24) -> Clusters:
    """Straight tracks with ends uniform on the faces of cathode and anode, each an event of its own at time zero.

    Args:
        key: random key.
        detector: its drift volumes, which the tracks cross in turn.
        n_tracks: number of tracks.
        n_points: of each track, evenly spaced, in the middles of as many equal pieces.
    """
    drift = detector.all_drift
    volume = np.arange(n_tracks) % len(drift.direction)
    lower, upper = (np.asarray(corner)[volume] for corner in (drift.lower_cm, drift.upper_cm))
    ends = lower[:, None] + np.asarray(jax.random.uniform(key, (n_tracks, 2, 3))) * (upper - lower)[:, None]
    ends[:, 0, 0], ends[:, 1, 0] = drift.cathode_x_cm[volume], drift.anode_x_cm[volume]
    place = (np.arange(n_points) + 0.5)[:, None] / n_points
    points = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * place
    photons = PHOTONS_PER_CM * np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / n_points
    numbers, zeros = np.arange(n_tracks), np.zeros(n_tracks)
    owner = np.repeat(numbers, n_points)
    identity = (numbers, zeros, volume)
    return clusters_from_points(identity, (zeros, zeros), owner, points.reshape(-1, 3), photons[owner])
