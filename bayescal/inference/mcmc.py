"""A NUTS run: warm-up, draws until they are good, and what to do where the mode's curvature misleads.

x = centre + factor y whitens: the Gaussian at the mode sets centre and factor first. Where its importance weights or a
divergence say that it does not describe the posterior, both are learnt anew from the draws of all chains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference.convergence import Quality, quality
from bayescal.inference.laplace import Gaussian
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import Chains, Control, Sampler, Trace
from bayescal.inference.settings import FitSettings

FROZEN_WARMUP, LEARNING_WARMUP = 50, 200  # iterations of step-size adaptation alone, and with the metric
LEARNING_TARGETS = (0.9, 0.98)  # least acceptance asked for where the metric is learnt, and where that diverged too

Watch = Callable[[str, int, int, int, float, int], None]


class Phase(NamedTuple):
    """A stretch of warm-up: iterations, and whether centre and factor are learnt from them at its end."""

    iterations: int
    learn: bool


class Attempt(NamedTuple):
    """How a run is tried: its warm-up, the acceptance asked for, and whether a divergence ends it."""

    phases: list[Phase]
    target_accept: float
    last: bool


@dataclass(frozen=True)
class Run:
    """The draws of a run.

    Attributes:
        draws: physical values by name [chain, draw, ...].
        trace: what NUTS tells of each draw [chain, draw].
        quality: R-hat and effective sample sizes, none for fewer than four draws a chain.
        attempts: attempts made, of which the last is kept.
        gradients: of all of them, warm-up included.
        interrupted: whether the user stopped it.
    """

    draws: dict[str, np.ndarray]
    trace: Trace
    quality: Quality | None
    attempts: int
    gradients: int
    interrupted: bool

    def failures(self, settings: FitSettings) -> list[str]:
        """What is wrong with the draws, in words; empty if they can be used."""
        found = ["it was interrupted"] if self.interrupted else []
        divergences = int(self.trace.diverging.sum())
        if divergences:
            found.append(f"{divergences} of {self.trace.diverging.size} trajectories diverged")
        if self.quality is None:
            return [*found, "there are fewer than four draws a chain"]
        return found + self.quality.failures(settings.required_ess)


def sample(
    key: PRNGKeyArray,
    potential: Potential,
    approximation: Gaussian,
    attempts: list[Attempt],
    settings: FitSettings,
    watch: Watch,
) -> Run:
    """Draw from the posterior.

    Args:
        key: used once.
        potential: minus the log-density.
        approximation: the Gaussian at the mode; chains start around it.
        attempts: from `plan`; the next one is tried where one meets a divergence.
        settings: of the fit.
        watch: called after each block with stage, iterations done and planned, divergences, step size, gradients.
    """
    sampler = Sampler(potential, approximation, settings)
    chains, record, interrupted, used = sampler.start(key), Record(potential), False, 0
    for attempt in attempts:
        used += 1
        chains = _warm_up(sampler, chains, attempt, watch)
        chains, record, interrupted = _draw(sampler, chains, attempt, watch)
        if interrupted or not record.divergences:
            break
    return Run(record.draws(), record.trace(), record.quality(), used, sampler.gradients, interrupted)


def plan(settings: FitSettings, *, trusted: bool) -> list[Attempt]:
    """Attempts in turn: the mode's metric if it is trusted, a learnt one, and that with smaller steps."""
    frozen = Attempt([Phase(_warmup(settings, FROZEN_WARMUP), learn=False)], settings.target_accept, last=False)
    total = _warmup(settings, LEARNING_WARMUP)
    first, second, third = int(0.1 * total), int(0.2 * total), int(0.45 * total)
    rest = total - first - second - third
    phases = [Phase(first, learn=False), Phase(second, learn=True), Phase(third, learn=True), Phase(rest, learn=False)]
    careful, cautious = (max(settings.target_accept, target) for target in LEARNING_TARGETS)
    learnt = [
        Attempt(phases, careful, last=False),
        Attempt([Phase(_warmup(settings, FROZEN_WARMUP), learn=False)], cautious, last=True),
    ]
    return [frozen, *learnt] if trusted else learnt


def _warmup(settings: FitSettings, default: int) -> int:
    return default if settings.warmup is None else settings.warmup


def _warm_up(sampler: Sampler, chains: Chains, attempt: Attempt, watch: Watch) -> Chains:
    done, total = 0, sum(phase.iterations for phase in attempt.phases)
    for phase in attempt.phases:
        traces = []
        for iterations in _blocks(phase.iterations, sampler.settings.block):
            chains, trace = sampler.run(chains, Control(iterations, True, attempt.target_accept))
            traces.append(trace)
            done += iterations
            watch("warm-up", done, total, 0, float(trace.step_size[:, -1].mean()), sampler.gradients)
        if traces:
            chains = sampler.settle(chains)
        if traces and phase.learn:
            chains = sampler.rewhiten(chains, _join(traces).y.reshape(-1, sampler.potential.size))
    return chains


def _draw(sampler: Sampler, chains: Chains, attempt: Attempt, watch: Watch) -> tuple[Chains, Record, bool]:
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


class Record:
    """The draws so far."""

    def __init__(self, potential: Potential) -> None:
        self._potential = potential
        self._traces: list[Trace] = []
        self._draws: list[dict[str, np.ndarray]] = []
        self.length = self.divergences = 0

    def add(self, trace: Trace, whitening: Gaussian) -> None:
        """Append a block, turning its draws into physical values."""
        self._traces.append(trace)
        self._draws.append(self._potential.constrain(whitening.mode + trace.y @ whitening.factor.T))
        self.length += trace.potential.shape[1]
        self.divergences += int(trace.diverging.sum())

    def goal(self, settings: FitSettings) -> int:
        """Draws a chain after which the run ends at the latest, as far as is known."""
        return settings.draws if settings.min_ess is None or self.length < settings.draws else settings.max_draws

    def enough(self, settings: FitSettings) -> bool:
        """Whether the run can end: the number of draws is there and, where asked for, their quality."""
        if self.length < settings.draws:
            return False
        if settings.min_ess is None or self.length >= settings.max_draws:
            return True
        judged = self.quality()
        return judged is not None and not judged.failures(settings.min_ess)

    def trace(self) -> Trace:
        """All blocks in one."""
        return _join(self._traces)

    def draws(self) -> dict[str, np.ndarray]:
        """Physical values by name [chain, draw, ...]."""
        return {name: np.concatenate([block[name] for block in self._draws], axis=1) for name in self._draws[0]}

    def quality(self) -> Quality | None:
        """Convergence figures of the draws so far, none for fewer than four a chain."""
        return quality(self.draws()) if self.length >= 4 else None


def _blocks(iterations: int, block: int) -> Iterator[int]:
    """Lengths of the blocks that make up so many iterations."""
    for done in range(0, iterations, block):
        yield min(block, iterations - done)


def _join(traces: list[Trace]) -> Trace:
    """One trace of consecutive ones."""
    return Trace(*(np.concatenate(parts, axis=1) for parts in zip(*traces, strict=True)))
