"""One call from a model to a result, the same for every method."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray

from bayescal.errors import InputError
from bayescal.inference import checkpoint as checkpoints
from bayescal.inference import laplace, mcmc, optimise, runs
from bayescal.inference.blackjax_nuts import blackjax_nuts
from bayescal.inference.checkpoint import Store, Unfinished
from bayescal.inference.fingerprint import fingerprint
from bayescal.inference.hmcecs import hmcecs
from bayescal.inference.mclmc import mclmc
from bayescal.inference.optimum import Optimum, as_arrays, from_arrays
from bayescal.inference.pathfinder import pathfinder
from bayescal.inference.potential import Measured, Model, Potential, Values
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import Progress, ProgressFunction, silent
from bayescal.inference.result import Result, assemble
from bayescal.inference.reweighting import reweighted
from bayescal.inference.sampler import Sampler
from bayescal.inference.settings import FitSettings, Method
from bayescal.inference.smc import smc
from bayescal.inference.svi import svi
from bayescal.inference.terms import terms_of_draws
from bayescal.inference.weighing import weigh

LARGEST_STORED = 100_000  # numbers in an array of the data up to which it is kept with the result
ESTIMATED = ("hmcecs",)  # methods whose log-density is that of a part of the data, scaled up
WEIGHTS_PER_DRAW = 2.5  # log-densities that auto spends on each effective draw asked for: half of them are effective
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
    measured: Measured | None = None,
    units: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: ProgressFunction = silent,
    checkpoint: str | Path | None = None,
    unfinished: Unfinished = "refuse",
) -> Result:
    """Fit a NumPyro model.

    With a checkpoint, a fit that was killed or interrupted goes on by the same call with `unfinished="resume"`, to the
    same draws, bit for bit, on the same kind of machine. The first ctrl-C ends the draws after the current block and
    returns them, the second leaves at once.

    Args:
        model: function model(inputs, data) with at least one latent, real-valued site.
        inputs: pytree of arrays and numbers; an argument of every compiled program, never a constant in it.
        data: the same, as the model takes it.
        key: from `jax.random.key`; the same key, device kind and settings give the same draws.
        method: see `bayescal.inference.settings.Method`; none: as the settings say.
        settings: see `FitSettings`; none: its defaults.
        start: physical values to search the mode from, some or all; the rest starts at the prior's median.
        tempered: inputs of an easier problem by (inputs, stage) on the way to the mode, see `optimise.find_mode`.
        measured: numbers that the data measure and their precision by (values, inputs); they guide the way to the mode.
        units: unit by parameter name, stored with the draws.
        provenance: what else shall be stored with the result; JSON must be able to hold it.
        progress: called now and then with a `Progress`.
        checkpoint: folder that keeps the fit while it runs; it stays until `remove_checkpoint`, to be called when the
            result is saved. None: the fit lives in memory.
        unfinished: what to do where the folder holds a fit: `refuse`, `resume` (also a finished one, with more `draws`
            or a stricter `until`) or `restart`.

    Returns:
        The result, also of a fit that did not converge: look at `converged` and `verdict`.

    Raises:
        InputError: the model, its data or its start cannot be used, or the checkpoint holds an unfinished fit that
            nothing was said about, or one of something else.
        KeyboardInterrupt: ctrl-C before the first draw, or a second one.
    """
    settings = settings or FitSettings.model_validate({})
    settings = settings if method is None else settings.model_copy(update={"method": method})
    began = time.perf_counter()
    keys = dict(zip(("model", "prior", "method"), jax.random.split(key, 3), strict=True))
    potential = Potential(model, inputs, data, keys["model"], measured)
    depends_on = partial(fingerprint, model, {"inputs": inputs, "data": data}, key, settings, start)
    with _store(checkpoint, depends_on, unfinished, settings) as store:
        search = partial(_search, potential, keys["prior"], settings, start, tempered, progress)
        problem = _problem(potential, store, search)
        used, outcome = _outcome(keys["method"], problem, settings, progress)
    facts = {
        **_environment(key, settings),
        **outcome.facts,
        "mode": _mode_facts(problem.optimum),
        "gradients": potential.evaluations.gradients + outcome.facts.get("chain_gradients", 0),
        "values": potential.evaluations.values,
        "wall_time_s": store.seconds_before + time.perf_counter() - began,
        **(provenance or {}),
    }
    return _result(problem, outcome, facts, used, units or {})


def _store(
    checkpoint: str | Path | None,
    depends_on: Callable[[], Mapping[str, str]],
    unfinished: Unfinished,
    settings: FitSettings,
) -> AbstractContextManager[Store]:
    if checkpoint is None:
        return nullcontext(Store())
    return checkpoints.opened(Path(checkpoint), depends_on(), unfinished, settings.checkpoint_seconds)


def _search(potential, key, settings, start, tempered, progress) -> dict[str, Any]:
    """Draws of the prior, the optimum, and what was spent, as a stage of the fit keeps them."""
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
    return {"prior": prior, "counts": potential.evaluations.counts(), **as_arrays(optimum)}


def _problem(potential: Potential, store: Store, search: Callable[[], dict[str, Any]]) -> Problem:
    found = store.stage("mode", search)
    prior, counts = found.pop("prior"), found.pop("counts")
    optimum = from_arrays(found)
    if store.resumed and not abs(potential.value(optimum.x) - optimum.value) < optimise.SAME:
        raise InputError(
            "the log-density at the mode is no longer what it was when the run was begun: the model, or what it calls, "
            "has changed; undo that or begin anew with --restart"
        )
    potential.evaluations.set(counts)
    return Problem(potential, prior, optimum, laplace.gaussian(optimum), store)


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
    outcome = reweighted(draw_key, problem.potential, weighed, settings.draws, _mode_failures(problem.optimum))
    outcome.facts["log_evidence"] = weighed.log_evidence
    return outcome


def _chains(key, problem, settings, progress) -> Outcome:
    def setup(trusted):
        step = mcmc.held_step(settings, problem.potential.size, trusted=trusted)
        attempts = mcmc.plan(settings, trusted=trusted)
        return Sampler(problem.potential, settings, step), [mcmc.held(settings), *attempts] if step else attempts

    return runs.draw(key, problem, setup, settings, progress)


METHODS = {
    "map": _map,
    "laplace": _laplace,
    "pathfinder": pathfinder,
    "svi": svi,
    "nuts": _chains,
    "hmc": _chains,
    "blackjax_nuts": blackjax_nuts,
    "mclmc": mclmc,
    "smc": smc,
    "hmcecs": hmcecs,
}


def _outcome(
    key: PRNGKeyArray, problem: Problem, settings: FitSettings, progress: ProgressFunction
) -> tuple[str, Outcome]:
    """The method that was used, and its outcome; auto: Laplace if its draws are worth what chains' would have to be."""
    if settings.method != "auto":
        return settings.method, METHODS[settings.method](key, problem, settings, progress)
    weighing = settings.model_copy(update={"importance_draws": auto_weights(settings)})
    quick = _laplace(key, problem, weighing, progress)
    if not quick.failures and quick.facts["importance_ess"] > (settings.required.ess or 0.0):
        return "laplace", quick
    return "nuts", _chains(key, problem, settings.model_copy(update={"method": "nuts"}), progress)


def auto_weights(settings: FitSettings) -> int:
    """Log-densities by which auto judges whether Laplace will do; a gradient costs about twice as much as one."""
    return max(settings.importance_draws, round(WEIGHTS_PER_DRAW * (settings.required.ess or 0.0)))


def _mode_failures(optimum: Optimum) -> list[str]:
    return [] if optimum.converged else [f"the mode was not found: {optimum.reason}"]


def _mode_facts(optimum: Optimum) -> dict[str, Any]:
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


def _result(problem: Problem, outcome: Outcome, facts: dict[str, Any], method: str, units) -> Result:
    verdict = "; ".join(outcome.failures) or outcome.success
    log_prior, log_likelihood = terms_of_draws(problem.potential, outcome.draws, outcome.stats["lp"])
    known = {} if method in ESTIMATED else {"log_likelihood": log_likelihood}
    groups = {
        "posterior": outcome.draws,
        "sample_stats": {**outcome.stats, **known},
        "log_prior": log_prior,
        "prior": problem.potential.constrain(problem.prior[None]),
        "observed_data": _small_arrays(problem.potential.data),
    }
    at_mode = {"log_density": -problem.optimum.value, "newton_decrement": problem.optimum.decrement}
    curvature = laplace.moments(problem.potential, problem.approximation, at_mode)
    attributes = {
        "method": method,
        "converged": not outcome.failures,
        "verdict": verdict[0].upper() + verdict[1:] + ".",
        "provenance": facts,
    }
    result = assemble(groups, curvature, attributes, units)
    for name, group in outcome.groups.items():
        result.data[name] = xr.DataTree(group)
    return result


def _small_arrays(data: Any) -> dict[str, np.ndarray]:
    """The data's arrays by their path, those that are small enough to be kept twice."""
    found = jax.tree_util.tree_flatten_with_path(data)[0]
    named = {jax.tree_util.keystr(path, simple=True, separator=".") or "data": np.asarray(leaf) for path, leaf in found}
    return {name: leaf for name, leaf in named.items() if leaf.size <= LARGEST_STORED}
