"""Networks of visibility: what they learn of a made library, and how fast they are beside PyTorch.

    python benchmarks/siren.py train                  noisy and noise-free library, ours and the published recipe
    python benchmarks/siren.py train --minutes 60     steps that take an hour of these processors for each training
    python benchmarks/siren.py train --only noisy --seed 1    one training, with other random numbers
    python benchmarks/siren.py speed                  forward and gradient at 10,000 points

The library is Module-0's: 16 x 64 x 32 voxels, 48 sensors, the visibility of `bayescal.light.visibility`, and counts
of 1e6 photons launched in every voxel where it is noisy. A training that is stopped goes on when the same command is
given with the same `--output` and without `--minutes`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescal.diagnostics.files import write_figure
from bayescal.diagnostics.plots_visibility import bias_figure, learning_figure
from bayescal.diagnostics.visibility_bias import Bias, bias_against_visibility, mean_bias
from bayescal.light.box import Box
from bayescal.light.detector import physical_visibility
from bayescal.light.library import PhotonLibrary
from bayescal.light.siren import Architecture, SinePseudoLog, Siren, initialise, log_link
from bayescal.light.tabulation import tabulate, with_photon_statistics
from bayescal.light.training import PoissonLoss, Recipe, WeightedSquares, train
from bayescal.readers.light_detector import read_light_detector
from bayescal.readers.siren import write_siren

PHOTONS = 1e6
POINTS = 10_000
SIZES = {"128 x 1 -> 48": (48, 128, 1), "512 x 5 -> 180": (180, 512, 5)}
TITLES = {
    "published": "published recipe, noisy",
    "exact": "trained without noise",
    "noisy": "trained on noise",
}
PUBLISHED_RATE = 5e-5
"""Learning rate of slar's recipe for ICARUS."""


class Truth(NamedTuple):
    """The visibility behind a library: at the voxels' centres, and at random points [cm] between them."""

    library: PhotonLibrary
    points_cm: np.ndarray
    at_points: np.ndarray


class Job(NamedTuple):
    """What is learned, and how."""

    library: PhotonLibrary
    recipe: Recipe


def made(voxels: tuple[int, int, int]) -> Truth:
    """Module-0's visibility."""
    visibility = physical_visibility(read_light_detector("module0"))
    corners = np.asarray(visibility.box.lower_cm), np.asarray(visibility.box.upper_cm)
    points_cm = np.random.default_rng(0).uniform(*corners, (POINTS, 3))
    return Truth(tabulate(visibility, voxels), points_cm, np.asarray(jax.jit(lambda r: visibility(r))(points_cm)))


def untrained(library: PhotonLibrary, recipe: Recipe, seed: int) -> Siren:
    """The network that a recipe starts from: our head for the Poisson loss, slar's for its own."""
    head = log_link(np.mean(library.visibility, axis=(0, 1, 2)))
    if isinstance(recipe.loss, WeightedSquares):
        head = SinePseudoLog(jnp.ones(library.n_sensors, jnp.float32))
    return initialise(jax.random.key(1 + 10 * seed), Architecture(library.n_sensors), head, library.box)


def within(minutes: float | None, recipe: Recipe, library: PhotonLibrary) -> Recipe:
    """The recipe with the steps that take so many minutes, by the time of a block; as it is if none are given."""
    if minutes is None:
        return recipe
    times: list[float] = []
    trial = replace(recipe, steps=2 * recipe.block)
    train(jax.random.key(0), untrained(library, recipe, 0), library, trial, watch=lambda *_: times.append(time.time()))
    return replace(recipe, steps=max(recipe.block, int(60 * minutes / (times[1] - times[0]) * recipe.block)))


def trained(name: str, job: Job, truth: Truth, seed: int, output: Path | None) -> Bias:
    """Train, and print what the network learned of the truth, at the centres of voxels and between them."""
    library, recipe = job
    stem = name.replace(", ", "-").replace(" ", "-")
    begin = time.perf_counter(), time.process_time()
    checkpoint = output / f"{stem}.checkpoint.h5" if output else None
    start = untrained(library, recipe, seed)
    found = train(jax.random.key(2 + 10 * seed), start, library, recipe, checkpoint)
    wall, processor = time.perf_counter() - begin[0], time.process_time() - begin[1]
    print(f"\n{name}: {recipe.steps} steps of {recipe.batch} voxels, {wall:.0f} s, {processor:.0f} s of processor time")
    if output:
        write_siren(output / f"{stem}.h5", found.siren)
        write_figure(learning_figure(found.curve), output / f"{stem}.learning.svg")
    predicted = tabulate(found.siren, library.n_voxels).visibility
    show(predicted, truth.library.visibility)
    between = jax.jit(lambda siren, r: siren(r))(found.siren, truth.points_cm)
    print(f"  at random points: {summary(between, truth.at_points)}", flush=True)
    return bias_against_visibility(predicted, truth.library.visibility)


def show(predicted: Array, truth: Array) -> None:
    """Print a bias in bins and above two thresholds."""
    bias = bias_against_visibility(predicted, truth)
    for low, high, mean, count in zip(bias.edges, bias.edges[1:], bias.mean, bias.entries, strict=False):
        if count:
            print(f"  {low:7.0e} to {high:5.0e}: {100 * mean:6.2f} % of {count} entries")
    print(f"  {summary(predicted, truth)}")


def summary(predicted: Array, truth: Array) -> str:
    """Mean bias above two thresholds."""
    return ", ".join(f"{100 * mean_bias(predicted, truth, above):.2f} % above {above:.1e}" for above in (4.5e-5, 1e-3))


def study(asked: argparse.Namespace) -> None:
    """Print what networks learn of the noisy and of the noise-free library."""
    output, voxels = asked.output, tuple(asked.voxels)
    if output:
        output.mkdir(parents=True, exist_ok=True)
    truth = made(voxels)
    noisy = with_photon_statistics(jax.random.key(3 + asked.seed), truth.library, PHOTONS)
    print(f"the noisy library itself, {' x '.join(map(str, voxels))} voxels:")
    show(noisy.visibility, truth.library.visibility)
    ours = within(asked.minutes, Recipe(PoissonLoss(PHOTONS)), noisy)
    theirs = replace(
        ours, loss=WeightedSquares(), learning_rate=PUBLISHED_RATE, warm_up=0.0, largest_gradient=np.inf, emphasis=0.0
    )
    jobs = {"published": Job(noisy, theirs), "exact": Job(truth.library, ours), "noisy": Job(noisy, ours)}
    biases = {"noisy library": bias_against_visibility(noisy.visibility, truth.library.visibility)}
    for name in asked.only:
        biases[TITLES[name]] = trained(TITLES[name], jobs[name], truth, asked.seed, output)
    if output:
        write_figure(bias_figure(biases), output / "bias.svg")


def milliseconds(call: Callable[[], Any], repeats: int = 15) -> float:
    """Median wall time of a call that has been made before [ms]."""
    call()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(times))


def speed() -> None:
    """Print times of a network, ours and in PyTorch."""
    box = Box(-np.ones(3), np.ones(3))
    points = np.random.default_rng(0).uniform(-1, 1, (POINTS, 3))
    missing = importlib.util.find_spec("torch") is None
    if missing:
        print("PyTorch is not installed: no ratios")
    for name, sizes in SIZES.items():
        siren = initialise(jax.random.key(0), Architecture(*sizes), log_link(np.full(sizes[0], 1e-5)), box)
        ours = our_calls(siren, points)
        theirs = {} if missing else torch_calls(siren, points)
        for what, call in ours.items():
            took = milliseconds(call)
            line = f"{name}, {what}: {took:.1f} ms"
            if what in theirs:
                beside = milliseconds(theirs[what])
                line += f", PyTorch {beside:.1f} ms, {beside / took:.2f} times as long"
            print(line, flush=True)


def our_calls(siren: Siren, points_cm: np.ndarray) -> dict[str, Callable[[], Any]]:
    """What is timed: visibilities, and the gradient of their sum by weights and by positions."""
    points = jnp.asarray(points_cm)
    forward = jax.jit(lambda layers, r: replace(siren, layers=layers)(r))
    by_weights = jax.jit(jax.grad(lambda layers, r: forward(layers, r).sum()))
    by_points = jax.jit(jax.grad(lambda r, layers: forward(layers, r).sum()))
    return {
        "forward": lambda: jax.block_until_ready(forward(siren.layers, points)),
        "gradient by weights": lambda: jax.block_until_ready(by_weights(siren.layers, points)),
        "gradient by positions": lambda: jax.block_until_ready(by_points(points, siren.layers)),
    }


def torch_calls(siren: Siren, points_cm: np.ndarray) -> dict[str, Callable[[], Any]]:
    """The same network and the same calls in PyTorch."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layers = [tuple(torch.tensor(np.asarray(part)) for part in (each.weight, each.bias)) for each in siren.layers]
    weights = [part.requires_grad_() for layer in layers for part in layer]
    points = torch.tensor(points_cm, dtype=torch.float32)
    offset = torch.tensor(np.asarray(siren.head.offset))

    def forward(r: Any) -> Any:
        for weight, bias in layers[:-1]:
            r = torch.sin(30 * torch.nn.functional.linear(r, weight, bias))
        return torch.exp(offset + 5 * torch.nn.functional.linear(r, *layers[-1]))

    def without_gradient() -> Any:
        with torch.no_grad():
            return forward(points)

    def by_points() -> Any:
        r = points.clone().requires_grad_()
        return torch.autograd.grad(forward(r).sum(), r)

    return {
        "forward": without_gradient,
        "gradient by weights": lambda: torch.autograd.grad(forward(points).sum(), weights),
        "gradient by positions": by_points,
    }


def main() -> None:
    """Do one of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "speed"))
    parser.add_argument("--minutes", type=float, help="of each training, instead of the recipe's steps")
    parser.add_argument("--voxels", type=int, nargs=3, default=(16, 64, 32), help="of the library, along x, y and z")
    parser.add_argument("--output", type=Path, help="folder for networks, figures and checkpoints")
    parser.add_argument("--only", nargs="+", choices=tuple(TITLES), default=tuple(TITLES), help="of the trainings")
    parser.add_argument("--seed", type=int, default=0, help="of the library's noise, the network and its training")
    asked = parser.parse_args()
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if asked.what == "train":
        study(asked)
    else:
        speed()


if __name__ == "__main__":
    main()
