"""Speed of the likelihood of counts of light: forward, and value and gradient by light, F, s and dark counts.

    python benchmarks/counts.py                    2,000 x 48 counts
    python benchmarks/counts.py --tracks 10000

Counts of tracks by 48 sensors, 20 p.e. in the median and a spread of e^1.5. The light is that of every track and
sensor, or one number a sensor, which is all that a run of a pulsed lamp has. Times are processor time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import bayescal  # noqa: F401 switches on double precision
from bayescal.likelihoods.counts import PhotonCounts

N_SENSORS = 48
MEDIAN_PE, LOG_SPREAD = 20.0, 1.5
READOUT = {"excess_noise": 1.2, "model_error": 0.1, "dark": 0.2}
SATURATION_PE = 400.0


def milliseconds(call: Callable[[], object], calls: int = 10, repeats: int = 5) -> float:
    """Processor time of a call that has been made before, the least of some means [ms]."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        for _ in range(calls):
            jax.block_until_ready(call())
        times.append(time.process_time() - begin)
    return 1e3 * min(times) / calls


def row(light: np.ndarray, saturation: float | None, n_tracks: int) -> tuple[str, str, str]:
    """Forward, value and gradient, and their ratio."""
    constants = jnp.asarray(list(READOUT.values()))
    model = PhotonCounts(np.broadcast_to(light, (n_tracks, N_SENSORS)), saturation=saturation, **READOUT)
    data = model.sample(jax.random.key(0)).astype(float)

    def log_density(light: jax.Array, constants: jax.Array, data: jax.Array) -> jax.Array:
        readout = dict(zip(READOUT, constants, strict=True))
        return PhotonCounts(light, saturation=saturation, **readout).log_prob(data).sum()

    forward, both = jax.jit(log_density), jax.jit(jax.value_and_grad(log_density, argnums=(0, 1)))
    once, with_gradient = (milliseconds(lambda call=call: call(light, constants, data)) for call in (forward, both))
    return f"{once:.1f}", f"{with_gradient:.1f}", f"{with_gradient / once:.2f}"


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=2_000)
    n_tracks = parser.parse_args().tracks
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    random = np.random.default_rng(0)
    table = Table("light", "saturation", "forward ms", "with gradient ms", "ratio")
    for name, shape in (("of each track and sensor", (n_tracks, N_SENSORS)), ("of each sensor", (N_SENSORS,))):
        light = MEDIAN_PE * np.exp(LOG_SPREAD * random.standard_normal(shape))
        for limit in (None, SATURATION_PE):
            table.add_row(name, "" if limit is None else f"{limit:.0f} p.e.", *row(light, limit, n_tracks))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
