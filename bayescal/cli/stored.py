"""Stored calibrations in a terminal and in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import typer
from rich.markup import escape

from bayescal.cli.display import console, show_table
from bayescal.cli.machine import require_writable
from bayescal.conditions import Entry, StoredCalibration, Validity, View, write_history, write_time
from bayescal.conditions.export import about, export_stored_json, export_stored_yaml
from bayescal.diagnostics import rows_table
from bayescal.diagnostics.estimates import Estimates
from bayescal.diagnostics.export import write_covariance, write_csv
from bayescal.diagnostics.numbers import measured, pretty_unit


class Files(NamedTuple):
    """The files that were asked for."""

    yaml: Path | None
    json: Path | None
    csv: Path | None
    covariance: Path | None


def show_calibration(stored: StoredCalibration, files: Files, view: View | None = None) -> None:
    """Print a calibration and write its files."""
    estimates = stored.calibration.estimates
    rows = [{"parameter": estimate.name, **asdict(estimate)} for estimate in estimates.constants]
    console().print(rows_table(rows, f"Constants, method {estimates.method}"))
    for line in [*about(stored, view), f"Verdict: {estimates.verdict}"]:
        typer.echo(line)
    writers = (
        (files.yaml, lambda path: export_stored_yaml(stored, path, view)),
        (files.json, lambda path: export_stored_json(stored, path, view)),
        (files.csv, lambda path: write_csv(estimates, path)),
        (files.covariance, lambda path: write_covariance(estimates, path)),
    )
    for path, write in writers:
        if path is not None:
            write(require_writable(path))
            typer.echo(f"wrote {path}")


def show_list(calibrations: Iterable[StoredCalibration], global_tags: Mapping[str, View]) -> None:
    """Print calibrations, and global tags where there are any."""
    columns = ("number", "detector\ntag", "from\nto", "added\nby", "method\nconverged", "comment")
    show_table("Calibrations", columns, (_list_row(stored) for stored in calibrations))
    if global_tags:
        rows = ((name, view.tag, write_time(view.as_of)) for name, view in global_tags.items())
        show_table("Global tags", ("global tag", "tag", "as of"), rows)


def show_history(title: str, entries: Sequence[Entry], csv: Path | None) -> None:
    """Print a history, and write it as a table if asked to."""
    columns = ("from\nto", "estimate", "sd", "unit", "68 %", "95 %", "calibration", "converged")
    show_table(title, columns, (_history_row(entry) for entry in entries))
    if csv is not None:
        write_history(entries, require_writable(csv))
        typer.echo(f"wrote {csv}")


def _list_row(stored: StoredCalibration) -> tuple[object, ...]:
    calibration, estimates = stored.calibration, stored.calibration.estimates
    return (
        stored.number,
        f"{calibration.detector}\n{calibration.tag}",
        _ends(calibration.validity),
        f"{write_time(stored.inserted_at)}\n{escape(calibration.origin.author)}",
        f"{estimates.method}\n{_word(estimates)}",
        escape(calibration.origin.comment),
    )


def _history_row(entry: Entry) -> tuple[object, ...]:
    estimate, stored = entry.estimate, entry.period.stored
    sd = estimate.sd or 0.0
    low_68, high_68, low_95, high_95 = (
        measured(number, sd) for number in (estimate.low_68, estimate.high_68, estimate.low_95, estimate.high_95)
    )
    return (
        _ends(entry.period.validity),
        measured(estimate.value, sd),
        measured(sd, sd),
        pretty_unit(estimate.unit),
        f"{low_68} … {high_68}",
        f"{low_95} … {high_95}",
        stored.number,
        _word(stored.calibration.estimates),
    )


def _ends(validity: Validity) -> str:
    return f"{write_time(validity.start)}\n{'open' if validity.end is None else write_time(validity.end)}"


def _word(estimates: Estimates) -> str:
    return "yes" if estimates.converged else "NO"
