"""Data drawn from a study's model."""

from __future__ import annotations

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

    def draw(key: PRNGKeyArray, inputs: Any) -> Any:
        sites = handlers.trace(handlers.seed(model.hook("model"), key)).get_trace(inputs)
        if model.observed not in sites:
            raise InputError(
                f"{model.path}: the model has no site {model.observed!r}; set OBSERVED to its observed site"
            )
        return sites[model.observed]["value"]

    return jax.jit(draw)(key, inputs)
