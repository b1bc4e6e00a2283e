"""Correlations of the posterior: the matrix, and its strongest pairs in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from bayescal.diagnostics.contents import Component, constant, curvature, is_mode, scalars
from bayescal.errors import InputError
from bayescal.inference.result import Result

STRENGTHS = ((0.95, "nearly degenerate"), (0.7, "strong"), (0.4, "moderate"), (0.0, "weak"))


def covariance(result: Result) -> xr.DataArray:
    """Covariance of the scalar parameters [parameter, parameter_2]; see `covariance_of`."""
    return covariance_of(result, scalars(result))


def covariance_of(result: Result, components: Sequence[Component]) -> xr.DataArray:
    """Covariance of some parameters or members of vectors [parameter, parameter_2], units as the parameters'.

    From the draws, or from the curvature where the result is a mode: then without variables that were computed from
    the parameters.

    Raises:
        InputError: a mode without covariance matrix, or draws that do not move.
    """
    labels = [component.label for component in components]
    if is_mode(result):
        at_mode = curvature(result)
        if at_mode is None:
            raise InputError("the result is a mode without covariance matrix; fit it again with method nuts or svi")
        known = [label for label in labels if label in at_mode["parameter"].values]
        return at_mode.sel(parameter=known, parameter_2=known)
    stuck = [component.label for component in components if constant(component)]
    if stuck:
        raise InputError(f"the draws of {', '.join(stuck)} are all equal, they have no covariance; see the convergence")
    draws = np.array([component.draws.ravel() for component in components])
    coordinates = {"parameter": labels, "parameter_2": labels}
    return xr.DataArray(np.atleast_2d(np.cov(draws)), coordinates, ("parameter", "parameter_2"), "covariance")


def has_covariance(result: Result) -> bool:
    """Whether a result has a covariance of at least one scalar parameter."""
    components = scalars(result)
    if is_mode(result):
        return curvature(result) is not None and any(component.mode_sd is not None for component in components)
    return bool(components) and not any(constant(component) for component in components)


def correlation(result: Result) -> xr.DataArray:
    """Correlation of the scalar parameters [parameter, parameter_2]."""
    matrix = covariance(result)
    sd = np.sqrt(np.diag(matrix.values))
    return matrix.copy(data=matrix.values / np.outer(sd, sd)).rename("correlation")


def strongest_pairs(result: Result, most: int = 5) -> list[str]:
    """The most correlated pairs in words, strongest first; weak ones are left out.

    Args:
        result: draws, or a mode with its curvature.
        most: at most so many pairs.
    """
    pairs = strongest(correlation(result))[:most]
    return [in_words(*pair) for pair in pairs if strength(pair[2]) != "weak"]


def strongest(matrix: xr.DataArray) -> list[tuple[str, str, float]]:
    """All pairs of a correlation matrix [parameter, parameter_2] with their correlation, strongest first."""
    labels = [str(label) for label in matrix["parameter"].values]
    rows, columns = np.triu_indices(len(labels), 1)
    order = np.argsort(-np.abs(matrix.values[rows, columns]))
    return [(labels[rows[i]], labels[columns[i]], float(matrix.values[rows[i], columns[i]])) for i in order]


def strength(value: float) -> str:
    """A correlation's strength in a word."""
    return next(word for least, word in STRENGTHS if abs(value) >= least)


def in_words(first: str, second: str, value: float) -> str:
    """A pair of parameters, its correlation and what that means."""
    meaning = "the data fix one combination of them much better than each" if abs(value) >= STRENGTHS[0][0] else ""
    together = "rise together" if value > 0 else "trade against each other"
    return f"{first} and {second} {together}: {value:+.2f}, {strength(value)}{'; ' * bool(meaning)}{meaning}"
