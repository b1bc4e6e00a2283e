"""Calibration of a network's last layer on crossing tracks: what is left of a discrepancy, and whether it is known.

    python benchmarks/last_layer.py --networks one.h5 other.h5               300, 1,500 and 6,000 tracks
    python benchmarks/last_layer.py --networks one.h5 --tracks 50000
    python benchmarks/last_layer.py                                          trains a network first

Module-0, a network trained on its made library (`benchmarks/siren.py train --output DIR` writes such). The data come
from other optics: Rayleigh length 70 cm, scattered fraction 1, the cathode reflecting three times and the sides twice
as much, gains of the sensors 10 % apart. Printed are, for tracks that were held out, predicted over true expected
light, how often its 68 % and 95 % intervals hold the truth, and a Kolmogorov-Smirnov test of the counts' PIT.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from bayescal.light.detector import LightDetector, expected_pe, physical_visibility
from bayescal.light.last_layer import (
    TrackFeatures,
    last_layer_weights,
    track_features,
    weight_scale,
    weight_sd,
)
from bayescal.light.siren import Architecture, Siren, initialise, log_link
from bayescal.light.tabulation import tabulate, with_photon_statistics
from bayescal.light.training import PoissonLoss, Recipe, train
from bayescal.light.visibility import Medium
from bayescal.likelihoods.counts import PhotonCounts
from bayescal.readers.light_detector import read_light_detector
from bayescal.readers.siren import read_siren
from bayescal.reconstruction.last_layer_fit import ExpectedLight, LightReadout, WeightPrior, fit_last_layer, mixture

PHOTONS_PER_CM = 24_000 * 2.2  # of a minimum ionising track: photons per MeV times MeV/cm, as siren-pfmatch's toy
POINTS = 24
HELD_OUT = 1_000
GAIN_SPREAD = 0.1
TRUTH = Medium(rayleigh_length=70.0, scattered_fraction=1.0)
BRIGHTER = np.array([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
LEVELS = (0.68, 0.95)


class Sample(NamedTuple):
    """Crossing tracks, points [cm] and photons, and their light in truth and as counted."""

    points: np.ndarray
    photons: np.ndarray
    light: np.ndarray
    counts: np.ndarray

    def seen(self, siren: Siren) -> TrackFeatures:
        """The tracks through a network."""
        return eqx.filter_jit(track_features)(siren, self.points, self.photons)


def trained() -> Siren:
    """A network trained by the default recipe on the noisy library of 16 x 64 x 32 voxels."""
    visibility = physical_visibility(read_light_detector("module0"))
    library = with_photon_statistics(jax.random.key(3), tabulate(visibility, (16, 64, 32)), 1e6)
    head = log_link(np.mean(library.visibility, axis=(0, 1, 2)))
    start = initialise(jax.random.key(1), Architecture(library.n_sensors), head, library.box)
    return train(jax.random.key(2), start, library, Recipe(PoissonLoss(1e6))).siren


def sample(seed: int, n_tracks: int, detector: LightDetector) -> Sample:
    """Tracks from anywhere on the cathode to anywhere on the anode, with light of the truth."""
    random = np.random.default_rng(seed)
    lower, upper = np.asarray(detector.box.lower_cm), np.asarray(detector.box.upper_cm)
    ends = random.uniform(lower, upper, (2, n_tracks, 3))
    ends[..., 0] = np.array([lower[0], upper[0]])[:, None]
    along = ((np.arange(POINTS) + 0.5) / POINTS)[:, None]
    points = ends[0][:, None] + along * (ends[1] - ends[0])[:, None]
    length = np.linalg.norm(ends[1] - ends[0], axis=1)
    photons = np.repeat(length[:, None] * PHOTONS_PER_CM / POINTS, POINTS, axis=1)
    gains = np.exp(GAIN_SPREAD * np.random.default_rng(0).normal(size=detector.n_sensors))
    truth = eqx.tree_at(
        lambda v: (v.medium, v.reflectivity), physical_visibility(detector), (TRUTH, detector.reflectivity * BRIGHTER)
    )
    light = np.asarray(jax.jit(lambda v, r, q: expected_pe(gains, v, r, q))(truth, points, photons))
    counts = random.poisson(light).astype(float)
    return Sample(points, photons, light, counts)


def show(name: str, expected: ExpectedLight, data: Sample, kind: np.ndarray) -> None:
    """Print how predicted light compares with the truth, by kind of sensor."""
    mean, sd = np.asarray(expected.mean), np.asarray(expected.sd)
    off, pull = mean / data.light - 1, np.abs(mean - data.light) / np.maximum(sd, 1e-300)
    groups = {each: kind == each for each in dict.fromkeys(kind)} | {"all": np.ones(len(kind), bool)}
    for each, chosen in groups.items():
        worst = np.abs(off[:, chosen].mean(axis=0)).max()
        line = f"  {name}, {each}: mean {100 * off[:, chosen].mean():+.2f} %, largest of a sensor {100 * worst:.2f} %, "
        line += f"rms {100 * np.sqrt((off[:, chosen] ** 2).mean()):.2f} %"
        if sd.any():
            line += "".join(
                f", {level:.0%} covers {100 * (pull[:, chosen] < scipy.stats.norm.ppf((1 + level) / 2)).mean():.1f} %"
                for level in LEVELS
            )
        print(line, flush=True)


def calibrate(sirens: list[Siren], detector: LightDetector, held_out: Sample, n_tracks: int) -> None:
    """Fit one sample with each network and print what that says of the tracks that were held out."""
    names = np.array(detector.sensors.kind)
    kinds = tuple(dict.fromkeys(detector.sensors.kind))
    readout = LightReadout(tuple(kinds.index(name) for name in names), np.asarray(detector.alive))
    data, members = sample(n_tracks, n_tracks, detector), []
    for siren in sirens:
        library, tracks = last_layer_weights(siren), data.seen(siren)
        prior = WeightPrior(library, weight_sd(library.shape[1], weight_scale(siren)))
        begin = time.perf_counter(), time.process_time()
        found = jax.block_until_ready(fit_last_layer(tracks, data.counts, readout, prior))
        wall, processor = time.perf_counter() - begin[0], time.process_time() - begin[1]
        errors = ", ".join(f"{kind} {t:.3f}" for kind, t in zip(kinds, found.model_error, strict=True))
        print(f"\n{n_tracks} tracks: {wall:.0f} s, {processor:.0f} s of processor time; t {errors}")
        members.append(found.expected_light(held_out.seen(siren), readout))
    show("one network", members[0], held_out, names)
    if len(members) > 1:
        show(f"{len(members)} networks", mixture(members), held_out, names)
    counts = PhotonCounts(members[0].mean, model_error=members[0].sd / members[0].mean)
    pit = np.ravel(counts.pit(jax.random.key(n_tracks), held_out.counts))
    print(f"  PIT of {pit.size} counts, one network: KS distance {scipy.stats.kstest(pit, 'uniform').statistic:.4f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, nargs="+", help="trained networks; one is trained here where absent")
    parser.add_argument("--tracks", type=int, nargs="+", default=(300, 1_500, 6_000))
    asked = parser.parse_args()
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    sirens = [read_siren(path) for path in asked.networks] if asked.networks else [trained()]
    detector = read_light_detector("module0")
    held_out = sample(1, HELD_OUT, detector)
    light = held_out.seen(sirens[0]).light(last_layer_weights(sirens[0]))
    nothing = jnp.zeros(light.shape)
    show("before", ExpectedLight(light, nothing, nothing), held_out, np.array(detector.sensors.kind))
    for n_tracks in asked.tracks:
        calibrate(sirens, detector, held_out, n_tracks)


if __name__ == "__main__":
    main()
