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
from bayescal.inference.gaussian import Gaussian, learnt
from bayescal.inference.keys import as_keys, as_numbers, blank, stacked
from bayescal.inference.placement import Placement
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
    key: Any
    step_size: Any
    averaging: DualAveragingAdaptationState


class KernelSampler:
    """Blocks of iterations of a kernel: makes chains and moves them. It changes none of its arguments."""

    def __init__(self, potential: Potential, kernel: Kernel, settings: FitSettings) -> None:
        self.potential, self.kernel, self.settings = potential, kernel, settings
        self._first_step = kernel.first_step(potential.size)
        self._arguments = (potential.inputs, potential.data)
        self._form = form_of(self._begin_one, potential.size, self._arguments)
        self._begin = jax.jit(lambda *arguments: as_numbers(self._begin_one(*arguments)))
        self._run = Placement(settings, self._one_chain, self._arguments)

    def start(self, key: PRNGKeyArray, whitening: Gaussian) -> Chain:
        """Over-dispersed chains around the mode, with a first guess of the step size."""
        place_key, chain_key = jax.random.split(key)
        places = start_places(place_key, self.potential, whitening, self.settings.chains)
        keys = jax.random.split(chain_key, self.settings.chains)
        self.potential.evaluations.gradients += self.settings.chains
        return stacked([self._begin(y, one, whitening, self._arguments) for y, one in zip(places, keys, strict=True)])

    def blank(self) -> Chain:
        """Chains of the right form without meaning, to be filled with saved ones."""
        return blank(self._form, self.settings.chains)

    def run(self, chains: Chain, whitening: Gaussian, control: Control) -> tuple[Chain, Trace]:
        """Run at most `settings.block` iterations of every chain."""
        chains, trace = self._run(chains, (Control(*map(np.asarray, control)), whitening))
        return chains, Trace(*(leaf[:, : control.iterations] for leaf in trace))

    def settle(self, chains: Chain) -> Chain:
        """End an adaptation: every chain gets the geometric mean of the chains' averaged step sizes."""
        step_size = np.exp(np.mean(chains.averaging.log_step_size_avg))
        settled = stacked([(step_size, _averaging(step_size))] * self.settings.chains)
        return Chain(chains.state, chains.key, *settled)

    def rewhiten(self, chains: Chain, old: Gaussian, draws: np.ndarray) -> tuple[Chain, Gaussian]:
        """Learn centre and factor from draws y [n, d] of all chains; the states keep their places x."""
        change, whitening = learnt(old, draws)
        y, slope = change.place(chains.state.position), change.slope(chains.state.logdensity_grad)
        return chains._replace(state=chains.state._replace(position=y, logdensity_grad=slope)), whitening

    def step_size(self, chains: Chain) -> float:
        """Mean step size of the chains."""
        return float(chains.step_size.mean())

    def gradients(self, trace: Trace) -> float:
        """Spent on a block."""
        return float(self.kernel.gradients * trace.n_steps.sum())

    def _log_density(self, whitening: Gaussian, arguments: tuple[Any, Any]) -> LogDensity:
        energy = self.potential.programs.energy
        return lambda y: -energy(whitening.colour(y), *arguments)

    def _begin_one(self, y: Array, key: PRNGKeyArray, whitening: Gaussian, arguments: tuple[Any, Any]) -> Chain:
        state_key, chain_key = jax.random.split(key)
        state = self.kernel.start(y, self._log_density(whitening, arguments), state_key)
        return Chain(state, chain_key, jnp.asarray(self._first_step), _averaging(self._first_step))

    def _one_chain(
        self, chain: Chain, steering: tuple[Control, Gaussian], arguments: tuple[Any, Any]
    ) -> tuple[Chain, Trace]:
        control, whitening = steering
        log_density = self._log_density(whitening, arguments)
        chain, trace = block(
            lambda one: self._iterate(one, control, log_density),
            as_keys(chain, self._form),
            control.iterations,
            self.settings.block,
        )
        return as_numbers(chain), trace

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


def form_of(begin: Callable[..., Any], size: int, arguments: Any) -> Any:
    """Shapes and types of the state that begin(y, key, whitening, arguments) makes in so many dimensions."""
    vector, matrix = jax.ShapeDtypeStruct((size,), float), jax.ShapeDtypeStruct((size, size), float)
    whitening: Any = Gaussian(vector, matrix, matrix)  # pyright: ignore[reportArgumentType]
    return jax.eval_shape(begin, vector, jax.random.key(0), whitening, arguments)


def _averaging(step_size: Any) -> DualAveragingAdaptationState:
    """The state of a dual averaging that has not begun."""
    initial, _, _ = dual_averaging_adaptation(0.0)
    return jax.tree.map(jnp.asarray, initial(SHRINKAGE_POINT * step_size))


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
