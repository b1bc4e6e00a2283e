"""Few, nearly independent draws from each of many posteriors of one model, by the same compiled programs.

A replica's posterior is whitened by the Gaussian at its mode; a short Hamiltonian chain of a quarter of the period of
a normal distribution of width one then forgets its place in every iteration. The chain goes on until its effective
sample size allows the wanted draws and is thinned to them. Importance draws of a heavy-tailed version of the Gaussian
are the cheaper way where the posterior is nearly normal.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from blackjax.mcmc.hmc import HMCState
from jaxtyping import PRNGKeyArray

from bayescal.inference.laplace import Gaussian, importance
from bayescal.inference.optimise import Optimum
from bayescal.inference.potential import Potential
from bayescal.inference.settings import KHAT_LIMIT

TRAJECTORY = 1.5  # length of a trajectory, in widths of the posterior: near a quarter of the period, 2 pi / 4
STEP_SIZES = (0.5, 0.25, 0.1)  # tried in turn where the one before diverged or was slow
BLOCK = 10  # iterations of the compiled program; as many warm a chain up
MOST_LAPS = 8  # a chain is at most so many times as long as the wanted number of draws
INDEPENDENT = 0.5  # effective share of the wanted draws; with 79 of them it moves a rank's distribution below 0.01
START_WIDTHS = (1.0, 0.5, 0.2, 0.0)  # of the start around the mode; the first where the density is finite


class Draws(NamedTuple):
    """Draws of one posterior.

    Attributes:
        x: unconstrained [draw, d].
        log_density: of each, in unconstrained coordinates, not normalised [draw].
        ess: smallest effective number of draws behind them.
        divergences: divergent trajectories, in the chain that was kept.
        gradients: spent on them.
        fault: what is wrong with them, in words; empty if they can be used as they are.
    """

    x: np.ndarray
    log_density: np.ndarray
    ess: float
    divergences: int
    gradients: int
    fault: str


class Steering(NamedTuple):
    """Step size and number of leapfrog steps of a trajectory, in the coordinates y: x = centre + factor y."""

    step_size: Any
    leaps: Any
    centre: Any
    factor: Any


def no_draws(fault: str, size: int = 0) -> Draws:
    """The outcome without draws of so many coordinates, with its reason."""
    return Draws(np.empty((0, size)), np.empty(0), 0.0, 0, 0, fault)


class Trace(NamedTuple):
    """Iterations of a chain: place y [iteration, d], log-density and whether the trajectory diverged [iteration]."""

    y: Any
    log_density: Any
    diverging: Any


class ShortChains:
    """Hamiltonian chains on the potentials of one model, all by one compiled program.

    Args:
        potential: of any of the data sets; those of others come from its `with_data`.
    """

    def __init__(self, potential: Potential) -> None:
        self._energy = potential.programs.energy
        self._run: Any = jax.jit(self._block)

    @property
    def compilations(self) -> int:
        """How often the program was compiled: once, unless shapes differed."""
        return self._run._cache_size()

    def draw(self, key: PRNGKeyArray, potential: Potential, whitening: Gaussian, n: int) -> Draws:
        """Draw n times from a posterior, with smaller steps and a learnt metric where the first ones do not serve."""
        found, spent = no_draws("", potential.size), 0
        for step_size, one in zip(STEP_SIZES, jax.random.split(key, len(STEP_SIZES)), strict=True):
            whitening = _learnt(found.x, whitening)
            steering = Steering(step_size, round(TRAJECTORY / step_size), whitening.mode, whitening.factor)
            found = self._attempt(one, potential, steering, n)
            spent += found.gradients
            if not found.fault:
                break
        return found._replace(gradients=spent)

    def _attempt(self, key: PRNGKeyArray, potential: Potential, steering: Steering, n: int) -> Draws:
        """One chain: warmed up, then as long as the effective sample size asks for."""
        start_key, warm_key, *lap_keys = jax.random.split(key, 2 + MOST_LAPS)
        state = _start(start_key, potential, steering)
        if state is None:
            return no_draws("no chain can start around the mode", potential.size)
        state, _ = self._lap(state, warm_key, steering, potential, BLOCK)
        trace, share = Trace(np.empty((0, potential.size)), np.empty(0), np.empty(0, bool)), 0.0
        for one in lap_keys:
            state, lap = self._lap(state, one, steering, potential, n)
            trace = Trace(*map(np.concatenate, zip(trace, lap, strict=True)))
            share = _ess(np.column_stack([trace.y, trace.log_density])) / n
            if share > INDEPENDENT or trace.diverging.any():
                break
        return _thinned(trace, steering, n, share)

    def _lap(
        self, state: HMCState, key: PRNGKeyArray, steering: Steering, potential: Potential, iterations: int
    ) -> tuple[HMCState, Trace]:
        """At least so many iterations, in whole blocks."""
        traces = []
        for one in jax.random.split(key, -(-iterations // BLOCK)):
            state, trace = self._run(state, one, steering, potential.inputs, potential.data)
            traces.append(jax.device_get(trace))
        return state, Trace(*map(np.concatenate, zip(*traces, strict=True)))

    def _block(self, state: HMCState, key: PRNGKeyArray, steering: Steering, inputs: Any, data: Any):
        def log_density(y):
            return -self._energy(steering.centre + steering.factor @ y, inputs, data)

        unit = jnp.ones(steering.centre.size)
        kernel: Any = blackjax.hmc(log_density, steering.step_size, unit, steering.leaps)

        def iteration(state, key):
            state, info = kernel.step(key, state)
            return state, Trace(state.position, state.logdensity, info.is_divergent)

        return jax.lax.scan(iteration, state, jax.random.split(key, BLOCK))


def weighed_draws(key: PRNGKeyArray, potential: Potential, optimum: Optimum, whitening: Gaussian, n: int) -> Draws:
    """Independent draws by importance: a Student t at the mode, resampled by weight.

    Args:
        key: used once.
        potential: minus the log-density.
        optimum: its mode.
        whitening: the Gaussian there.
        n: wanted draws; ten times as many log-densities are computed.
    """
    weigh_key, draw_key = jax.random.split(key)
    weighed = importance(weigh_key, potential, whitening, 10 * n)
    index = np.asarray(jax.random.choice(draw_key, len(weighed.weights), (n,), p=jnp.asarray(weighed.weights)))
    fault = "" if optimum.converged else f"the mode was not found: {optimum.reason}"
    if not weighed.khat < KHAT_LIMIT:
        fault = fault or f"k-hat of the importance weights is {weighed.khat:.2f}, not below {KHAT_LIMIT}"
    return Draws(weighed.x[index], -weighed.potential[index], weighed.ess, 0, 0, fault)


def _start(key: PRNGKeyArray, potential: Potential, steering: Steering) -> HMCState | None:
    direction = np.asarray(jax.random.normal(key, (potential.size,)))
    for width in START_WIDTHS:
        y = width * direction
        value, gradient = potential.value_and_grad(steering.centre + steering.factor @ y)
        if np.isfinite(value) and np.isfinite(gradient).all():
            place: list[Any] = [jnp.asarray(part) for part in (y, -value, -steering.factor.T @ gradient)]
            return HMCState(*place)
    return None


def _ess(columns: np.ndarray) -> float:
    """Smallest bulk effective sample size of columns [draw, column]; zero where a column stands still."""
    if (np.ptp(columns, axis=0) == 0).any() or not np.isfinite(columns).all():
        return 0.0
    return float(np.min(array_stats.ess(columns[None], method="bulk", chain_axis=0, draw_axis=1)))


def _thinned(trace: Trace, steering: Steering, n: int, share: float) -> Draws:
    """Draws spread evenly over a chain, and what is wrong with it."""
    length, divergences = len(trace.log_density), int(trace.diverging.sum())
    chosen = np.linspace(0, length - 1, n).round().astype(int)
    fault = "" if share > INDEPENDENT else f"the chain of {length} iterations moves too slowly"
    if divergences:
        fault = f"{divergences} of {length} trajectories diverged"
    x = steering.centre + trace.y[chosen] @ steering.factor.T
    gradients = (length + BLOCK) * steering.leaps
    return Draws(x, trace.log_density[chosen], share * n, divergences, gradients, fault)


def _learnt(x: np.ndarray, whitening: Gaussian) -> Gaussian:
    """Centre and metric of draws, shrunk towards the old metric, which few draws cannot replace."""
    n, d = x.shape
    if n == 0:
        return whitening
    y = np.linalg.solve(whitening.factor, (x - whitening.mode).T).T
    shrinkage = (d + 2.0) / (n + d + 2.0)
    change = np.linalg.cholesky((1.0 - shrinkage) * np.atleast_2d(np.cov(y.T)) + shrinkage * np.eye(d))
    factor = whitening.factor @ change
    return Gaussian(whitening.mode + whitening.factor @ y.mean(axis=0), factor @ factor.T, factor)
