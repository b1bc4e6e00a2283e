"""The curvature of a study's log-likelihood in physical parameters, whole events at a time, without any prior.

The simulators have reverse-mode derivatives alone: second ones are central differences of gradients, taken along a
basis in which the log-density curves by about one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.infer.util import compute_log_probs

from bayescal.diagnostics.contents import curvature, group
from bayescal.errors import InputError
from bayescal.fitting import rebuilt
from bayescal.inference import Result
from bayescal.inference.potential import labels
from bayescal.inference.subsampling import every_row, find_plate
from bayescal.model_files import ModelFile
from bayescal.pointwise import Events, events_of
from bayescal.study import Study

STEP = 0.05  # of the differences, in units of the basis: cubic terms of the gradient cancel to its square
LARGEST = 200  # parameters, since a Hessian takes two gradients each

WHOLE = Events(np.zeros(1, int), np.zeros(1, int), np.ones(1, bool))
"""Data that are one whole: one event of one readout."""

Values = Mapping[str, Any]
"""Physical values by name."""


class Likelihood:
    """Minus the log-likelihood of the observed site as a function of one flat vector of physical values.

    Args:
        model: the model file.
        values: of the free parameters, by name; those of the flat vector, in alphabetical order.
        inputs: of the model, as prepared for the data.
        data: what was observed.

    Attributes:
        labels: one a component of the flat vector: `kb`, `event_time[0]`, ...
        place: the values as a flat vector [p].
        events: which readouts belong together; the readouts of data that are one whole are one event.
        gradients: how often a gradient was computed.

    Raises:
        InputError: more than `LARGEST` parameters.
    """

    def __init__(self, model: ModelFile, values: Values, inputs: Any, data: Any) -> None:
        ordered = {name: jnp.asarray(values[name], float) for name in sorted(values)}
        flat, self._unravel = ravel_pytree(ordered)
        self.place = np.asarray(flat)
        self.labels = tuple(label for name, value in ordered.items() for label in labels(name, value.shape))
        if self.place.size > LARGEST:
            raise InputError(
                f"{self.place.size} free parameters are too many for the second derivatives of the likelihood (at most "
                f"{LARGEST}): fix those that are one an event in the study's [parameters]"
            )
        self._by_readout = _by_readout(model, inputs, data)
        self._gradient: Any = jax.jit(jax.grad(self._loss))
        self.arguments = (inputs, data)
        self.gradients = 0
        size = int(np.prod(jax.eval_shape(self._by_readout, ordered, inputs, data).shape))
        self.events = WHOLE if size == 1 else events_of(model, inputs, size)

    def with_data(self, inputs: Any, data: Any) -> Likelihood:
        """That of another data set; where the shapes are the same, nothing is compiled again."""
        other = object.__new__(Likelihood)
        other.__dict__.update(self.__dict__)
        other.arguments = (inputs, data)
        return other

    def _loss(self, z: jax.Array, weights: jax.Array, inputs: Any, data: Any) -> jax.Array:
        return -weights @ jnp.ravel(self._by_readout(self._unravel(z), inputs, data))

    def gradient(self, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Of minus the log-likelihood of weighted readouts, by the physical values [p]."""
        self.gradients += 1
        return np.asarray(self._gradient(jnp.asarray(z), jnp.asarray(weights), *self.arguments))

    def hessian(self, z: np.ndarray, basis: np.ndarray, weights: np.ndarray, step: float = STEP) -> np.ndarray:
        """Second derivatives at z [p, p], 2 p gradients.

        Args:
            z: where [p].
            basis: columns are the directions of the differences [p, p], in physical units.
            weights: of the readouts, 1 or 0 [readout].
            step: in units of the columns.
        """
        sides = [[self.gradient(z + side * step * column, weights) for column in basis.T] for side in (1.0, -1.0)]
        along = (np.array(sides[0]) - np.array(sides[1])) / (2.0 * step) @ basis
        inverse = np.linalg.inv(basis)
        return inverse.T @ (0.5 * (along + along.T)) @ inverse

    def batches(self, count: int) -> list[np.ndarray]:
        """Weights of the readouts of each of at most so many batches of whole events, in order [readout]."""
        parts = np.array_split(np.arange(self.events.number.size), min(count, self.events.number.size))
        weights = np.zeros((len(parts), self.events.live.size))
        for one, part in zip(weights, parts, strict=True):
            one[self.events.live] = np.isin(self.events.place, part)
        return list(weights)


def batch_hessians(likelihood: Likelihood, basis: np.ndarray, count: int) -> np.ndarray:
    """Hessians of minus the log-likelihood of batches of whole events at its place [batch, p, p].

    Args:
        likelihood: of all data.
        basis: of the differences, as `Likelihood.hessian` takes it.
        count: batches at most.
    """
    return np.stack([likelihood.hessian(likelihood.place, basis, part) for part in likelihood.batches(count)])


def at_mode(study: Study, result: Result) -> tuple[Likelihood, np.ndarray]:
    """The likelihood of a study's data at a result's mode, and a basis for differences there [p, p].

    Raises:
        InputError: the study is not the result's, or the result holds no covariance matrix at its mode.
    """
    covariance = curvature(result)
    if covariance is None:
        raise InputError("the result holds no covariance matrix at its mode, as in large spaces: fix parameters")
    model, inputs, data = rebuilt(study, result)
    mode = group(result, "laplace")["mean"]
    known = dict(zip(map(str, mode["parameter"].values), mode.values.tolist(), strict=True))
    names = [name for name in result.names if name in known or f"{name}[0]" in known]
    return Likelihood(model, values_at(known, names), inputs, data), np.linalg.cholesky(covariance.values)


def _by_readout(model: ModelFile, inputs: Any, data: Any):
    """A function (values, inputs, data): log-likelihood of each member of the observed site's batch."""
    function = model.hook("model")
    whole = every_row(function, find_plate(function, inputs, data, jax.random.key(0)))

    def by_readout(values: Values, inputs: Any, data: Any) -> jax.Array:
        return compute_log_probs(whole, (inputs, data), {}, dict(values), sum_log_prob=False)[0][model.observed]

    return by_readout


def values_at(labelled: Mapping[str, float], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Values by name of numbers by label: `event_time[0]`, `event_time[1]`, ... become one array `event_time`.

    Args:
        labelled: numbers by label, members of an array in order.
        names: of the parameters.
    """
    found = {}
    for name in names:
        own = [label for label in labelled if label == name or label.startswith(f"{name}[")]
        numbers = np.array([labelled[label] for label in own])
        shape = tuple(int(i) + 1 for i in own[-1][len(name) + 1 : -1].split(",")) if own[-1] != name else ()
        found[name] = numbers.reshape(shape)
    return found
