"""One constant over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bayescal.conditions.records import Period
from bayescal.conditions.times import write_time
from bayescal.diagnostics.estimates import NUMBERS, Estimate
from bayescal.diagnostics.export import csv_text
from bayescal.diagnostics.files import write_text
from bayescal.errors import InputError

COLUMNS = ("valid_from", "valid_to", "calibration", "inserted_at", "converged", "parameter", "unit", *NUMBERS)


@dataclass(frozen=True)
class Entry:
    """A constant's estimate in a period."""

    period: Period
    estimate: Estimate


def history(name: str, periods: Sequence[Period]) -> list[Entry]:
    """A constant in the periods whose calibration holds it, in their order.

    Args:
        name: `kb`, or `quantum_efficiency[3]`.
        periods: of one detector, from `ConstantsDatabase.timeline`.

    Raises:
        InputError: no calibration that wins at any time holds it.
    """
    constants = [(period, e) for period in periods for e in period.stored.calibration.estimates.constants]
    entries = [Entry(period, estimate) for period, estimate in constants if estimate.name == name]
    if not entries:
        known = ", ".join(dict.fromkeys(estimate.name for _, estimate in constants))
        raise InputError(f"no calibration holds a constant {name!r} at any time; they hold {known}")
    return entries


def write_history(entries: Sequence[Entry], path: str | Path) -> None:
    """Write a history as CSV, one row a period; `valid_to` is empty where the interval stays open."""
    write_text(path, csv_text(COLUMNS, [_row(entry) for entry in entries]))


def _row(entry: Entry) -> tuple[object, ...]:
    validity, stored, estimate = entry.period.validity, entry.period.stored, entry.estimate
    return (
        write_time(validity.start),
        "" if validity.end is None else write_time(validity.end),
        stored.number,
        write_time(stored.inserted_at),
        stored.calibration.estimates.converged,
        estimate.name,
        estimate.unit,
        *(getattr(estimate, key) for key in NUMBERS),
    )
