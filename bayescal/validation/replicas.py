"""One replica of a study: constants from its priors, data from its model, draws of their posterior, ranks.

Besides every scalar parameter, the log-density itself is ranked: it sees deviations in the joint posterior that no
single parameter shows (M. Modrák et al., Bayesian Analysis 20 (2025) 461). A vector parameter is ranked by the mean
and the spread of its members; each of these is one number of the parameters, so that its ranks are uniform, too.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference import fit
from bayescal.inference.laplace import gaussian
from bayescal.inference.optimise import Optimum, find_mode, prior_scale
from bayescal.inference.potential import Potential
from bayescal.inference.short import Draws, ShortChains, no_draws, weighed_draws
from bayescal.simulation import site_sampler
from bayescal.study import Study, common_inputs, load_inputs, prepared, study_model, study_priors
from bayescal.validation.settings import ValidationSettings
from bayescal.validation.store import Row

LOG_DENSITY = "log-density"
PILOTS = 16  # data sets, drawn anew in every process, to whose common shapes all replicas are padded
PRIOR_DRAWS = 500


class DataSet(NamedTuple):
    """Constants by site, the data that they made, and the inputs prepared for these data."""

    truth: dict[str, np.ndarray]
    data: Any
    inputs: Any


class Replicator:
    """Makes replicas of a study, all by the same compiled programs where their shapes allow.

    Replica k depends on the settings' seed and on k alone, up to rounding where a data set is larger than the pilots.
    """

    def __init__(self, study: Study, settings: ValidationSettings) -> None:
        self.settings, self.fit_settings = settings, study.sampler.fit_settings
        self.model = study_model(study)
        self.bare = prepared(self.model, load_inputs(study, self.model, study_priors(study, self.model)))
        self.tempered = self.model.hook("tempered") if self.model.has("tempered") else None
        self.measured = self.model.hook("measured") if self.model.has("measured") else None
        self._draw_sites = site_sampler(self.model)
        seeds = jax.random.split(jax.random.key(settings.seed), 4)
        self._data_key, self._fit_key, pilot_key, model_key = seeds
        pilots = [self._data_set(key) for key in jax.random.split(pilot_key, PILOTS if self.model.has("common") else 1)]
        self.reference = common_inputs(self.model, [pilot.inputs for pilot in pilots])[0]
        self.potential = Potential(self.model.hook("model"), self.reference, pilots[0].data, model_key, self.measured)
        self.prior = self.potential.sample_prior(jax.random.fold_in(model_key, 1), PRIOR_DRAWS)
        self.scale = prior_scale(self.prior)
        self.chains = ShortChains(self.potential)

    def _data_set(self, key: PRNGKeyArray) -> DataSet:
        sites = jax.device_get(self._draw_sites(key, self.bare, {}))
        data = sites.pop(self.model.observed)
        return DataSet(sites, data, prepared(self.model, self.bare, data))

    def __call__(self, number: int) -> Row:
        """One replica; what goes wrong in it becomes its fault."""
        began, spent, truth = time.perf_counter(), self.potential.evaluations.gradients, {}
        try:
            made = self._data_set(jax.random.fold_in(self._data_key, number))
            truth = {name: float(value) for name, value in made.truth.items() if np.ndim(value) == 0}
            self.reference, inputs = common_inputs(self.model, [self.reference, made.inputs])
            ranks, draws = self._ranks(jax.random.fold_in(self._fit_key, number), made._replace(inputs=inputs))
        except (ValueError, ArithmeticError, RuntimeError) as error:  # the replica's, not the study's: others go on
            ranks, draws = {}, no_draws(f"{type(error).__name__}: {error}")
        gradients = self.potential.evaluations.gradients - spent + draws.gradients
        seconds = time.perf_counter() - began
        return Row(number, ranks, truth, draws.fault, draws.ess, draws.divergences, gradients, seconds)

    def _ranks(self, key: PRNGKeyArray, made: DataSet) -> tuple[dict[str, int], Draws]:
        potential = self.potential.with_data(made.inputs, made.data)
        draws = (self._fitted if self.settings.method == "fit" else self._drawn)(key, potential, made)
        if not len(draws.x):
            return {}, draws
        place = potential.unconstrain({name: made.truth[name] for name in potential.names}, self.scale.centre)
        values = potential.constrain(np.concatenate([place[None], draws.x]))
        density = np.concatenate([[-potential.value(place)], draws.log_density])
        columns = {**quantities({name: values[name] for name in potential.names}), LOG_DENSITY: density}
        return {name: int((column[1:] < column[0]).sum()) for name, column in columns.items()}, draws

    def _drawn(self, key: PRNGKeyArray, potential: Potential, made: DataSet) -> Draws:
        """By a method that shares its compiled programs among the replicas."""
        optimum = self._mode(potential, made)
        if not np.isfinite(optimum.value):
            return no_draws("the log-density is not finite at any start")
        whitening = gaussian(optimum).dense()
        if self.settings.method == "laplace":
            return weighed_draws(key, potential, optimum, whitening, self.settings.draws)
        return self.chains.draw(key, potential, whitening, self.settings.draws)

    def _mode(self, potential: Potential, made: DataSet) -> Optimum:
        """As a fit searches it: from the model's start, through its easier problems, else from the prior."""
        starts = [potential.unconstrain(self._start(made), self.scale.centre)]
        starts += list(self.prior[: self.fit_settings.restarts])
        return find_mode(
            potential,
            starts,
            self.scale,
            self.tempered,
            self.fit_settings.max_gradients,
            lambda number, stage, steps, value: None,
        )

    def _start(self, made: DataSet) -> dict[str, Any]:
        return self.model.hook("start")(made.inputs, made.data) if self.model.has("start") else {}

    def _fitted(self, key: PRNGKeyArray, potential: Potential, made: DataSet) -> Draws:
        """By the study's own fit, its draws thinned evenly."""
        result = fit(
            self.model.hook("model"),
            made.inputs,
            made.data,
            key=key,
            settings=self.fit_settings,
            start=self._start(made),
            tempered=self.tempered,
            measured=self.measured,
        )
        stats = result.data["sample_stats"].to_dataset()
        log_density = stats["lp"].values.ravel()
        chosen = np.linspace(0, len(log_density) - 1, self.settings.draws).round().astype(int)
        values = {name: result.draws(name)[chosen] for name in potential.names}
        rows = [{name: value[row] for name, value in values.items()} for row in range(len(chosen))]
        x = np.stack([potential.unconstrain(row, self.scale.centre) for row in rows])
        divergences = int(stats["diverging"].values.sum()) if "diverging" in stats else 0
        fault = "" if result.converged else result.verdict
        ess = float(min(len(log_density), self.fit_settings.required.ess or 0.0))
        return Draws(x, log_density[chosen], ess, divergences, result.attrs["gradients"], fault)


def quantities(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The numbers that are ranked [draw]: every scalar, and the mean and the spread of the members of every vector.

    Args:
        values: by parameter [draw, ...].
    """
    columns = {}
    for name, value in values.items():
        members = value.reshape(len(value), -1)
        if members.shape[1] == 1:
            columns[name] = members[:, 0]
        else:
            columns[f"{name} mean"] = members.mean(axis=1)
            columns[f"{name} spread"] = members.std(axis=1)
    return columns
