"""From the file of a result to what a calibration holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bayescal.conditions.records import Source
from bayescal.diagnostics.estimates import Estimates, chosen_estimates
from bayescal.errors import InputError
from bayescal.inference.result import load
from bayescal.provenance import digest


def read_estimates(path: str | Path, names: Sequence[str] = ()) -> Estimates:
    """The constants of a result with their full covariance.

    Args:
        path: result (NetCDF) that `Result.save` wrote.
        names: parameters to take, a vector with all its members; by default every scalar one.

    Raises:
        InputError: no readable result, an unknown parameter, or one without covariance.
    """
    result = load(path)
    try:
        return chosen_estimates(result, names)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def file_source(path: str | Path) -> Source:
    """The source that a file is."""
    return Source(str(Path(path).resolve()), digest(Path(path)))
