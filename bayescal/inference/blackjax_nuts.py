"""BlackJAX's No-U-Turn sampler in whitened coordinates (M. Hoffman and A. Gelman, JMLR 15 (2014) 1593)."""

from __future__ import annotations

import blackjax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference import runs
from bayescal.inference.kernels import Kernel, KernelSampler
from bayescal.inference.mcmc import plan
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import ProgressFunction
from bayescal.inference.sampler import FIRST_STEP
from bayescal.inference.settings import FitSettings

CUT_SHARE = 0.05  # of the trajectories may end at the largest tree before that counts as a fault


def blackjax_nuts(key: PRNGKeyArray, problem: Problem, settings: FitSettings, progress: ProgressFunction) -> Outcome:
    """Draws of the posterior; the verdict also tells of trajectories that were cut at `max_tree_depth`."""

    def setup(trusted: bool):  # noqa: FBT001 what the weights said
        sampler = KernelSampler(problem.potential, kernel(settings.max_tree_depth), settings)
        return sampler, plan(settings, trusted=trusted)

    outcome = runs.draw(key, problem, setup, settings, progress)
    cut = float(np.mean(outcome.stats["n_steps"] >= 2**settings.max_tree_depth - 1))
    if cut > CUT_SHARE:
        outcome.failures.append(f"{cut:.0%} of the trajectories were cut at max_tree_depth = {settings.max_tree_depth}")
    return outcome


def kernel(max_tree_depth: int) -> Kernel:
    """The sampler with a unit metric."""
    move = blackjax.nuts.build_kernel()

    def start(y, log_density, key):
        del key
        return blackjax.nuts.init(y, log_density)

    def step(key, state, log_density, step_size):
        return move(key, state, log_density, step_size, jnp.ones_like(state.position), max_tree_depth)

    return Kernel(start, step, gradients=1, first_step=lambda d: FIRST_STEP * d**-0.25)
