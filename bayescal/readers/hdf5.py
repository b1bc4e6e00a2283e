"""Open and write HDF5 files, with errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayescal.errors import InputError


@contextmanager
def open_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """An HDF5 file to read from.

    Raises:
        InputError: if the file is missing, is of another kind, or is damaged (also while it is being read).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path (relative to the study's folder in a study)")
    known = h5py.is_hdf5(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it; check the file's owner and mode") from error
    except OSError as error:
        if not known:
            raise InputError(
                f"{path}: this is not an HDF5 file; give a file written by edep-sim or bayescal"
            ) from error
        raise InputError(f"{path}: the HDF5 file is truncated or damaged; copy or make it again ({error})") from error


@contextmanager
def open_format(path: Path | str, name: str, version: int) -> Iterator[h5py.File]:
    """A file of one of our own formats to read from.

    Args:
        path: of the file.
        name: value of its attribute `format`.
        version: value of its attribute `version`.

    Raises:
        InputError: as of `open_hdf5`, or if the file is of another format or version.
    """
    with open_hdf5(path) as file:
        if file.attrs.get("format") != name:
            raise InputError(
                f"{path}: this is not a file of the format {name} (its attribute `format`): convert it first"
            )
        if file.attrs.get("version") != version:
            raise InputError(f"{path}: version {file.attrs.get('version')} of {name} is unknown, need {version}")
        yield file


@contextmanager
def write_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """A new HDF5 file that appears under its name only when it is complete.

    Raises:
        InputError: if it cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with h5py.File(partial, "w") as file:
            yield file
        os.replace(partial, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written; choose a file in a folder that exists and is yours ({error})"
        ) from error
    finally:
        if partial.exists():
            partial.unlink()


def read_table(file: h5py.File, name: str, columns: Iterable[str]) -> dict[str, NDArray]:
    """Columns of a compound dataset with at least one row.

    Args:
        file: an open file.
        name: name of the dataset.
        columns: names of the columns to read.
    """
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{file.filename}: dataset `{name}` is missing, the file has {_listed(file)}")
    present = dataset.dtype.names or ()
    missing = [column for column in columns if column not in present]
    if missing:
        raise InputError(f"{file.filename}: `{name}` lacks the column {_listed(missing)}, it has {_listed(present)}")
    if dataset.shape[0] == 0:
        raise InputError(f"{file.filename}: `{name}` has no rows; give a file with at least one")
    rows = dataset[()]
    return {column: rows[column] for column in columns}


def read_array(group: h5py.Group, name: str) -> NDArray:
    """All of a dataset; a single number as an array without axes."""
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{group.file.filename}: {group.name} lacks the dataset `{name}`, it has {_listed(group)}")
    return np.asarray(dataset[()])


def require_finite(where: str, columns: Mapping[str, NDArray]) -> None:
    """Refuse NaN and infinities, naming the first row that has one.

    Args:
        where: file and dataset, for the message.
        columns: arrays by column name.
    """
    for name, values in columns.items():
        bad = ~np.isfinite(values)
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{where}: `{name}` must be finite, row {row} is {values[row]}; mend or leave out that row"
            )


def require_not_negative(where: str, columns: Mapping[str, NDArray]) -> None:
    """Refuse negative values, naming the first row that has one.

    Args:
        where: file and dataset, for the message.
        columns: arrays by column name.
    """
    for name, values in columns.items():
        bad = values < 0
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{where}: `{name}` must not be negative, row {row} is {values[row]}; mend or leave out that row"
            )


def read_truth_group(file: h5py.File) -> dict[str, NDArray]:
    """The parameters that a file was simulated with, by name; empty where it has no group `truth`."""
    group = file.get("truth")
    return {str(name): read_array(group, str(name)) for name in group} if isinstance(group, h5py.Group) else {}


def write_truth_group(file: h5py.File, truth: Mapping[str, ArrayLike], units: Mapping[str, str]) -> None:
    """Write the parameters of a simulation as the group `truth`: one dataset each, with the attribute `units`."""
    for name, value in truth.items():
        dataset = file.create_dataset(f"truth/{name}", data=np.asarray(value))
        dataset.attrs["units"] = units.get(name, "")


def _listed(names: Iterable[str]) -> str:
    """Names in quotes, separated by commas."""
    return ", ".join(f"`{name}`" for name in names) or "nothing"
