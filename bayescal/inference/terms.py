"""The log-density of draws taken apart: the prior of each parameter, and the likelihood of all data together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from numpyro.distributions import biject_to
from numpyro.infer.util import compute_log_probs

from bayescal.inference.potential import CHUNK, Model, Potential
from bayescal.inference.subsampling import every_row

Arrays = Mapping[str, np.ndarray]


class PriorTerms(NamedTuple):
    """What the priors add to the log-density.

    Attributes:
        log_prior: log-density of each parameter in its physical unit, by name, members of a vector summed.
        log_jacobian: logarithm of the volume of physical values that a unit of unconstrained ones makes.
    """

    log_prior: dict[str, Any]
    log_jacobian: Any

    @property
    def total(self) -> Any:
        """The priors' log-density in unconstrained coordinates."""
        return sum(self.log_prior.values()) + self.log_jacobian


def prior_terms(model: Model, names: tuple[str, ...], values: Mapping[str, Any], arguments: tuple) -> PriorTerms:
    """The terms of one draw, for use inside compiled programs, which leave out what only the observed sites need.

    Args:
        model: with all rows of its plate.
        names: of the free parameters.
        values: physical ones, by name.
        arguments: inputs and data of the model.
    """
    log_probs, trace = compute_log_probs(model, arguments, {}, dict(values))
    log_jacobian: Any = 0.0
    for name in names:
        bijection = biject_to(trace[name]["fn"].support)
        volume = bijection.log_abs_det_jacobian(bijection.inv(values[name]), values[name])
        log_jacobian = log_jacobian + volume.sum()
    return PriorTerms({name: log_probs[name] for name in names}, log_jacobian)


def terms_of_draws(potential: Potential, draws: Arrays, log_density: np.ndarray) -> tuple[dict[str, np.ndarray], Any]:
    """Log-prior of each parameter and log-likelihood of each draw; the likelihood is not computed again.

    Args:
        potential: minus the log-density.
        draws: physical values by name [chain, draw, ...].
        log_density: of each draw in unconstrained coordinates, as the methods give it [chain, draw].

    Returns:
        By name the log-prior in physical units, members of vectors summed [chain, draw], and the log-likelihood of all
        data, factors of the model included [chain, draw], in nats.
    """
    terms = _many(potential, {name: draws[name] for name in potential.names}, log_density.shape)
    return terms.log_prior, log_density - terms.total


def _many(potential: Potential, draws: Arrays, shape: tuple[int, ...]) -> PriorTerms:
    """The terms of all draws [chain, draw], a chunk at a time by one compiled program."""
    model = every_row(potential.model, potential.plate)

    @jax.jit
    def chunk(values, inputs, data):
        return jax.lax.map(lambda row: prior_terms(model, potential.names, row, (inputs, data)), values)

    rows = {name: value.reshape(-1, *value.shape[2:]) for name, value in draws.items()}
    size = int(np.prod(shape))
    index = np.concatenate([np.arange(size), np.full(-size % CHUNK, size - 1)]).reshape(-1, CHUNK)
    parts = [
        jax.device_get(chunk({name: value[each] for name, value in rows.items()}, potential.inputs, potential.data))
        for each in index
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:size].reshape(shape), *parts)
