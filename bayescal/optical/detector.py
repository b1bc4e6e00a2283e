"""A large homogeneous detector of light: its tank, its sensors, and where on the wall they are."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from bayescal.optical.efficiency import QuantumEfficiency
from bayescal.optical.geometry import Tank
from bayescal.optical.indirect import PatchesAtSensors
from bayescal.optical.sensors import Photosensors
from bayescal.optical.zones import Zones

_CORNERS = 4  # patches around a sensor; more have a share on the axis of the tank only


class OpticalDetector(eqx.Module):
    """What is known of an optical detector before its calibration.

    Attributes:
        name: of the detector.
        tank: its shape.
        sensors: on its wall.
        efficiency: of the sensors by wavelength.
        transit_sd_ns: spread of the transit time for one photoelectron [ns].
        dark_rate_khz: dark counts of a sensor [kHz].
        sensor_reflectivity: of a sensor's face; wall_reflectivity: of the wall between sensors.
        faults: sentences on numbers of the geometry that contradict each other.
        source: where these values come from.
    """

    name: str = eqx.field(static=True)
    tank: Tank
    sensors: Photosensors
    efficiency: QuantumEfficiency
    transit_sd_ns: float = eqx.field(static=True)
    dark_rate_khz: float = eqx.field(static=True)
    sensor_reflectivity: float = eqx.field(static=True)
    wall_reflectivity: float = eqx.field(static=True)
    faults: tuple[str, ...] = eqx.field(static=True, default=())
    source: str = eqx.field(static=True, default="")

    @property
    def coverage(self) -> float:
        """Area of all sensors over that of the wall."""
        return self.sensors.n_sensors * self.sensors.area_m2 / self.tank.area_m2

    @property
    def reflectivity(self) -> float:
        """Of wall and sensors together."""
        return self.coverage * self.sensor_reflectivity + (1 - self.coverage) * self.wall_reflectivity


def patches_at_sensors(detector: OpticalDetector, zones: Zones) -> PatchesAtSensors:
    """From light on the patches of the wall to indirect light on every sensor."""
    stencil = zones.patches_around(detector.sensors.position_m)
    index = np.asarray(stencil.ring * zones.n_azimuth + stencil.azimuth)
    share = np.asarray(stencil.share) / zones.patch_m2[np.asarray(stencil.ring)]
    largest = np.argsort(-share, axis=1)[:, :_CORNERS]
    kept = np.take_along_axis(share, largest, axis=1)
    kept *= share.sum(axis=1, keepdims=True) / kept.sum(axis=1, keepdims=True)
    area = detector.sensors.area_m2 * jnp.asarray(detector.sensors.acceptance.diffuse)
    return PatchesAtSensors(np.take_along_axis(index, largest, axis=1), kept, area)
