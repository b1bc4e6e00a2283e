"""Blocks of HMC or NUTS iterations in whitened coordinates, x = centre + factor y.

Centre and factor are arguments of one compiled program, as are inputs and data: nothing is compiled twice.

A block is cut anywhere without a change of the draws, and threads or devices (`bayescal.inference.placement`) do not
change them either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.hmc_util import dual_averaging
from numpyro.infer.util import ParamInfo

from bayescal.errors import InputError
from bayescal.inference.gaussian import Gaussian, learnt
from bayescal.inference.placement import Placement
from bayescal.inference.potential import Potential
from bayescal.inference.settings import FitSettings

OVERDISPERSION = 1.5  # width of the starts, in widths of the Gaussian
START_TRIES = 20  # starts where the log-density is not finite are drawn again, closer to the mode each time
FIRST_STEP = 0.95  # times d^(-1/4): near the best step size for a standard normal in d dimensions
JITTER = 0.4  # so many leaps vary their size by up to this share; else, tail ESS in 6 dimensions was 19 of 4000 draws
TRAJECTORY = 1.5  # length of HMC's: about a quarter of the period of a whitened normal direction, as leapfrog turns it
QUARTER_LEAPS = 1.1  # times d^(1/4): leapfrog steps of a quarter of a period in d dimensions; some 80 % are accepted

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
    """HMC or NUTS on a potential: makes states and runs blocks of iterations. It changes none of its arguments.

    Args:
        potential: minus the log-density.
        settings: of the fit.
        first_step: step size of the first iterations, `FIRST_STEP` d^(-1/4) where absent.
    """

    def __init__(self, potential: Potential, settings: FitSettings, first_step: float | None = None) -> None:
        self.potential, self.settings = potential, settings
        energy = potential.programs.energy

        def whitened(centre, factor, inputs, data):
            return lambda y: energy(centre + factor @ y, inputs, data)

        self._kernel = kernel(settings)
        self._init, self._sample = hmc(potential_fn_gen=whitened, algo=self._kernel.algorithm)
        self._average_init, self._average_update = dual_averaging()
        self._guess = FIRST_STEP * potential.size**-0.25
        self._first_step = first_step or self._guess
        self._run = Placement(settings, self._one_chain, (potential.inputs, potential.data))

    def start(self, key: PRNGKeyArray, whitening: Gaussian) -> Chains:
        """Over-dispersed states around the mode, with a first guess of the step size."""
        return self._chains([self._start_one(one, whitening) for one in jax.random.split(key, self.settings.chains)])

    def blank(self) -> Chains:
        """States of the right form without meaning, to be filled with saved ones."""
        origin = ParamInfo(jnp.zeros(self.potential.size), jnp.zeros(()), jnp.zeros(self.potential.size))
        return self._chains([self._state(origin, jax.random.key(0))] * self.settings.chains)

    def _chains(self, states: list[HMCState]) -> Chains:
        adaptation = self._average_init(float(np.log(2.0 * self._guess)))
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
        chains, trace = self._run(chains, steering)
        return chains, Trace(*(leaf[:, : control.iterations] for leaf in trace))

    def _one_chain(self, chain: Chains, steering: tuple[Any, ...], model_arguments: Any) -> tuple[Chains, Trace]:
        control, *whitening = steering
        arguments = (*whitening, *model_arguments)

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

    def rewhiten(self, chains: Chains, old: Gaussian, draws: np.ndarray) -> tuple[Chains, Gaussian]:
        """Learn centre and factor from draws y [n, d] of all chains; the states keep their places x."""
        change, whitening = learnt(old, draws)
        moved = chains.state._replace(z=change.place(chains.state.z), z_grad=change.slope(chains.state.z_grad))
        return Chains(moved, chains.adaptation), whitening

    def step_size(self, chains: Chains) -> float:
        """Mean step size of the chains."""
        return float(chains.state.adapt_state.step_size.mean())

    def gradients(self, trace: Trace) -> float:
        """Spent on a block."""
        return float(trace.n_steps.sum())


class Kernel(NamedTuple):
    """How NumPyro moves a chain: its algorithm with the options of its start, and how much the step size varies."""

    algorithm: str
    options: dict[str, Any]
    jitter: float


def kernel(settings: FitSettings) -> Kernel:
    """The kernel of a method.

    HMC takes trajectories of a quarter of a period, which forget where they began, in as many steps as the step size
    asks for. So many steps as a user asks for vary in size: where all directions have the same period, as whitened ones
    do, a fixed length may bring each chain back to where it was (R. Neal, arXiv:1206.1901, section 3.2).
    """
    if settings.method == "hmc" and settings.leaps is None:
        return Kernel("HMC", {"num_steps": None, "trajectory_length": TRAJECTORY}, 0.0)
    if settings.method == "hmc":
        return Kernel("HMC", {"num_steps": settings.leaps, "trajectory_length": None}, JITTER)
    return Kernel("NUTS", {"max_tree_depth": settings.max_tree_depth}, 0.0)


def quarter_leaps(size: int) -> int:
    """Leapfrog steps of a quarter of a period in so many dimensions, where the posterior is normal."""
    return max(2, round(QUARTER_LEAPS * size**0.25))


def quarter_step(size: int) -> float:
    """Their size; a little more, for NumPyro rounds the steps of a trajectory up and then shortens them."""
    return 1.01 * TRAJECTORY / quarter_leaps(size)


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
