"""Light of optical detectors: speed, and calibration of all efficiencies of Super-Kamiokande.

    python benchmarks/optical.py speed         forward and gradient of a muon's light in LUCiD's "SK" tank
    python benchmarks/optical.py calibration   11,146 efficiencies with water and wall, 5 positions and 3 wavelengths
    python benchmarks/optical.py water         absorption, scattering, reflectivity from injectors in windows of time

LUCiD itself takes 4 s of CPU time for the forward pass and 4.5 s for value and gradient of a muon there, with 2e4 rays
and their sampling noise (one bounce; measured on two loaded cores).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import bayescal
from bayescal.diagnostics import summary_table
from bayescal.model_files import load_model
from bayescal.optical.cherenkov import water_radiator
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.efficiency import R3600
from bayescal.optical.emission import ShowerCone, frame_about
from bayescal.optical.event_light import direct_of_event, indirect_of_event, indirect_optics, make_passage
from bayescal.optical.geometry import Cylinder, rings_on_cylinder
from bayescal.optical.medium import Water, cherenkov_spectrum
from bayescal.optical.muon import MuonLight, MuonTrack
from bayescal.optical.sensors import DISC, Photosensors
from bayescal.optical.zones import make_zones
from bayescal.parameters import units


def seconds(function: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """Wall and CPU time of a call [s], after one that compiles."""
    jax.block_until_ready(function())
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        jax.block_until_ready(function())
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats


def lucid_tank() -> OpticalDetector:
    """LUCiD's "SK": 20 m x 40 m, about 10,000 sensors of 0.25 m."""
    tank = Cylinder(20.0, 40.0)
    place = rings_on_cylinder(tank, 10_000, 0.25)
    every = np.ones(len(place), bool)
    sensors = Photosensors(place, tank.inward_normal(place), 0.25, DISC, np.zeros(len(place), int), every)
    return OpticalDetector("SK", tank, sensors, R3600, 2.2, 4.2, 0.2, 0.055)


def speed() -> None:
    """Forward and gradient, direct light alone and with indirect light."""
    detector = lucid_tank()
    radiator = water_radiator(R3600)
    passage = make_passage(Water(), cherenkov_spectrum(R3600), 57.0)
    optics = indirect_optics(detector, make_zones(detector.tank), Water(), cherenkov_spectrum(R3600, 4))
    light = MuonLight(radiator, ShowerCone(1 / radiator.index), nodes=64)
    frame = frame_about((1.0, 0.3, -0.2))

    def emission(x: jax.Array) -> object:
        return light.emit(MuonTrack(x[:3], x[3:5], x[5], x[6], frame))

    def direct(x: jax.Array) -> jax.Array:
        found = direct_of_event(emission(x), detector.sensors, passage)
        return jnp.sum(jnp.log(found.mean + 0.01)) + jnp.sum(found.time_ns)

    def both(x: jax.Array) -> jax.Array:
        source = emission(x)
        found = direct_of_event(source, detector.sensors, passage)
        return jnp.sum(jnp.log(found.mean + indirect_of_event(source, optics).mean)) + jnp.sum(found.time_ns)

    at = jnp.array([-3.0, 2.0, -4.0, 0.0, 0.0, 500.0, 0.0])
    table = Table("light", "pass", "wall s", "CPU s", "times faster than LUCiD (CPU)")
    for name, function in (("direct", direct), ("direct and indirect", both)):
        for kind, compiled, theirs in (
            ("forward", jax.jit(function), 4.0),
            ("value and gradient", jax.jit(jax.value_and_grad(function)), 4.5),
        ):
            wall, cpu = seconds(lambda compiled=compiled: compiled(at))
            table.add_row(name, kind, f"{wall:.3f}", f"{cpu:.3f}", f"{theirs / cpu:.0f}")
    Console(width=110).print(table)


def calibration(seed: int) -> None:
    """Efficiencies of all sensors, tables and compilation included in the time."""
    begin = time.perf_counter()
    model = load_model("sensor_efficiency").module
    inputs = model.load(model.Settings(), {})
    print(f"tables: {time.perf_counter() - begin:.0f} s")
    truth = model.full_size({p.name: p.nominal for p in model.PARAMETERS}, inputs)
    truth |= {"absorption_scale": 1.1, "rayleigh_scale": 0.9, "wall_reflectivity": 0.12}
    expected = model.counts(truth, inputs)
    efficiency_key, count_key, fit_key, draw_key = jax.random.split(jax.random.key(seed), 4)
    efficiency = jax.random.gamma(efficiency_key, expected.shape_) / expected.rate
    data = jax.random.poisson(count_key, efficiency[:, None] * expected.expected + expected.dark)
    settings = bayescal.FitSettings(method="nuts", draws=150, until="ess > 400 and rhat < 1.01", max_draws=2000)
    fit = bayescal.fit(
        model.model, inputs, data, method="nuts", key=fit_key, settings=settings,
        start=model.start(inputs, data), units=units(model.PARAMETERS), provenance={"truth": {}},
    )  # fmt: skip
    print(f"with the fit: {time.perf_counter() - begin:.0f} s; {fit.verdict}")
    draws = {name: fit.draws(name) for name in fit.names}
    done = model.complete(draw_key, draws, inputs, data)
    print(f"with the efficiencies: {time.perf_counter() - begin:.0f} s")
    Console(width=110).print(summary_table(fit))
    print_efficiencies(np.asarray(done["efficiency"]), np.asarray(efficiency))


def water(seed: int) -> None:
    """Water of Super-Kamiokande from two injectors and a diffuser at three wavelengths, in three windows of time."""
    begin = time.perf_counter()
    model = load_model("water").module
    inputs = model.load(model.Settings(wavelength_nm=[337, 405, 473]), {})
    print(f"tables: {time.perf_counter() - begin:.0f} s")
    truth = model.full_size({p.name: p.nominal for p in model.PARAMETERS}, inputs)
    truth |= {"absorption_scale": 1.1, "rayleigh_scale": 0.9, "wall_reflectivity": 0.12}
    count_key, fit_key = jax.random.split(jax.random.key(seed))
    data = jax.jit(lambda key, inputs: model.counts(truth, inputs).sample(key))(count_key, inputs)
    fit = bayescal.fit(
        model.model, inputs, data, method="laplace", key=fit_key, start=model.start(inputs, data),
        units=units(model.PARAMETERS), provenance={"truth": {}},
    )  # fmt: skip
    print(f"with the fit: {time.perf_counter() - begin:.0f} s; {fit.verdict}")
    table = Table("", "truth", "mean", "sd", "pull")
    for name in ("absorption_scale", "rayleigh_scale", "mie_scale", "wall_reflectivity"):
        draws, true = fit.draws(name), float(truth[name])
        pull = (draws.mean() - true) / draws.std()
        table.add_row(name, f"{true:g}", f"{draws.mean():.4f}", f"{draws.std():.4f}", f"{pull:+.1f}")
    Console(width=110).print(table)


def print_efficiencies(drawn: np.ndarray, truth: np.ndarray) -> None:
    """Coverage across sensors, and their error against the posterior's own."""
    for level in (0.68, 0.95):
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        print(
            f"central {level:.0%} intervals hold {np.mean((low < truth) & (truth < high)):.1%} of {truth.size} sensors"
        )
    error, own = drawn.mean(axis=0) / truth - 1, drawn.std(axis=0) / truth
    print(f"relative rms error {np.sqrt(np.mean(error**2)):.4f}, the posterior's own {np.sqrt(np.mean(own**2)):.4f}")


def main() -> None:
    """Run one of the studies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("speed", "calibration", "water"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.study == "speed":
        speed()
    elif arguments.study == "calibration":
        calibration(arguments.seed)
    else:
        water(arguments.seed)


if __name__ == "__main__":
    main()
