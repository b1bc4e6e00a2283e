"""Flash matching and T0: speed, pairs kept, calibration of probabilities, resolution and coverage.

    python benchmarks/matching.py match          10 clusters and 10 flashes in ICARUS, photon library of 10 cm voxels
    python benchmarks/matching.py siren          the same with a network of 5 x 512 in place of the library
    python benchmarks/matching.py pairs          pairs kept for 20 and for 100 clusters, same detector; with times, too
    python benchmarks/matching.py calibration    of matches given probability p, the part that is right
    python benchmarks/matching.py t0             1,000 tracks in Module-0: gains unknown to 10 %, drawn anew for each
    python benchmarks/matching.py learned        a network that guesses T0 is trained, and weighted draws from its guess

Without an argument all six. The library of ICARUS is made first, with the optics of `bayescal.light.visibility`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.flashes import Clusters, clusters_from_points
from bayescal.light.box import Box
from bayescal.light.detector import DriftVolumes, ExpectedLight
from bayescal.light.library import PhotonLibrary, voxel_centres_cm
from bayescal.light.made_tracks import contained_tracks
from bayescal.light.sensors import Sensors
from bayescal.light.siren import Architecture, initialise, log_link
from bayescal.light.tabulation import tabulate
from bayescal.light.visibility import Medium, PhysicalVisibility
from bayescal.likelihoods.counts import CountReadout
from bayescal.readers.light_detector import read_light_detector
from bayescal.reconstruction.clusters import ClusterBatch, batch_clusters
from bayescal.reconstruction.matching import Background, Matching, Trigger, match
from bayescal.reconstruction.proposed_shift import Proposal, guessed_densities, proposed_posteriors
from bayescal.reconstruction.shift_summary import densest_set, moments
from bayescal.reconstruction.shift_training import ShiftRecipe, new_network, train_shifts
from bayescal.reconstruction.t0 import (
    Constraint,
    Expected,
    Flash,
    Light,
    flashes_of,
    make_grid,
    no_constraint,
    shift_posteriors,
)

PHOTONS_PER_CM = 24_000 * 2.2  # of a minimum ionising track: photons per MeV times MeV/cm, as siren-pfmatch's toy
QUANTUM_EFFICIENCY = 0.12  # of ICARUS' photomultipliers, wavelength shifter included
FAINT_PHOTONS_PER_CM = 40_000  # so that six sensors count some tens of photo-electrons
GAIN_ERROR = 0.1
PEER_SECONDS = 105  # siren-pfmatch, the same job with a library on two threads
PEER_RMS_CM = 4.5  # of a graph network's T0 of 20,000 single tracks, in drift

T = TypeVar("T")


class Scaled(eqx.Module):
    """Expected light times a gain of each sensor."""

    expected: Expected
    gain: np.ndarray

    def __call__(self, position_cm: Float[Array, "point 3"], photons: Float[Array, " point"]) -> Array:
        """Expected light."""
        return self.gain * self.expected(position_cm, photons)


class Some(eqx.Module):
    """Expected light of some of the sensors."""

    expected: Expected
    sensors: np.ndarray

    def __call__(self, position_cm: Float[Array, "point 3"], photons: Float[Array, " point"]) -> Array:
        """Expected light."""
        return self.expected(position_cm, photons)[self.sensors]


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
    return Setup(Light(ExpectedLight(library, QUANTUM_EFFICIENCY), CountReadout(GAIN_ERROR)), volumes)


def network(setup: Setup) -> Setup:
    """The detector with a network in place of its library: of siren-lartpc's size for ICARUS, not trained."""
    library = setup.light.expected.visibility
    mean = library.visibility.mean(axis=(0, 1, 2))
    siren = initialise(jax.random.key(0), Architecture(len(mean), 512, 5), log_link(mean), library.box)
    return setup._replace(light=Light(ExpectedLight(siren, QUANTUM_EFFICIENCY), setup.light.readout))


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
    return Setup(
        Light(ExpectedLight(optics), CountReadout(GAIN_ERROR)), DriftVolumes(-corner[None], corner[None], np.ones(1))
    )


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
    mean = expected_light(light.expected, batch, shift_cm)
    return rng.poisson(mean * rng.gamma(GAIN_ERROR**-2, GAIN_ERROR**2, mean.shape)).astype(float)


def expected_light(expected: eqx.Module, batch: ClusterBatch, shift_cm: np.ndarray) -> np.ndarray:
    """Expected light of shifted clusters [p.e.]."""
    moved = jnp.asarray(batch.position_cm + shift_cm[:, None, None] * np.eye(3)[0])
    return np.asarray(each_light(expected, (moved, jnp.asarray(batch.photons))))


@eqx.filter_jit
def each_light(expected: eqx.Module, rows: tuple[Array, Array]) -> Array:
    """Expected light, row by row."""
    return jax.lax.map(lambda row: expected(*row), rows)


def matched(
    setup: Setup, n_clusters: int, *, step_cm: float = 10.0, n_fine: int = 64, width_cm: float | None = None
) -> Matching:
    """An event of so many clusters and flashes is matched and timed, with flash times of a width where one is given."""
    rng = np.random.default_rng(n_clusters)
    clusters = tracks(rng, setup.volumes, n_clusters, 0.5)
    fine = batch_clusters(clusters, setup.volumes)
    shift = rng.uniform(fine.lowest_cm, fine.highest_cm)
    counts = flashes(rng, setup.light, fine, shift)[:n_clusters]
    background = Background(1.0, 20.0, 1e6, np.full(counts.shape[1], 0.5))
    times = None if width_cm is None else measured_times(rng, fine, shift[:n_clusters], width_cm)
    seconds = []
    for _ in range(6):
        begin = time.perf_counter(), time.process_time()
        batch = batch_clusters(clusters, setup.volumes, cell_cm=10.0)
        grid = make_grid(batch, coarse_cm=step_cm, n_fine=n_fine)
        found = match(batch, counts, setup.light, (background, Trigger(20, 1e-3)), grid, times)
        seconds.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    wall, processor = np.median(seconds[1:], axis=0)
    right = (found.assignments.best == np.arange(n_clusters)).sum()
    print(f"{n_clusters} clusters: {len(found.pairs)} pairs kept, {right} best matches right, ", end="")
    print(f"smallest probability of a true pair {found.assignments.probability.diagonal().min():.6f}; ", end="")
    print(f"{wall:.3f} s after compilation, {processor:.3f} s of processor time")
    return found


def measured_times(rng: np.random.Generator, batch: ClusterBatch, shift_cm: np.ndarray, width_cm: float) -> Constraint:
    """Shifts that the flashes' times ask for: the same of every cluster, since all assume one time."""
    measured = shift_cm + width_cm * rng.normal(size=shift_cm.shape)
    mean = np.tile(measured, (batch.n_clusters, 1))
    return Constraint(mean, np.full(mean.shape, width_cm))


def measure_match() -> None:
    """Print the time of 10 clusters and 10 flashes with all probabilities, and what halving both steps changes."""
    setup = icarus()
    found = matched(setup, 10)
    print(f"siren-pfmatch: {PEER_SECONDS} s; largest step, in half resolutions: {found.shifts.resolution.max():.2f}")
    finer = matched(setup, 10, step_cm=5.0, n_fine=128)
    both = np.isfinite(found.log_weight) & np.isfinite(finer.log_weight)
    change = np.abs(found.log_weight[both] - finer.log_weight[both])
    print(f"halving both steps changes a log-evidence by up to {change.max():.3f}")


def measure_siren() -> None:
    """Print the time of 10 clusters and 10 flashes where a network of 5 x 512 is looked up."""
    matched(network(icarus()), 10)


def measure_pairs() -> None:
    """Print how many pairs are kept, without and with times of flashes to 5 mm of drift."""
    setup = icarus()
    for width_cm in (None, 0.5):
        few, many = (len(matched(setup, n, width_cm=width_cm).pairs) for n in (20, 100))
        print(f"width of times {width_cm} cm: growth of the pairs kept {many / few:.2f}")


def measure_calibration(n_events: int = 400, n_tracks: int = 3, rate: float = 1.0) -> None:
    """Print the part of pairs that is right by their probability: three parallel, faint tracks side by side.

    Six sensors of Module-0, faint tracks, and `rate` flashes an event of unseen activity with totals of 20 to 2,000
    photo-electrons; the events are made from the model. Errors are those of sums over events: the pairs of one event
    exclude each other.
    """
    setup = module0()
    sensors = np.arange(0, 48, 8)
    rng = np.random.default_rng(11)
    background, trigger = Background(rate, 20.0, 2000.0, np.full(len(sensors), 0.5)), Trigger(20, 0.02)
    light = Light(Some(setup.light.expected, sensors), CountReadout(GAIN_ERROR))
    stated, right, event = [], [], []
    for number in range(n_events):
        batch = batch_clusters(parallel_tracks(rng, setup.volumes, n_tracks), setup.volumes)
        shift = rng.uniform(batch.lowest_cm, batch.highest_cm)
        own = flashes(rng, light, batch, shift)[:n_tracks]
        owner = np.flatnonzero((own.sum(axis=1) >= trigger.threshold_pe) & (rng.random(n_tracks) >= trigger.missed))
        n_other = rng.poisson(rate)
        totals = np.arange(20, 2001)
        total = rng.choice(totals, n_other, p=1 / totals / (1 / totals).sum())
        other = [rng.multinomial(n, rng.dirichlet(background.concentration)) for n in total]
        counts = np.concatenate([own[owner], np.array(other, float).reshape(n_other, len(sensors))])
        if not len(counts):
            continue
        found = match(batch, counts, light, (background, trigger), make_grid(batch, coarse_cm=2.5, n_fine=32))
        truth = np.append(owner, np.full(n_other, -1)) == np.arange(n_tracks)[:, None]
        stated.append(found.assignments.probability.ravel())
        right.append(truth.ravel())
        event.append(np.full(truth.size, number))
    p, true, of_event = map(np.concatenate, (stated, right, event))
    slot = np.digitize(p, np.linspace(0, 1, 11)[1:-1])
    print("| probability | pairs | mean probability | right |")
    for number in range(10):
        chosen = slot == number
        if chosen.any():
            excess = np.bincount(of_event[chosen], (true - p)[chosen])
            spread = np.sqrt((excess**2).sum()) / chosen.sum()
            print(
                f"| {number / 10:.1f} to {number / 10 + 0.1:.1f} | {chosen.sum()} | {p[chosen].mean():.3f} | ", end=""
            )
            print(f"{true[chosen].mean():.3f} +- {spread:.3f} |")


def parallel_tracks(rng: np.random.Generator, volumes: DriftVolumes, n_tracks: int) -> Clusters:
    """Faint tracks of 20 cm, parallel to y and within 10 cm of each other in z."""
    lower = volumes.lower_cm[0]
    begin = np.column_stack(
        [np.full(n_tracks, lower[0] + 0.01), rng.uniform(-30, 10, n_tracks), rng.uniform(-5, 5, n_tracks)]
    )
    points = begin[:, None] + np.linspace(0, 20, 16)[:, None] * np.eye(3)[1]
    zeros, owner = np.zeros(n_tracks), np.arange(n_tracks).repeat(16)
    identity = (zeros, np.arange(n_tracks), zeros)
    photons = np.full(owner.size, FAINT_PHOTONS_PER_CM * 20 / 16)
    times = (zeros, np.full(n_tracks, np.nan))
    return clusters_from_points(identity, times, owner, points.reshape(-1, 3), photons)


def measure_t0(n_tracks: int = 1000) -> None:
    """Print error and coverage of T0: gains drawn anew for each track, then fixed gains, unknown and calibrated.

    One set of gains for all tracks makes errors that do not average out; a calibration to 1 % takes them away.
    """
    optics = module0()
    table = tabulate(optics.light.expected.visibility, (16, 64, 32))
    expected = ExpectedLight(table)
    rng = np.random.default_rng(5)
    batch = batch_clusters(tracks(rng, optics.volumes, n_tracks, 5.0), optics.volumes, cell_cm=5.0)
    shift = rng.uniform(batch.lowest_cm, batch.highest_cm)
    counts = flashes(rng, Light(expected, CountReadout(GAIN_ERROR)), batch, shift)
    fixed = rng.gamma(GAIN_ERROR**-2, GAIN_ERROR**2, 48)
    known = fixed * np.exp(0.01 * rng.normal(size=48))
    same = rng.poisson(expected_light(expected, batch, shift) * fixed).astype(float)
    for name, seen, gain, error in (
        ("gains anew, error 10 % in the likelihood", counts, np.ones(48), GAIN_ERROR),
        ("gains anew, Poisson", counts, np.ones(48), 0.0),
        ("fixed gains, unknown, error 10 %", same, np.ones(48), GAIN_ERROR),
        ("fixed gains, unknown, Poisson", same, np.ones(48), 0.0),
        ("fixed gains, calibrated to 1 %, error 1 %", same, known, 0.01),
    ):
        report_t0(name, batch, shift, seen, Light(Scaled(expected, gain), CountReadout(error)))


def report_t0(name: str, batch: ClusterBatch, shift_cm: np.ndarray, counts: np.ndarray, light: Light) -> None:
    """Print error and coverage."""
    grid, n_tracks = make_grid(batch, coarse_cm=2.5, n_fine=48), int((batch.row >= 0).sum())
    begin = time.perf_counter()
    found = shift_posteriors(batch, counts, light, grid, no_constraint(batch.n_clusters))
    mean, sd = (np.asarray(values)[:n_tracks] for values in moments(found))
    residual = mean - shift_cm[:n_tracks]
    print(f"{name}: rms {np.sqrt((residual**2).mean()):.2f} cm, median sd {np.median(sd):.2f} cm", end="")
    for level in (0.68, 0.95):
        sets = densest_set(found, level)
        inside = (sets.lower_cm <= shift_cm[:, None]) & (shift_cm[:, None] <= sets.upper_cm)
        print(f", {level:.0%} sets hold {int(np.asarray(inside).any(axis=1)[:n_tracks].sum())}", end="")
    print(f" of {n_tracks}; {time.perf_counter() - begin:.1f} s with compilation")


class Sample(NamedTuple):
    """Tracks whose shift is known, their flashes, and the moments and log-evidences by a grid of small steps."""

    batch: ClusterBatch
    shift_cm: np.ndarray
    flashes: Flash
    mean_cm: Array
    sd_cm: Array
    log_evidence: Array

    @property
    def real(self) -> np.ndarray:
        """Which clusters are not padding."""
        return np.asarray(self.batch.row) >= 0


def measure_learned(n_tracks: int = 1000, n_train: int = 16384) -> None:
    """Print what a network guesses of T0 after training, and what weighted draws from its guess make of that."""
    optics = module0()
    light = Light(ExpectedLight(tabulate(optics.light.expected.visibility, (16, 64, 32))), CountReadout(GAIN_ERROR))
    made = batch_clusters(tracks(np.random.default_rng(21), optics.volumes, n_train, 5.0), optics.volumes, cell_cm=5.0)
    begin, recipe = (time.perf_counter(), time.process_time()), ShiftRecipe()
    start = new_network(jax.random.key(21), made, light, "module0")
    network = train_shifts(jax.random.key(22), start, made, light, recipe, report_loss).network
    wall, processor = time.perf_counter() - begin[0], time.process_time() - begin[1]
    print(f"{recipe.steps} steps of {recipe.batch} flashes: {wall:.0f} s, {processor:.0f} s of processor time")
    sample = learned_sample(np.random.default_rng(5), light, optics.volumes, n_tracks)
    guess = guessed_densities(network, sample.batch, sample.flashes.counts)
    for name, mean_cm in (("network's guess", guess.mean_cm), ("posterior's mean", sample.mean_cm)):
        print(f"rms of the {name} {rms((mean_cm - sample.shift_cm)[sample.real]):.2f} cm")
    print(f"published network: {PEER_RMS_CM} cm")
    report_grid(sample, light)
    for n_draws in (16, 32, 64, 256):
        report_draws(sample, light, Proposal(network, n_draws))
    measure_look_ups()


def report_loss(step: int, loss: float) -> None:
    """Print the loss of some blocks of steps."""
    if step % 1000 == 0:
        print(f"step {step}: {loss:.3f} nats")


def learned_sample(rng: np.random.Generator, light: Light, volumes: DriftVolumes, n_tracks: int) -> Sample:
    """Tracks at random places of their ranges."""
    batch = batch_clusters(tracks(rng, volumes, n_tracks, 5.0), volumes, cell_cm=5.0)
    shift = rng.uniform(batch.lowest_cm, batch.highest_cm)
    seen = flashes_of(flashes(rng, light, batch, shift), no_constraint(batch.n_clusters))
    grid = make_grid(batch, coarse_cm=0.3, n_fine=384)
    found = shift_posteriors(batch, seen.counts, light, grid, seen.constraint)
    return Sample(batch, shift, seen, *moments(found), found.log_evidence)


def report_grid(sample: Sample, light: Light) -> None:
    """Print the head of the table and the row of the grid that is used elsewhere; errors are rms."""
    grid = make_grid(sample.batch, coarse_cm=2.5, n_fine=48)
    found, wall = timed(
        lambda: shift_posteriors(sample.batch, sample.flashes.counts, light, grid, sample.flashes.constraint)
    )
    print("| look-ups a track | s | error of the mean / sd | of the log-evidence | ", end="")
    print("effective share | k-hat < 0.7 | in 68 %, 95 % | largest error / Monte-Carlo error |")
    print(f"| {grid.n_coarse}, grid | {wall:.2f} | {errors(sample, moments(found)[0], found.log_evidence)} | | | | |")


def report_draws(sample: Sample, light: Light, proposal: Proposal) -> None:
    """Print the row of a number of draws; the largest error is that of tracks with k-hat below 0.7."""
    batch, shift, real = sample.batch, sample.shift_cm, sample.real
    found, wall = timed(lambda: proposed_posteriors(jax.random.key(23), batch, sample.flashes, light, proposal))
    good = real & (np.asarray(found.khat) < 0.7)
    ratios = (
        np.asarray(np.abs(found.mean_cm - sample.mean_cm) / found.mean_error_cm)[good],
        np.asarray(np.abs(found.log_evidence - sample.log_evidence) / found.log_evidence_error)[good],
    )
    inside = [
        int(((found.quantile(0.5 - level / 2) <= shift) & (shift <= found.quantile(0.5 + level / 2)))[real].sum())
        for level in (0.68, 0.95)
    ]
    print(f"| {proposal.n_draws} | {wall:.2f} | {errors(sample, found.mean_cm, found.log_evidence)} | ", end="")
    print(f"{float(found.ess[real].mean()) / proposal.n_draws:.2f} | {good.sum() / real.sum():.3f} | ", end="")
    print(f"{inside[0]}, {inside[1]} | {max(ratio.max(initial=0.0) for ratio in ratios):.1f} |")


def errors(sample: Sample, mean_cm: Array, log_evidence: Array) -> str:
    """Two columns of the table."""
    of_mean = rms(((mean_cm - sample.mean_cm) / sample.sd_cm)[sample.real])
    return f"{of_mean:.3f} | {rms((log_evidence - sample.log_evidence)[sample.real]):.3f}"


def measure_look_ups(n_tracks: int = 8, n_draws: int = 32) -> None:
    """Print the time of grid and draws where a network of 5 x 512 is looked up along the drift of ICARUS.

    Neither that network nor the one that guesses is trained, which changes no time.
    """
    detector = read_light_detector("icarus")
    size, mean = Architecture(detector.n_sensors, 512, 5), np.full(detector.n_sensors, 1e-5)
    siren = initialise(jax.random.key(0), size, log_link(mean), detector.box)
    light = Light(ExpectedLight(siren, QUANTUM_EFFICIENCY), CountReadout(GAIN_ERROR))
    batch = batch_clusters(contained_tracks(jax.random.key(1), detector, n_tracks, 48), detector.all_drift)
    seen = flashes_of(np.ones((n_tracks, detector.n_sensors)), no_constraint(n_tracks))
    proposal, grid = Proposal(new_network(jax.random.key(2), batch, light, detector.name), n_draws), make_grid(batch)
    _, by_grid = timed(lambda: shift_posteriors(batch, seen.counts, light, grid, seen.constraint))
    _, by_draws = timed(lambda: proposed_posteriors(jax.random.key(3), batch, seen, light, proposal))
    print(f"{n_tracks} tracks in ICARUS, a network of 5 x 512 as visibility: ", end="")
    print(f"{grid.n_coarse} look-ups of the grid {by_grid:.2f} s, {n_draws} draws {by_draws:.2f} s")


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt((np.asarray(values) ** 2).mean()))


def timed(compute: Callable[[], T]) -> tuple[T, float]:
    """What a function gives, and its median wall time after the first call [s]."""
    found, seconds = jax.block_until_ready(compute()), []
    for _ in range(3):
        begin = time.perf_counter()
        jax.block_until_ready(compute())
        seconds.append(time.perf_counter() - begin)
    return found, float(np.median(seconds))


QUESTIONS = {
    "match": measure_match,
    "siren": measure_siren,
    "pairs": measure_pairs,
    "calibration": measure_calibration,
    "t0": measure_t0,
    "learned": measure_learned,
}


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
