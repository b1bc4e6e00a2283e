"""Events of Super-Kamiokande from the tracer: muons that bend, and electrons, with hits as its sensors record them."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import numpy as np

from bayescal.optical.detector import OpticalDetector

THRESHOLD_PE = 0.25
TIME_NS = 5.0
FIDUCIAL_M = 2.0  # distance to the wall that start and end of a track keep
LONGEST_M_PER_MEV = 5e-3  # more than any track of a muon or shower, over its kinetic energy


class TracedEvent(NamedTuple):
    """A particle and its hits.

    Attributes:
        kinetic_mev: at the start [MeV].
        vertex_m: start of the track [3] [m].
        direction: there, a unit vector [3].
        time_ns: of the start [ns].
        hits: charge [p.e.] and time [ns] of every sensor, 0 without a hit [sensor, 2].
    """

    kinetic_mev: float
    vertex_m: np.ndarray
    direction: np.ndarray
    time_ns: float
    hits: np.ndarray


def traced_event(
    tracer: ModuleType,
    detector: OpticalDetector,
    seed: int,
    kind: str,
    window_ns: tuple[float, float],
    lowest_mev: float,
) -> TracedEvent:
    """A muon or an electron of up to 1000 MeV, anywhere within the fiducial volume and in any direction."""
    rng = np.random.default_rng(seed)
    kinetic, direction = float(rng.uniform(lowest_mev, 1000.0)), rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    vertex = contained_vertex(rng, detector, LONGEST_M_PER_MEV * kinetic * direction)
    particle, light = tracer.Particle(kinetic, vertex, direction, TIME_NS), tracer.Cherenkov()
    if kind == "muon":
        photons = tracer.cherenkov_photons(rng, tracer.muon_path(rng, particle, light.highest_index), light)
    else:
        photons = tracer.electron_photons(rng, particle, light)
    sensors, shape = detector.sensors, detector.tank
    tank = tracer.Tank(
        tracer.Cylinder(shape.radius_m, shape.height_m),
        sensors.position_m,
        sensors.normal,
        sensors.radius_m,
        detector.sensor_reflectivity,
        detector.wall_reflectivity,
    )
    readout = tracer.Readout(
        transit_sd_ns=detector.transit_sd_ns, dark_rate_khz=detector.dark_rate_khz, window_ns=window_ns
    )
    seen = tracer.hits(rng, photons, tank, tracer.Water(), readout)
    kept = seen.charge >= THRESHOLD_PE
    hits = np.zeros((sensors.n_sensors, 2))
    hits[seen.sensor[kept]] = np.stack([seen.charge[kept], seen.first_time_ns[kept]], axis=1)
    return TracedEvent(kinetic, vertex, direction, TIME_NS, hits)


def contained_vertex(rng: np.random.Generator, detector: OpticalDetector, track_m: np.ndarray) -> np.ndarray:
    """A point from which a track stays within the fiducial volume."""
    tank = detector.tank
    reach = np.array([tank.radius_m, tank.radius_m, tank.height_m / 2]) - FIDUCIAL_M
    while True:
        vertex = rng.uniform(-reach, reach)
        if np.min(np.asarray(tank.depth_m(np.stack([vertex, vertex + track_m])))) > FIDUCIAL_M:
            return vertex
