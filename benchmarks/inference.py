"""Speed of the samplers.

python benchmarks/inference.py              all of it
python benchmarks/inference.py overhead     time a gradient beyond what NumPyro takes when it is called directly
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import HMC, MCMC, NUTS

from bayescal.inference.checkpoint import opened
from bayescal.inference.laplace import Gaussian
from bayescal.inference.machine import Attempt, Machine, State
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import FIRST_STEP, Sampler
from bayescal.inference.settings import FitSettings

GRADIENTS_S = (0.01, 0.1)
"""Times of a gradient at which the overhead is measured [s]."""
DRAWS, PAIRS = 40, 5
"""Draws of a run, and runs of ours beside runs of NumPyro, in turn."""
SIZE = 6
UNTIL = "ess > 1000000"
"""Never reached, but judged."""

Call = tuple[float, int]
"""Seconds and gradients of a run."""


def slow_model(inputs, data=None):
    """A standard normal in six dimensions whose gradient takes time in proportion to the inputs."""
    place = numpyro.sample("place", dist.Normal(0.0, 1.0).expand([SIZE]).to_event(1))
    work = inputs + place.sum()
    for _ in range(8):
        work = jnp.exp(-work * work)
    numpyro.factor("nothing", 1e-300 * work.sum())


def slow_potential(gradient_s: float) -> tuple[Potential, float]:
    """A potential whose gradient takes about so long, and the time it takes [s]."""
    size, seconds = 1 << 14, 0.0
    while True:
        potential = Potential(slow_model, np.linspace(-1.0, 1.0, size), None, jax.random.key(0))
        seconds = seconds_a_gradient(potential)
        if seconds > 0.8 * gradient_s:
            return potential, seconds
        size = int(size * max(1.2, gradient_s / seconds))


def seconds_a_gradient(potential: Potential) -> float:
    """Shortest time of a gradient [s]."""
    times = []
    for _ in range(8):
        begin = time.perf_counter()
        potential.value_and_grad(np.zeros(SIZE))
        times.append(time.perf_counter() - begin)
    return min(times)


class Ours:
    """Draws of one chain, kept on the disk and judged as a study's are."""

    def __init__(self, potential: Potential, settings: FitSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.machine = Machine(Sampler(potential, settings), [Attempt([], settings.target_accept, last=True)])
        identity = np.eye(SIZE)
        self.start = self.machine.start(jax.random.key(1), Gaussian(np.zeros(SIZE), identity, identity))

    def __call__(self) -> Call:
        """Time one run."""
        begin = time.perf_counter()
        with opened(self.folder, {}, "restart", self.settings.checkpoint_seconds) as store:
            state: State = self.start
            while not self.machine.finished(state):
                state = self.machine.advance(state)
                if store.due():
                    store.save(*self.machine.saved(state))
            store.save(*self.machine.saved(state))
        return time.perf_counter() - begin, state.gradients - self.start.gradients


class Theirs:
    """The same by NumPyro's own loop, each run from where the last one ended."""

    def __init__(self, potential: Potential, settings: FitSettings) -> None:
        self.inputs = potential.inputs
        shared: dict[str, Any] = {"step_size": FIRST_STEP * SIZE**-0.25, "adapt_step_size": False}
        shared |= {"adapt_mass_matrix": False}
        if settings.method == "hmc":
            kernel: Any = HMC(slow_model, num_steps=settings.leaps, trajectory_length=None, **shared)
        else:
            kernel = NUTS(slow_model, **shared)
        self.mcmc = MCMC(kernel, num_warmup=0, num_samples=DRAWS, progress_bar=False, jit_model_args=True)

    def __call__(self) -> Call:
        """Time one run."""
        begin = time.perf_counter()
        self.mcmc.post_warmup_state = self.mcmc.last_state
        self.mcmc.run(jax.random.key(1), self.inputs, None, extra_fields=("num_steps",))
        steps = np.asarray(self.mcmc.get_extra_fields()["num_steps"])
        return time.perf_counter() - begin, int(steps.sum())


def overhead(method: str, potential: Potential, folder: Path) -> tuple[float, float]:
    """Time a gradient of ours over NumPyro's, less one: median of pairs of runs, and half of their range."""
    settings = FitSettings(method=method, chains=1, draws=DRAWS // 2, max_draws=DRAWS, until=UNTIL)  # pyright: ignore
    ours, theirs = Ours(potential, settings, folder), Theirs(potential, settings)
    ours(), theirs(), theirs()  # compilation, also of a run that goes on
    ratios = []
    for _ in range(PAIRS):
        (seconds, gradients), (their_seconds, their_gradients) = ours(), theirs()
        ratios.append(seconds / gradients / (their_seconds / their_gradients) - 1.0)
    return float(np.median(ratios)), 0.5 * float(np.ptp(ratios))


def print_overhead() -> None:
    """Print the overhead of NUTS and HMC."""
    for wanted in GRADIENTS_S:
        potential, seconds = slow_potential(wanted)
        for method in ("nuts", "hmc"):
            with tempfile.TemporaryDirectory() as folder:
                found, spread = overhead(method, potential, Path(folder) / "run")
            print(f"{method}, gradient of {1e3 * seconds:.0f} ms: {found:+.1%} ± {spread:.1%} over NumPyro's time")


PARTS = {"overhead": print_overhead}


def main() -> None:
    """Measure what is named, or all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS)
    chosen = parser.parse_args().part
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, measure in PARTS.items():
        if chosen in (None, name):
            measure()


if __name__ == "__main__":
    main()
