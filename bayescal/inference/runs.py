"""A run of chains as a method of `bayescal.fit`: judge the mode's curvature, draw, and say how it went.

The mode's metric is frozen while it is trusted and nothing diverges; otherwise centre and metric are learnt from the
draws of all chains, in the coordinates that the mode whitened.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
from jaxtyping import PRNGKeyArray

from bayescal.inference.machine import Attempt, BlockSampler, Machine
from bayescal.inference.mcmc import sample
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import Progress, ProgressFunction
from bayescal.inference.settings import FitSettings
from bayescal.inference.weighing import weigh

UNSETTLED = 0.5  # acceptance below this share of what was asked for: the step size was not found

Setup = Callable[[bool], tuple[BlockSampler, list[Attempt]]]


def draw(
    key: PRNGKeyArray, problem: Problem, setup: Setup, settings: FitSettings, progress: ProgressFunction
) -> Outcome:
    """Draw from the posterior.

    Args:
        key: used once.
        problem: what is fitted.
        setup: gives the sampler and the attempts to make, told whether the mode's curvature can be trusted.
        settings: of the fit.
        progress: is told after each block.
    """
    weigh_key, run_key = jax.random.split(key)
    weighed = weigh(weigh_key, problem, settings.importance_draws, progress)
    trusted = problem.optimum.converged and weighed.trusted
    spent = problem.potential.evaluations.gradients

    def watch(stage, done, total, divergences, step_size, gradients):
        line = f"{stage} {done} of {total}, {divergences} divergences, step size {step_size:.3g}"
        progress(Progress(stage, done, total, spent + gradients, divergences, step_size, line))

    sampler, attempts = setup(trusted)
    machine = Machine(sampler, attempts)
    run = sample(machine, partial(machine.start, run_key, problem.approximation.dense()), problem.store, watch)
    acceptance = float(run.stats["acceptance_rate"].mean())
    stats = {name: value for name, value in run.stats.items() if name != "potential"}
    return Outcome(
        run.draws,
        {"lp": -run.stats["potential"], **stats},
        run.failures(settings) + unsettled(acceptance, attempts[run.attempts - 1].target_accept),
        f"R-hat below {settings.required.rhat}, bulk and tail ESS above {settings.required.ess:.0f}, no divergence, "
        f"acceptance {acceptance:.2f}",
        {
            "khat": weighed.khat,
            "importance_ess": weighed.ess,
            "metric_trusted": trusted,
            "attempts": run.attempts,
            "chain_gradients": run.gradients,
            "mean_acceptance": acceptance,
            "interrupted": run.interrupted,
            "unfinished": run.unfinished(settings),
        },
    )


def unsettled(acceptance: float, target: float) -> list[str]:
    """What to say of draws that were accepted far less often than the warm-up asked for; empty if they were not."""
    if acceptance > UNSETTLED * target:
        return []
    return [f"the acceptance is {acceptance:.2f} where the warm-up asked for {target:.2f}: lengthen it"]
