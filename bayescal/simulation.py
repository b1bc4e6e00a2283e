"""Data drawn from a study's model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray
from numpyro import handlers

from bayescal.errors import InputError
from bayescal.model_files import ModelFile
from bayescal.study import Study, load_inputs, prepared, study_model, study_truth


class Simulated(NamedTuple):
    """Data drawn from a model, with what they were drawn from."""

    model: ModelFile
    inputs: Any
    data: Any
    truth: dict[str, Any]


def simulate(key: PRNGKeyArray, study: Study) -> Simulated:
    """Data of a study, with every parameter at its truth (see `study_truth`)."""
    model = study_model(study)
    truth = study_truth(study, model)
    values = {name: jnp.asarray(value, float) for name, value in truth.items()}
    inputs = prepared(model, load_inputs(study, model, values))
    return Simulated(model, inputs, draw_observed(key, model, inputs), truth)


def draw_observed(key: PRNGKeyArray, model: ModelFile, inputs: Any) -> Any:
    """One draw of the observed site."""
    return site_sampler(model)(key, inputs, {})[model.observed]


def site_sampler(model: ModelFile) -> Callable[[PRNGKeyArray, Any, Mapping[str, Any]], dict[str, Any]]:
    """A compiled function (key, inputs, values) that draws every random site of a model, the observed one included.

    Sites that `values` names have these values. It gives the sites by name.
    """

    def draw(key: PRNGKeyArray, inputs: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        given = handlers.substitute(handlers.seed(model.hook("model"), key), data=dict(values))
        sites = handlers.trace(given).get_trace(inputs)
        if model.observed not in sites:
            raise InputError(
                f"{model.path}: the model has no site {model.observed!r}; set OBSERVED to its observed site"
            )
        return {name: site["value"] for name, site in sites.items() if site["type"] == "sample"}

    return jax.jit(draw)
