"""Posteriors of many events, one after another, all through the same compiled programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference.laplace import gaussian, importance
from bayescal.inference.optimise import find_mode, prior_scale
from bayescal.inference.optimum import Optimum
from bayescal.inference.potential import Potential
from bayescal.model_files import ModelFile

PRIOR_DRAWS = 500  # that tell the scale of the prior
MAX_GRADIENTS = 1000  # of one search for a mode


class EventFit(NamedTuple):
    """Posterior of one event.

    Attributes:
        draws: physical values by name [draw, ...]: of the posterior where k-hat is below 0.7, else of the Gaussian at
            its mode.
        mode: physical values at the mode, by name.
        optimum: the mode, and whether it is one.
        khat: of the importance weights of the Gaussian's draws.
        ess: effective number of these.
        log_evidence: logarithm of the integral of prior times likelihood, by the same weights [nats].
        gradients: spent on the event.
    """

    draws: dict[str, np.ndarray]
    mode: dict[str, np.ndarray]
    optimum: Optimum
    khat: float
    ess: float
    log_evidence: float
    gradients: int


def fit_events(
    key: PRNGKeyArray,
    model: ModelFile,
    inputs: Sequence[Any],
    data: Sequence[Any],
    n_draws: int = 400,
    far_starts: Sequence[Mapping[str, Any]] | None = None,
) -> Iterator[EventFit]:
    """Laplace's approximation of each event's posterior, with importance weights.

    Args:
        key: from `jax.random.key`.
        model: of an event.
        inputs: as the model's `prepare` makes them, one for each event, with one set of priors.
        data: one for each event.
        n_draws: of the Gaussian, and of the posterior made of them by weight.
        far_starts: physical values to search the mode from, through the model's easier problems, one for each event;
            where absent, those that the model's scans found.
    """
    alike = model.hook("common")(list(inputs)) if model.has("common") else list(inputs)
    measured = model.hook("measured") if model.has("measured") else None
    tempered = model.hook("tempered") if model.has("tempered") else None
    model_key, prior_key, *event_keys = jax.random.split(key, 2 + len(alike))
    first = Potential(model.hook("model"), alike[0], data[0], model_key, measured)
    scale = prior_scale(first.sample_prior(prior_key, PRIOR_DRAWS))
    for number, (its_inputs, its_data, its_key) in enumerate(zip(alike, data, event_keys, strict=True)):
        potential = first.with_data(its_inputs, its_data)
        before = potential.evaluations.gradients
        begin = model.hook("start")(its_inputs, its_data) if far_starts is None else far_starts[number]
        place = potential.unconstrain(dict(begin), scale.centre)
        optimum = find_mode(potential, [place], scale, tempered, MAX_GRADIENTS, lambda *seen: None)
        weigh_key, draw_key = jax.random.split(its_key)
        weighed = importance(weigh_key, potential, gaussian(optimum), n_draws)
        yield EventFit(
            potential.constrain(weighed.x[weighed.resample(draw_key, n_draws)]),
            potential.constrain(optimum.x),
            optimum,
            weighed.khat,
            weighed.ess,
            weighed.log_evidence,
            potential.evaluations.gradients - before,
        )
