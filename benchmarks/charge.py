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
import time
from collections.abc import Callable
from typing import Any

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


def seconds(call: Callable[[], Any], repeats: int = 7) -> tuple[float, float]:
    """First call (with compilation) and median of the later ones [s]."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begin)
    return times[0], float(np.median(times[1:]))


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
    return seconds(lambda: work(values))[1]


def measure(length_cm: float) -> None:
    """Print times and memory for one length of track."""
    inputs, data = made(length_cm)
    sizes = MODEL.describe(inputs, data)
    print(f"\n{sizes['track length [cm]']:.0f} cm of track: {sizes}")
    inputs, data = jax.tree.map(jnp.asarray, (inputs, data))
    values = {n: jnp.asarray(v, float) for n, v in MODEL.fixed_or_nominal(inputs).items()}
    forward, gradient = jax.jit(signal_sum), jax.jit(jax.value_and_grad(signal_sum))
    simulator = [seconds(lambda call=call: call(values, inputs))[1] for call in (forward, gradient)]
    potential = Potential(MODEL.model, inputs, data, jax.random.key(0))
    x = jnp.asarray(potential.unconstrain({}, np.zeros(potential.size)))
    energy = potential.programs.value, potential.programs.value_and_grad
    compile_value, value = seconds(lambda: energy[0](x, inputs, data))
    compile_gradient, grad = seconds(lambda: energy[1](x, inputs, data))
    readout = value - simulator[0], grad - simulator[1]
    for what, times in (("simulator", simulator), ("readout", readout), ("log-density", (value, grad))):
        print(f"{what}: forward {times[0]:.4f} s, gradient {times[1]:.4f} s")
    print(f"first calls with compilation: {compile_value:.1f} s and {compile_gradient:.1f} s")
    print(f"gradient/forward ratio: {grad / value:.2f}")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


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


def main() -> None:
    """Measure one length, or all in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=float, help="one length [cm]")
    parser.add_argument("--fit", type=float, help="mode and posterior for one length [cm]")
    arguments = parser.parse_args()
    if arguments.length:
        measure(arguments.length)
        return
    if arguments.fit:
        measure_fit(arguments.fit)
        return
    load = os.getloadavg()[0]
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {load:.1f}")
    print(f"reference kernel: {reference_kernel():.3f} s")
    for option, length in [("--length", length) for length in LENGTHS_CM] + [("--fit", 200.0)]:
        subprocess.run([sys.executable, __file__, option, str(length)], check=True)


if __name__ == "__main__":
    main()
