"""Microcanonical sampling with Metropolis adjustment, in whitened coordinates.

Isokinetic dynamics with McLachlan's integrator, trajectories of random length and a new direction after each
(J. Robnik et al., JMLR 24 (2023) 311; the adjustment after J. Robnik, R. Cohn-Gordon and U. Seljak, arXiv:2503.01707):
BlackJAX's `adjusted_mclmc_dynamic`. Being adjusted it has no bias from its step size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import blackjax.mcmc.adjusted_mclmc_dynamic as dynamic
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from bayescal.errors import InputError
from bayescal.inference import runs
from bayescal.inference.kernels import Kernel, KernelSampler
from bayescal.inference.mcmc import plan
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import ProgressFunction
from bayescal.inference.settings import FitSettings

MEAN_STEPS = 2.0  # of a trajectory: what BlackJAX's own tuning settles at, whatever the posterior
LEAST_TARGET = 0.9  # acceptance: effective draws a gradient fall by a third at 0.85 (normal, 6 to 200 dimensions)
FIRST_STEP = 2.0  # times d^(1/4): velocities have length one here, and McLachlan's steps are longer than leapfrog's
GRADIENTS_PER_STEP = 2  # of McLachlan's integrator


def mclmc(key: PRNGKeyArray, problem: Problem, settings: FitSettings, progress: ProgressFunction) -> Outcome:
    """Draws of the posterior; `n_steps` counts steps of the integrator, two gradients each.

    Raises:
        InputError: the model has one parameter only; a direction on a line cannot turn.
    """
    if problem.potential.size < 2:
        raise InputError("mclmc needs two parameters or more, the model has one: use nuts")

    careful = settings.model_copy(update={"target_accept": max(settings.target_accept, LEAST_TARGET)})

    def setup(trusted: bool):  # noqa: FBT001 what the weights said
        return KernelSampler(problem.potential, kernel(), careful), plan(careful, trusted=trusted)

    outcome = runs.draw(key, problem, setup, settings, progress)
    stats = {name: value for name, value in outcome.stats.items() if name != "energy"}  # the kinetic part is not told
    return replace(outcome, stats=stats)


def kernel() -> Kernel:
    """The sampler with a unit metric."""
    move = dynamic.build_kernel(integration_steps_fn=dynamic.make_random_trajectory_length_fn(True))

    def step(key, state, log_density, step_size):
        metric: Any = jnp.ones_like(state.position)
        return move(
            key, state, log_density, step_size, inverse_mass_matrix=metric, integration_steps_params=(MEAN_STEPS,)
        )

    return Kernel(dynamic.init, step, GRADIENTS_PER_STEP, lambda d: FIRST_STEP * d**0.25)
