"""A study's fit, from its files to the result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray

from bayescal.errors import InputError
from bayescal.inference import Result, fit
from bayescal.inference.checkpoint import Unfinished
from bayescal.inference.progress import ProgressFunction, silent
from bayescal.model_files import ModelFile
from bayescal.parameters import is_free, units
from bayescal.pointwise import event_log_likelihood, readout_residuals
from bayescal.provenance import digest, provenance
from bayescal.study import Study, build, study_priors

REPLICAS = 60
"""Draws of the posterior from which data are made for the predictive check."""

LIKELIHOOD_DRAWS = 200
"""Draws of the posterior at which the log-likelihood of each event is kept."""


def run_folder(study: Study) -> Path:
    """Where a study's fit is kept while it runs: beside its result."""
    return study.result_path.with_name(study.result_path.name + ".run")


def fit_study(study: Study, progress: ProgressFunction = silent, unfinished: Unfinished = "refuse") -> Result:
    """Read what a study names and fit it with its settings.

    Args:
        study: a checked study.
        progress: is told how the fit is doing.
        unfinished: what to do where `run_folder` holds a fit: `refuse`, `resume` or `restart`.

    Returns:
        The result, with draws of what the model integrated out (`complete`), the data's summaries and their replicas
        (`predictive`) where the model file makes such, and the log-likelihoods and residuals of `bayescal.pointwise`,
        unless the fit was interrupted. The folder is left to be removed when the result is saved.

    Raises:
        InputError: the study names no data, what it names cannot be used, or the folder holds another fit.
    """
    if study.data is None:
        raise InputError(f"{study.path}: the key 'data' is missing; a fit needs observed data")
    model, inputs, data = build(study)
    fit_key, replica_key = jax.random.split(jax.random.key(study.seed))
    result = fit(
        model.hook("model"),
        inputs,
        data,
        key=fit_key,
        settings=study.sampler.fit_settings,
        start=model.hook("start")(inputs, data) if model.has("start") else None,
        tempered=model.hook("tempered") if model.has("tempered") else None,
        measured=model.hook("measured") if model.has("measured") else None,
        units=units(model.parameters),
        provenance=provenance(study, model),
        progress=progress,
        checkpoint=run_folder(study),
        unfinished=unfinished,
    )
    if result.method == "map" or result.interrupted:
        return result
    summary_key, pointwise_key, complete_key = jax.random.split(replica_key, 3)
    if model.has("complete"):
        result = with_completed(complete_key, result, model, (inputs, data))
    if model.has("predictive"):
        result = with_replicas(summary_key, result, model, (inputs, data))
    return with_pointwise(pointwise_key, result, model, (inputs, data))


def rebuilt(study: Study, result: Result) -> tuple[ModelFile, Any, Any]:
    """Model file, inputs (with their plan) and data of the study that a result came from.

    Raises:
        InputError: the study names no data, or other data or free parameters than the result's.
    """
    if study.data is None:
        raise InputError(f"{study.path}: the key 'data' is missing; name the data that the result was fitted to")
    known = result.attrs.get("data_sha256")
    if known is not None and study.data.is_file() and digest(study.data) != known:
        raise InputError(f"{study.data}: not the data that the result was fitted to; fit again or name the right study")
    model, inputs, data = build(study)
    free = {name for name, prior in study_priors(study, model).items() if is_free(prior)}
    unlike = sorted(free ^ (set(result.names) & {parameter.name for parameter in model.parameters}))
    if unlike:
        raise InputError(
            f"{study.path} [parameters]: {', '.join(unlike)} free in one of study and result alone; fit again or name "
            "the right study"
        )
    return model, inputs, data


def with_completed(key: PRNGKeyArray, result: Result, model: ModelFile, arguments: tuple[Any, Any]) -> Result:
    """The result with the group `completed`: draws of what the model integrated out, one for each of the posterior."""
    posterior = result.data["posterior"].to_dataset()
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    completed = model.hook("complete")(key, {name: result.draws(name) for name in result.names}, *arguments)
    arrays = {name: np.asarray(values).reshape(*shape, *np.shape(values)[1:]) for name, values in completed.items()}
    groups = result.data.copy()
    groups["completed"] = xr.DataTree(xr.Dataset(variables(arrays, ("chain", "draw"))))
    return Result(groups)


def with_replicas(key: PRNGKeyArray, result: Result, model: ModelFile, arguments: tuple[Any, Any]) -> Result:
    """The result with summaries of the data and of data made with posterior draws."""
    inputs, data = arguments
    summaries = model.hook("predictive")(key, inputs, data, thinned_draws(result, REPLICAS))
    groups = result.data.copy()
    observed = {name: np.asarray(pair[0]) for name, pair in summaries.items()}
    replicated = {name: np.asarray(pair[1])[None] for name, pair in summaries.items()}
    seen = groups["observed_data"].to_dataset() if "observed_data" in groups.children else xr.Dataset()
    groups["observed_data"] = xr.DataTree(seen.assign(variables(observed, ())))
    groups["posterior_predictive"] = xr.DataTree(xr.Dataset(variables(replicated, ("chain", "draw"))))
    return Result(groups)


def with_pointwise(key: PRNGKeyArray, result: Result, model: ModelFile, arguments: tuple[Any, Any]) -> Result:
    """The result with the log-likelihood of each event and the residuals of each readout, where the model has such."""
    groups = result.data.copy()
    made_key, residual_key = jax.random.split(key)
    by_event = event_log_likelihood(made_key, model, *arguments, thinned_draws(result, LIKELIHOOD_DRAWS))
    if by_event is not None:
        groups["log_likelihood"] = xr.DataTree(by_event)
    if model.has("recorded"):
        by_readout = readout_residuals(residual_key, model, *arguments, thinned_draws(result, REPLICAS))
        groups["residuals"] = xr.DataTree(by_readout)
    return Result(groups)


def thinned_draws(result: Result, count: int) -> dict[str, np.ndarray]:
    """Draws spread evenly over all chains, by parameter [draw, ...]."""
    draws = {name: result.draws(name) for name in result.names}
    size = min(len(values) for values in draws.values())
    chosen = np.unique(np.linspace(0, size - 1, min(count, size)).astype(int))
    return {name: values[chosen] for name, values in draws.items()}


def variables(arrays: Mapping[str, np.ndarray], leading: tuple[str, ...]) -> dict[str, Any]:
    """Arrays with names for their axes: the leading ones as given, `NAME_dim_0`, ... for the others."""
    return {
        name: ((*leading, *(f"{name}_dim_{axis}" for axis in range(array.ndim - len(leading)))), array)
        for name, array in arrays.items()
    }
