"""Made tracks of minimum ionising particles: crossing the drift, to calibrate light on, or inside, to find times of."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

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
    ends = np.asarray(lower[:, None] + jax.random.uniform(key, (n_tracks, 2, 3)) * (upper - lower)[:, None]).copy()
    ends[:, 0, 0], ends[:, 1, 0] = drift.cathode_x_cm[volume], drift.anode_x_cm[volume]
    return _tracks(ends, volume, n_points)


def contained_tracks(key: PRNGKeyArray, detector: LightDetector, n_tracks: int, n_points: int = 12) -> Clusters:
    """Straight tracks between random points of a drift volume, moved to its lower face along the drift.

    So are tracks whose time is not known; each is an event of its own.

    Args:
        key: random key.
        detector: its drift volumes are filled in turn.
        n_tracks: number of tracks.
        n_points: of each track, evenly spaced, in the middles of as many equal pieces.
    """
    drift = detector.all_drift
    volume = np.arange(n_tracks) % len(drift.direction)
    lower, upper = (np.asarray(corner)[volume] for corner in (drift.lower_cm, drift.upper_cm))
    ends = np.asarray(lower[:, None] + jax.random.uniform(key, (n_tracks, 2, 3)) * (upper - lower)[:, None]).copy()
    ends[:, :, 0] += lower[:, :1] - ends[:, :, 0].min(axis=1, keepdims=True)
    return _tracks(ends, volume, n_points)


def _tracks(ends_cm: Float[np.ndarray, "track 2 3"], volume: Int[np.ndarray, " track"], n_points: int) -> Clusters:
    """Points between ends, each track an event of its own with time zero assumed and none known."""
    n_tracks = len(ends_cm)
    place = (np.arange(n_points) + 0.5)[:, None] / n_points
    points = ends_cm[:, :1] + (ends_cm[:, 1:] - ends_cm[:, :1]) * place
    photons = PHOTONS_PER_CM * np.linalg.norm(ends_cm[:, 1] - ends_cm[:, 0], axis=1) / n_points
    owner, zeros = np.repeat(np.arange(n_tracks), n_points), np.zeros(n_tracks)
    identity = (np.arange(n_tracks), zeros, volume)
    times = (zeros, np.full(n_tracks, np.nan))
    return clusters_from_points(identity, times, owner, points.reshape(-1, 3), photons[owner])
