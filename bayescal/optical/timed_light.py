"""Light of diffuser balls and injectors at every sensor, in windows of time after the flight from the source."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.optical.beams import Beams
from bayescal.optical.calibration_light import direct_of_balls, require_inside, require_seen
from bayescal.optical.detector import OpticalDetector, patches_at_sensors
from bayescal.optical.direct import sight
from bayescal.optical.indirect import PatchesAtSensors
from bayescal.optical.light_table import LightTable, Scalar, make_timed_table
from bayescal.optical.medium import Water
from bayescal.optical.rays import isotropic_rays
from bayescal.optical.sensors import Photosensors
from bayescal.optical.windows import Windows
from bayescal.optical.zones import make_zones


class Aim(eqx.Module):
    """Where sources are and point, beside what is known of them.

    Attributes:
        shift_m: of isotropic sources [m].
        slope: of each beam's axis along the two directions across it.
        width_scale: factor on each beam's width.
    """

    shift_m: Float[Array, "ball 3"]
    slope: Float[Array, "beam 2"]
    width_scale: Float[Array, " beam"]


class TimedLight(eqx.Module):
    """Light of sources, first isotropic ones, then beams: a run at each wavelength, source by source.

    A window's time is that of a photoelectron minus the flight from the source to the centre of the sensor.

    Attributes:
        ball_m: positions of isotropic sources [m].
        beams: injectors.
        wavelength_nm: of the light at each source [nm].
        windows: of time.
        sensors: of the detector.
        indirect: scattered and reflected light on the wall, window by window of each run.
        at_sensors: from the wall to the sensors.
    """

    ball_m: Float[np.ndarray, "ball 3"]
    beams: Beams
    wavelength_nm: Float[np.ndarray, " wavelength"]
    windows: Windows
    sensors: Photosensors
    indirect: LightTable
    at_sensors: PatchesAtSensors

    @property
    def n_balls(self) -> int:
        """Number of isotropic sources."""
        return self.ball_m.shape[0]

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return (self.n_balls + self.beams.n_beams) * self.wavelength_nm.shape[0]

    def __call__(self, water: Water, reflectivity: Scalar, aim: Aim) -> Float[Array, "sensor run window"]:
        """Light at each sensor in each window for one photoelectron that perfect coverage would count.

        Args:
            water: that fills the tank.
            reflectivity: of the wall with its sensors.
            aim: of the sources; direct light follows it. Indirect light does not: it changes by some 1e-3 of itself.
        """
        balls = direct_of_balls(jnp.asarray(self.ball_m) + aim.shift_m, self.wavelength_nm, water, self.sensors)
        direct = jnp.concatenate([balls, self._direct_of_beams(water, aim)], axis=1)
        shape = (self.sensors.n_sensors, self.n_runs, self.windows.count)
        indirect = self.at_sensors(self.indirect(water, reflectivity)).reshape(shape)
        return direct.reshape(*shape[:2], 1) * self.windows.of_direct + indirect

    def _direct_of_beams(self, water: Water, aim: Aim) -> Float[Array, "sensor beam wavelength"]:
        distance = sight(jnp.asarray(self.beams.position_m), self.sensors).distance_m
        passed = jnp.exp(-water.attenuation(self.wavelength_nm) * distance.T[..., None])
        return self.beams.seen_fraction(aim.slope, aim.width_scale, self.sensors).T[..., None] * passed


def timed_light(
    detector: OpticalDetector,
    ball_m: Sequence[Sequence[float]],
    beams: Beams,
    wavelength_nm: Sequence[float],
    windows: Windows,
) -> TimedLight:
    """Tabulate the light of sources at several wavelengths, in windows (a minute).

    Args:
        detector: filled with water.
        ball_m: positions of isotropic sources, inside the tank [m].
        beams: injectors.
        wavelength_nm: at each source [nm].
        windows: of time.

    Raises:
        InputError: a source that is not inside the tank, or a wavelength that sensors do not see.
    """
    balls = require_inside("diffuser_m", ball_m, detector)
    wavelengths = require_seen(wavelength_nm, detector)
    zones = make_zones(detector.tank)
    rays = [isotropic_rays(jnp.asarray(each)) for each in balls]
    rays += [beams.rays(number) for number in range(beams.n_beams)]
    table = make_timed_table(rays, wavelengths.tolist(), zones, windows)
    return TimedLight(balls, beams, wavelengths, windows, detector.sensors, table, patches_at_sensors(detector, zones))
