"""Speed of the waveforms of light: expectation and log density, forward and with the gradient of six constants.

    python benchmarks/waveforms.py                    48 sensors, 16 us
    python benchmarks/waveforms.py --sensors 96

The peer's figure is that of the differentiable waveform of sirentv (PyTorch, 16,000 ticks of 1 ns, 48 channels, forward
and gradient of six constants, expectation without a likelihood), measured on 2 cores of 2.8 GHz. The reference kernel
compares machines. Times are medians of whole calls.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import bayescal  # noqa: F401 switches on double precision
from bayescal.light.timing import LightTiming
from bayescal.light.waveform import SAMPLE_NS, WaveformLight, detected
from bayescal.likelihoods.waveforms import Waveforms

PEER_SECONDS = 0.54
N_SAMPLES = 1000
PHOTOELECTRONS = 16.0
NAMES = ("singlet_fraction", "singlet_ns", "triplet_ns", "response_decay_ns", "response_swing_ns", "gain")


def seconds(call: Callable[[], Any], repeats: int = 5) -> tuple[float, float]:
    """Wall time of the first call, with compilation, and median of the later ones [s]."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begin)
    return times[0], float(np.median(times[1:]))


def reference_kernel() -> float:
    """Seconds of a fixed piece of work: exp of 16 million float32, eight times."""
    values = jnp.linspace(-1, 1, 1 << 24, dtype=jnp.float32)
    work = jax.jit(lambda x: jax.lax.fori_loop(0, 8, lambda _, y: jnp.exp(-y * y), x))
    return seconds(lambda: work(values))[1]


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sensors", type=int, default=48)
    n_sensors = parser.parse_args().sensors
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"reference kernel: {reference_kernel():.3f} s")
    arrivals = jnp.zeros((n_sensors, N_SAMPLES * SAMPLE_NS)).at[:, 2560].set(PHOTOELECTRONS)
    nominal = jnp.asarray([getattr(LightTiming(), name) for name in NAMES])

    def light(x: jax.Array) -> WaveformLight:
        return detected(arrivals, LightTiming(**dict(zip(NAMES, x, strict=True))))

    waveform = jax.jit(lambda key: Waveforms(light(nominal)).sample(key))(jax.random.key(1))
    questions = {
        "expected waveforms": lambda x: jnp.square(light(x).expected() - waveform).sum(),
        "log density": lambda x: Waveforms(light(x)).log_prob(waveform).sum(),
    }
    for name, question in questions.items():
        forward, gradient = jax.jit(question), jax.jit(jax.value_and_grad(question))
        first, once = seconds(lambda call=forward: call(nominal))
        first_gradient, both = seconds(lambda call=gradient: call(nominal))
        print(f"{name}, {n_sensors} sensors: forward {once:.4f} s, forward and gradient {both:.4f} s", end="; ")
        print(f"first calls {first:.1f} and {first_gradient:.1f} s")
    print(f"peer, expected waveforms, 48 sensors: forward and gradient {PEER_SECONDS:.2f} s")


if __name__ == "__main__":
    main()
