"""The precision to expect of each constant with more of the same data, before they are taken.

The Fisher information of a study's data at the truth, the mean Hessian of minus the log-likelihood over data made
there, grows with the exposure; the prior adds the inverse of its covariance, as a normal one of that covariance would:
covariance = (exposure F + P^-1)^-1 (R. A. Fisher, Phil. Trans. R. Soc. A 222 (1922) 309; for large exposures the
Bernstein-von Mises theorem, A. W. van der Vaart, Asymptotic Statistics (1998), section 10.2). Parameters that come anew
with every event are left free in each data set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import scipy.linalg
from jaxtyping import PRNGKeyArray

from bayescal.diagnostics.numbers import measured, pretty_unit
from bayescal.errors import InputError
from bayescal.inference.potential import Potential
from bayescal.information import Likelihood, batch_hessians
from bayescal.model_files import ModelFile
from bayescal.parameters import Parameter, is_free
from bayescal.simulation import site_sampler
from bayescal.study import Study, common_inputs, load_inputs, prepared, study_model, study_priors, study_truth

PRIOR_DRAWS = 4000  # they know a width to 1.1 %
FIRST_BASIS = 0.02  # of the differences, in prior widths, before the likelihood's own widths are known
ROUNDS = 2  # in which these are found


@dataclass(frozen=True)
class Forecast:
    """Expected covariances of the constants against exposure.

    Attributes:
        labels: of the constants.
        unit: physical unit of each.
        informations: Fisher information of the study's exposure, one estimate from each batch of its events, in
            physical units [batch, p, p].
        prior: covariance of the prior [p, p].
        exposure: of the study.
        exposure_unit: what it is measured in: `cm of track`, `events`.
    """

    labels: tuple[str, ...]
    unit: tuple[str, ...]
    informations: np.ndarray
    prior: np.ndarray
    exposure: float
    exposure_unit: str

    def sd(self, exposure: float) -> np.ndarray:
        """Expected standard deviations at an exposure, in its unit [p]."""
        return self._sd(self.informations.mean(axis=0), exposure)

    def sd_error(self, exposure: float) -> np.ndarray:
        """Standard error of `sd` that the study's few events leave, by the jackknife over batches [p]; NaN for one."""
        n = len(self.informations)
        if n < 2:
            return np.full(len(self.labels), np.nan)
        without = [self._sd(np.delete(self.informations, one, axis=0).mean(axis=0), exposure) for one in range(n)]
        return np.sqrt((n - 1) * np.var(without, axis=0))

    def _sd(self, information: np.ndarray, exposure: float) -> np.ndarray:
        return np.sqrt(np.diag(covariance(information * exposure / self.exposure, self.prior)))

    def _known_error(self, exposure: float) -> list[float] | None:
        return self.sd_error(exposure).tolist() if len(self.informations) > 1 else None

    def table(self, exposures: Sequence[float]) -> list[tuple[str, ...]]:
        """Rows for people: constant, unit, prior's standard deviation, and those at each exposure with their errors."""
        columns = [[with_error(*pair) for pair in zip(self.sd(e), self.sd_error(e), strict=True)] for e in exposures]
        prior = (measured(sd, sd) for sd in np.sqrt(np.diag(self.prior)))
        return list(zip(self.labels, map(pretty_unit, self.unit), prior, *columns, strict=True))

    def as_json(self, exposures: Sequence[float]) -> str:
        """Every number, for a file."""
        content: dict[str, Any] = {
            "exposure_unit": self.exposure_unit,
            "study_exposure": self.exposure,
            "batches": len(self.informations),
            "parameters": list(self.labels),
            "units": list(self.unit),
            "prior_sd": np.sqrt(np.diag(self.prior)).tolist(),
            "information_per_exposure": (self.informations.mean(axis=0) / self.exposure).tolist(),
            "forecast": [{"exposure": e, "sd": self.sd(e).tolist(), "error": self._known_error(e)} for e in exposures],
        }
        return json.dumps(content, indent=1)


def with_error(sd: float, error: float) -> str:
    """A width, and its relative error where it is known."""
    return measured(sd, sd) + (f" (± {error / sd:.0%})" if np.isfinite(error) else "")


def covariance(information: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Covariance [p, p] of a likelihood's information and a prior's covariance, (information + prior^-1)^-1.

    Directions in which the information is not positive, by noise of its estimate, count as left to the prior.

    Args:
        information: symmetric [p, p].
        prior: covariance, positive definite [p, p].
    """
    factor = np.linalg.cholesky(prior)
    gains, vectors = scipy.linalg.eigh(factor.T @ information @ factor)
    root = factor @ vectors / np.sqrt(1.0 + np.maximum(gains, 0.0))
    return root @ root.T


def without_nuisance(information: np.ndarray, prior: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Information on some parameters with the others free under their prior: the Schur complement [k, k].

    Args:
        information: on all [p, p].
        prior: covariance of all, with no correlation between the two kinds [p, p].
        kept: which to keep, as a mask [p].
    """
    among, across, rest = (information[np.ix_(a, b)] for a, b in ((kept, kept), (kept, ~kept), (~kept, ~kept)))
    return among - across @ covariance(rest, prior[np.ix_(~kept, ~kept)]) @ across.T


def forecast(key: PRNGKeyArray, study: Study, replicas: int, batches: int) -> Forecast:
    """Forecast for a study: its model and inputs, data made at its truth.

    Args:
        key: of the made data.
        study: needs no data; its [truth] is that of the free parameters, the others have the numbers they are fixed at.
        replicas: data sets to make.
        batches: of whole events at most, whose scatter is the error; each takes two gradients a constant and data set.

    Raises:
        InputError: no parameter is free, or too many are.
    """
    model = study_model(study)
    priors = study_priors(study, model)
    free = [p for p in model.parameters if is_free(priors[p.name])]
    constants = [parameter for parameter in free if parameter.per is None]
    if not constants:
        raise InputError(f"{study.path} [parameters]: no constant is free; give at least one a prior")
    bare = prepared(model, load_inputs(study, model, priors))
    data_key, prior_key = jax.random.split(key)
    truth = study_truth(study, model)
    values, sets = data_at(data_key, (model, bare), {each.name: truth[each.name] for each in free}, replicas)
    likelihood = Likelihood(model, values, *sets[0])
    prior = prior_covariance(prior_key, model, *sets[0])
    basis = settled_basis(likelihood, prior)
    by_batch = np.mean([batch_hessians(likelihood.with_data(*each), basis, batches) for each in sets], axis=0)
    kept = np.isin([label.partition("[")[0] for label in likelihood.labels], [each.name for each in constants])
    labels = tuple(label for label, keep in zip(likelihood.labels, kept, strict=True) if keep)
    return Forecast(
        labels,
        tuple(_unit(label, free) for label in labels),
        len(by_batch) * np.stack([without_nuisance(each, prior, kept) for each in by_batch]),
        prior[np.ix_(kept, kept)],
        *exposure_of(model, bare, likelihood),
    )


def settled_basis(likelihood: Likelihood, prior: np.ndarray) -> np.ndarray:
    """A basis for differences, about a factor of the posterior's covariance at the likelihood's place [p, p].

    Args:
        likelihood: of any data set.
        prior: covariance [p, p].
    """
    (weights,) = likelihood.batches(1)
    basis = FIRST_BASIS * np.diag(np.sqrt(np.diag(prior)))
    for _ in range(ROUNDS):
        basis = np.linalg.cholesky(covariance(likelihood.hessian(likelihood.place, basis, weights), prior))
    return basis


def exposure_of(model: ModelFile, inputs: Any, likelihood: Likelihood) -> tuple[float, str]:
    """The study's exposure and its unit: as the model's hook `exposure` says, else events, else data sets."""
    if model.has("exposure"):
        amount, unit = model.hook("exposure")(inputs)
        return float(amount), str(unit)
    events = likelihood.events.number.size
    return float(events), "events" if events > 1 else "data sets"


def data_at(
    key: PRNGKeyArray, source: tuple[ModelFile, Any], truth: Mapping[str, Any], count: int
) -> tuple[dict[str, np.ndarray], list[tuple[Any, Any]]]:
    """Data sets made with true values.

    Args:
        key: of the data.
        source: the model file and its inputs.
        truth: of the free parameters, by name; a number where a parameter has one value an event is that of all.
        count: of the data sets.

    Returns:
        The values by name in the shapes of their sites, and inputs and data of each set, in common shapes.
    """
    model, bare = source
    sample = site_sampler(model)
    sites = jax.eval_shape(sample, key, bare, {})
    values = {name: np.broadcast_to(np.asarray(value, float), sites[name].shape) for name, value in truth.items()}
    made = [jax.device_get(sample(one, bare, values)[model.observed]) for one in jax.random.split(key, count)]
    inputs = common_inputs(model, [prepared(model, bare, data) for data in made])
    return values, list(zip(inputs, made, strict=True))


def prior_covariance(key: PRNGKeyArray, model: ModelFile, inputs: Any, data: Any) -> np.ndarray:
    """Covariance of the priors in physical units, in the order of a flat vector [p, p], from draws."""
    potential = Potential(model.hook("model"), inputs, data, key)
    drawn = potential.constrain(potential.sample_prior(jax.random.fold_in(key, 1), PRIOR_DRAWS))
    columns = [drawn[name].reshape(PRIOR_DRAWS, -1) for name in potential.names]
    return np.atleast_2d(np.cov(np.concatenate(columns, axis=1).T))


def _unit(label: str, parameters: Sequence[Parameter]) -> str:
    return next(parameter.unit for parameter in parameters if parameter.name == label.partition("[")[0])
