"""Calibrations to rows of the tables and back, number for number."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import xarray as xr

from bayescal.conditions.records import Calibration, Origin, Source, StoredCalibration
from bayescal.conditions.schema import CalibrationRow, ConstantRow
from bayescal.conditions.times import Validity
from bayescal.diagnostics.estimates import NUMBERS, Estimate, Estimates, labelled
from bayescal.diagnostics.export import plain


def calibration_row(calibration: Calibration) -> CalibrationRow:
    """The rows of a calibration, still without number and time of insertion."""
    estimates = calibration.estimates
    constants = [
        ConstantRow(position=i, covariances=estimates.covariance.values[i, : i + 1].tolist(), **asdict(estimate))
        for i, estimate in enumerate(estimates.constants)
    ]
    return CalibrationRow(
        author=calibration.origin.author,
        comment=calibration.origin.comment,
        detector=calibration.detector,
        tag=calibration.tag,
        valid_from=calibration.validity.start,
        valid_to=calibration.validity.end,
        method=estimates.method,
        converged=estimates.converged,
        verdict=estimates.verdict,
        source_path=calibration.source.path,
        source_sha256=calibration.source.sha256,
        provenance=plain(estimates.provenance),
        size=len(constants),
        constants=constants,
    )


def stored_calibration(row: CalibrationRow) -> StoredCalibration:
    """The calibration of its rows."""
    calibration = Calibration(
        row.detector,
        Validity(row.valid_from, row.valid_to),
        _estimates(row),
        Source(row.source_path, row.source_sha256),
        Origin(row.author, row.comment),
        row.tag,
    )
    return StoredCalibration(row.number, row.inserted_at, calibration)


def _estimates(row: CalibrationRow) -> Estimates:
    constants = tuple(
        Estimate(c.name, c.unit, **{key: getattr(c, key) for key in NUMBERS}, larndsim_key=c.larndsim_key)
        for c in row.constants
    )
    return Estimates(row.method, row.converged, row.verdict, constants, _covariance(row), row.provenance)


def _covariance(row: CalibrationRow) -> xr.DataArray:
    """The symmetric matrix of its lower triangle."""
    matrix = np.zeros((len(row.constants), len(row.constants)))
    for i, constant in enumerate(row.constants):
        matrix[i, : i + 1] = matrix[: i + 1, i] = constant.covariances
    return labelled([constant.name for constant in row.constants], matrix)
