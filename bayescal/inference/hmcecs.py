"""Hamiltonian Monte Carlo with energy-conserving subsampling, for data that are too large for one gradient.

(K.-D. Dang et al., JMLR 20 (2019) 100.) NumPyro's HMCECS moves along trajectories of the log-density estimated from the
subsample of a plate, and renews a part of the subsample in between. The estimate is that of the rows' difference to
their first-order expansion around the mode, whose sum over all rows is known (control variates). The posterior that it
draws from is perturbed by the order of 1 / (N m^2) for m of N rows (M. Quiroz et al., J. Am. Stat. Assoc. 114 (2019)
831).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpyro.infer import HMCECS, NUTS
from numpyro.infer.util import potential_energy

from bayescal.errors import InputError
from bayescal.inference import runs
from bayescal.inference.gaussian import Gaussian
from bayescal.inference.kernels import block, form_of, start_places
from bayescal.inference.keys import as_keys, as_numbers, blank, stacked
from bayescal.inference.machine import Attempt, Phase
from bayescal.inference.mcmc import FROZEN_WARMUP, LEARNING_TARGETS, LEARNING_WARMUP
from bayescal.inference.placement import Placement
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import ProgressFunction
from bayescal.inference.sampler import FIRST_STEP, Control
from bayescal.inference.settings import FitSettings
from bayescal.inference.subsampling import Plate, without_rows
from bayescal.inference.whitened_model import SITE, whitened

LEAST_RENEWAL = 0.1  # acceptance of new rows below which the subsample hardly changes
RENEWAL_GRADIENTS = 2  # of a subsample that an iteration takes beside its trajectory


class Expansion(NamedTuple):
    """The log-likelihood of all rows around the mode, in whitened coordinates: value and slope [d]."""

    value: Any
    slope: Any


def hmcecs(key: PRNGKeyArray, problem: Problem, settings: FitSettings, progress: ProgressFunction) -> Outcome:
    """Draws of the posterior; `lp` is the estimated log-density.

    Raises:
        InputError: the model has no subsampled plate.
    """
    plate = problem.potential.plate
    if plate is None:
        raise InputError(
            "hmcecs needs a model that looks at a part of its data: put the observed site into `with numpyro.plate("
            '"rows", N, subsample_size=m) as row:` and index what it observes and predicts with `row`, or use nuts'
        )

    def setup(trusted: bool):  # noqa: FBT001 what the weights said
        attempt = _attempt(settings, trusted=trusted)
        return SubsamplingSampler(problem, plate, attempt, settings), [attempt]

    outcome = runs.draw(key, problem, setup, settings, progress)
    renewal = float(outcome.stats["row_acceptance"].mean())
    outcome.facts.update(rows=plate.size, rows_a_gradient=plate.part, row_acceptance=renewal)
    if not renewal > LEAST_RENEWAL:
        outcome.failures.append(f"new rows are accepted at a rate of {renewal:.2f}: raise subsample_size or ecs_blocks")
    rows = f"{plate.part} of {plate.size} rows a gradient, new ones accepted at a rate of {renewal:.2f}"
    return replace(outcome, success=f"{outcome.success}; {rows}")


def _attempt(settings: FitSettings, *, trusted: bool) -> Attempt:
    """The mode's metric if it is trusted, else one that NumPyro learns in its warm-up; there is no second attempt."""
    default = FROZEN_WARMUP if trusted else LEARNING_WARMUP
    target = settings.target_accept if trusted else max(settings.target_accept, LEARNING_TARGETS[0])
    return Attempt(
        [Phase(default if settings.warmup is None else settings.warmup, learn=not trusted)], target, last=True
    )


class RowsTrace(NamedTuple):
    """What is kept of each iteration: the fields of `Trace`, and how readily new rows were accepted."""

    y: Any
    potential: Any
    energy: Any
    acceptance_rate: Any
    n_steps: Any
    step_size: Any
    diverging: Any
    row_acceptance: Any


class SubsamplingSampler:
    """Blocks of iterations of NumPyro's HMCECS. Its warm-up learns the metric inside of NumPyro, if at all."""

    def __init__(self, problem: Problem, plate: Plate, attempt: Attempt, settings: FitSettings) -> None:
        self.potential, self.settings = problem.potential, settings
        self._plate, self._attempt = plate, attempt
        self._arguments = (_expansion(problem, plate), self.potential.inputs, self.potential.data)
        self._form = form_of(self._begin_one, self.potential.size, self._arguments)
        self._begin = jax.jit(lambda *arguments: as_numbers(self._begin_one(*arguments)))
        self._run = Placement(settings, self._one_chain, self._arguments)

    def start(self, key: PRNGKeyArray, whitening: Gaussian) -> Any:
        """Over-dispersed chains around the mode, each with its own rows."""
        place_key, chain_key = jax.random.split(key)
        places = start_places(place_key, self.potential, whitening, self.settings.chains)
        keys = jax.random.split(chain_key, self.settings.chains)
        return stacked([self._begin(y, one, whitening, self._arguments) for y, one in zip(places, keys, strict=True)])

    def blank(self) -> Any:
        """Chains of the right form without meaning, to be filled with saved ones."""
        return blank(self._form, self.settings.chains)

    def run(self, chains: Any, whitening: Gaussian, control: Control) -> tuple[Any, RowsTrace]:
        """Run at most `settings.block` iterations of every chain; NumPyro knows which of them warm up."""
        chains, trace = self._run(chains, (np.asarray(control.iterations), whitening))
        return chains, RowsTrace(*(leaf[:, : control.iterations] for leaf in trace))

    def settle(self, chains: Any) -> Any:
        """Nothing: NumPyro's warm-up has found the step size."""
        return chains

    def rewhiten(self, chains: Any, old: Gaussian, draws: np.ndarray) -> tuple[Any, Gaussian]:
        """Nothing: NumPyro's warm-up has learnt the metric."""
        del draws
        return chains, old

    def step_size(self, chains: Any) -> float:
        """Mean step size of the chains."""
        return float(chains.hmc_state.adapt_state.step_size.mean())

    def gradients(self, trace: RowsTrace) -> float:
        """Spent on a block, counted as gradients over all rows."""
        parts = trace.n_steps.sum() + RENEWAL_GRADIENTS * trace.n_steps.size
        return float(parts * self._plate.part / self._plate.size)

    def _bound(
        self, y: Array, key: PRNGKeyArray, whitening: Gaussian, arguments: tuple[Any, ...]
    ) -> tuple[HMCECS, Any]:
        """NumPyro's kernel, bound to the arguments of the program that is being compiled, and its state at y."""
        expansion, *model_arguments = arguments
        phase = self._attempt.phases[0]
        inner = NUTS(
            whitened(self.potential.model, whitening, self.potential.unravel),
            step_size=FIRST_STEP * self.potential.size**-0.25,
            dense_mass=phase.learn,
            adapt_mass_matrix=phase.learn,
            target_accept_prob=self._attempt.target_accept,
            max_tree_depth=self.settings.max_tree_depth,
        )
        kernel = HMCECS(inner, num_blocks=self.settings.ecs_blocks, proxy=_proxy(expansion))
        return kernel, kernel.init(key, phase.iterations, {SITE: y}, tuple(model_arguments), None)

    def _begin_one(self, *arguments: Any) -> Any:
        return self._bound(*arguments)[1]

    def _one_chain(self, state: Any, steering: tuple[Array, Gaussian], arguments: tuple[Any, ...]) -> Any:
        (iterations, whitening), state = steering, as_keys(state, self._form)
        kernel, _ = self._bound(state.z[SITE], state.rng_key, whitening, arguments)

        def step(state: Any) -> tuple[Any, RowsTrace]:
            state = kernel.sample(state, tuple(arguments[1:]), None)
            return state, _kept(state)

        state, trace = block(step, state, iterations, self.settings.block)
        return as_numbers(state), trace


def _expansion(problem: Problem, plate: Plate) -> Expansion:
    """Value and slope at the mode: those of the potential, less those of what does not depend on the rows."""
    potential, optimum = problem.potential, problem.optimum
    rest = without_rows(potential.model, plate)
    arguments = (potential.inputs, potential.data)
    value, gradient = jax.jit(
        jax.value_and_grad(lambda x, arguments: potential_energy(rest, arguments, {}, potential.unravel(x)))
    )(jnp.asarray(optimum.x), arguments)
    return Expansion(value - optimum.value, problem.approximation.dense().factor.T @ (gradient - optimum.gradient))


def _proxy(expansion: Expansion) -> Any:
    """NumPyro's first-order control variates, whose sum over all rows is given instead of computed at once."""
    taylor = HMCECS.taylor_proxy({SITE: jnp.zeros_like(expansion.slope)}, degree=1)

    def construct(*arguments: Any, **options: Any) -> tuple[Any, Any, Any]:
        proxy, initial, update = taylor(*arguments, **options)

        def with_known_sum(parameters: Any, plates: Any, state: Any) -> tuple[Any, Any]:
            _, of_rows = proxy(parameters, plates, state)
            return {name: expansion.value + expansion.slope @ parameters[SITE] for name in plates}, of_rows

        return with_known_sum, initial, update

    return construct


def _kept(state: Any) -> RowsTrace:
    inner = state.hmc_state
    return RowsTrace(
        y=inner.z[SITE],
        potential=inner.potential_energy,
        energy=inner.energy,
        acceptance_rate=inner.accept_prob,
        n_steps=inner.num_steps,
        step_size=inner.adapt_state.step_size,
        diverging=inner.diverging,
        row_acceptance=state.accept_prob,
    )
