"""One call from a model to a result, the same for every method."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.errors import InputError
from bayescal.inference import laplace, mcmc, optimise
from bayescal.inference.blackjax_nuts import blackjax_nuts
from bayescal.inference.hmcecs import hmcecs
from bayescal.inference.mclmc import mclmc
from bayescal.inference.potential import Model, Potential, Values
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import Progress, ProgressFunction, silent
from bayescal.inference.result import Result, assemble, laplace_group
from bayescal.inference.settings import KHAT_LIMIT, FitSettings, Method
from bayescal.inference.smc import smc
from bayescal.inference.weighing import weigh

LARGEST_STORED = 100_000  # numbers in an array of the data up to which it is kept with the result
PACKAGES = ("jax", "jaxlib", "numpyro", "blackjax", "numpy", "arviz-base")


def fit(  # noqa: PLR0913 one call with everything that a fit can be told, by name
    model: Model,
    inputs: Any,
    data: Any,
    *,
    key: PRNGKeyArray,
    method: Method | None = None,
    settings: FitSettings | None = None,
    start: Values | None = None,
    tempered: optimise.Tempered | None = None,
    units: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: ProgressFunction = silent,
) -> Result:
    """Fit a NumPyro model.

    Args:
        model: function model(inputs, data) with at least one latent, real-valued site.
        inputs: pytree of arrays and numbers; an argument of every compiled program, never a constant in it.
        data: the same, as the model takes it.
        key: from `jax.random.key`; the same key, device kind and settings give the same draws.
        method: one of `bayescal.inference.settings.Method`; none: as the settings say.
        settings: see `FitSettings`; none: its defaults.
        start: physical values to search the mode from, some or all; the rest starts at the prior's median.
        tempered: inputs of an easier problem by (inputs, stage) on the way to the mode, see `optimise.find_mode`.
        units: unit by parameter name, stored with the draws.
        provenance: what else shall be stored with the result; JSON must be able to hold it.
        progress: called now and then with a `Progress`.

    Returns:
        The result, also of a fit that did not converge: look at `converged` and `verdict`.
    """
    settings = settings or FitSettings.model_validate({})
    settings = settings if method is None else settings.model_copy(update={"method": method})
    began = time.perf_counter()
    keys = dict(zip(("model", "prior", "method"), jax.random.split(key, 3), strict=True))
    potential = Potential(model, inputs, data, keys["model"])
    problem = _find_mode(potential, keys["prior"], settings, start, tempered, progress)
    outcome = METHODS[settings.method](keys["method"], problem, settings, progress)
    facts = {
        **_environment(key, settings),
        **outcome.facts,
        "mode": _mode_facts(problem.optimum),
        "gradients": potential.evaluations.gradients + outcome.facts.get("nuts_gradients", 0),
        "values": potential.evaluations.values,
        "wall_time_s": time.perf_counter() - began,
        **(provenance or {}),
    }
    return _result(problem, outcome, facts, settings, units or {})


def _find_mode(potential, key, settings, start, tempered, progress) -> Problem:
    prior = potential.sample_prior(key, settings.prior_draws)
    scale = optimise.prior_scale(prior)
    first = potential.unconstrain(start or {}, scale.centre)

    def watch(number, stage, steps, value):
        line = f"start {number}, {stage}: step {steps}, log-density {-value:.6g}"
        progress(Progress("map", steps, settings.max_gradients, potential.evaluations.gradients, message=line))

    starts = [first, *prior[: settings.restarts]]
    optimum = optimise.find_mode(potential, starts, scale, tempered, settings.max_gradients, watch)
    if not np.isfinite(optimum.value):
        raise InputError(
            f"the log-density is not finite at any of {len(starts)} starts: look at the priors and the data"
        )
    return Problem(potential, prior, optimum, laplace.gaussian(optimum))


def _map(key, problem, settings, progress) -> Outcome:
    del key, settings, progress
    optimum = problem.optimum
    return Outcome(
        problem.potential.constrain(optimum.x[None, None]),
        {"lp": np.array([[-optimum.value]])},
        _mode_failures(optimum),
        f"the mode was found in {optimum.steps} steps, Newton decrement {optimum.decrement:.1e}",
        {},
    )


def _laplace(key, problem, settings, progress) -> Outcome:
    weigh_key, draw_key = jax.random.split(key)
    weighed = weigh(weigh_key, problem, max(settings.importance_draws, settings.draws), progress)
    index = weighed.resample(draw_key, settings.draws)
    failures = _mode_failures(problem.optimum)
    if not weighed.khat < KHAT_LIMIT:
        failures.append(f"k-hat of the importance weights is {weighed.khat:.2f}, not below {KHAT_LIMIT}: use nuts")
    return Outcome(
        problem.potential.constrain(weighed.x[None, index]),
        {"lp": -weighed.potential[None, index]},
        failures,
        f"k-hat of the importance weights is {weighed.khat:.2f}, {weighed.ess:.0f} effective draws",
        {"khat": weighed.khat, "importance_ess": weighed.ess},
    )


def _nuts(key, problem, settings, progress) -> Outcome:
    weigh_key, run_key = jax.random.split(key)
    weighed = weigh(weigh_key, problem, settings.importance_draws, progress)
    trusted = problem.optimum.converged and weighed.trusted
    spent = problem.potential.evaluations.gradients

    def watch(stage, done, total, divergences, step_size, gradients):
        line = f"{stage} {done} of {total}, {divergences} divergences, step size {step_size:.3g}"
        progress(Progress(stage, done, total, spent + gradients, divergences, step_size, line))

    attempts = mcmc.plan(settings, trusted=trusted)
    run = mcmc.sample(run_key, problem.potential, problem.approximation, attempts, settings, watch)
    trace = run.trace
    stats = {name: value for name, value in trace._asdict().items() if name not in ("y", "potential")}
    return Outcome(
        run.draws,
        {"lp": -trace.potential, **stats},
        run.failures(settings),
        f"R-hat below 1.01, bulk and tail ESS above {settings.required_ess:.0f}, no divergence",
        {
            "khat": weighed.khat,
            "importance_ess": weighed.ess,
            "metric_trusted": trusted,
            "attempts": run.attempts,
            "nuts_gradients": run.gradients,
        },
    )


METHODS = {
    "map": _map,
    "laplace": _laplace,
    "nuts": _nuts,
    "blackjax_nuts": blackjax_nuts,
    "mclmc": mclmc,
    "smc": smc,
    "hmcecs": hmcecs,
}


def _mode_failures(optimum: optimise.Optimum) -> list[str]:
    return [] if optimum.converged else [f"the mode was not found: {optimum.reason}"]


def _mode_facts(optimum: optimise.Optimum) -> dict[str, Any]:
    return {
        "log_density": -optimum.value,
        "newton_decrement": optimum.decrement,
        "steps": optimum.steps,
        "gradients": optimum.gradients,
        "converged": optimum.converged,
        "reason": optimum.reason,
    }


def _environment(key: PRNGKeyArray, settings: FitSettings) -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "settings": settings.model_dump(),
        "device": f"{len(jax.devices())} x {device.device_kind}",
        "platform": device.platform,
    }


def _result(problem: Problem, outcome: Outcome, facts: dict[str, Any], settings: FitSettings, units) -> Result:
    verdict = "; ".join(outcome.failures) or outcome.success
    groups = {
        "posterior": outcome.draws,
        "sample_stats": outcome.stats,
        "prior": problem.potential.constrain(problem.prior[None]),
        "observed_data": _small_arrays(problem.potential.data),
    }
    curvature = laplace_group(
        laplace.physical_moments(problem.potential, problem.approximation),
        laplace.unconstrained_moments(problem.potential, problem.approximation),
        {"log_density": -problem.optimum.value, "newton_decrement": problem.optimum.decrement},
    )
    attributes = {
        "method": settings.method,
        "converged": not outcome.failures,
        "verdict": verdict[0].upper() + verdict[1:] + ".",
        "provenance": facts,
    }
    return assemble(groups, curvature, attributes, units)


def _small_arrays(data: Any) -> dict[str, np.ndarray]:
    """The data's arrays by their path, those that are small enough to be kept twice."""
    found = jax.tree_util.tree_flatten_with_path(data)[0]
    named = {jax.tree_util.keystr(path, simple=True, separator=".") or "data": np.asarray(leaf) for path, leaf in found}
    return {name: leaf for name, leaf in named.items() if leaf.size <= LARGEST_STORED}
