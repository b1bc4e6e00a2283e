"""A run of any sampler that moves chains block by block: warm-up, draws until they are good, the verdict.

The plan is that of NUTS (`mcmc.plan`): the mode's metric is frozen while it is trusted and nothing diverges; otherwise
centre and metric are learnt from the draws of all chains, in the coordinates that the mode whitened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference.laplace import Gaussian
from bayescal.inference.mcmc import Attempt, Phase, Record, Run, Watch
from bayescal.inference.placement import Shares
from bayescal.inference.potential import Potential
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import Progress, ProgressFunction
from bayescal.inference.sampler import Control, Trace
from bayescal.inference.settings import FitSettings
from bayescal.inference.weighing import weigh

UNSETTLED = 0.5  # acceptance below this share of what was asked for: the step size was not found


class Sampler(Protocol):
    """Moves chains in blocks; see `kernels.KernelSampler`."""

    potential: Potential
    settings: FitSettings
    whitening: Gaussian

    @property
    def gradients(self) -> int:
        """Spent so far in all chains."""
        ...

    def start(self, key: PRNGKeyArray) -> Shares:
        """Chains around the mode."""
        ...

    def run(self, chains: Shares, control: Control) -> tuple[Shares, Trace]:
        """Run at most `settings.block` iterations of every chain."""
        ...

    def learn(self, chains: Shares, phase: Phase, draws: np.ndarray) -> Shares:
        """End a phase of warm-up."""
        ...


Setup = Callable[[bool], tuple[Sampler, list[Attempt]]]


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
    sampler, attempts = setup(trusted)
    spent = problem.potential.evaluations.gradients

    def watch(stage, done, total, divergences, step_size, gradients):
        line = f"{stage} {done} of {total}, {divergences} divergences, step size {step_size:.3g}"
        progress(Progress(stage, done, total, spent + gradients, divergences, step_size, line))

    run = sample(run_key, sampler, attempts, watch)
    problem.potential.evaluations.gradients += sampler.gradients
    trace, acceptance = run.trace, float(run.trace.acceptance_rate.mean())
    stats = {name: value for name, value in trace._asdict().items() if name not in ("y", "potential")}
    facts: dict[str, Any] = {
        "khat": weighed.khat,
        "importance_ess": weighed.ess,
        "metric_trusted": trusted,
        "attempts": run.attempts,
        "sampler_gradients": sampler.gradients,
        "mean_acceptance": acceptance,
    }
    return Outcome(
        run.draws,
        {"lp": -trace.potential, **stats},
        run.failures(settings) + unsettled(acceptance, attempts[run.attempts - 1].target_accept),
        f"R-hat below 1.01, bulk and tail ESS above {settings.required_ess:.0f}, no divergence, "
        f"acceptance {acceptance:.2f}",
        facts,
    )


def sample(key: PRNGKeyArray, sampler: Sampler, attempts: list[Attempt], watch: Watch) -> Run:
    """The draws of the first attempt that meets no divergence, else of the last."""
    chains, record, interrupted, used = sampler.start(key), Record(sampler.potential), False, 0
    for attempt in attempts:
        used += 1
        chains = _warm_up(sampler, chains, attempt, watch)
        chains, record, interrupted = _draw(sampler, chains, attempt, watch)
        if interrupted or not record.divergences:
            break
    return Run(record.draws(), record.trace(), record.quality(), used, sampler.gradients, interrupted)


def _warm_up(sampler: Sampler, chains: Shares, attempt: Attempt, watch: Watch) -> Shares:
    done, total = 0, sum(phase.iterations for phase in attempt.phases)
    for phase in attempt.phases:
        draws, end = [], done + phase.iterations
        while done < end:
            iterations = min(sampler.settings.block, end - done)
            chains, trace = sampler.run(chains, Control(iterations, True, attempt.target_accept))
            draws.append(trace.y.reshape(-1, sampler.potential.size))
            done += iterations
            watch("warm-up", done, total, 0, float(trace.step_size[:, -1].mean()), sampler.gradients)
        if draws:
            chains = sampler.learn(chains, phase, np.concatenate(draws))
    return chains


def _draw(sampler: Sampler, chains: Shares, attempt: Attempt, watch: Watch) -> tuple[Shares, Record, bool]:
    """Draw until there is enough, block by block; an interrupt keeps the finished blocks."""
    settings, record = sampler.settings, Record(sampler.potential)
    try:
        while not record.enough(settings):
            iterations = min(settings.block, record.goal(settings) - record.length)
            chains, trace = sampler.run(chains, Control(iterations, False, attempt.target_accept))
            record.add(trace, sampler.whitening)
            step_size = float(trace.step_size.mean())
            watch("draws", record.length, record.goal(settings), record.divergences, step_size, sampler.gradients)
            if record.divergences and not attempt.last:
                break
    except KeyboardInterrupt:
        if not record.length:
            raise
        return chains, record, True
    return chains, record, False


def unsettled(acceptance: float, target: float) -> list[str]:
    """What to say of draws that were accepted far less often than the warm-up asked for; empty if they were not."""
    if acceptance > UNSETTLED * target:
        return []
    return [f"the acceptance is {acceptance:.2f} where the warm-up asked for {target:.2f}: lengthen it"]
