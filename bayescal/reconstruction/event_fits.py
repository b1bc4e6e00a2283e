"""Posteriors of many events, one after another, all through the same compiled programs.

Each is the Gaussian at its mode with importance weights where these are good, and short chains from around the mode
where they are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference.dispersed import DispersedChains
from bayescal.inference.gaussian import Gaussian, gaussian
from bayescal.inference.laplace import importance
from bayescal.inference.optimise import find_mode, prior_scale
from bayescal.inference.optimum import Optimum, Scale
from bayescal.inference.potential import Potential
from bayescal.model_files import ModelFile

PRIOR_DRAWS = 500  # that tell the scale of the prior
MAX_GRADIENTS = 1000  # of one search for a mode


class EventFit(NamedTuple):
    """Posterior of one event.

    Attributes:
        draws: of the posterior, physical values by name [draw, ...]; of chains only as far as their R-hat is near one.
        mode: physical values at the mode, by name.
        optimum: the mode, and whether it is one.
        khat: of the importance weights of the Gaussian's draws; the draws are these where it is below 0.7 and a quarter
            of them is effective.
        r_hat: the largest of all parameters of the chains that the draws come from else; NaN where there are none.
        ess: effective number of draws, of the chains the smallest of all parameters.
        log_evidence: logarithm of the integral of prior times likelihood, by the weights [nats].
        gradients: spent on the event.
    """

    draws: dict[str, np.ndarray]
    mode: dict[str, np.ndarray]
    optimum: Optimum
    khat: float
    r_hat: float
    ess: float
    log_evidence: float
    gradients: int


class EventMode(NamedTuple):
    """Mode of one event's posterior.

    Attributes:
        potential: minus its log-density; evaluations are counted over all events.
        optimum: the mode, and whether it is one.
        scale: of the prior.
    """

    potential: Potential
    optimum: Optimum
    scale: Scale


def fit_events(
    key: PRNGKeyArray, model: ModelFile, inputs: Sequence[Any], data: Sequence[Any], n_draws: int = 400
) -> Iterator[EventFit]:
    """Posterior of each event.

    Args:
        key: from `jax.random.key`.
        model: of an event.
        inputs: as the model's `prepare` makes them, one for each event, with one set of priors.
        data: one for each event.
        n_draws: of the Gaussian, and of the posterior made of them by weight; chains have their own number.
    """
    quick = model.hook("quick") if model.has("quick") else lambda inputs: inputs
    mode_key, *event_keys = jax.random.split(key, 1 + len(inputs))
    chains, spent = None, 0
    for its_key, mode in zip(event_keys, find_modes(mode_key, model, inputs, data), strict=True):
        potential, optimum = mode.potential, mode.optimum
        chains = DispersedChains(potential) if chains is None else chains
        weigh_key, draw_key = jax.random.split(its_key)
        often = potential.with_inputs(quick(potential.inputs))
        weighed = importance(weigh_key, often, gaussian(optimum), n_draws)
        x, r_hat, ess = weighed.x[weighed.resample(draw_key, n_draws)], np.nan, weighed.ess
        if not weighed.sure:
            walked = chains.draw(draw_key, often, _whitening(mode))
            x, r_hat, ess = walked.x.reshape(-1, potential.size), walked.r_hat, walked.ess
            potential.evaluations.gradients += walked.gradients
        yield EventFit(
            potential.constrain(x),
            potential.constrain(optimum.x),
            optimum,
            weighed.khat,
            r_hat,
            ess,
            weighed.log_evidence,
            potential.evaluations.gradients - spent,
        )
        spent = potential.evaluations.gradients


def find_modes(
    key: PRNGKeyArray,
    model: ModelFile,
    inputs: Sequence[Any],
    data: Sequence[Any],
    starts: Sequence[Mapping[str, Any]] | None = None,
) -> Iterator[EventMode]:
    """Mode of each event's posterior.

    Args:
        key: from `jax.random.key`.
        model: of an event.
        inputs: as the model's `prepare` makes them, one for each event, with one set of priors.
        data: one for each event.
        starts: physical values to search the mode from, through the model's easier problems, one for each event;
            where absent, those that the model's scans found.
    """
    alike = model.hook("common")(list(inputs)) if model.has("common") else list(inputs)
    measured = model.hook("measured") if model.has("measured") else None
    tempered = model.hook("tempered") if model.has("tempered") else None
    model_key, prior_key = jax.random.split(key)
    first = Potential(model.hook("model"), alike[0], data[0], model_key, measured)
    scale = prior_scale(first.sample_prior(prior_key, PRIOR_DRAWS))
    for number, (its_inputs, its_data) in enumerate(zip(alike, data, strict=True)):
        potential = first.with_data(its_inputs, its_data)
        begin = model.hook("start")(its_inputs, its_data) if starts is None else starts[number]
        place = potential.unconstrain(dict(begin), scale.centre)
        optimum = find_mode(potential, [place], scale, tempered, MAX_GRADIENTS, lambda *seen: None)
        yield EventMode(potential, optimum, scale)


def _whitening(mode: EventMode) -> Gaussian:
    """For chains: by what data tell in the mean at the mode, and the prior, or else by the Hessian there.

    Where a posterior has many modes, the Hessian at one of them may be thirty times smaller along some direction than a
    little further on, where steps made for it fail.
    """
    told = mode.potential.information(mode.optimum.x)
    if told is None:
        return gaussian(mode.optimum).dense()
    return gaussian(replace(mode.optimum, hessian=told + np.diag(mode.scale.spread**-2.0))).dense()
