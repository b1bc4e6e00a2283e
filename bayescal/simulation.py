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
from bayescal.parameters import Hierarchical
from bayescal.study import Study, load_inputs, prepared, study_model, study_priors, study_truth


class Simulated(NamedTuple):
    """Data drawn from a model, with what they were drawn from."""

    model: ModelFile
    inputs: Any
    data: Any
    truth: dict[str, Any]


def simulate(key: PRNGKeyArray, study: Study) -> Simulated:
    """Data of a study, with every parameter at its truth (see `study_truth`).

    Parameters with a hierarchical prior that the study's [truth] does not name are drawn from it.
    """
    model = study_model(study)
    truth, priors = study_truth(study, model), study_priors(study, model)
    drawn = [name for name, prior in priors.items() if isinstance(prior, Hierarchical) and name not in study.truth]
    values = {name: jnp.asarray(value, float) for name, value in truth.items()} | {name: priors[name] for name in drawn}
    inputs = prepared(model, load_inputs(study, model, values))
    sites = site_sampler(model)(key, inputs, {})
    return Simulated(model, inputs, sites[model.observed], truth | {name: sites[name] for name in drawn})


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
