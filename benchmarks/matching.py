"""Flash matching and T0: speed, pairs kept, resolution and coverage.

    python benchmarks/matching.py match    10 clusters and 10 flashes in ICARUS, from a photon library of 10 cm voxels
    python benchmarks/matching.py pairs    pairs kept for 20 and for 100 clusters, same detector
    python benchmarks/matching.py t0       1,000 tracks in Module-0 with gains unknown to 10 %, drawn anew for each

Without an argument all three. The library of ICARUS is made first, with the optics of `bayescal.light.visibility`.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.flashes import Clusters, clusters_from_points
from bayescal.light.box import Box
from bayescal.light.detector import DriftVolumes
from bayescal.light.library import PhotonLibrary, voxel_centres_cm
from bayescal.light.sensors import Sensors
from bayescal.light.visibility import Medium, PhysicalVisibility
from bayescal.likelihoods.counts import PhotonCounts
from bayescal.reconstruction.clusters import ClusterBatch, batch_clusters
from bayescal.reconstruction.matching import Background, Matching, Trigger, match
from bayescal.reconstruction.shift_summary import densest_set, moments
from bayescal.reconstruction.t0 import Light, make_grid, no_constraint, shift_posteriors

PHOTONS_PER_CM = 24_000 * 2.2  # of a minimum ionising track: photons per MeV times MeV/cm, as siren-pfmatch's toy
QUANTUM_EFFICIENCY = 0.12  # of ICARUS' photomultipliers, wavelength shifter included
GAIN_ERROR = 0.1
PEER_SECONDS = 105  # siren-pfmatch, the same job with a library on two threads


class Look(eqx.Module):
    """Expected light of points by a visibility [p.e.]."""

    visibility: eqx.Module
    photons_to_pe: float

    def __call__(self, position_cm: Float[Array, "point 3"], photons: Float[Array, " point"]) -> Array:
        """Expected light."""
        return self.photons_to_pe * (photons @ self.visibility(position_cm))


class Counted(eqx.Module):
    """Counts with a relative error of the expectation; zero is Poisson."""

    error: float

    def __call__(self, mean: Array) -> PhotonCounts:
        """Their distribution."""
        return PhotonCounts(mean, model_error=self.error)


class Setup(NamedTuple):
    """A detector with its light, and the volume in which tracks are made."""

    light: Light
    volumes: DriftVolumes


def icarus() -> Setup:
    """One cryostat of ICARUS, sensors as in siren-pfmatch's icarus_detector.yaml, a library of 10 cm voxels."""
    rows = ([-76.25, 29.35], [-129.05, -23.45, 82.15])
    places = [
        (x, y, -872.90 + 49.88 * column)
        for x in (-371.07, -49.36)
        for column in range(36)
        for y in rows[column % 4 in (1, 2)]
    ]
    position = np.array(places)
    normal = np.where(position[:, :1] < -200, 1.0, -1.0) * np.eye(3)[0]
    sensors = Sensors(position, normal, np.full(180, 324.3), np.ones(180), ("PMT",) * 180)
    box = Box(np.array([-395.0, -215.0, -985.0]), np.array([-25.0, 170.0, 985.0]))
    optics = PhysicalVisibility(sensors, box, Medium(), np.array([0, 0, 0.2, 0.2, 0.2, 0.2]))
    shape = (37, 38, 197)
    centres = jnp.asarray(voxel_centres_cm(box, shape).reshape(-1, 3))
    table = jax.jit(lambda points: jax.lax.map(lambda p: optics(p).astype(jnp.float32), points, batch_size=4096))
    library = PhotonLibrary(box, table(centres).reshape(*shape, -1))
    active = np.array([[-358.49, -181.86, -894.951], [-61.94, 134.96, 894.951]])
    volumes = DriftVolumes(active[:1], active[1:], np.ones(1))
    return Setup(Light(Look(library, QUANTUM_EFFICIENCY), Counted(GAIN_ERROR)), volumes)


def module0() -> Setup:
    """One drift volume of Module-0: 48 sensors in tiles of six, of two kinds by turns, and optics without a library."""
    half = np.array([60.07, 55.37, 48.87, 44.17, 37.67, 32.97, 29.07, 24.37, 17.87, 13.17, 6.67, 1.97])
    y = np.concatenate([-half, half[::-1]])
    first_kind = np.arange(24) // 6 % 2 == 0
    x = np.where(first_kind, 4.0, 8.0)
    sides = [np.stack([x, y, np.full(24, z)], axis=1) for z in (-31.49, 31.49)]
    normal = np.eye(3)[2] * np.repeat([1.0, -1.0], 24)[:, None]
    efficiency = np.tile(np.where(first_kind, 6e-3, 4e-4), 2)
    sensors = Sensors(np.concatenate(sides), normal, np.full(48, 28 * 4.8), efficiency, ("SiPM",) * 48)
    corner = np.array([15.1362, 63.0936, 31.015])
    optics = PhysicalVisibility(sensors, Box(-corner, corner), Medium(), np.array([0.1, 0.1, 0.05, 0.05, 0.05, 0.05]))
    return Setup(Light(Look(optics, 1.0), Counted(GAIN_ERROR)), DriftVolumes(-corner[None], corner[None], np.ones(1)))


def tracks(rng: np.random.Generator, volumes: DriftVolumes, n_tracks: int, step_cm: float) -> Clusters:
    """Straight tracks between random points of the first volume, moved to its lower face."""
    lower, upper = volumes.lower_cm[0], volumes.upper_cm[0]
    ends = rng.uniform(lower, upper, (n_tracks, 2, 3))
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    n_points = np.maximum(2, (length / step_cm).astype(int))
    points = [a + (b - a) * ((np.arange(n) + 0.5) / n)[:, None] for (a, b), n in zip(ends, n_points, strict=True)]
    moved = [p - np.array([p[:, 0].min() - lower[0], 0, 0]) for p in points]
    zeros, owner = np.zeros(n_tracks), np.arange(n_tracks).repeat(n_points)
    photons = (PHOTONS_PER_CM * length / n_points)[owner]
    identity = (zeros, np.arange(n_tracks), zeros)
    return clusters_from_points(identity, (zeros, np.full(n_tracks, np.nan)), owner, np.concatenate(moved), photons)


def flashes(rng: np.random.Generator, light: Light, batch: ClusterBatch, shift_cm: np.ndarray) -> np.ndarray:
    """Counts of shifted clusters whose sensors have gains unknown to GAIN_ERROR, drawn anew for each cluster."""
    moved = jnp.asarray(batch.position_cm + shift_cm[:, None, None] * np.eye(3)[0])
    each = eqx.filter_jit(lambda light, rows: jax.lax.map(lambda row: light.expected(*row), rows))
    mean = np.asarray(each(light, (moved, jnp.asarray(batch.photons))))
    return rng.poisson(mean * rng.gamma(GAIN_ERROR**-2, GAIN_ERROR**2, mean.shape)).astype(float)


def matched(setup: Setup, n_clusters: int, seed: int) -> tuple[Matching, float]:
    """An event of so many clusters and flashes, and the seconds that matching takes after compilation."""
    rng = np.random.default_rng(seed)
    clusters = tracks(rng, setup.volumes, n_clusters, 0.5)
    fine = batch_clusters(clusters, setup.volumes)
    shift = rng.uniform(fine.lowest_cm, fine.highest_cm)
    counts = flashes(rng, setup.light, fine, shift)[:n_clusters]
    background = Background(1.0, 20.0, 1e6, np.full(counts.shape[1], 0.5))
    seconds = []
    for _ in range(6):
        begin = time.perf_counter()
        batch = batch_clusters(clusters, setup.volumes, cell_cm=10.0)
        grid = make_grid(batch, coarse_cm=10.0, n_fine=32)
        found = match(batch, counts, setup.light, (background, Trigger(20, 1e-3)), grid)
        seconds.append(time.perf_counter() - begin)
    right = (found.assignments.best == np.arange(n_clusters)).sum()
    print(f"{n_clusters} clusters: {len(found.pairs)} pairs kept, {right} best matches right, ", end="")
    print(f"smallest probability of a true pair {found.assignments.probability.diagonal().min():.6f}")
    return found, float(np.median(seconds[1:]))


def measure_match() -> None:
    """Print the time of 10 clusters and 10 flashes with all probabilities."""
    found, seconds = matched(icarus(), 10, 1)
    print(f"seconds after compilation: {seconds:.3f} (siren-pfmatch: {PEER_SECONDS})")
    print(f"largest fine step, in half resolutions: {float(found.shifts.resolution.max()):.2f}")


def measure_pairs() -> None:
    """Print how many pairs are kept."""
    setup = icarus()
    for n_clusters in (20, 100):
        _, seconds = matched(setup, n_clusters, n_clusters)
        print(f"seconds after compilation: {seconds:.3f}")


def measure_t0(n_tracks: int = 1000) -> None:
    """Print error and coverage of T0 with a negative binomial and with a Poisson likelihood."""
    setup = module0()
    rng = np.random.default_rng(5)
    batch = batch_clusters(tracks(rng, setup.volumes, n_tracks, 5.0), setup.volumes)
    shift = rng.uniform(batch.lowest_cm, batch.highest_cm)
    counts = flashes(rng, setup.light, batch, shift)
    grid = make_grid(batch, coarse_cm=2.5)
    for name, error in (("negative binomial", GAIN_ERROR), ("Poisson", 0.0)):
        light = Light(setup.light.expected, Counted(error))
        begin = time.perf_counter()
        found = shift_posteriors(batch, counts, light, grid, no_constraint(batch.n_clusters))
        mean, sd = (np.asarray(values)[:n_tracks] for values in moments(found))
        seconds = time.perf_counter() - begin
        residual = mean - shift[:n_tracks]
        print(f"{name}: rms {np.sqrt((residual**2).mean()):.2f} cm, median |residual| ", end="")
        print(
            f"{np.median(np.abs(residual)):.2f} cm, median sd {np.median(sd):.2f} cm, {seconds:.1f} s with compilation"
        )
        for level in (0.68, 0.95):
            sets = densest_set(found, level)
            inside = (sets.lower_cm <= shift[:, None]) & (shift[:, None] <= sets.upper_cm)
            covered = int(np.asarray(inside).any(axis=1)[:n_tracks].sum())
            print(f"  {level:.0%} sets hold {covered} of {n_tracks} true shifts")


QUESTIONS = {"match": measure_match, "pairs": measure_pairs, "t0": measure_t0}


def main() -> None:
    """Answer one question, or all in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="?", choices=QUESTIONS)
    asked = parser.parse_args().question
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in [asked] if asked else QUESTIONS:
        QUESTIONS[name]()


if __name__ == "__main__":
    main()
