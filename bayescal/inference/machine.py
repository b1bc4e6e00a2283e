"""A run of chains as a state machine, whatever moves them.

Where a run stands is one value, `State`, and `Machine.advance` takes it from block to block without anything else that
changes: a state that was saved and read again goes on to the same draws, bit for bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference.checkpoint import Arrays, Saved, pack, unpack
from bayescal.inference.convergence import Quality, quality
from bayescal.inference.gaussian import Gaussian
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import Control
from bayescal.inference.settings import FitSettings

LOOKS = 20  # the draws' quality is judged again when they have grown by about a 20th: it takes longer with each draw
DRAW = "draw "  # leads the names of physical values in a block


LEAST_ACCEPTANCE = 0.4  # a step size that is held is given up where fewer trajectories are accepted


class Phase(NamedTuple):
    """A stretch of warm-up.

    Attributes:
        iterations: their number.
        learn: whether centre and factor are learnt from them at its end.
        adapt: whether the step size adapts; where it does not, too small an acceptance ends the attempt.
    """

    iterations: int
    learn: bool
    adapt: bool = True


class Attempt(NamedTuple):
    """How a run is tried: its warm-up, the acceptance asked for, and whether a divergence ends it."""

    phases: list[Phase]
    target_accept: float
    last: bool


class BlockSampler(Protocol):
    """Makes chains and moves them in blocks, without any change of its own.

    Chains are a pytree of NumPy arrays whose leading axis is the chain; what is kept of a block is a NamedTuple with
    the fields of `bayescal.inference.sampler.Trace`, or more.
    """

    potential: Potential
    settings: FitSettings

    def start(self, key: PRNGKeyArray, whitening: Gaussian) -> Any:
        """Chains around the mode."""
        ...

    def blank(self) -> Any:
        """Chains of the right form without meaning, to be filled with saved ones."""
        ...

    def run(self, chains: Any, whitening: Gaussian, control: Control) -> tuple[Any, Any]:
        """Run at most `settings.block` iterations of every chain."""
        ...

    def settle(self, chains: Any) -> Any:
        """End an adaptation of the step size."""
        ...

    def rewhiten(self, chains: Any, old: Gaussian, draws: np.ndarray) -> tuple[Any, Gaussian]:
        """Learn centre and factor from draws y [n, d] of all chains."""
        ...

    def step_size(self, chains: Any) -> float:
        """Mean step size of the chains."""
        ...

    def gradients(self, trace: Any) -> float:
        """Spent on a block; those of a part of the data count as the part."""
        ...


class State(NamedTuple):
    """Where a run stands between two blocks.

    Attributes:
        chains: their states.
        whitening: x = mode + factor y.
        attempt, phase: numbers; a phase beyond those of the attempt's warm-up is that of the draws.
        gradients: spent in all chains so far; start, warm-up and given-up attempts included.
        blocks: what is kept of the iterations of this phase: figures by name [chain, iteration], the whitened places
            `y` in warm-up, the physical values afterwards.
    """

    chains: Any
    whitening: Gaussian
    attempt: int
    phase: int
    gradients: float
    blocks: tuple[Arrays, ...]

    @property
    def length(self) -> int:
        """Iterations of this phase so far."""
        return sum(block["potential"].shape[1] for block in self.blocks)

    @property
    def divergences(self) -> int:
        """Divergent trajectories among them."""
        return sum(int(block["diverging"].sum()) for block in self.blocks)

    @property
    def series(self) -> str:
        """Name of the row of blocks."""
        return f"{self.attempt}-{self.phase}"

    def joined(self) -> Arrays:
        """All blocks in one; nothing by name if there is none."""
        names = self.blocks[0] if self.blocks else ()
        return {name: np.concatenate([block[name] for block in self.blocks], axis=1) for name in names}

    def draws(self) -> Arrays:
        """The physical values by name [chain, draw, ...]."""
        return {name.removeprefix(DRAW): value for name, value in self.joined().items() if name.startswith(DRAW)}

    def quality(self) -> Quality | None:
        """Convergence figures of the draws, none for fewer than four a chain."""
        return quality(self.draws()) if self.length >= 4 else None


class Machine:
    """Takes the state of a run from block to block.

    Args:
        sampler: runs the blocks.
        attempts: from `plan`; the next one is tried where one meets a divergence.
    """

    def __init__(self, sampler: BlockSampler, attempts: list[Attempt]) -> None:
        self._sampler, self._attempts = sampler, attempts
        self._settings, self._potential = sampler.settings, sampler.potential

    def start(self, key: PRNGKeyArray, approximation: Gaussian) -> State:
        """The first state: chains around the mode."""
        evaluations = self._potential.evaluations
        counts = evaluations.counts()
        chains = self._sampler.start(key, approximation)
        gradients = evaluations.gradients - counts[1]
        evaluations.set(counts)  # what the start took counts with the run's gradients, which are saved
        return State(chains, approximation, 0, 0, gradients, ())

    def finished(self, state: State) -> bool:
        """Whether the draws are there: their number and, where asked for, their quality."""
        settings, length = self._settings, state.length
        if not self._drawing(state) or length < settings.draws:
            return False
        if settings.stop is None or length >= settings.max_draws:
            return True
        blocks = length // settings.block
        if blocks % max(1, blocks // LOOKS):
            return False
        judged = state.quality()
        return judged is not None and not judged.failures(settings.stop)

    def advance(self, state: State) -> State:
        """The state one block later."""
        return self._draw(state) if self._drawing(state) else self._warm_up(state)

    def look(self, state: State) -> tuple[str, int, int, int, float, int]:
        """What to tell of a state: stage, iterations done and planned, divergences, step size, gradients."""
        step_size, gradients = self._sampler.step_size(state.chains), round(state.gradients)
        if self._drawing(state):
            return "draws", state.length, self._goal(state), state.divergences, step_size, gradients
        phases = self._attempts[state.attempt].phases
        done = sum(phase.iterations for phase in phases[: state.phase]) + state.length
        return "warm-up", done, sum(phase.iterations for phase in phases), 0, step_size, gradients

    def saved(self, state: State) -> tuple[Arrays, str, tuple[Arrays, ...]]:
        """A state as `Store.save` takes it."""
        return pack(_without_blocks(state)), state.series, state.blocks

    def restore(self, saved: Saved) -> State:
        """The state that was saved."""
        like = State(self._sampler.blank(), Gaussian(*[np.empty(0)] * 3), 0, 0, 0, ())
        found = unpack(saved.state, _without_blocks(like))
        state = State(**found, blocks=tuple(saved.chunks))
        return state._replace(attempt=int(state.attempt), phase=int(state.phase), gradients=float(state.gradients))

    def _drawing(self, state: State) -> bool:
        return state.phase == len(self._attempts[state.attempt].phases)

    def _goal(self, state: State) -> int:
        """Draws a chain after which the run ends at the latest, as far as is known."""
        settings = self._settings
        return settings.draws if settings.stop is None or state.length < settings.draws else settings.max_draws

    def _warm_up(self, state: State) -> State:
        phase = self._attempts[state.attempt].phases[state.phase]
        iterations = min(self._settings.block, phase.iterations - state.length)
        if iterations:
            state, trace = self._run(state, iterations, adapting=phase.adapt)
            state = state._replace(blocks=(*state.blocks, trace._asdict()))
        if state.length < phase.iterations:
            return state
        if not phase.adapt and state.blocks and not _accepted(state):
            return _next_attempt(state)
        chains, whitening = state.chains, state.whitening
        if state.blocks and phase.adapt:
            chains = self._sampler.settle(chains)
        if state.blocks and phase.learn:
            chains, whitening = self._sampler.rewhiten(
                chains, whitening, state.joined()["y"].reshape(-1, self._potential.size)
            )
        return state._replace(chains=chains, whitening=whitening, phase=state.phase + 1, blocks=())

    def _draw(self, state: State) -> State:
        iterations = min(self._settings.block, self._goal(state) - state.length)
        state, trace = self._run(state, iterations, adapting=False)
        if trace.diverging.any() and not self._attempts[state.attempt].last:
            return _next_attempt(state)
        figures = {name: value for name, value in trace._asdict().items() if name != "y"}
        values = self._potential.constrain(_places(trace.y, state.whitening))
        block = figures | {DRAW + name: value for name, value in values.items()}
        return state._replace(blocks=(*state.blocks, block))

    def _run(self, state: State, iterations: int, *, adapting: bool) -> tuple[State, Any]:
        control = Control(iterations, adapting, self._attempts[state.attempt].target_accept)
        chains, trace = self._sampler.run(state.chains, state.whitening, control)
        return state._replace(chains=chains, gradients=state.gradients + self._sampler.gradients(trace)), trace


def _accepted(state: State) -> bool:
    """Whether enough trajectories were accepted in the second half of a phase."""
    acceptance = state.joined()["acceptance_rate"]
    return bool(acceptance[:, acceptance.shape[1] // 2 :].mean() > LEAST_ACCEPTANCE)


def _next_attempt(state: State) -> State:
    return state._replace(attempt=state.attempt + 1, phase=0, blocks=())


def _places(y: np.ndarray, whitening: Gaussian) -> np.ndarray:
    """The unconstrained places of whitened ones [chain, iteration, d], one by one.

    A product of whole matrices would round differently for blocks of other lengths.
    """
    rows = [whitening.mode + whitening.factor @ row for row in y.reshape(-1, y.shape[-1])]
    return np.asarray(rows).reshape(y.shape)


def _without_blocks(state: State) -> dict[str, Any]:
    return {name: value for name, value in state._asdict().items() if name != "blocks"}
