"""What posterior draws say of each event and of each readout: log-likelihoods, and residuals of what was recorded.

A readout is a row of the observed site's batch: a pixel, a sensor, a point. A model file names them by the hooks
`readouts` and `recorded` (see `bayescal.model_files`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray
from numpyro.infer import log_likelihood

from bayescal.model_files import ModelFile
from bayescal.simulation import site_sampler
from bayescal.study import common_inputs, prepared

Draw = dict[str, np.ndarray]
Draws = Mapping[str, np.ndarray]
"""Posterior draws by name [draw, ...]."""

MADE = 20
"""Data sets made with posterior draws that say what log-likelihood to expect of an event."""


class Events(NamedTuple):
    """Which readouts belong together: number of each event, and the place of each live readout's event in them."""

    number: np.ndarray
    place: np.ndarray
    live: np.ndarray

    def total(self, values: Any) -> np.ndarray:
        """Sum over the live readouts of each event [event], of values [readout]."""
        return np.bincount(self.place, np.ravel(values)[self.live], minlength=self.number.size)


def event_log_likelihood(
    key: PRNGKeyArray, model: ModelFile, inputs: Any, data: Any, draws: Draws
) -> xr.Dataset | None:
    """Log-likelihood of each event, as a group that `arviz_stats.loo` reads; none where the data are one whole.

    The log-likelihoods of readouts are summed by event; in a model that names no readouts each member of the observed
    site's batch is an event. Data made with some of the draws say what the model expects of each event.

    Args:
        key: of the made data.
        model: the model file.
        inputs: of the model, as prepared for the data.
        data: what was observed.
        draws: posterior draws, nearly independent.

    Returns:
        The observed site's variable [chain, draw, event] (one chain). Coordinates of each event: `recorded`, its number
        of readouts that recorded something; `expected` and `spread`, mean and standard deviation of its log-likelihood
        over the made data, each at the draw that made them.
    """
    by_readout, rows = readout_log_likelihood(model), list(rows_of(draws))
    if jax.eval_shape(by_readout, rows[0], inputs, data).ndim == 0:
        return None
    makers = [rows[number] for number in np.linspace(0, len(rows) - 1, min(MADE, len(rows))).astype(int)]
    made = list(made_data(key, model, inputs, makers))
    inputs, *others = common_inputs(model, [inputs, *(prepared(model, inputs, each) for each in made)])
    values = [by_readout(row, inputs, data) for row in rows]
    expected = [by_readout(*each) for each in zip(makers, others, made, strict=True)]
    events = events_of(model, inputs, np.size(values[0]))
    expected = np.stack([events.total(each) for each in expected])
    coordinates = {
        "event": events.number,
        "recorded": ("event", events.total(seen(model, inputs, data, np.size(values[0])))),
        "expected": ("event", expected.mean(axis=0)),
        "spread": ("event", expected.std(axis=0, ddof=1)),
    }
    sums = np.stack([events.total(each) for each in values])
    return xr.Dataset({model.observed: (("chain", "draw", "event"), sums[None])}, coords=coordinates)


def readout_log_likelihood(model: ModelFile) -> Callable[[Draw, Any, Any], jax.Array]:
    """A compiled function (values, inputs, data): the log-likelihood of each member of the observed site's batch."""
    function = model.hook("model")

    def by_readout(values: Draw, inputs: Any, data: Any) -> jax.Array:
        one = {name: value[None] for name, value in values.items()}
        return log_likelihood(function, one, inputs, data)[model.observed][0]

    return jax.jit(by_readout)


def rows_of(draws: Draws) -> Iterator[Draw]:
    """The draws one by one."""
    for number in range(len(next(iter(draws.values())))):
        yield {name: value[number] for name, value in draws.items()}


def made_data(key: PRNGKeyArray, model: ModelFile, inputs: Any, makers: list[Draw]) -> Iterator[Any]:
    """Data made with each draw."""
    sample = site_sampler(model)
    for one, values in zip(jax.random.split(key, len(makers)), makers, strict=True):
        yield jax.device_get(sample(one, inputs, values)[model.observed])


def events_of(model: ModelFile, inputs: Any, readouts: int) -> Events:
    """The events of so many readouts, each its own where the model does not name them."""
    if not model.has("readouts"):
        return Events(np.arange(readouts), np.arange(readouts), np.ones(readouts, bool))
    table = model.hook("readouts")(inputs)
    live = np.asarray(table["live"])
    number, place = np.unique(np.asarray(table["event"])[live], return_inverse=True)
    return Events(number, place, live)


def seen(model: ModelFile, inputs: Any, data: Any, readouts: int) -> np.ndarray:
    """Whether each readout recorded something; all where the model does not say."""
    if not model.has("recorded"):
        return np.ones(readouts, bool)
    return np.any([np.isfinite(each) for each in _recorded(model, inputs, data).values()], axis=0)


def _recorded(model: ModelFile, inputs: Any, data: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in model.hook("recorded")(data, inputs).items()}


def readout_residuals(key: PRNGKeyArray, model: ModelFile, inputs: Any, data: Any, draws: Draws) -> xr.Dataset:
    """Recorded quantities of each readout beside data made with posterior draws.

    Readouts that recorded something in the observed or in any made data are kept.

    Args:
        key: of the made data.
        model: with the hooks `readouts` and `recorded`.
        inputs: of the model, as prepared for the data.
        data: what was observed.
        draws: posterior draws, nearly independent; one data set is made with each.

    Returns:
        By (quantity, readout): `observed`, NaN where nothing was recorded; `mean` and `sd` of the made values that are
        recorded; `share` of the made data that recorded something; `pit`, the share of data with a smaller value, its
        ties broken at random, nothing recorded counting as the smallest. Coordinates: the columns of the hook
        `readouts`; attribute `n_replicas`: number of made data sets.
    """
    table = {name: np.asarray(column) for name, column in model.hook("readouts")(inputs).items()}
    made_key, tie_key = jax.random.split(key)
    observed = _recorded(model, inputs, data)
    made = [_recorded(model, inputs, each) for each in made_data(made_key, model, inputs, list(rows_of(draws)))]
    everything = np.stack([[value, *(each[name] for each in made)] for name, value in observed.items()])
    kept = table.pop("live") & np.isfinite(everything).any(axis=(0, 1))
    values = everything[..., kept]
    uniform = np.asarray(jax.random.uniform(tie_key, values[:, 0].shape))
    facts = {"observed": values[:, 0], **moments(values[:, 1:]), "pit": randomised_pit(values, uniform)}
    return xr.Dataset(
        {name: (("quantity", "readout"), fact) for name, fact in facts.items()},
        coords={"quantity": list(observed), **{name: ("readout", column[kept]) for name, column in table.items()}},
        attrs={"n_replicas": values.shape[1] - 1},
    )


def moments(replicas: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and standard deviation of what was recorded, and the share that was [quantity, replica, readout]."""
    recorded = np.isfinite(replicas)
    count = recorded.sum(axis=1)
    mean = np.where(recorded, replicas, 0.0).sum(axis=1) / np.maximum(count, 1)
    squares = np.where(recorded, replicas - mean[:, None], 0.0) ** 2
    variance = squares.sum(axis=1) / np.maximum(count - 1, 1)
    return {
        "mean": np.where(count > 0, mean, np.nan),
        "sd": np.where(count > 1, np.sqrt(variance), np.nan),
        "share": count / replicas.shape[1],
    }


def randomised_pit(values: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Probability integral transform of the first of exchangeable values among all, uniform if it is like the others.

    A. C. Davison and D. V. Hinkley, Bootstrap Methods (1997), section 4.2; ties and the value itself at random.

    Args:
        values: the observed one first [quantity, 1 + replica, readout]; NaN counts as the smallest.
        uniform: independent uniform numbers [quantity, readout].
    """
    ordered = np.where(np.isfinite(values), values, -np.inf)
    below = (ordered[:, 1:] < ordered[:, :1]).sum(axis=1)
    ties = (ordered[:, 1:] == ordered[:, :1]).sum(axis=1)
    return (below + uniform * (ties + 1)) / values.shape[1]
