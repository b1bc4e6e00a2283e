"""The constants of a result as plain numbers, each with its intervals, and their covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from bayescal.diagnostics.contents import Component, members, scalars, vectors
from bayescal.diagnostics.convergence import convergence
from bayescal.diagnostics.correlation import covariance_of, has_covariance
from bayescal.diagnostics.summary import Row, row_maker
from bayescal.errors import InputError
from bayescal.inference.result import Result

LARNDSIM_KEYS = {
    "Ab": "Ab",
    "kb": "kb",
    "electric_field": "eField",
    "lifetime": "lifetime",
    "long_diff": "long_diff",
    "tran_diff": "tran_diff",
    "electrons_per_mev": "MeVToElectrons",
}
"""Keys of larnd-sim's detector file by our names; units are the same (kV/cm, us, cm^2/us, e-/MeV)."""

NUMBERS = ("mean", "median", "mode", "sd", "low_68", "high_68", "low_95", "high_95")
"""The numbers of an estimate, in the order of a file."""


@dataclass(frozen=True)
class Estimate:
    """One constant; a number that does not exist is None.

    Attributes:
        name: `kb`, or `quantum_efficiency[3]` for a member of a vector.
        unit: physical unit of all its numbers, empty for a pure number.
        mean: mean of the draws, None where only the mode is known.
        median: median of the draws, None where only the mode is known.
        mode: the posterior mode, None where the result does not hold it.
        sd: standard deviation of the draws, else by the curvature at the mode.
        low_68: lower end of the central interval of 68 %; `high_68`, `low_95` and `high_95` likewise.
        larndsim_key: its name in larnd-sim's detector file, None if it has none.
    """

    name: str
    unit: str
    mean: float | None
    median: float | None
    mode: float | None
    sd: float | None
    low_68: float | None
    high_68: float | None
    low_95: float | None
    high_95: float | None
    larndsim_key: str | None = None

    @property
    def value(self) -> float:
        """The number that stands for the constant: the mean of the draws, else the mode."""
        value = self.mode if self.mean is None else self.mean
        return float("nan") if value is None else value


@dataclass(frozen=True, eq=False)
class Estimates:
    """What a result says about the constants.

    Attributes:
        method: `map`, `laplace` or `nuts`.
        converged: whether the numbers can be used as they are.
        verdict: one sentence on why they can or cannot.
        constants: one estimate a constant.
        covariance: [parameter, parameter_2] with the constants' names, in their units; may be of fewer constants,
            or of none.
        provenance: versions, settings, data and command behind the result.
    """

    method: str
    converged: bool
    verdict: str
    constants: tuple[Estimate, ...]
    covariance: xr.DataArray
    provenance: Mapping[str, Any]

    @property
    def correlation(self) -> xr.DataArray:
        """Correlation [parameter, parameter_2] of the same constants as the covariance."""
        sd = np.sqrt(np.diag(self.covariance.values))
        return self.covariance.copy(data=self.covariance.values / np.outer(sd, sd)).rename("correlation")


def labelled(names: Sequence[str], matrix: Any) -> xr.DataArray:
    """A covariance [parameter, parameter_2] with the names of its constants."""
    values = np.asarray(matrix, dtype=float).reshape(len(names), len(names))
    coordinates = {"parameter": list(names), "parameter_2": list(names)}
    return xr.DataArray(values, coordinates, ("parameter", "parameter_2"), "covariance")


def all_estimates(result: Result, larndsim_names: Mapping[str, str] | None = None) -> Estimates:
    """Everything in a result, members of vectors too; the covariance is that of its scalar parameters, if it has one.

    Args:
        result: draws, or a mode.
        larndsim_names: names in larnd-sim by ours; by default those stored with the result as `larndsim_keys`, else
            those of larnd-sim's detector file.
    """
    single = scalars(result)
    matrix = covariance_of(result, single) if has_covariance(result) else labelled([], [])
    every = [*single, *(c for name in vectors(result) for c in members(result, name))]
    return _estimates(result, every, matrix, larndsim_names)


def chosen_estimates(result: Result, names: Sequence[str] = ()) -> Estimates:
    """Constants with the full covariance among them.

    Args:
        result: draws, or a mode with its curvature.
        names: parameters to take, a vector with all its members; by default every scalar one that has a covariance.

    Raises:
        InputError: an unknown parameter, a mode without curvature, draws that do not move, or no scalar one.
    """
    unknown = [name for name in names if name not in result.names]
    if unknown:
        raise InputError(f"the result has no parameter {unknown[0]!r}; it has {', '.join(result.names)}")
    wanted = [c for name in dict.fromkeys(names) for c in members(result, name)] if names else list(scalars(result))
    if not wanted:
        raise InputError("the result has no scalar parameter; choose vectors by name")
    matrix = covariance_of(result, wanted)
    known = set(matrix["parameter"].values.tolist())
    if not known or (names and len(known) < len(wanted)):
        lacking = ", ".join(c.label for c in wanted if c.label not in known) or "its parameters"
        raise InputError(f"the result has no covariance of {lacking}; choose other parameters, or fit with method nuts")
    return _estimates(result, [c for c in wanted if c.label in known], matrix)


def _estimates(
    result: Result,
    components: Sequence[Component],
    matrix: xr.DataArray,
    larndsim_names: Mapping[str, str] | None = None,
) -> Estimates:
    keys = larndsim_names or result.attrs.get("larndsim_keys") or LARNDSIM_KEYS
    verdict, row = convergence(result), row_maker(result)
    constants = tuple(_estimate(c, row(c), keys.get(c.label)) for c in components)
    return Estimates(result.method, verdict.good, verdict.sentence, constants, matrix, result.attrs)


def _estimate(component: Component, row: Row, larndsim_key: str | None) -> Estimate:
    numbers = {key: row[key] for key in NUMBERS}
    numbers["mode"] = numbers["mode"] if component.mode is None else component.mode
    return Estimate(component.label, component.unit, **numbers, larndsim_key=larndsim_key)
