"""What posterior draws say of each event and of each readout: log-likelihoods, and residuals of what was recorded.

A readout is a row of the observed site's batch: a pixel, a sensor, a point. A model file names them by the hooks
`readouts` and `recorded` (see `bayescal.model_files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray
from numpyro.infer import log_likelihood

from bayescal.model_files import ModelFile
from bayescal.simulation import site_sampler

Draws = Mapping[str, np.ndarray]
"""Posterior draws by name [draw, ...]."""


def event_log_likelihood(model: ModelFile, inputs: Any, data: Any, draws: Draws) -> xr.Dataset | None:
    """Log-likelihood of each event, as a group that `arviz_stats.loo` reads; none where the data are one whole.

    The log-likelihoods of readouts are summed by event; in a model that names no readouts each member of the observed
    site's batch is an event.

    Returns:
        The observed site's variable [chain, draw, event] (one chain), with the number of readouts of each event that
        recorded something as the coordinate `recorded`.
    """
    function = model.hook("model")

    @jax.jit
    def pointwise(draws: Draws, inputs: Any, data: Any) -> jax.Array:
        return log_likelihood(function, dict(draws), inputs, data)[model.observed]

    values = np.asarray(pointwise(dict(draws), inputs, data))
    if values.ndim == 1:
        return None
    values = values.reshape(len(values), -1)
    if model.has("readouts"):
        values, events, size = _summed(values, model, inputs, data)
    else:
        events, size = np.arange(values.shape[1]), np.ones(values.shape[1], int)
    coordinates = {"event": events, "recorded": ("event", size)}
    return xr.Dataset({model.observed: (("chain", "draw", "event"), values[None])}, coords=coordinates)


def _summed(values: np.ndarray, model: ModelFile, inputs: Any, data: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over the readouts of each event [draw, event], the events, and their numbers of recording readouts."""
    table = model.hook("readouts")(inputs)
    live = np.asarray(table["live"])
    events, index = np.unique(np.asarray(table["event"])[live], return_inverse=True)
    sums = np.stack([np.bincount(index, row, minlength=events.size) for row in values[:, live]])
    seen = np.any([np.isfinite(each) for each in _recorded(model, inputs, data).values()], axis=0)
    return sums, events, np.bincount(index, seen[live], minlength=events.size).astype(int)


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
    replicas = _replicas(made_key, model, inputs, draws)
    everything = np.stack([np.concatenate([value[None], replicas[name]]) for name, value in observed.items()])
    kept = table.pop("live") & np.isfinite(everything).any(axis=(0, 1))
    values = everything[..., kept]
    uniform = np.asarray(jax.random.uniform(tie_key, values[:, 0].shape))
    facts = {"observed": values[:, 0], **moments(values[:, 1:]), "pit": randomised_pit(values, uniform)}
    return xr.Dataset(
        {name: (("quantity", "readout"), fact) for name, fact in facts.items()},
        coords={"quantity": list(observed), **{name: ("readout", column[kept]) for name, column in table.items()}},
        attrs={"n_replicas": values.shape[1] - 1},
    )


def _replicas(key: PRNGKeyArray, model: ModelFile, inputs: Any, draws: Draws) -> dict[str, np.ndarray]:
    """Recorded quantities of data made with each draw [draw, readout]."""
    sample = site_sampler(model)
    recorded = jax.jit(model.hook("recorded"))
    n_draws = len(next(iter(draws.values())))
    rows = []
    for number, one in enumerate(jax.random.split(key, n_draws)):
        values = {name: value[number] for name, value in draws.items()}
        rows.append(jax.device_get(recorded(sample(one, inputs, values)[model.observed], inputs)))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


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
