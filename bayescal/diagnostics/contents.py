"""What a result holds about each parameter, as plain arrays: draws, prior draws, truth, mode and curvature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayescal.inference.result import Result

MODE_METHOD = "map"
CHAINLESS_METHODS = (MODE_METHOD, "laplace", "pathfinder", "svi")
"""Methods whose draws, where they have any, are independent ones, re-weighted from an approximation."""


@dataclass(frozen=True)
class Component:
    """One number of the posterior: a scalar parameter or one member of a vector.

    Attributes:
        label: `kb`, or `event_time[3]` for a member of a vector.
        unit: physical unit, empty for a pure number.
        draws: posterior draws [chain, draw], in `unit` as all the following.
        prior: draws of the prior [draw], empty where the result has none.
        truth: the value that made simulated data, or None.
        mode: the posterior mode, or None where the result has no curvature group.
        mode_sd: standard deviation by the curvature at the mode, or None.
    """

    label: str
    unit: str
    draws: np.ndarray
    prior: np.ndarray
    truth: float | None = None
    mode: float | None = None
    mode_sd: float | None = None


def is_mode(result: Result) -> bool:
    """Whether a result is a mode with its curvature rather than draws."""
    return result.method == MODE_METHOD


def has_chains(result: Result) -> bool:
    """Whether there are several chains or runs that R-hat, traces and ranks compare."""
    return result.method not in CHAINLESS_METHODS


def scalars(result: Result) -> tuple[Component, ...]:
    """The parameters that have one value, in the order of the result."""
    posterior = group(result, "posterior")
    names = [name for name in result.names if posterior[name].ndim == 2]
    return tuple(component for name in names for component in members(result, name))


def vectors(result: Result) -> tuple[str, ...]:
    """Names of the parameters that have several values, one an event for instance."""
    posterior = group(result, "posterior")
    return tuple(name for name in result.names if posterior[name].ndim > 2)


def group(result: Result, name: str) -> xr.Dataset:
    """A group of a result, empty where the result lacks it."""
    return result.data.children[name].to_dataset() if name in result.data.children else xr.Dataset()


def members(result: Result, name: str) -> tuple[Component, ...]:
    """All numbers of one parameter."""
    draws = group(result, "posterior")[name].values
    shape = draws.shape[2:]
    prior = _values(group(result, "prior"), name, shape).reshape(-1, *shape)
    truth = _truth(result, name, shape)
    modes = _modes(result)
    out = []
    for index in np.ndindex(*shape):
        label = name + (f"[{','.join(map(str, index))}]" if index else "")
        mode, mode_sd = modes.get(label, (None, None))
        known = None if truth is None else float(truth[index])
        at = (..., *index)
        out.append(Component(label, result.units[name], draws[at], prior[at].ravel(), known, mode, mode_sd))
    return tuple(out)


def constant(component: Component) -> bool:
    """Whether there is only one value, so that nothing can be said about a spread."""
    return bool(np.ptp(component.draws) == 0)


def curvature(result: Result) -> xr.DataArray | None:
    """Covariance at the mode in physical coordinates [parameter, parameter_2], or None, as in large spaces."""
    return group(result, "laplace").get("covariance")


def spread(component: Component) -> float:
    """Standard deviation of a component: of its draws, else by the curvature at the mode."""
    if constant(component):
        return component.mode_sd if component.mode_sd is not None else 0.0
    return float(component.draws.std(ddof=1))


def _modes(result: Result) -> dict[str, tuple[float, float]]:
    stored, covariance = group(result, "laplace"), curvature(result)
    if "mean" not in stored:
        return {}
    sd = stored["sd"].values if covariance is None else np.sqrt(np.diag(covariance.values))
    mean, labels = stored["mean"].values, stored["parameter"].values
    return {str(label): (float(m), float(s)) for label, m, s in zip(labels, mean, sd, strict=True)}


def _values(stored: xr.Dataset, name: str, shape: tuple[int, ...]) -> np.ndarray:
    return stored[name].values if name in stored else np.empty((0, *shape))


def _truth(result: Result, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The values that made simulated data: the provenance's `truth`, else the group constant_data."""
    written = result.attrs.get("truth") or {}
    stored = _values(group(result, "constant_data"), name, shape)
    values = np.asarray(written[name], dtype=float) if name in written else stored
    return np.broadcast_to(values, shape) if values.shape in ((), shape) and values.size else None
