"""Blocks of HMC or NUTS iterations in whitened coordinates, x = centre + factor y.

Centre and factor are arguments of one compiled program, as are inputs and data: nothing is compiled twice.

Every chain runs as the same one-chain program, one at a time in each of several threads: a thread a processor core, or
a device. So any number of threads or devices gives the same draws, bit for bit; vectorised chains round differently. A
block is cut anywhere without a change of the draws.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.hmc_util import dual_averaging
from numpyro.infer.util import ParamInfo

from bayescal.errors import InputError
from bayescal.inference.laplace import Gaussian
from bayescal.inference.potential import Potential
from bayescal.inference.settings import FitSettings

OVERDISPERSION = 1.5  # width of the starts, in widths of the Gaussian
START_TRIES = 20  # starts where the log-density is not finite are drawn again, closer to the mode each time
FIRST_STEP = 0.95  # times d^(-1/4): near the best step size for a standard normal in d dimensions
JITTER = 0.4  # HMC varies its step size by up to this share; without it, tail ESS in 6 dimensions was 19 of 4000 draws

Numbers = Any  # an array: NumPy's outside the compiled program, JAX's inside


class Trace(NamedTuple):
    """What is kept of each iteration [chain, draw]; y has the coordinates as a third axis."""

    y: Numbers
    potential: Numbers
    energy: Numbers
    acceptance_rate: Numbers
    n_steps: Numbers
    step_size: Numbers
    diverging: Numbers


class Chains(NamedTuple):
    """State of all chains, on the host: NumPyro's state, its keys as numbers, and that of the step-size adaptation.

    The leading axis is the chain.
    """

    state: HMCState
    adaptation: Any


class Control(NamedTuple):
    """What steers a block: how many iterations, whether the step size adapts, and to which acceptance."""

    iterations: int | Numbers
    adapting: bool | Numbers
    target_accept: float | Numbers


class Sampler:
    """HMC or NUTS on a potential: makes states and runs blocks of iterations. It changes none of its arguments."""

    def __init__(self, potential: Potential, settings: FitSettings) -> None:
        self.potential, self.settings = potential, settings
        energy = potential.programs.energy

        def whitened(centre, factor, inputs, data):
            return lambda y: energy(centre + factor @ y, inputs, data)

        self._kernel = kernel(settings)
        self._init, self._sample = hmc(potential_fn_gen=whitened, algo=self._kernel.algorithm)
        self._average_init, self._average_update = dual_averaging()
        self._first_step = FIRST_STEP * potential.size**-0.25
        self._layout = Layout(settings)
        self._run = jax.jit(self._share)
        self._programs, self._compiling = {}, threading.Lock()
        self._model_arguments = [
            jax.device_put((potential.inputs, potential.data), device) for device in self._layout.workers
        ]

    def start(self, key: PRNGKeyArray, whitening: Gaussian) -> Chains:
        """Over-dispersed states around the mode, with a first guess of the step size."""
        return self._chains([self._start_one(one, whitening) for one in jax.random.split(key, self.settings.chains)])

    def blank(self) -> Chains:
        """States of the right form without meaning, to be filled with saved ones."""
        origin = ParamInfo(jnp.zeros(self.potential.size), jnp.zeros(()), jnp.zeros(self.potential.size))
        return self._chains([self._state(origin, jax.random.key(0))] * self.settings.chains)

    def _chains(self, states: list[HMCState]) -> Chains:
        adaptation = self._average_init(float(np.log(2.0 * self._first_step)))
        return Chains(_stack(states), _stack([adaptation] * len(states)))

    def _start_one(self, key: PRNGKeyArray, whitening: Gaussian) -> HMCState:
        draw_key, kernel_key = jax.random.split(key)
        for number, one in enumerate(jax.random.split(draw_key, START_TRIES)):
            width = OVERDISPERSION * (1.0 - number / START_TRIES)
            y = width * np.asarray(jax.random.normal(one, (self.potential.size,)))
            value, gradient = self.potential.value_and_grad(whitening.mode + whitening.factor @ y)
            if np.isfinite(value) and np.isfinite(gradient).all():
                slope = whitening.factor.T @ gradient
                return self._state(ParamInfo(*map(jnp.asarray, (y, value, slope))), kernel_key)
        raise InputError("no chain can start: the log-density around the mode is not finite")

    def _state(self, point: ParamInfo, key: PRNGKeyArray) -> HMCState:
        """NumPyro's state at a point; this also sets up its kernel, without which no block can run."""
        state = self._init(
            point,
            num_warmup=0,
            step_size=self._first_step,
            adapt_step_size=False,
            adapt_mass_matrix=False,
            model_args=(None, None, self.potential.inputs, self.potential.data),  # nothing is evaluated here
            rng_key=key,
            **self._kernel.options,
        )
        return _with_keys(state, jax.random.key_data)

    def run(self, chains: Chains, whitening: Gaussian, control: Control) -> tuple[Chains, Trace]:
        """Run at most `settings.block` iterations of every chain."""
        steering = (Control(*map(np.asarray, control)), whitening.mode, whitening.factor)
        numbers = range(len(self._layout.workers))
        pool = ThreadPoolExecutor(len(numbers))
        try:
            done = [pool.submit(self._work, number, chains, steering) for number in numbers]
            shares = {first: share for future in done for first, share in future.result()}
        finally:
            pool.shutdown(wait=False)  # an interrupt does not wait for the block
        chains, trace = jax.tree.map(
            lambda *leaves: np.concatenate(leaves), *(shares[first] for first in sorted(shares))
        )
        return chains, Trace(*(leaf[:, : control.iterations] for leaf in trace))

    def _work(self, number: int, chains: Chains, steering: tuple[Any, ...]) -> list[tuple[int, Any]]:
        """The shares of one worker, in turn, each with the number of its first chain."""
        done = []
        for first in self._layout.firsts(number):
            share = jax.tree.map(lambda leaf, first=first: leaf[first : first + self._layout.at_once], chains)
            placed = jax.device_put((share, steering), self._layout.workers[number])
            arguments = (*placed, self._model_arguments[number])
            done.append((first, jax.device_get(self._program(number, arguments)(*arguments))))
        return done

    def _program(self, number: int, arguments: tuple[Any, ...]) -> Callable:
        """The compiled block of a worker's device; workers of one device share it."""
        device = self._layout.workers[number]
        with self._compiling:
            if device not in self._programs:
                self._programs[device] = self._run.lower(*arguments).compile()
            return self._programs[device]

    def _share(self, chains: Chains, steering: tuple[Any, ...], model_arguments: Any) -> tuple[Chains, Trace]:
        control, *whitening = steering
        arguments = (*whitening, *model_arguments)
        return self._layout.over_chains(lambda one: self._one_chain(one, control, arguments))(chains)

    def _one_chain(self, chain: Chains, control: Control, arguments: tuple[Any, ...]) -> tuple[Chains, Trace]:
        def iteration(i, carry):
            chain, trace = carry
            state = self._move(_with_keys(chain.state, jax.random.wrap_key_data), arguments)
            chain = self._adapt(Chains(_with_keys(state, jax.random.key_data), chain.adaptation), control)
            return chain, jax.tree.map(lambda rows, new: rows.at[i].set(new), trace, _kept(state))

        empty = jax.tree.map(lambda leaf: jnp.zeros((self.settings.block, *leaf.shape), leaf.dtype), _kept(chain.state))
        return jax.lax.fori_loop(0, control.iterations, iteration, (chain, empty))

    def _move(self, state: HMCState, arguments: tuple[Any, ...]) -> HMCState:
        """One iteration; the step size, varied or not, is afterwards as before."""
        step_size = state.adapt_state.step_size
        if self._kernel.jitter:
            key = jax.random.fold_in(state.rng_key, 3)  # NumPyro splits the same key into 0, 1 and 2
            factor = 1.0 + self._kernel.jitter * jax.random.uniform(key, minval=-1.0, maxval=1.0)
            state = _with_step_size(state, factor * step_size)
        return _with_step_size(self._sample(state, arguments), step_size)

    def _adapt(self, chain: Chains, control: Control) -> Chains:
        """Dual averaging of the step size (M. Hoffman and A. Gelman, JMLR 15 (2014) 1593), while it adapts."""
        state, before = chain
        after = self._average_update(control.target_accept - state.accept_prob, before)
        adaptation = jax.tree.map(lambda new, old: jnp.where(control.adapting, new, old), after, before)
        step_size = jnp.where(control.adapting, jnp.exp(after[0]), state.adapt_state.step_size)
        return Chains(_with_step_size(state, step_size), adaptation)

    def settle(self, chains: Chains) -> Chains:
        """End an adaptation: every chain gets the geometric mean of the chains' averaged step sizes."""
        step_size = np.full(self.settings.chains, np.exp(chains.adaptation[1].mean()))
        adaptation = _stack([self._average_init(float(np.log(2.0 * step_size[0])))] * self.settings.chains)
        return Chains(_with_step_size(chains.state, step_size), adaptation)


def rewhiten(chains: Chains, old: Gaussian, draws: np.ndarray) -> tuple[Chains, Gaussian]:
    """Learn centre and factor from draws y [n, d] of all chains; the states keep their places x."""
    n, d = draws.shape
    shrinkage = (d + 2.0) / (n + d + 2.0)  # towards the old metric, which few draws cannot replace
    spread = (1.0 - shrinkage) * np.atleast_2d(np.cov(draws.T)) + shrinkage * np.eye(d)
    change, centre = np.linalg.cholesky(spread), draws.mean(axis=0)
    factor = old.factor @ change
    y = np.linalg.solve(change, (chains.state.z - centre).T).T
    moved = chains.state._replace(z=y, z_grad=chains.state.z_grad @ change)
    return Chains(moved, chains.adaptation), Gaussian(old.mode + old.factor @ centre, factor @ factor.T, factor)


class Kernel(NamedTuple):
    """How NumPyro moves a chain: its algorithm with the options of its start, and how much the step size varies."""

    algorithm: str
    options: dict[str, Any]
    jitter: float


def kernel(settings: FitSettings) -> Kernel:
    """The kernel of a method.

    HMC takes so many steps of a size that varies a little: where all directions have the same period, as whitened ones
    do, a fixed length may bring each chain back to where it was (R. Neal, arXiv:1206.1901, section 3.2).
    """
    if settings.method == "hmc":
        return Kernel("HMC", {"num_steps": settings.leaps, "trajectory_length": None}, JITTER)
    return Kernel("NUTS", {"max_tree_depth": settings.max_tree_depth}, 0.0)


class Layout:
    """Which chains run where.

    Attributes:
        workers: the device of each thread that runs chains; a processor has a thread for every core.
        at_once: chains that a worker runs at the same time.
        over_chains: makes a function of one chain one of such a share.
    """

    def __init__(self, settings: FitSettings) -> None:
        (here,) = jnp.zeros(()).devices()
        devices, method = jax.devices(here.platform), settings.chain_method
        if method == "auto":
            method = "vectorized" if len(devices) == 1 and here.platform != "cpu" else "parallel"
        if here.platform == "cpu" and len(devices) == 1:
            devices = [here] * (os.cpu_count() or 1)
        self.workers = devices[: settings.chains] if method == "parallel" else [here]
        self.chains = settings.chains
        self.at_once = settings.chains if method == "vectorized" else 1
        self.over_chains = jax.vmap if method == "vectorized" else _single

    @property
    def together(self) -> int:
        """Chains that run at the same time."""
        return len(self.workers) * self.at_once

    def firsts(self, number: int) -> range:
        """First chain of each share of a worker."""
        return range(number, self.chains, len(self.workers) if self.at_once == 1 else self.chains)


def _single(function: Callable) -> Callable:
    """Apply a function of one chain to a share that holds just one."""

    def on_share(chains):
        out = function(jax.tree.map(lambda leaf: leaf[0], chains))
        return jax.tree.map(lambda leaf: leaf[None], out)

    return on_share


def _kept(state: HMCState) -> Trace:
    return Trace(
        y=state.z,
        potential=state.potential_energy,
        energy=state.energy,
        acceptance_rate=state.accept_prob,
        n_steps=state.num_steps,
        step_size=state.adapt_state.step_size,
        diverging=state.diverging,
    )


def _with_keys(state: HMCState, convert: Callable[[Array], Array]) -> HMCState:
    adapt_state = state.adapt_state._replace(rng_key=convert(state.adapt_state.rng_key))
    return state._replace(rng_key=convert(state.rng_key), adapt_state=adapt_state)


def _with_step_size(state: HMCState, step_size: Numbers) -> HMCState:
    return state._replace(adapt_state=state.adapt_state._replace(step_size=step_size))


def _stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
