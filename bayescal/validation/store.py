"""The rows of a validation on disk: one line of JSON a replica, appended as replicas finish.

The first line says what the rows belong to. A file is only ever appended to, by one process; what a killed run left of
its last line is cut off, so that the next run goes on behind the last finished replica. The parts of a validation are
files of one folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bayescal.errors import InputError

FORMAT = "bayescal-validation"


@dataclass(frozen=True)
class Row:
    """One replica.

    Attributes:
        replica: its number, from 0.
        ranks: number of posterior draws below the truth, by quantity; empty where there are no draws.
        truth: the constants that made its data, by scalar parameter.
        fault: what went wrong, in words; empty if nothing did.
        ess: smallest effective number of draws behind the ranks.
        divergences: divergent trajectories.
        gradients: of the log-density, spent on mode and draws.
        seconds: wall time.
    """

    replica: int
    ranks: dict[str, int] = field(default_factory=dict)
    truth: dict[str, float] = field(default_factory=dict)
    fault: str = ""
    ess: float = 0.0
    divergences: int = 0
    gradients: int = 0
    seconds: float = 0.0


class Store:
    """A file of rows to append to.

    Args:
        path: its name; the file is made where it does not exist.
        header: what the rows belong to; its `fingerprint` must be that of rows which are there already.

    Raises:
        InputError: the file cannot be written, or holds rows of something else.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            empty = cut_unfinished_line(path) == 0
            if not empty:
                require_same(path, header["fingerprint"])
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
        if empty:
            self._write({"format": FORMAT, **header})

    def append(self, row: Row) -> None:
        """Add a replica; it is on disk when this returns."""
        self._write(asdict(row))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, content: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(content) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read_folder(folder: Path, fingerprint: str) -> list[Row]:
    """The rows of all parts in a folder, by number; a replica that several parts hold counts once.

    Raises:
        InputError: a file that is no part of a validation, or one of another validation.
    """
    rows: dict[int, Row] = {}
    for path in sorted(folder.glob("replicas*.jsonl")):
        require_same(path, fingerprint)
        for row in read_rows(path):
            rows.setdefault(row.replica, row)
    return [rows[number] for number in sorted(rows)]


def read_rows(path: Path) -> list[Row]:
    """The finished rows of one file."""
    lines = path.read_text(encoding="utf-8").split("\n")[1:-1]  # what follows the last line break is unfinished
    try:
        return [Row(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: a row is no replica ({error}); move the file away and run again") from error


def require_same(path: Path, fingerprint: str) -> None:
    """Refuse a file whose header has another fingerprint, or that has none."""
    try:
        with path.open(encoding="utf-8") as file:
            header = json.loads(file.readline())
        found = header["fingerprint"] if header["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found is None:
        raise InputError(f"{path}: not a file of replicas; move it away or choose another --output")
    if found != fingerprint:
        raise InputError(
            f"{path}: its replicas belong to another study, model, version or other settings; choose another --output "
            "or move the file away"
        )


def cut_unfinished_line(path: Path) -> int:
    """Remove what a killed run left behind the last line break; returns how many bytes remain."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return whole
