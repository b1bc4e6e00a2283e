"""A result for other programs: YAML with the constants as larnd-sim reads them, JSON with the covariance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bayescal.diagnostics.contents import Component, is_mode, scalars, spread
from bayescal.diagnostics.correlation import correlation, covariance, has_covariance
from bayescal.diagnostics.files import write_text
from bayescal.diagnostics.numbers import measured
from bayescal.diagnostics.summary import Row, member_rows
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


def export_yaml(result: Result, path: str | Path, larndsim_names: Mapping[str, str] | None = None) -> None:
    """Write the constants as YAML that larnd-sim reads: posterior means (or modes), uncertainties as comments.

    Args:
        result: draws, or a mode.
        path: file to write.
        larndsim_names: keys of the file by our names; by default those stored with the result as `larndsim_keys`,
            else those of larnd-sim's detector file.

    Raises:
        InputError: no parameter has a key there, or the file cannot be written.
    """
    keys = larndsim_names or result.attrs.get("larndsim_keys") or LARNDSIM_KEYS
    exported = [component for component in scalars(result) if component.label in keys]
    if not exported:
        raise InputError(
            f"{path}: none of the parameters {', '.join(result.names)} has a name in larnd-sim; "
            "write JSON instead, or pass larndsim_names"
        )
    kind = "modes" if is_mode(result) else "posterior means"
    left_out = [name for name in result.names if name not in {component.label for component in exported}]
    lines = [f"# Constants as {kind}, method {result.method}. {' '.join(result.verdict.split())}"]
    lines += [f"# Not constants of larnd-sim, hence left out: {', '.join(left_out)}."] if left_out else []
    value = mode_value if is_mode(result) else mean_value
    lines += [yaml_line(keys[component.label], value(component), component) for component in exported]
    write_text(path, "\n".join(lines) + "\n")


def yaml_line(key: str, value: float, component: Component) -> str:
    """One constant as a line of YAML, with its uncertainty and unit as a comment."""
    sd = spread(component)
    written = yaml.safe_dump({key: value}).strip()
    return f"{written}  # ± {measured(sd, sd)} {component.unit} (standard deviation)"


def export_json(result: Result, path: str | Path) -> None:
    """Write means, intervals, covariance, correlation, units and provenance as JSON.

    The intervals are central ones of 68 % and 95 %; numbers that do not exist are null. `covariance` and `correlation`
    are matrices of the parameters in `matrix_parameters`, in their units.

    Raises:
        InputError: the file cannot be written.
    """
    content = {
        "format": "bayescal-constants",
        "version": 1,
        "method": result.method,
        "converged": result.converged,
        "verdict": result.verdict,
        "parameters": {str(row["parameter"]): _without_name(row) for row in member_rows(result)},
        **_matrices(result),
        "provenance": result.attrs,
    }
    write_text(path, json.dumps(_plain(content), indent=2, ensure_ascii=False) + "\n")


def mean_value(component: Component) -> float:
    """The mean of a parameter's draws."""
    return float(component.draws.mean())


def mode_value(component: Component) -> float:
    """A parameter's mode; the only draw where the result has no curvature."""
    return mean_value(component) if component.mode is None else component.mode


def _matrices(result: Result) -> dict[str, Any]:
    if not has_covariance(result):
        return {"matrix_parameters": [], "covariance": [], "correlation": []}
    matrix = covariance(result)
    return {
        "matrix_parameters": matrix["parameter"].values.tolist(),
        "covariance": matrix.values.tolist(),
        "correlation": correlation(result).values.tolist(),
    }


def _without_name(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "parameter"}


def _plain(value: Any) -> Any:
    """The same with None where a number is not finite, for JSON knows only finite ones."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
