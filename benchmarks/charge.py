"""Speed and memory of the charge calibration: the log-density, its gradient, the mode and the posterior.

    python benchmarks/charge.py                 all of it
    python benchmarks/charge.py --length 200    one length, without mode and posterior

Each length runs in a process of its own, so that peak memory is that of the length. Times are medians of whole calls.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import bayescal
from bayescal.charge.detector import simulate
from bayescal.inference import FitSettings
from bayescal.inference.potential import Potential
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.pixel_hits import ChargeInputs, charge_inputs
from bayescal.model_files import load_model
from bayescal.readers.detector import read_detector
from bayescal.tracks import demo_tracks

LENGTHS_CM = (50.0, 200.0, 500.0)
FIT_CM = 200.0
MODEL = load_model("charge_constants").module


def made(length_cm: float) -> tuple[ChargeInputs, jax.Array]:
    """Inputs and hits of made tracks."""
    track_key, hit_key = jax.random.split(jax.random.key(1))
    detector = read_detector("module0")
    inputs = charge_inputs(demo_tracks(track_key, detector.geometry, length_cm), detector, {})
    constants = MODEL.charge_constants(MODEL.fixed_or_nominal(inputs) | {"event_time": 0.0})
    signals = simulate(constants, inputs.coverage, detector)
    data = SelfTriggeredReadout(signals, detector.electronics, live=inputs.live).sample(hit_key)
    return MODEL.prepare(inputs, data), data


class Seconds(NamedTuple):
    """Wall time of the first call (with compilation), and median wall and processor time of the later ones [s]."""

    first: float
    wall: float
    processor: float


def seconds(call: Callable[[], Any], repeats: int = 7) -> Seconds:
    """Time calls."""
    times = []
    for _ in range(repeats + 1):
        begin = np.array([time.perf_counter(), time.process_time()])
        jax.block_until_ready(call())
        times.append(np.array([time.perf_counter(), time.process_time()]) - begin)
    return Seconds(times[0][0], *map(float, np.median(times[1:], axis=0)))


def signal_sum(values: dict[str, jax.Array], inputs: ChargeInputs) -> jax.Array:
    """All charges that the likelihood asks for, added up: the simulator without the readout."""
    signals = simulate(MODEL.charge_constants(values), inputs.coverage, inputs.detector)
    groups = jax.tree.map(jnp.asarray, inputs.plan.groups)
    asked = (signals.collected(g.request, g.origin_us, g.time_us.astype(jnp.float32)) for g in groups)
    return sum(collected.sum() for collected in asked)


def reference_kernel() -> float:
    """Seconds of a fixed piece of work, to compare machines: exp of 16 million float32, eight times."""
    values = jnp.linspace(-1, 1, 1 << 24, dtype=jnp.float32)
    work = jax.jit(lambda x: jax.lax.fori_loop(0, 8, lambda _, y: jnp.exp(-y * y), x))
    return seconds(lambda: work(values)).wall


def measure(length_cm: float) -> None:
    """Print times and memory for one length of track."""
    inputs, data = made(length_cm)
    sizes = MODEL.describe(inputs, data)
    print(f"\n{sizes['track length [cm]']:.0f} cm of track: {sizes}")
    inputs, data = jax.tree.map(jnp.asarray, (inputs, data))
    values = {n: jnp.asarray(v, float) for n, v in MODEL.fixed_or_nominal(inputs).items()}
    forward, gradient = jax.jit(signal_sum), jax.jit(jax.value_and_grad(signal_sum))
    simulator = [seconds(lambda call=call: call(values, inputs)).wall for call in (forward, gradient)]
    potential = Potential(MODEL.model, inputs, data, jax.random.key(0))
    x = jnp.asarray(potential.unconstrain({}, np.zeros(potential.size)))
    energy = potential.programs.value, potential.programs.value_and_grad
    value, grad = (seconds(lambda call=call: call(x, inputs, data)) for call in energy)
    readout = value.wall - simulator[0], grad.wall - simulator[1]
    for what, times in (("simulator", simulator), ("readout", readout), ("log-density", (value.wall, grad.wall))):
        print(f"{what}: forward {times[0]:.4f} s, gradient {times[1]:.4f} s")
    print(f"first calls with compilation: {value.first:.1f} s and {grad.first:.1f} s")
    print(f"gradient/forward ratio: {grad.wall / value.wall:.2f} in wall time, ", end="")
    print(f"{grad.processor / value.processor:.2f} in processor time")
    print(f"peak memory, compiler included: {peak_gigabytes():.2f} GB")


def measure_memory(length_cm: float) -> None:
    """Print the memory of a process that finds its programs in JAX's cache."""
    inputs, data = made(length_cm)
    potential = Potential(MODEL.model, inputs, data, jax.random.key(0))
    potential.value_and_grad(potential.unconstrain({}, np.zeros(potential.size)))
    print(f"peak memory, gradient from the cache: {peak_gigabytes():.2f} GB")


def peak_gigabytes() -> float:
    """Largest resident memory of this process so far [GB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure_fit(length_cm: float) -> None:
    """Print the time to the mode and to 400 effective samples."""
    inputs, data = made(length_cm)
    start = MODEL.start(inputs, data)
    for method in ("map", "nuts"):
        begin = time.perf_counter()
        settings = FitSettings(method=method, draws=100, until="ess > 400 and rhat < 1.01", max_draws=2000)
        result = bayescal.fit(
            MODEL.model,
            inputs,
            data,
            key=jax.random.key(2),
            settings=settings,
            start=start,
            tempered=MODEL.tempered,
        )
        took = time.perf_counter() - begin
        what = "to the mode" if method == "map" else "to the mode and 400 effective samples of every constant"
        print(f"{length_cm:.0f} cm: {took:.1f} s {what}, compilation included; {result.verdict}")


QUESTIONS = {"length": measure, "memory": measure_memory, "fit": measure_fit}


def main() -> None:
    """Answer one question for one length, or all in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=float, help="times of a length [cm]")
    parser.add_argument("--memory", type=float, help="memory of a length [cm] where the compiler need not run")
    parser.add_argument("--fit", type=float, help="mode and posterior for a length [cm]")
    asked = {name: length for name, length in vars(parser.parse_args()).items() if length is not None}
    for name, length in asked.items():
        QUESTIONS[name](length)
    if asked:
        return
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"reference kernel: {reference_kernel():.3f} s", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        for length in LENGTHS_CM:
            for name in ("length", "memory"):
                subprocess.run([sys.executable, __file__, f"--{name}", str(length)], check=True, env=environment)
    subprocess.run([sys.executable, __file__, "--fit", str(FIT_CM)], check=True)


if __name__ == "__main__":
    main()
