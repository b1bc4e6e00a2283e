"""Posteriors of muons and electrons in Super-Kamiokande, whose photons were followed one by one.

    python benchmarks/tracks.py muon                       100 muons of 200 to 1000 MeV with multiple scattering
    python benchmarks/tracks.py muon --events 20 --far     from starts 5 m, 45 degrees and 50 % away: how many come back
    python benchmarks/tracks.py electron --events 50       electrons of 100 to 1000 MeV
    python benchmarks/tracks.py muon --events 20 --both    evidence as a muon and as an electron

Data come from the tests' tracer, which shares no code with the package: Frank-Tamm light, multiple scattering, water by
wavelength, reflections, charges, times and dark noise. Published point estimates, for orientation: LUCiD (arXiv
2602.24129, a GPU) vertex 15.6 cm, angle 1.1 degrees, momentum 1.5 %, in 10 to 15 s an event; fiTQun at
Super-Kamiokande near 1 GeV (arXiv:1901.03230) 15.8 cm, 1.0 degrees, 2.3 %.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from rich.console import Console
from rich.table import Table

from bayescal.cli.machine import use_compilation_cache
from bayescal.constants import ELECTRON_MASS_MEV, MUON_MASS_MEV
from bayescal.diagnostics.calibration import holm
from bayescal.model_files import load_model
from bayescal.readers.optical_detector import read_optical_detector
from bayescal.reconstruction.event_fits import EventFit, find_modes, fit_events

TESTS = Path(__file__).resolve().parents[1] / "tests" / "optical"
NAMES = ("vertex_x", "vertex_y", "vertex_z", "slope_1", "slope_2", "kinetic_energy", "event_time")
ALONG = "vertex along the track"
LEVELS = (0.68, 0.95)
LOWEST_MEV = {"muon": 200.0, "electron": 100.0}
SAME_NATS = 3.0  # modes that differ by less in the fine bends are one
MASS_MEV = {"muon": MUON_MASS_MEV, "electron": ELECTRON_MASS_MEV}


def by_path(name: str) -> ModuleType:
    """A module of the tests."""
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def truth_of(event, frame: np.ndarray) -> dict[str, float]:
    """The values that an event was made with, slopes in a frame."""
    along = frame @ event.direction
    return dict(zip(NAMES, (*event.vertex_m, *(along[:2] / along[2]), event.kinetic_mev, event.time_ns), strict=True))


def far_start(first: dict, rng: np.random.Generator) -> dict:
    """A start 5 m, 45 degrees and 50 % from another one."""
    way = rng.normal(size=3)
    way *= 5.0 / np.linalg.norm(way)
    turn = rng.uniform(0, 2 * np.pi)
    moved = {f"vertex_{axis}": first[f"vertex_{axis}"] + step for axis, step in zip("xyz", way, strict=True)}
    moved |= {"slope_1": np.cos(turn), "slope_2": np.sin(turn)}
    return first | moved | {"kinetic_energy": first["kinetic_energy"] * rng.choice([0.5, 1.5])}


def with_place_along(values: dict, direction: np.ndarray) -> dict:
    """Values and the place of the vertex along a direction."""
    along = sum(np.asarray(values[f"vertex_{axis}"]) * part for axis, part in zip("xyz", direction, strict=True))
    return {**values, ALONG: along}


def errors(fit: EventFit, truth: dict[str, float]) -> tuple[float, float, float]:
    """Of the posterior's mean: vertex [cm], angle [degrees] and momentum, relative."""
    mass = MASS_MEV["muon" if "bend_1" in fit.draws else "electron"]
    mean = {name: fit.draws[name].mean() for name in NAMES}
    vertex = 100 * np.linalg.norm([mean[f"vertex_{axis}"] - truth[f"vertex_{axis}"] for axis in "xyz"])
    found, true = (np.array([values["slope_1"], values["slope_2"], 1.0]) for values in (mean, truth))
    angle = np.rad2deg(np.arccos(found @ true / np.linalg.norm(found) / np.linalg.norm(true)))
    momenta = [np.sqrt(each["kinetic_energy"] * (each["kinetic_energy"] + 2 * mass)) for each in (mean, truth)]
    return vertex, angle, momenta[0] / momenta[1] - 1


def print_summary(
    fits: list[EventFit], truths: list[dict[str, float]], directions: list[np.ndarray], wall_s: list[float]
) -> None:
    """Resolutions, and coverage of every parameter and of the vertex along the track."""
    vertex, angle, momentum = np.array([errors(*each) for each in zip(fits, truths, strict=True)]).T
    print(
        f"68 % of {len(fits)} events: vertex {np.quantile(vertex, 0.68):.1f} cm, angle {np.quantile(angle, 0.68):.2f} "
        f"degrees, momentum {100 * np.quantile(np.abs(momentum), 0.68):.2f} % (mean {100 * momentum.mean():+.2f} %)"
    )
    khat, r_hat = np.array([(fit.khat, fit.r_hat) for fit in fits]).T
    chains = r_hat[np.isfinite(r_hat)]
    walked = f"R-hat of the chains of {chains.size}, median {np.median(chains):.2f}; " if chains.size else ""
    print(
        f"k-hat below 0.7 in {np.mean(khat < 0.7):.0%}, median {np.median(khat):.2f}; {walked}mode found in "
        f"{np.mean([fit.optimum.converged for fit in fits]):.0%}; seconds an event, median {np.median(wall_s):.1f}, "
        f"longest {max(wall_s):.1f}"
    )
    p_values = {}
    table = Table("parameter", *(f"in central {level:.0%} (p)" for level in LEVELS), "pull: mean, rms")
    drawn = [with_place_along(fit.draws, direction) for fit, direction in zip(fits, directions, strict=True)]
    made = [with_place_along(truth, direction) for truth, direction in zip(truths, directions, strict=True)]
    for name in (*NAMES, ALONG):
        draws, true = [each[name] for each in drawn], np.array([each[name] for each in made])
        row = [name]
        for level in LEVELS:
            low, high = np.array([np.quantile(each, [(1 - level) / 2, (1 + level) / 2]) for each in draws]).T
            inside = int(((low < true) & (true < high)).sum())
            p_values[name, level] = scipy.stats.binomtest(inside, len(fits), level).pvalue
            row.append(f"{inside} ({p_values[name, level]:.2g})")
        pull = np.array([(each.mean() - its) / each.std() for each, its in zip(draws, true, strict=True)])
        table.add_row(*row, f"{pull.mean():+.2f}, {pull.std():.2f}")
    Console(width=110).print(table)
    tested = holm({f"{name} at {level:.0%}": p for (name, level), p in p_values.items() if name in NAMES})
    worst = min(tested, key=lambda key: tested[key])
    print(f"smallest p of the parameters after Holm: {tested[worst]:.2g}, {worst}")


class Study:
    """Events of a particle, and their fits as one or the other.

    Args:
        kind: "muon" or "electron".
        number: of events.
        seed: of events and fits.
    """

    def __init__(self, kind: str, number: int, seed: int) -> None:
        self.model = load_model("cherenkov_track")
        settings = self.model.module.Settings()
        detector, tracer, made = read_optical_detector(settings.detector), by_path("tracer"), by_path("traced_events")
        self.seed = seed
        self.events = [
            made.traced_event(tracer, detector, 1000 * seed + each, kind, settings.window_ns, LOWEST_MEV[kind])
            for each in range(number)
        ]
        self.data = [jnp.asarray(event.hits) for event in self.events]

    def prepared(self, particle: str) -> tuple[list, list[float]]:
        """Inputs of every event for a fit as a particle, and the seconds that each took."""
        module = self.model.module
        priors = {"halo_fraction": 0.0} if particle == "muon" else {}  # the tracer's muons knock out no electrons
        plain = module.load(module.Settings(particle=particle), priors)
        found, wall_s = [], []
        for data in self.data:
            begin = time.perf_counter()
            found.append(module.prepare(plain, data))
            wall_s.append(time.perf_counter() - begin)
        return found, wall_s

    def fits(self, prepared: list) -> Iterator[EventFit]:
        """One after another."""
        return fit_events(jax.random.key(self.seed), self.model, prepared, self.data)

    def modes(self, prepared: list, starts: list[dict]) -> list[float]:
        """Potentials at the modes that searches from these starts find."""
        found = find_modes(jax.random.key(self.seed), self.model, prepared, self.data, starts)
        return [mode.optimum.value for mode in found]


def main() -> None:
    """Make events, fit them one by one, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("particle", choices=tuple(LOWEST_MEV))
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--far", action="store_true", help="start 5 m, 45 degrees and 50 %% away too, and compare modes"
    )
    parser.add_argument("--both", action="store_true", help="fit as the other particle too, and compare evidences")
    arguments = parser.parse_args()
    use_compilation_cache()

    study = Study(arguments.particle, arguments.events, arguments.seed)
    prepared, wall_s = study.prepared(arguments.particle)
    truths = [truth_of(*each) for each in zip(study.events, (np.asarray(each.frame) for each in prepared), strict=True)]
    fits = []
    begin = time.perf_counter()
    for number, fit in enumerate(study.fits(prepared)):
        fits.append(fit)
        wall_s[number] += time.perf_counter() - begin
        vertex, angle, momentum = errors(fit, truths[number])
        print(
            f"{number:3d} T {truths[number]['kinetic_energy']:4.0f} MeV: vertex {vertex:5.1f} cm, angle {angle:.2f}, "
            f"momentum {momentum:+.1%}, k-hat {fit.khat:.2f}, R-hat {fit.r_hat:.2f}, {fit.ess:.0f} effective, "
            f"{fit.gradients} gradients, {wall_s[number]:.1f} s {fit.optimum.reason}",
            flush=True,
        )
        begin = time.perf_counter()
    print_summary(fits, truths, [event.direction for event in study.events], wall_s)
    if arguments.far:
        rng = np.random.default_rng(arguments.seed)
        far = study.modes(prepared, [far_start(each.first, rng) for each in prepared])
        reached = [value < fit.optimum.value + SAME_NATS for value, fit in zip(far, fits, strict=True)]
        print(f"{sum(reached)} of {len(reached)} far starts reached a mode as high as that of the scan, within 3 nats")
    if arguments.both:
        other = "electron" if arguments.particle == "muon" else "muon"
        others = study.fits(study.prepared(other)[0])
        gain = np.array([fit.log_evidence - each.log_evidence for fit, each in zip(fits, others, strict=True)])
        print(
            f"{np.sum(gain > 0)} of {gain.size} have more evidence as {arguments.particle} than as {other}; "
            f"log-ratio: least {gain.min():.0f}, median {np.median(gain):.0f}"
        )


if __name__ == "__main__":
    main()
