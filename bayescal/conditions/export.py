"""Stored calibrations for people and for other programs."""

from __future__ import annotations

from pathlib import Path

from bayescal.conditions.records import StoredCalibration, View
from bayescal.conditions.times import write_time
from bayescal.diagnostics.export import json_content, write_json, write_yaml

NOT_CONVERGED = "The fit DID NOT CONVERGE."


def about(stored: StoredCalibration, view: View | None = None) -> list[str]:
    """What a calibration is, in a few lines.

    Args:
        stored: the calibration.
        view: the view in which it was looked up, if it was.
    """
    calibration = stored.calibration
    lines = [
        f"Calibration {stored.number} of {calibration.detector}, tag {calibration.tag}, valid {calibration.validity}.",
        f"Added {write_time(stored.inserted_at)} by {calibration.origin.author}.",
        f"Result {calibration.source.path}, SHA-256 {calibration.source.sha256}.",
    ]
    lines += [f"Looked up as of {write_time(view.as_of)}."] if view else []
    lines += [f"Comment: {calibration.origin.comment}"] if calibration.origin.comment else []
    return lines if calibration.estimates.converged else [NOT_CONVERGED, *lines]


def export_stored_yaml(stored: StoredCalibration, path: str | Path, view: View | None = None) -> None:
    """Write a calibration as YAML that larnd-sim reads, with what it is and its intervals as comments.

    Raises:
        InputError: no constant has a key in larnd-sim, or the file cannot be written.
    """
    write_yaml(stored.calibration.estimates, path, about(stored, view))


def export_stored_json(stored: StoredCalibration, path: str | Path, view: View | None = None) -> None:
    """Write a calibration as JSON: the file of `bayescal export --json`, and under `calibration` what it is.

    Raises:
        InputError: the file cannot be written.
    """
    calibration = stored.calibration
    end = calibration.validity.end
    record = {
        "number": stored.number,
        "inserted_at": write_time(stored.inserted_at),
        "author": calibration.origin.author,
        "comment": calibration.origin.comment,
        "detector": calibration.detector,
        "tag": calibration.tag,
        "valid_from": write_time(calibration.validity.start),
        "valid_to": None if end is None else write_time(end),
        "source_path": calibration.source.path,
        "source_sha256": calibration.source.sha256,
        "as_of": None if view is None else write_time(view.as_of),
    }
    write_json({**json_content(calibration.estimates), "calibration": record}, path)
