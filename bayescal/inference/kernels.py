"""Chains of a BlackJAX kernel in whitened coordinates, x = mode + factor y, in blocks of iterations.

The Gaussian is an argument of one compiled program, as are inputs and data: nothing is compiled twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.step_size import DualAveragingAdaptationState, dual_averaging_adaptation
from jaxtyping import Array, PRNGKeyArray

from bayescal.errors import InputError
from bayescal.inference.laplace import Gaussian
from bayescal.inference.mcmc import Phase
from bayescal.inference.placement import Placement, Shares
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import OVERDISPERSION, START_TRIES, Control, Trace
from bayescal.inference.settings import FitSettings

SHRINKAGE_POINT = 0.2  # BlackJAX averages towards ten times the step it starts from; ours is near the best: twice it

LogDensity = Callable[[Array], Array]


class Kernel(NamedTuple):
    """A kernel of BlackJAX on a log-density.

    Attributes:
        start: (y, log-density, key) -> state, which has `position` and `logdensity`.
        step: (key, state, log-density, step size) -> (state, BlackJAX's info).
        gradients: of the log-density in one step of its integrator.
        first_step: a first guess of the step size, for a standard normal in d dimensions.
    """

    start: Callable[[Array, LogDensity, PRNGKeyArray], Any]
    step: Callable[[PRNGKeyArray, Any, LogDensity, Array], tuple[Any, Any]]
    gradients: int
    first_step: Callable[[int], float]


class Chain(NamedTuple):
    """A chain between two blocks; several of them have a leading axis."""

    state: Any
    key: PRNGKeyArray
    step_size: Array
    averaging: DualAveragingAdaptationState


class KernelSampler:
    """Blocks of iterations of a kernel: makes chains and moves them.

    Attributes:
        whitening: x = mode + factor y.
        gradients: spent so far in all chains.
    """

    def __init__(self, potential: Potential, kernel: Kernel, whitening: Gaussian, settings: FitSettings) -> None:
        self.potential, self.kernel, self.whitening, self.settings = potential, kernel, whitening, settings
        self.gradients = 0
        self._placement = Placement(settings, (potential.inputs, potential.data))
        self._begin, self._move = jax.jit(self._begin_share), jax.jit(self._move_share)

    def start(self, key: PRNGKeyArray) -> Shares:
        """Over-dispersed chains around the mode, with a first guess of the step size."""
        place_key, chain_key = jax.random.split(key)
        places = start_places(place_key, self.potential, self.whitening, self.settings.chains)
        shares = self._placement.split((places, jax.random.split(chain_key, self.settings.chains)))
        return self._begin_at(shares, self.kernel.first_step(self.potential.size))

    def _begin_at(self, shares: Shares, step_size: float) -> Shares:
        self.gradients += self.settings.chains
        return self._placement.run(self._begin, shares, (step_size, self.whitening))

    def run(self, chains: Shares, control: Control) -> tuple[Shares, Trace]:
        """Run at most `settings.block` iterations of every chain."""
        done = self._placement.run(self._move, chains, (Control(*map(np.asarray, control)), self.whitening))
        trace = joined([trace for _, trace in done.values()], int(control.iterations))
        self.gradients += self.kernel.gradients * int(trace.n_steps.sum())
        return {first: share for first, (share, _) in done.items()}, trace

    def learn(self, chains: Shares, phase: Phase, draws: np.ndarray) -> Shares:
        """End a phase of warm-up: chains go on where they are with what it taught.

        All of them get the geometric mean of their averaged step sizes and, if the phase says so, centre and factor
        from the draws y [n, d] of all.
        """
        averaged = np.concatenate([share.averaging.log_step_size_avg for share in chains.values()])
        before = self.whitening
        if phase.learn:
            self.whitening = before.learnt(draws)

        def place(y: Array) -> np.ndarray:
            return self.whitening.whiten(before.colour(np.asarray(y))) if phase.learn else np.asarray(y)

        places = {first: (place(share.state.position), share.key) for first, share in chains.items()}
        return self._begin_at(places, float(np.exp(averaged.mean())))

    def _log_density(self, whitening: Gaussian, arguments: tuple[Any, Any]) -> LogDensity:
        energy = self.potential.programs.energy
        return lambda y: -energy(whitening.colour(y), *arguments)

    def _begin_share(self, share: Any, steering: tuple[Array, Gaussian], arguments: tuple[Any, Any]) -> Chain:
        step_size, whitening = steering
        log_density = self._log_density(whitening, arguments)
        initial, _, _ = dual_averaging_adaptation(0.0)

        def begin(place: tuple[Array, PRNGKeyArray]) -> Chain:
            state_key, chain_key = jax.random.split(place[1])
            state = self.kernel.start(place[0], log_density, state_key)
            return _strongly_typed(Chain(state, chain_key, step_size, initial(SHRINKAGE_POINT * step_size)))

        return self._placement.over_chains(begin)(share)

    def _move_share(
        self, share: Chain, steering: tuple[Control, Gaussian], arguments: tuple[Any, Any]
    ) -> tuple[Chain, Trace]:
        control, whitening = steering
        log_density = self._log_density(whitening, arguments)
        return self._placement.over_chains(
            lambda chain: block(
                lambda one: self._iterate(one, control, log_density), chain, control.iterations, self.settings.block
            )
        )(share)

    def _iterate(self, chain: Chain, control: Control, log_density: LogDensity) -> tuple[Chain, Trace]:
        """One iteration, with dual averaging of the step size while it adapts."""
        key, step_key = jax.random.split(chain.key)
        state, info = self.kernel.step(step_key, chain.state, log_density, chain.step_size)
        _, update, _ = dual_averaging_adaptation(control.target_accept)  # type: ignore[arg-type]
        after = update(chain.averaging, info.acceptance_rate)
        averaging = jax.tree.map(lambda new, old: jnp.where(control.adapting, new, old), after, chain.averaging)
        step_size = jnp.where(control.adapting, jnp.exp(after.log_step_size), chain.step_size)
        kept = Trace(
            y=state.position,
            potential=-state.logdensity,
            energy=info.energy,
            acceptance_rate=info.acceptance_rate,
            n_steps=info.num_integration_steps,
            step_size=chain.step_size,
            diverging=info.is_divergent,
        )
        return Chain(state, key, step_size, averaging), kept


def _strongly_typed(tree: Any) -> Any:
    """The tree as a block returns it: a state of other types would have the block compiled a second time."""
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, jnp.result_type(leaf)), tree)


def start_places(key: PRNGKeyArray, potential: Potential, whitening: Gaussian, chains: int) -> np.ndarray:
    """Over-dispersed places around the mode where the log-density is finite, in whitened coordinates [chain, d].

    Raises:
        InputError: there is none.
    """
    return np.stack([_place(one, potential, whitening) for one in jax.random.split(key, chains)])


def _place(key: PRNGKeyArray, potential: Potential, whitening: Gaussian) -> np.ndarray:
    for number, one in enumerate(jax.random.split(key, START_TRIES)):
        width = OVERDISPERSION * (1.0 - number / START_TRIES)
        y = width * np.asarray(jax.random.normal(one, (potential.size,)))
        value, gradient = potential.value_and_grad(whitening.colour(y))
        if np.isfinite(value) and np.isfinite(gradient).all():
            return y
    raise InputError("no chain can start: the log-density around the mode is not finite")


def block(step: Callable[[Any], tuple[Any, Any]], chain: Any, iterations: Any, size: int) -> tuple[Any, Any]:
    """Iterate chain -> (chain, kept) inside a compiled program; one program for any number of iterations up to size."""
    kept = jax.eval_shape(step, chain)[1]
    empty = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), kept)

    def iteration(i: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        chain, new = step(carry[0])
        return chain, jax.tree.map(lambda rows, row: rows.at[i].set(row), carry[1], new)

    return jax.lax.fori_loop(0, iterations, iteration, (chain, empty))


def joined(traces: list[Trace], iterations: int) -> Trace:
    """The traces of all chains as one, on the host, without the unused end of the block."""
    return Trace(*(np.concatenate(leaves)[:, :iterations] for leaves in zip(*jax.device_get(traces), strict=True)))
