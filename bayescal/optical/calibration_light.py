"""Light of calibration runs at every sensor, as a function of water, wall and the places of the sources."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.errors import InputError
from bayescal.optical.detector import OpticalDetector, patches_at_sensors
from bayescal.optical.direct import seen_fraction, sight
from bayescal.optical.indirect import PatchesAtSensors
from bayescal.optical.light_table import LightTable, Scalar, make_table
from bayescal.optical.medium import Water, line
from bayescal.optical.rays import isotropic_rays
from bayescal.optical.sensors import Photosensors
from bayescal.optical.zones import make_zones


class RunLight(eqx.Module):
    """Isotropic sources at some positions, each at every one of some wavelengths: a run each, position by position.

    Attributes:
        position_m: of the sources [m].
        wavelength_nm: of the light [nm].
        sensors: of the detector.
        indirect: scattered and reflected light on the wall.
        at_sensors: from the wall to the sensors.
    """

    position_m: Float[np.ndarray, "position 3"]
    wavelength_nm: Float[np.ndarray, " wavelength"]
    sensors: Photosensors
    indirect: LightTable
    at_sensors: PatchesAtSensors

    @property
    def n_positions(self) -> int:
        """Number of sources' positions."""
        return self.position_m.shape[0]

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return self.position_m.shape[0] * self.wavelength_nm.shape[0]

    def __call__(
        self, water: Water, reflectivity: Scalar, shift_m: Float[Array, "position 3"]
    ) -> Float[Array, "sensor run"]:
        """Light at each sensor for one photoelectron that perfect coverage would count.

        Args:
            water: that fills the tank.
            reflectivity: of the wall with its sensors.
            shift_m: of each source; direct light follows it. Indirect light does not: it changes by 1e-3 of itself for
                some centimetres [m].
        """
        direct = direct_of_balls(jnp.asarray(self.position_m) + shift_m, self.wavelength_nm, water, self.sensors)
        indirect = self.at_sensors(self.indirect(water, reflectivity))
        return direct.reshape(-1, self.n_runs) + indirect


def run_light(
    detector: OpticalDetector, position_m: Sequence[Sequence[float]], wavelength_nm: Sequence[float]
) -> RunLight:
    """Tabulate the light of runs (half a minute).

    Args:
        detector: filled with water.
        position_m: of the sources, inside the tank [m].
        wavelength_nm: at each of them [nm].

    Raises:
        InputError: a source that is not inside the tank, or a wavelength that sensors do not see.
    """
    positions = require_inside("position_m", position_m, detector)
    wavelengths = require_seen(wavelength_nm, detector)
    zones = make_zones(detector.tank)
    sources = [isotropic_rays(jnp.asarray(position)) for position in positions for _ in wavelengths]
    table = make_table(sources, [line(each) for _ in positions for each in wavelengths], zones)
    return RunLight(positions, wavelengths, detector.sensors, table, patches_at_sensors(detector, zones))


def direct_of_balls(
    position_m: Float[Array, "position 3"],
    wavelength_nm: Float[Array | np.ndarray, " wavelength"],
    water: Water,
    sensors: Photosensors,
) -> Float[Array, "sensor position wavelength"]:
    """Direct light of isotropic sources at each sensor, for one photoelectron that perfect coverage would count.

    Args:
        position_m: of the sources, inside the tank [m].
        wavelength_nm: at each of them [nm].
        water: that fills the tank.
        sensors: on its wall.
    """
    view = sight(position_m, sensors)
    passed = jnp.exp(-water.attenuation(wavelength_nm) * view.distance_m.T[..., None])
    return seen_fraction(view, sensors).T[..., None] * passed


def require_inside(
    name: str, position_m: Sequence[Sequence[float]], detector: OpticalDetector
) -> Float[np.ndarray, "position 3"]:
    """Positions of sources [m].

    Raises:
        InputError: one that is not inside the tank; `name` is its setting.
    """
    positions = np.asarray(position_m, float).reshape(-1, 3)
    outside = ~np.asarray(detector.tank.contains(positions))
    if outside.any():
        place = positions[np.argmax(outside)].tolist()
        raise InputError(f"{name}: {place} is not inside the tank of {detector.name}; move the source")
    return positions


def require_seen(wavelength_nm: Sequence[float], detector: OpticalDetector) -> Float[np.ndarray, " wavelength"]:
    """Wavelengths of sources [nm].

    Raises:
        InputError: one that sensors do not see.
    """
    wavelengths = np.asarray(wavelength_nm, float)
    unseen = ~(np.asarray(detector.efficiency(wavelengths)) > 0)
    if unseen.any():
        raise InputError(
            f"wavelength_nm: the sensors of {detector.name} do not see {wavelengths[np.argmax(unseen)]:g} nm; "
            "leave that wavelength out"
        )
    return wavelengths
