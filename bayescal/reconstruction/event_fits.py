"""Posteriors of many events, in order, all through the same compiled programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference.laplace import gaussian, importance
from bayescal.inference.optimise import find_mode, prior_scale
from bayescal.inference.optimum import Optimum
from bayescal.inference.potential import Evaluations, Potential
from bayescal.model_files import ModelFile

PRIOR_DRAWS = 500  # that tell the scale of the prior
MAX_GRADIENTS = 1000  # of one search for a mode
DRAWS = 400  # of the Gaussian, and of the posterior made of them by weight


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
    far_starts: Sequence[Mapping[str, Any]] | None = None,
    at_a_time: int = 1,
) -> Iterator[EventFit]:
    """Laplace's approximation of each event's posterior, with importance weights.

    Args:
        key: from `jax.random.key`.
        model: of an event.
        inputs: as the model's `prepare` makes them, one for each event, with one set of priors.
        data: one for each event.
        far_starts: physical values to search the mode from, through the model's easier problems, one for each event;
            where absent, those that the model's scans found.
        at_a_time: events that are fitted together, each by a thread: a processor has several cores, of which the
            programs of one small event use little more than one. The fits do not depend on it.
    """
    alike = model.hook("common")(list(inputs)) if model.has("common") else list(inputs)
    measured = model.hook("measured") if model.has("measured") else None
    tempered = model.hook("tempered") if model.has("tempered") else None
    model_key, prior_key, *event_keys = jax.random.split(key, 2 + len(alike))
    first = Potential(model.hook("model"), alike[0], data[0], model_key, measured)
    scale = prior_scale(first.sample_prior(prior_key, PRIOR_DRAWS))
    starts = map(model.hook("start"), alike, data) if far_starts is None else far_starts

    def fit(its_inputs: Any, its_data: Any, start: Mapping[str, Any], its_key: PRNGKeyArray) -> EventFit:
        potential = first.with_data(its_inputs, its_data)
        potential.evaluations = Evaluations()
        place = potential.unconstrain(dict(start), scale.centre)
        optimum = find_mode(potential, [place], scale, tempered, MAX_GRADIENTS, lambda *seen: None)
        weigh_key, draw_key = jax.random.split(its_key)
        weighed = importance(weigh_key, potential, gaussian(optimum), DRAWS)
        return EventFit(
            potential.constrain(weighed.x[weighed.resample(draw_key, DRAWS)]),
            potential.constrain(optimum.x),
            optimum,
            weighed.khat,
            weighed.ess,
            weighed.log_evidence,
            potential.evaluations.gradients,
        )

    with ThreadPoolExecutor(at_a_time) as pool:
        yield from pool.map(fit, alike, data, starts, event_keys)
