"""A detector of scintillation light: its steps in order, from photons in the argon to photo-electrons."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from bayescal.light.box import Box
from bayescal.light.sensors import Sensors
from bayescal.light.visibility import Medium, PhysicalVisibility, Reflectivity
from bayescal.light.volumes import BoxVisibility, MultiVolume

Visibility = Callable[[Float[Array, "*point 3"]], Float[Array, "*point sensor"]]
Scalar = Float[Array | np.ndarray, ""] | float

_CHUNK = 2_000_000  # visibilities held at a time: 16 MB of 64 bits, and a few times that for a gradient


class DriftVolumes(eqx.Module):
    """Volumes in which electrons drift along x, one row a volume.

    Attributes:
        lower_cm, upper_cm: corners [cm].
        direction: of the drift, 1 to an anode at upper x, -1 to one at lower x.
    """

    lower_cm: Float[Array | np.ndarray, "drift 3"]
    upper_cm: Float[Array | np.ndarray, "drift 3"]
    direction: Float[Array | np.ndarray, " drift"]

    @property
    def anode_x_cm(self) -> Float[np.ndarray, " drift"]:
        """Where the electrons end [cm]."""
        return np.where(self.direction > 0, self.upper_cm[:, 0], self.lower_cm[:, 0])

    @property
    def cathode_x_cm(self) -> Float[np.ndarray, " drift"]:
        """Where the drift begins [cm]."""
        return np.where(self.direction > 0, self.lower_cm[:, 0], self.upper_cm[:, 0])


class LightDetector(eqx.Module):
    """What is known of a light detector before its calibration: one volume, and where its copies are.

    Positions have x along the drift field, as in the photon libraries of LArTPCs.

    Attributes:
        name: name of the detector.
        sensors: of one volume, in the frame of that volume.
        box: that volume.
        reflectivity: of its walls at lower x, upper x, lower y, ...
        drift: drift volumes in the box.
        centre_cm: of every copy of the volume, in the frame of the detector [cm].
        mirrored: for every copy, whether it is a mirror image along x, y and z.
        n_voxels: of the usual photon library of one volume, along x, y and z.
        dead_sensors: numbers of sensors that record nothing; sensors are counted volume by volume.
        source: where these values come from.
    """

    name: str = eqx.field(static=True)
    sensors: Sensors
    box: Box
    reflectivity: Reflectivity
    drift: DriftVolumes
    centre_cm: Float[np.ndarray, "volume 3"]
    mirrored: Bool[np.ndarray, "volume 3"]
    n_voxels: tuple[int, int, int] = eqx.field(static=True)
    dead_sensors: tuple[int, ...] = eqx.field(static=True, default=())
    source: str = eqx.field(static=True, default="")

    @property
    def n_volumes(self) -> int:
        """Number of volumes."""
        return self.centre_cm.shape[0]

    @property
    def n_sensors(self) -> int:
        """Number of sensors in all volumes."""
        return self.n_volumes * self.sensors.n_sensors

    @property
    def alive(self) -> Bool[np.ndarray, " sensor"]:
        """Which sensors record light."""
        return ~np.isin(np.arange(self.n_sensors), self.dead_sensors)

    @property
    def all_sensors(self) -> Sensors:
        """The sensors of all volumes, in the frame of the detector."""
        sensors, copies = self.sensors, self.n_volumes
        sign = np.where(self.mirrored, -1.0, 1.0)[:, None]
        return Sensors(
            position_cm=self._placed(sensors.position_cm).reshape(-1, 3),
            normal=(sign * sensors.normal).reshape(-1, 3),
            area_cm2=np.tile(sensors.area_cm2, copies),
            efficiency=np.tile(sensors.efficiency, copies),
            kind=sensors.kind * copies,
        )

    @property
    def all_drift(self) -> DriftVolumes:
        """The drift volumes of all volumes, in the frame of the detector."""
        ends = np.stack([self._placed(self.drift.lower_cm), self._placed(self.drift.upper_cm)])
        sign = np.where(self.mirrored[:, :1], -1.0, 1.0)
        return DriftVolumes(
            ends.min(axis=0).reshape(-1, 3), ends.max(axis=0).reshape(-1, 3), (sign * self.drift.direction).ravel()
        )

    def _placed(self, position_cm: Float[Array | np.ndarray, "n 3"]) -> Float[np.ndarray, "volume n 3"]:
        """Positions within one volume, in each of its copies [cm]."""
        sign = np.where(self.mirrored, -1.0, 1.0)[:, None]
        return self.centre_cm[:, None] + sign * (np.asarray(position_cm) - np.asarray(self.box.centre_cm))


class ExpectedLight(eqx.Module):
    """Expected light of points [p.e.] by a visibility.

    Attributes:
        visibility: probability that a photon is detected by each sensor.
        quantum_efficiency: photo-electrons a photon that the visibility counts.
    """

    visibility: Visibility
    quantum_efficiency: float = 1.0

    def __call__(
        self, position_cm: Float[Array, "point 3"], photons: Float[Array, " point"]
    ) -> Float[Array, " sensor"]:
        """Light of points [cm] that emit photons."""
        # a product and its sum fuse with look-ups; a product of matrices does not, and takes three times as long
        return self.quantum_efficiency * (photons[:, None] * self.visibility(position_cm)).sum(axis=0)


def physical_visibility(detector: LightDetector, medium: Medium | None = None) -> PhysicalVisibility:
    """Visibility of the sensors of one volume, in its frame, by optics with the reflectivities of the detector."""
    return PhysicalVisibility(detector.sensors, detector.box, medium or Medium(), detector.reflectivity)


def in_every_volume(detector: LightDetector, visibility: BoxVisibility) -> MultiVolume:
    """Visibility of all sensors, in the frame of the detector, from that of one volume."""
    half = detector.box.size_cm / 2
    return MultiVolume(
        children=(visibility,),
        child=(0,) * detector.n_volumes,
        lower_cm=detector.centre_cm - half,
        upper_cm=detector.centre_cm + half,
        mirrored=detector.mirrored,
    )


def expected_pe(
    yields: Float[Array | np.ndarray, " sensor"] | Scalar,
    visibility: Visibility,
    points_cm: Float[Array | np.ndarray, "cluster point 3"],
    photons: Float[Array | np.ndarray, "cluster point"],
    dark: Float[Array | np.ndarray, " sensor"] | Scalar = 0.0,
) -> Float[Array, "cluster sensor"]:
    """Expected light of clusters, `yields * sum over points of photons * visibility + dark`.

    Memory is bounded: a few clusters at a time, in the gradient too, which computes visibilities a second time.

    Args:
        yields: photo-electrons per photon detected by `visibility`, for each sensor.
        visibility: probability that a photon is detected by each sensor.
        points_cm: where light is emitted, rows padded to the same length with any position [cm].
        photons: emitted at each point, zero in the padding.
        dark: photo-electrons that are there without light, for each sensor.
    """
    points, photons = jnp.asarray(points_cm), jnp.asarray(photons)

    @jax.checkpoint
    def of_cluster(cluster: tuple[Float[Array, "point 3"], Float[Array, " point"]]) -> Float[Array, " sensor"]:
        position, emitted = cluster
        return emitted @ visibility(position)

    n_sensors = eqx.filter_eval_shape(visibility, points[0, :1]).shape[-1]
    at_a_time = max(1, _CHUNK // (points.shape[1] * n_sensors))
    light = jax.lax.map(of_cluster, (points, photons), batch_size=min(at_a_time, points.shape[0]))
    return yields * light + dark
