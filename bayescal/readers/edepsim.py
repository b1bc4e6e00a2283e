"""Ionisation steps in the HDF5 schema of edep-sim and larnd-sim.

Dataset `segments`, one compound row a step: eventID, trackID, pdgId, {x, y, z}_start and _end [cm], dE [MeV],
dEdx [MeV/cm], t0 [us]; other columns are ignored. In these files z is the beam and x the drift axis; `Segments` has
them the other way round, so x and z are swapped on reading and on writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.readers.hdf5 import open_hdf5, read_table, require_finite, require_not_negative, write_hdf5
from bayescal.segments import Segments, from_rows, merge

EVENTS_PER_FILE = 1_000_000
"""Event numbers of the n-th of several files are raised by n times this, so that they stay unique."""

_AXES = ("z", "y", "x")  # the file's names of our x, y, z
_WHOLE = ("eventID", "trackID", "pdgId")
_ENDS = tuple(f"{axis}_{end}" for end in ("start", "end") for axis in _AXES)
_DEPOSIT = ("dE", "dEdx", "t0")
_DERIVED = ("x", "y", "z", "dx", "t0_start", "t0_end")
_PLACEHOLDERS = ("n_electrons", "n_photons", "long_diff", "tran_diff", "pixel_plane", "t", "t_start", "t_end")


def read_segments(paths: Path | str | Sequence[Path | str]) -> Segments:
    """Read the ionisation steps of one or several files.

    Args:
        paths: one file or several. The event number is `eventID + EVENTS_PER_FILE * n` for the n-th file (from 0).

    Raises:
        InputError: if a file, dataset or column is missing, a value is not finite, or an energy is negative.
    """
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not files:
        raise InputError("no file of ionisation steps is given; name at least one")
    return merge([_read_file(path, number) for number, path in enumerate(files)])


def write_segments(path: Path | str, segments: Segments) -> None:
    """Write ionisation steps so that `read_segments` and larnd-sim read them; the file appears when it is complete.

    Args:
        path: file to write; an older one is replaced.
        segments: steps; positions and energies are written as 64-bit numbers.
    """
    middle_cm = (segments.start_cm + segments.end_cm) / 2
    ends = np.concatenate([segments.start_cm, segments.end_cm], axis=1).T
    columns = dict(zip(_ENDS, ends, strict=True)) | dict(zip(_AXES, middle_cm.T, strict=True))
    columns |= {"eventID": segments.event_id[segments.event], "trackID": segments.track_id, "pdgId": segments.pdg_id}
    columns |= {"dE": segments.energy_mev, "dEdx": segments.dedx_mev_per_cm, "dx": segments.length_cm}
    columns |= dict.fromkeys(("t0", "t0_start", "t0_end"), segments.time_us)
    rows = np.zeros(segments.n_segments, _row_type())
    for name, values in columns.items():
        rows[name] = values
    with write_hdf5(path) as file:
        file["segments"] = rows


def _read_file(path: Path | str, number: int) -> Segments:
    """The steps of the file with a number among several."""
    with open_hdf5(path) as file:
        table = read_table(file, "segments", (*_WHOLE, *_ENDS, *_DEPOSIT))
    where = f"{path}: segments"
    require_finite(where, {name: table[name] for name in (*_ENDS, *_DEPOSIT)})
    require_not_negative(where, {name: table[name] for name in ("dE", "dEdx")})
    start_cm, end_cm = (np.stack([table[name] for name in names], axis=1) for names in (_ENDS[:3], _ENDS[3:]))
    deposit = (table["dE"], table["dEdx"], table["t0"])
    return from_rows(_event_id(path, table, number), (table["trackID"], table["pdgId"]), (start_cm, end_cm), deposit)


def _event_id(path: Path | str, table: dict[str, NDArray], number: int) -> NDArray:
    """Event numbers that stay unique among several files."""
    event_id = table["eventID"].astype(np.int64)
    if number > 0 and event_id.max() >= EVENTS_PER_FILE:
        raise InputError(
            f"{path}: eventID {event_id.max()} is not below {EVENTS_PER_FILE}: give this file first or alone"
        )
    return event_id + EVENTS_PER_FILE * number


def _row_type() -> np.dtype:
    """Type of a row: every column that larnd-sim expects."""
    whole = [(name, "i8") for name in _WHOLE]
    return np.dtype(whole + [(name, "f8") for name in (*_ENDS, *_DEPOSIT, *_DERIVED, *_PLACEHOLDERS)])
