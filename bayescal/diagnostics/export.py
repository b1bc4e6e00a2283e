"""Constants for other programs: YAML as larnd-sim reads it, JSON with everything, CSV for tables.

Every number is written in the shortest form that reads back as the same double.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bayescal.diagnostics.contents import MODE_METHOD
from bayescal.diagnostics.estimates import NUMBERS, Estimate, Estimates, all_estimates
from bayescal.diagnostics.files import write_text
from bayescal.diagnostics.numbers import measured
from bayescal.diagnostics.summary import member_rows
from bayescal.errors import InputError
from bayescal.inference.result import Result

PARAMETER_COLUMNS = ("parameter", "unit", *NUMBERS)
MATRIX_COLUMNS = ("parameter", "parameter_2", "covariance", "correlation")


def export_yaml(result: Result, path: str | Path, larndsim_names: Mapping[str, str] | None = None) -> None:
    """Write the constants as YAML that larnd-sim reads: posterior means (or modes), intervals as comments.

    Args:
        result: draws, or a mode.
        path: file to write.
        larndsim_names: keys of the file by our names; by default those stored with the result as `larndsim_keys`,
            else those of larnd-sim's detector file.

    Raises:
        InputError: no parameter has a key there, or the file cannot be written.
    """
    write_yaml(all_estimates(result, larndsim_names), path)


def export_json(result: Result, path: str | Path) -> None:
    """Write estimates, intervals, covariance, correlation, units, figures of the chains and provenance as JSON.

    The intervals are central ones of 68 % and 95 %; numbers that do not exist are null. `covariance` and `correlation`
    are matrices of the parameters in `matrix_parameters`, in their units.

    Raises:
        InputError: the file cannot be written.
    """
    content = json_content(all_estimates(result))
    for row in member_rows(result):
        content["parameters"][row["parameter"]] |= {k: v for k, v in row.items() if k not in ("parameter", *NUMBERS)}
    write_json(content, path)


def export_csv(result: Result, path: str | Path) -> None:
    """Write a table of the constants as CSV; see `write_csv`."""
    write_csv(all_estimates(result), path)


def export_covariance(result: Result, path: str | Path) -> None:
    """Write covariance and correlation of the scalar constants as CSV; see `write_covariance`."""
    write_covariance(all_estimates(result), path)


def write_yaml(estimates: Estimates, path: str | Path, about: Sequence[str] = ()) -> None:
    """Write what larnd-sim knows of some constants as its YAML.

    Args:
        estimates: the constants.
        path: file to write.
        about: lines of comment to start the file with.

    Raises:
        InputError: no constant has a key in larnd-sim, or the file cannot be written.
    """
    known = {e.larndsim_key: e for e in estimates.constants if e.larndsim_key is not None}
    parameters = list(dict.fromkeys(e.name.split("[")[0] for e in estimates.constants))
    if not known:
        raise InputError(
            f"{path}: none of the parameters {', '.join(parameters)} has a name in larnd-sim; "
            "write JSON instead, or pass larndsim_names"
        )
    kind = "modes" if estimates.method == MODE_METHOD else "posterior means"
    left_out = [name for name in parameters if name not in {e.name for e in known.values()}]
    comments = [*about, f"Constants as {kind}, method {estimates.method}. {estimates.verdict}"]
    comments += [f"Not constants of larnd-sim, hence left out: {', '.join(left_out)}."] if left_out else []
    lines = [f"# {' '.join(comment.split())}" for comment in comments]
    lines += [yaml_line(key, estimate) for key, estimate in known.items()]
    write_text(path, "\n".join(lines) + "\n")


def yaml_line(key: str, estimate: Estimate) -> str:
    """One constant as a line of YAML; its uncertainty, unit and intervals as a comment."""
    sd = estimate.sd or 0.0
    low_68, high_68, low_95, high_95 = (
        measured(number, sd) for number in (estimate.low_68, estimate.high_68, estimate.low_95, estimate.high_95)
    )
    written = yaml.safe_dump({key: estimate.value}).strip()
    intervals = f"68 %: {low_68} … {high_68}, 95 %: {low_95} … {high_95}"
    spread = f"± {measured(sd, sd)} {estimate.unit}".strip()
    return f"{written}  # {spread} (standard deviation), {intervals}"


def json_content(estimates: Estimates) -> dict[str, Any]:
    """The constants as JSON holds them."""
    return {
        "format": "bayescal-constants",
        "version": 1,
        "method": estimates.method,
        "converged": estimates.converged,
        "verdict": estimates.verdict,
        "parameters": {e.name: {k: v for k, v in asdict(e).items() if k != "name"} for e in estimates.constants},
        "matrix_parameters": estimates.covariance["parameter"].values.tolist(),
        "covariance": estimates.covariance.values.tolist(),
        "correlation": estimates.correlation.values.tolist(),
        "provenance": estimates.provenance,
    }


def write_json(content: Mapping[str, Any], path: str | Path) -> None:
    """Write JSON for people and programs; numbers that are not finite become null."""
    write_text(path, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n")


def write_csv(estimates: Estimates, path: str | Path) -> None:
    """Write one row a constant: `parameter`, `unit` and the numbers; a cell is empty where there is no number."""
    rows = ((e.name, e.unit, *(getattr(e, key) for key in NUMBERS)) for e in estimates.constants)
    write_text(path, csv_text(PARAMETER_COLUMNS, rows))


def write_covariance(estimates: Estimates, path: str | Path) -> None:
    """Write covariance and correlation as CSV, one row for each ordered pair of constants.

    Raises:
        InputError: there is no covariance, or the file cannot be written.
    """
    names = estimates.covariance["parameter"].values.tolist()
    if not names:
        raise InputError(f"{path}: there is no covariance to write; see whether the fit has converged")
    pairs = ((first, second) for first in names for second in names)
    numbers = zip(estimates.covariance.values.flat, estimates.correlation.values.flat, strict=True)
    rows = ((*pair, *map(float, pair_numbers)) for pair, pair_numbers in zip(pairs, numbers, strict=True))
    write_text(path, csv_text(MATRIX_COLUMNS, rows))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values with a line of headers (RFC 4180 with bare line feeds)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    return text.getvalue()


def plain(value: Any) -> Any:
    """The same with None where a number is not finite, for JSON knows only finite ones."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
