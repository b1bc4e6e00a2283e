"""What a fit will take: sizes, memory, seconds a gradient, time to expect."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from bayescal.cli.display import megabytes, show_table
from bayescal.diagnostics.numbers import duration
from bayescal.inference import FitSettings
from bayescal.inference.fit import auto_weights
from bayescal.inference.mcmc import FROZEN_WARMUP, HELD_WARMUP, held_step
from bayescal.inference.placement import Layout
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import quarter_leaps
from bayescal.model_files import ModelFile
from bayescal.parameters import Parameter, Prior, prior_to_toml
from bayescal.study import Study, study_priors

GRADIENTS_OF_MODE = 200  # a search from a far start, with its easier problems on the way
GRADIENTS_OF_DRAW = {"nuts": 5.0, "blackjax_nuts": 5.0, "mclmc": 4.0, "hmcecs": 7.0}  # whitened at the mode
GRADIENTS_OF_HELD_NUTS = 3.0
STAGES, GRADIENTS_OF_MOVE = 10, 4.0  # of smc from a Gaussian around the mode
CHAIN_METHODS = ("hmc", *GRADIENTS_OF_DRAW)
REPEATS = 5


def show_check(study: Study, built: tuple[ModelFile, Any, Any], device: str) -> None:
    """Print the tables of `bayescal check`."""
    model, inputs, data = built
    priors = study_priors(study, model)
    show_table(f"Parameters of {model.name}", ("parameter", "prior or value", "unit"), parameter_rows(model, priors))
    if model.has("describe"):
        show_table("Inputs and data", ("quantity", "value"), model.hook("describe")(inputs, data).items())
    if data is None:
        show_table("Fit", ("quantity", "value"), [("data", f'{study.path} names none: add `data = "..."` to fit')])
        return
    potential = Potential(model.hook("model"), inputs, data, jax.random.key(study.seed))
    show_table("Fit", ("quantity", "value"), fit_rows(potential, study.sampler.fit_settings, device))


def parameter_rows(model: ModelFile, priors: dict[str, Prior]) -> Iterator[tuple[str, str, str]]:
    """Each parameter with its prior, or with the value it is fixed at."""
    return (row(parameter, priors[parameter.name]) for parameter in model.parameters)


def row(parameter: Parameter, prior: Prior) -> tuple[str, str, str]:
    """Name, prior or value, unit."""
    shown = f"{prior:g} (fixed)" if isinstance(prior, int | float) else prior_to_toml(prior)
    return parameter.name, shown, parameter.unit


def fit_rows(potential: Potential, settings: FitSettings, device: str) -> Iterator[tuple[str, str]]:
    """Memory, speed and expectation of the compiled gradient."""
    x = potential.sample_prior(jax.random.key(1), 1)[0]
    arguments = (jax.numpy.asarray(x), potential.inputs, potential.data)
    gradient: Any = potential.programs.value_and_grad
    start = time.monotonic()
    program = gradient.lower(*arguments).compile()
    compile_time = time.monotonic() - start
    seconds = seconds_a_call(program, arguments)
    gradients = expected_gradients(settings, potential)
    yield "device", device
    yield "free parameters", str(potential.size)
    yield "compile time of the gradient", duration(compile_time)
    yield "memory of inputs and data", megabytes(total_bytes(arguments))
    yield "working memory of a gradient", megabytes(working_bytes(program))
    yield "a gradient of the log-density", duration(seconds)
    yield f"gradients to expect ({settings.method})", f"about {gradients:,.0f}"
    yield "time to expect", f"about {duration(gradients * seconds / parallel_chains(settings))}"


def seconds_a_call(program: Any, arguments: tuple) -> float:
    """Shortest time of a few calls."""
    times = []
    for _ in range(REPEATS):
        start = time.monotonic()
        jax.block_until_ready(program(*arguments))
        times.append(time.monotonic() - start)
    return min(times)


def total_bytes(tree: Any) -> int:
    """Size of all arrays."""
    return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


def working_bytes(program: Any) -> float:
    """Memory that the compiled program asks for beside its arguments; nan where the device does not tell."""
    analysis = program.memory_analysis()
    return float("nan") if analysis is None else analysis.temp_size_in_bytes + analysis.output_size_in_bytes


def expected_gradients(settings: FitSettings, potential: Potential) -> float:
    """Rough number of gradients a method takes; importance weights cost half a gradient each."""
    gradients = GRADIENTS_OF_MODE + 2 * potential.size
    if settings.method == "auto":
        gradients += auto_weights(settings) / 2
    elif settings.method not in ("map", "smc"):
        gradients += settings.importance_draws / 2
    if settings.method == "smc":
        gradients += settings.chains * settings.particles * STAGES * (1 + settings.smc_moves * GRADIENTS_OF_MOVE)
    if settings.method in CHAIN_METHODS:
        gradients += gradients_of_chains(settings, potential)
    return gradients


def gradients_of_chains(settings: FitSettings, potential: Potential) -> float:
    """Gradients of warm-up and draws; those of a part of the rows count as the part."""
    held = settings.method in ("nuts", "hmc") and held_step(settings, potential.size, trusted=True) is not None
    warmup = (HELD_WARMUP if held else FROZEN_WARMUP) if settings.warmup is None else settings.warmup
    if settings.method == "hmc":
        each = settings.leaps or quarter_leaps(potential.size)
    else:
        each = GRADIENTS_OF_HELD_NUTS if held else GRADIENTS_OF_DRAW[settings.method]
    plate = potential.plate
    share = plate.part / plate.size if plate and settings.method == "hmcecs" else 1.0
    return settings.chains * (warmup + settings.draws) * each * share


def parallel_chains(settings: FitSettings) -> int:
    """Chains that run at the same time."""
    return Layout(settings).together if settings.method in CHAIN_METHODS else 1
