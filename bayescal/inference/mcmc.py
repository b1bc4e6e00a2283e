"""A run of chains: warm-up, draws until they are good, and what to do where the mode's curvature misleads.

x = centre + factor y whitens: the Gaussian at the mode sets centre and factor first. Where its importance weights or a
divergence say that it does not describe the posterior, both are learnt anew from the draws of all chains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bayescal.inference.checkpoint import Arrays, Store
from bayescal.inference.convergence import Quality
from bayescal.inference.interrupts import Interrupts
from bayescal.inference.machine import DRAW, Attempt, Machine, Phase, State
from bayescal.inference.sampler import quarter_step
from bayescal.inference.settings import FitSettings

FROZEN_WARMUP, LEARNING_WARMUP = 50, 200  # iterations of step-size adaptation alone, and with the metric
HELD_WARMUP = 20  # iterations that forget the start where the step size is known
HELD_STEP = 1.05
"""Step size of NUTS on a whitened normal posterior: the smallest whose trees turn after three steps, not seven.

Shorter steps, of 0.65 to 0.9, give about half as many effective draws of the tails a gradient; between 0.85 and 1 trees
miss the turn and grow. `benchmarks/inference.py steps` prints both.
"""
HELD_DIMENSIONS = 32  # above, steps so long are accepted less than half of the time
LEARNING_TARGETS = (0.9, 0.98)  # least acceptance asked for where the metric is learnt, and where that diverged too

Watch = Callable[[str, int, int, int, float, int], None]


@dataclass(frozen=True)
class Run:
    """The draws of a run.

    Attributes:
        draws: physical values by name [chain, draw, ...].
        stats: what the sampler tells of each draw, by name [chain, draw].
        quality: R-hat and effective sample sizes, none for fewer than four draws a chain.
        attempts: attempts made, of which the last is kept.
        gradients: of all of them, warm-up included.
        interrupted: whether the user stopped it.
    """

    draws: Arrays
    stats: Arrays
    quality: Quality | None
    attempts: int
    gradients: int
    interrupted: bool

    def failures(self, settings: FitSettings) -> list[str]:
        """What is wrong with the draws, in words; empty if they can be used."""
        diverging = self.stats["diverging"]
        found = [f"it was interrupted after {diverging.shape[1]} draws a chain"] if self.interrupted else []
        if diverging.any():
            found.append(f"{int(diverging.sum())} of {diverging.size} trajectories diverged")
        if self.quality is None:
            return [*found, "there are fewer than four draws a chain"]
        return found + self.quality.failures(settings.required)

    def unfinished(self, settings: FitSettings) -> bool:
        """Whether there is more to draw: it was interrupted, or `max_draws` came before what `until` asks for."""
        if self.interrupted or settings.stop is None:
            return self.interrupted
        return self.quality is None or bool(self.quality.failures(settings.stop))


def sample(machine: Machine, start: Callable[[], State], store: Store, watch: Watch) -> Run:
    """Draw from the posterior, from where the store says or else from the start.

    The first SIGINT or SIGTERM ends the run after its current block.

    Args:
        machine: moves the chains.
        start: makes the first state.
        store: keeps the run at times and at its end.
        watch: called after each block with stage, iterations done and planned, divergences, step size, gradients.

    Raises:
        KeyboardInterrupt: the run was interrupted before the first draw.
    """
    saved = store.load()
    state = start() if saved is None else machine.restore(saved)
    with Interrupts() as interrupts:
        while not machine.finished(state) and not interrupts.asked:
            state = machine.advance(state)
            if store.due():
                store.save(*machine.saved(state))
            watch(*machine.look(state))
        store.save(*machine.saved(state))
    interrupted = not machine.finished(state)
    if not state.draws():
        raise KeyboardInterrupt
    stats = {name: value for name, value in state.joined().items() if not name.startswith(DRAW)}
    return Run(state.draws(), stats, state.quality(), state.attempt + 1, round(state.gradients), interrupted)


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


def held_step(settings: FitSettings, size: int, *, trusted: bool) -> float | None:
    """The step size of a normal posterior, where it serves: the mode's metric is trusted; NUTS: dimensions are few.

    A user who asks for a higher acceptance, or for so many leaps, gets a step size that is tuned.
    """
    default = FitSettings.model_fields["target_accept"].default
    if not trusted or settings.target_accept > default:
        return None
    if settings.method == "hmc":
        return quarter_step(size) if settings.leaps is None else None
    return HELD_STEP if size <= HELD_DIMENSIONS else None


def held(settings: FitSettings) -> Attempt:
    """The attempt with a step size that is held."""
    burn_in = Phase(_warmup(settings, HELD_WARMUP), learn=False, adapt=False)
    return Attempt([burn_in], settings.target_accept, last=False)


def _warmup(settings: FitSettings, default: int) -> int:
    return default if settings.warmup is None else settings.warmup
