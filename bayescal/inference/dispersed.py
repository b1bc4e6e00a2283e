"""Short Hamiltonian chains from dispersed starts, for posteriors that a Gaussian at the mode only roughly describes.

Each chain starts at a draw of the Gaussian, in the coordinates that it whitens. Number and size of the leapfrog steps
are drawn anew for every trajectory: nothing is learnt, which would take as many gradients as the draws. All chains are
one compiled program, called by one thread for each processor.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import PRNGKeyArray

from bayescal.inference.gaussian import Gaussian
from bayescal.inference.potential import Potential
from bayescal.inference.short import START_WIDTHS

CHAINS = 4
WARM_UP = 10  # iterations in which a chain leaves its start
KEPT = 35  # iterations of each chain behind them
LEAPS = (4, 8)  # fewest and most steps of a trajectory
STEP = (0.3, 0.6)  # shortest and longest step, in widths of the Gaussian


class ChainDraws(NamedTuple):
    """Draws of several chains.

    Attributes:
        x: unconstrained [chain, draw, d].
        r_hat: the largest of all coordinates, split and by ranks.
        ess: the smallest of all coordinates.
        gradients: spent on them.
    """

    x: np.ndarray
    r_hat: float
    ess: float
    gradients: int


class DispersedChains:
    """Chains on the potentials of one model.

    Args:
        potential: of any of the data sets; those of others come from its `with_data`.
    """

    def __init__(self, potential: Potential) -> None:
        self._energy = potential.programs.energy
        self._run: Any = jax.jit(self._chain)
        self._compiled: dict[Any, Any] = {}

    @property
    def compilations(self) -> int:
        """How often the program was compiled: once, unless shapes differed."""
        return len(self._compiled)

    def draw(self, key: PRNGKeyArray, potential: Potential, whitening: Gaussian) -> ChainDraws:
        """Draw from a posterior.

        Args:
            key: used once.
            potential: minus the log-density.
            whitening: a Gaussian at its mode, as wide in all directions as the posterior around, or narrower.
        """
        start_key, *keys = jax.random.split(key, 1 + CHAINS)
        whitened = np.asarray(jax.random.normal(start_key, (CHAINS, potential.size)))
        starts = [_finite(each, potential, whitening) for each in whitened]
        posterior = (whitening.mode, whitening.factor, potential.inputs, potential.data)
        run = self._program(starts[0], keys[0], *posterior)
        with ThreadPoolExecutor(min(CHAINS, os.cpu_count() or 1)) as threads:
            found = list(threads.map(lambda start, one: jax.device_get(run(start, one, *posterior)), starts, keys))
        y, leaps = (np.stack(each) for each in zip(*found, strict=True))
        x = whitening.mode + y @ whitening.factor.T
        return ChainDraws(x, *_verdict(y), gradients=int(leaps.sum()) + CHAINS)

    def _program(self, *arguments: Any) -> Any:
        """The program for arguments of these shapes, compiled before threads call it: tracing is not for threads."""
        leaves, structure = jax.tree.flatten(arguments)
        shapes = (structure, tuple((np.shape(leaf), jnp.result_type(leaf)) for leaf in leaves))
        if shapes not in self._compiled:
            self._compiled[shapes] = self._run.lower(*arguments).compile()
        return self._compiled[shapes]

    def _chain(self, start: Any, key: PRNGKeyArray, centre: Any, factor: Any, inputs: Any, data: Any):
        """Places [iteration, d] in the whitened coordinates, and leapfrog steps of all iterations."""

        def log_density(y):
            return -self._energy(centre + factor @ y, inputs, data)

        unit = jnp.ones(centre.size)

        def iteration(state, key):
            leap_key, step_key, key = jax.random.split(key, 3)
            leaps = jax.random.randint(leap_key, (), LEAPS[0], LEAPS[1] + 1)
            step = jax.random.uniform(step_key, (), minval=STEP[0], maxval=STEP[1])
            kernel: Any = blackjax.hmc(log_density, step, unit, leaps)
            state, _ = kernel.step(key, state)
            return state, (state.position, leaps)

        begin: Any = blackjax.hmc.init(start, log_density)
        _, (places, leaps) = jax.lax.scan(iteration, begin, jax.random.split(key, WARM_UP + KEPT))
        return places[WARM_UP:], leaps.sum()


def _finite(whitened: np.ndarray, potential: Potential, whitening: Gaussian) -> np.ndarray:
    """A start with a finite density, drawn in to the mode where necessary."""
    starts = (width * whitened for width in START_WIDTHS)
    return next(y for y in starts if np.isfinite(potential.value(whitening.mode + whitening.factor @ y)))


def _verdict(y: np.ndarray) -> tuple[float, float]:
    """Largest R-hat and smallest effective sample size of chains [chain, draw, d]."""
    r_hat = array_stats.rhat(y, chain_axis=0, draw_axis=1)
    ess = array_stats.ess(y, method="bulk", chain_axis=0, draw_axis=1)
    return float(np.max(r_hat)), float(np.min(ess))
