"""Inputs of models with the light of known tracks: one row a track, one column a sensor."""

from __future__ import annotations

from collections.abc import Mapping

import equinox as eqx
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.flashes import Clusters
from bayescal.light.detector import LightDetector
from bayescal.light.track_light import TrackLight, track_light
from bayescal.parameters import Prior


class TrackInputs(eqx.Module):
    """What a model of the light of tracks is given beside it.

    Attributes:
        detector: its name; kinds: names of the kinds of its sensors.
        clusters: the tracks.
        light: of these tracks as a function of the optical constants, for sensors of efficiency one.
        efficiency: of the sensors, as the detector's file has it.
        kind: number of each sensor's kind.
        live: entries that can record light; sensors that are dead, or that see nothing of a track, cannot.
        priors: priors and fixed values by name.
        saturation: light at which sensors are at the end of their range [p.e.], none where there is no such end.
    """

    detector: str = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)
    clusters: Clusters
    light: TrackLight
    efficiency: Float[NDArray | Array, " sensor"]
    kind: Int[NDArray | Array, " sensor"]
    live: Bool[NDArray | Array, "track sensor"]
    priors: dict[str, Prior]
    saturation: Float[NDArray | Array, ""] | None = None

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return self.live.shape[0]

    @property
    def n_sensors(self) -> int:
        """Number of sensors."""
        return self.live.shape[1]


def track_inputs(
    clusters: Clusters, detector: LightDetector, priors: Mapping[str, Prior], saturation: float | None = None
) -> TrackInputs:
    """Inputs of a model of the light of tracks.

    Args:
        clusters: tracks at known places.
        detector: what is known of the detector.
        priors: priors and fixed values by name.
        saturation: light at which sensors are at the end of their range [p.e.], none where there is no such end.

    Raises:
        InputError: where no light reaches a sensor, or the detector is too large to interpolate its light.
    """
    light = track_light(clusters, detector)
    sees = np.asarray(light.basis).any(axis=0)
    if not sees.any():
        raise InputError(
            f"no light of the {clusters.n_clusters} tracks reaches a sensor of {detector.name}: check that positions "
            "are in cm with x along the drift field, and the detector"
        )
    sensors = detector.all_sensors
    return TrackInputs(
        detector=detector.name,
        kinds=sensors.kinds,
        clusters=clusters,
        light=light,
        efficiency=np.asarray(sensors.efficiency),
        kind=np.array([sensors.kinds.index(name) for name in sensors.kind]),
        live=sees & detector.alive,
        priors=dict(priors),
        saturation=None if saturation is None else np.asarray(saturation),
    )
