"""Pathfinder: normal approximations along quasi-Newton paths to the mode, weighed together.

L. Zhang et al., JMLR 23 (2022) 306, algorithms 1 and 2, as BlackJAX has them. The paths run in coordinates whitened at
the mode, or, where no mode was found, in units of the prior's spread, one path after the other. Log-densities are
taken one at a time: an expensive likelihood needs the memory of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.vi.pathfinder import PathfinderState, approximate, sample
from jax.custom_batching import sequential_vmap
from jaxtyping import PRNGKeyArray

from bayescal.errors import InputError
from bayescal.inference.gaussian import Approximation, LowRankGaussian
from bayescal.inference.importance import weigh
from bayescal.inference.optimum import prior_scale
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import Progress, ProgressFunction
from bayescal.inference.reweighting import reweighted
from bayescal.inference.settings import FitSettings

OVERDISPERSION = 2.0  # width of the starts, in widths of the Gaussian at the mode
LINE_SEARCH = 30  # values at most in one step of a path; BlackJAX's 1,000 take hours on a rough, expensive density


def pathfinder(key: PRNGKeyArray, problem: Problem, settings: FitSettings, progress: ProgressFunction) -> Outcome:
    """Approximate by several paths, then weigh the draws of all of them by the true density.

    Raises:
        InputError: no path met a finite log-density.
    """
    start_key, path_key, draw_key, order_key = jax.random.split(key, 4)
    metric, starts = _starts(start_key, problem, settings.paths)
    states, failures = _paths(path_key, problem, (metric, starts), settings, progress)
    each = -(-max(settings.importance_draws, settings.draws) // len(states))
    draw = jax.jit(partial(sample, num_samples=each))
    drawn = [draw(*one) for one in zip(jax.random.split(draw_key, len(states)), states, strict=True)]
    y, log_proposal = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    weighed = weigh(problem.potential, metric.colour(y), log_proposal, log_proposal)
    outcome = reweighted(order_key, problem.potential, weighed, settings.draws, failures)
    return replace(outcome, facts=outcome.facts | {"elbo": [float(state.elbo) for state in states]})


def _starts(key: PRNGKeyArray, problem: Problem, n: int) -> tuple[Approximation, np.ndarray]:
    """Coordinates for the paths and their starts in these [path, d]."""
    if problem.optimum.converged:
        return problem.approximation, OVERDISPERSION * np.asarray(jax.random.normal(key, (n, problem.potential.size)))
    scale, d = prior_scale(problem.prior), problem.potential.size
    metric = LowRankGaussian(scale.centre, scale.spread, np.zeros((0, d)), np.zeros(0))
    chosen = jax.random.choice(key, len(problem.prior), (n,), replace=n > len(problem.prior))
    return metric, metric.whiten(problem.prior[np.asarray(chosen)])


def _paths(
    key: PRNGKeyArray,
    problem: Problem,
    begin: tuple[Approximation, np.ndarray],
    settings: FitSettings,
    progress: ProgressFunction,
) -> tuple[list[PathfinderState], list[str]]:
    """The best approximation on each path that has one, and what went wrong; an interrupt keeps the finished paths."""
    (metric, starts), potential, states = begin, problem.potential, []
    follow, lowest = _program(potential.programs.energy, settings), problem.optimum.value
    try:
        for number, one in enumerate(jax.random.split(key, len(starts)), start=1):
            arguments = (starts[number - 1], metric, lowest, potential.inputs, potential.data)
            state, steps = jax.device_get(follow(one, *arguments))
            state = state._replace(elbo=state.elbo - lowest + metric.log_volume())
            potential.evaluations.gradients += int(steps) + 1
            potential.evaluations.values += settings.path_draws * (settings.path_steps + 1)
            states += [state] if np.isfinite(state.elbo) else []
            line = f"path {number} of {len(starts)}: {steps} steps, ELBO {state.elbo:.2f}"
            progress(Progress("pathfinder", number, len(starts), potential.evaluations.gradients, message=line))
    except KeyboardInterrupt:
        if not states:
            raise
        return states, ["it was interrupted"]
    if not states:
        raise InputError(f"none of {len(starts)} paths met a finite log-density: fit with method laplace or nuts")
    return states, []


def _program(energy: Callable, settings: FitSettings) -> Callable:
    """The compiled search for the best approximation on a path, and its number of steps."""

    def height(y, metric, lowest, inputs, data):
        return energy(metric.colour(y), inputs, data) - lowest  # small numbers, for the search's relative tolerance

    density = _one_at_a_time(height)

    def follow(key, start, *arguments):
        options: Any = {"maxiter": settings.path_steps, "maxls": LINE_SEARCH}
        state, info = approximate(key, lambda y: -density(y, *arguments), start, settings.path_draws, **options)
        return state, jnp.isfinite(info.path.elbo).sum()

    return jax.jit(follow)


def _one_at_a_time(function: Callable) -> Callable:
    """A scalar function whose values, where many are asked for at once, are taken in turn; differentiable by y."""

    @jax.custom_vjp
    def wrapped(y, *arguments):
        return sequential_vmap(function)(y, *arguments)

    def forward(y, *arguments):
        value, gradient = sequential_vmap(jax.value_and_grad(function))(y, *arguments)
        return value, (gradient, arguments)

    def backward(kept, cotangent):
        gradient, arguments = kept
        return cotangent * gradient, *(None for _ in arguments)

    wrapped.defvjp(forward, backward)
    return wrapped
