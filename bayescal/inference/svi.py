"""Stochastic variational inference with NumPyro's guides, in coordinates whitened at the mode.

Blocks of steps are one compiled program; inputs, data and the whitening are its arguments. A run ends when the ELBO
stays where it is and k-hat of the guide's importance weights is good, or after the steps that were asked for: the ELBO
alone cannot tell a good guide from a bad one (Y. Yao et al., ICML 2018, PMLR 80, 5581).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from jaxtyping import Array, PRNGKeyArray
from numpyro import handlers
from numpyro.infer import SVI, Trace_ELBO, autoguide, init_to_value
from numpyro.infer.util import log_density

from bayescal.errors import InputError
from bayescal.inference.importance import Importance, weigh
from bayescal.inference.potential import Potential
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import Progress, ProgressFunction
from bayescal.inference.reweighting import reweighted
from bayescal.inference.settings import FitSettings, Guide

WINDOW = 300  # steps whose mean ELBO is compared with that of as many before
LARGEST_STEP = 10.0  # norm to which a gradient is cut
SITE = "y"  # the whitened coordinates in NumPyro's model and guide
FLOWS = ("AutoIAFNormal", "AutoBNAFNormal")
FLOW_WIDTH = 16  # neurons of a flow's hidden layers, at least; there must be as many as parameters


def svi(key: PRNGKeyArray, problem: Problem, settings: FitSettings, progress: ProgressFunction) -> Outcome:
    """Fit a guide, then weigh its draws by the true density.

    Raises:
        InputError: the guide cannot describe a model of one parameter.
    """
    start_key, judge_key, order_key = jax.random.split(key, 3)
    run = Run(start_key, problem, settings)
    weighed, failures = _until_good(judge_key, run, settings, progress)
    if not weighed.usable:
        failures += run.failures()
    outcome = reweighted(order_key, problem.potential, weighed, settings.draws, failures, elbo=run.elbo)
    facts = {"guide": settings.guide, "svi_steps": len(run.elbo), "elbo": run.recent()}
    return replace(outcome, facts=outcome.facts | facts)


def _until_good(
    key: PRNGKeyArray, run: Run, settings: FitSettings, progress: ProgressFunction
) -> tuple[Importance, list[str]]:
    """Take steps until the guide is good or they are spent; an interrupt keeps the finished blocks."""
    n, looked, failures = max(settings.importance_draws, settings.draws), 0, []
    try:
        while (left := settings.svi_steps - len(run.elbo)) > 0:
            if len(run.elbo) - looked >= WINDOW and run.steady():
                looked = len(run.elbo)
                weighed = run.judge(jax.random.fold_in(key, looked), n)
                if weighed.usable:
                    return weighed, failures
            run.advance(min(settings.block, left))
            progress(run.progress(settings.svi_steps))
    except KeyboardInterrupt:
        if not len(run.elbo):
            raise
        failures = ["it was interrupted"]
    return run.judge(key, n), failures


class Run:
    """A guide that is being fitted.

    Attributes:
        elbo: lower bound of the log-evidence at every step so far, an estimate from a few particles [nats].
    """

    def __init__(self, key: PRNGKeyArray, problem: Problem, settings: FitSettings) -> None:
        potential, self.approximation = problem.potential, problem.approximation
        self.potential, self.settings = potential, settings
        self.elbo = np.zeros(0)
        self._guide = make_guide(settings.guide, potential.size)
        self._svi = SVI(_whitened(potential), self._guide, _optimiser(settings), _loss(settings))
        self._arguments = (self.approximation, potential.inputs, potential.data)
        self._state = self._svi.init(key, *self._arguments)
        self._block, self._draw = jax.jit(self._take), jax.jit(jax.vmap(self._draw_one, in_axes=(0, None)))

    def _take(self, state: Any, steps: int, arguments: Any) -> tuple[Any, Array]:
        def one(i, carry):
            state, losses = carry
            state, loss = self._svi.stable_update(state, *arguments)  # a step that is not finite is left out
            return state, losses.at[i].set(loss)

        return jax.lax.fori_loop(0, steps, one, (state, jnp.zeros(self.settings.block)))

    def advance(self, steps: int) -> None:
        """Take so many steps, at most a block."""
        self._state, losses = jax.block_until_ready(self._block(self._state, steps, self._arguments))
        self.potential.evaluations.gradients += steps * self.settings.svi_particles
        self.elbo = np.append(self.elbo, self.approximation.log_volume() - np.asarray(losses)[:steps])

    def progress(self, total: int) -> Progress:
        """A look at the run."""
        line = f"step {len(self.elbo)} of {total}, ELBO {self.recent():.2f}"
        return Progress("svi", len(self.elbo), total, self.potential.evaluations.gradients, message=line)

    def recent(self) -> float:
        """Mean ELBO of the last window, not a number where no step was finite."""
        finite = self.elbo[-WINDOW:][np.isfinite(self.elbo[-WINDOW:])]
        return float(finite.mean()) if len(finite) else np.nan

    def steady(self) -> bool:
        """Whether the mean ELBO of the last two windows agrees within twice its standard error."""
        change, error = self._change()
        return abs(change) < 2.0 * error

    def failures(self) -> list[str]:
        """What the ELBO says against the guide, in words."""
        change, error = self._change()
        if np.isnan(change):
            return ["hardly any step had a finite ELBO"]
        if self.steady():
            return []
        return [f"the ELBO has not settled ({change:+.2g} +- {error:.1g} nats between its last two windows)"]

    def _change(self) -> tuple[float, float]:
        """Difference of the mean ELBO of the last two windows, and its standard error."""
        window = min(WINDOW, len(self.elbo) // 2)
        if window < 2:
            return np.nan, np.nan
        before, after = (part[np.isfinite(part)] for part in (self.elbo[-2 * window : -window], self.elbo[-window:]))
        if min(len(before), len(after)) < 2:
            return np.nan, np.nan
        error = np.sqrt(before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after))
        return float(after.mean() - before.mean()), float(error)

    def judge(self, key: PRNGKeyArray, n: int) -> Importance:
        """Weigh n draws of the guide by the true density."""
        y, log_guide = self._draw(jax.random.split(key, n), self._svi.get_params(self._state))
        y, log_guide = np.asarray(y), np.asarray(log_guide)
        return weigh(self.potential, self.approximation.colour(y), log_guide, log_guide)

    def _draw_one(self, key: PRNGKeyArray, params: Any) -> tuple[Array, Any]:
        """A draw of the guide, whitened, and its log-density."""
        log_guide, trace = log_density(handlers.seed(self._guide, key), (), {}, params)
        return trace[SITE]["value"], log_guide


def make_guide(name: Guide, size: int) -> autoguide.AutoGuide:
    """A guide by its name in NumPyro, for whitened coordinates: it starts near the standard normal.

    Raises:
        InputError: a flow for one parameter.
    """
    if name in FLOWS and size == 1:
        raise InputError(f"guide {name} needs at least two free parameters: choose AutoNormal")
    options = {
        "AutoIAFNormal": {"num_flows": 2, "hidden_dims": [max(FLOW_WIDTH, size)] * 2},
        "AutoBNAFNormal": {"num_flows": 1, "hidden_factors": [8, 8]},
    }.get(name, {"init_scale": 1.0})

    def latent(*arguments):
        del arguments
        numpyro.sample(SITE, dist.Normal(jnp.zeros(size), 1.0).to_event(1))

    return getattr(autoguide, name)(latent, init_loc_fn=init_to_value(values={SITE: jnp.zeros(size)}), **options)


def _whitened(potential: Potential) -> Callable:
    """The posterior as a model of whitened coordinates; its evidence lacks the volume of their unit."""
    value, size = potential.programs.value, potential.size

    def model(approximation, inputs, data):
        y = numpyro.sample(SITE, dist.Normal(jnp.zeros(size), 1.0).to_event(1))
        with handlers.block():  # the sites of the model inside are its own affair
            energy = value(approximation.colour(y), inputs, data)
        numpyro.factor("likelihood", 0.5 * (jnp.square(y).sum() + size * np.log(2.0 * np.pi)) - energy)

    return model


def _optimiser(settings: FitSettings) -> optax.GradientTransformation:
    schedule = optax.cosine_decay_schedule(settings.learning_rate, settings.svi_steps)
    return optax.chain(optax.clip_by_global_norm(LARGEST_STEP), optax.adam(schedule))


def _loss(settings: FitSettings) -> Trace_ELBO:
    """The ELBO of a few particles: all at once if so asked, by default on accelerators only."""
    (device,) = jnp.zeros(()).devices()
    at_once = settings.chain_method == "vectorized" or (settings.chain_method == "auto" and device.platform != "cpu")
    return Trace_ELBO(num_particles=settings.svi_particles, vectorize_particles=at_once)
