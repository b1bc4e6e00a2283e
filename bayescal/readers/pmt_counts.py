"""Photoelectron counts of calibration runs in our own HDF5 schema.

- Dataset `counts`, shape (run, sensor), whole numbers: photoelectrons of each sensor in all triggers of a run (or hits,
  where the light is so low that nearly all hits are single photoelectrons); -1 where a sensor was dead or absent.
- Dataset `triggers`, one whole number a run, 1 or more: triggers that the counts are the sum of.
- Attributes of the file: `format` = "bayescal-pmt-counts", `version` = 1; others are provenance.
- Group `truth`, in simulated files: one dataset a parameter, a number or an array (runs first where each has a value),
  with the attribute `units`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import ArrayLike, NDArray

from bayescal.errors import InputError
from bayescal.readers.hdf5 import open_format, read_array, read_truth_group, write_hdf5, write_truth_group
from bayescal.readers.pmt_hits import check_n_sensors

FORMAT = "bayescal-pmt-counts"
VERSION = 1
ABSENT = -1
"""Count of a sensor that was dead or absent."""


class PMTCounts(eqx.Module):
    """Photoelectrons counted in calibration runs.

    Attributes:
        counts: of each sensor, -1 where it was dead or absent.
        triggers: of each run.
    """

    counts: Int[np.ndarray, "run sensor"]
    triggers: Int[np.ndarray, " run"]

    @property
    def live(self) -> Bool[np.ndarray, "run sensor"]:
        """Sensors that were there."""
        return self.counts != ABSENT


def read_pmt_counts(path: Path | str, n_sensors: int) -> PMTCounts:
    """Read the counts of a file.

    Args:
        path: file to read.
        n_sensors: number of sensors of the detector.

    Raises:
        InputError: if the file cannot be read, is of another format or detector, or has a value that cannot be.
    """
    with open_format(path, FORMAT, VERSION) as file:
        counts, triggers = (read_array(file, name) for name in ("counts", "triggers"))
    if counts.ndim != 2 or triggers.shape != counts.shape[:1] or counts.size == 0:
        raise InputError(
            f"{path}: `counts` and `triggers` have the shapes {counts.shape} and {triggers.shape}, need (run, sensor) "
            "and (run,) with at least one of each"
        )
    check_n_sensors(path, counts.shape[1], n_sensors)
    _check_whole(path, "counts", counts, ABSENT)
    _check_whole(path, "triggers", triggers, 1)
    if (counts == ABSENT).all():
        raise InputError(f"{path}: `counts` has {ABSENT} for every sensor in every run; give a run with sensors")
    return PMTCounts(counts.astype(np.int64), triggers.astype(np.int64))


def read_truth(path: Path | str) -> dict[str, NDArray]:
    """The parameters that a file of counts was simulated with, by name; empty for real data."""
    with open_format(path, FORMAT, VERSION) as file:
        return read_truth_group(file)


def write_pmt_counts(
    path: Path | str,
    counts: PMTCounts,
    *,
    attributes: Mapping[str, Any] | None = None,
    truth: Mapping[str, ArrayLike] | None = None,
    units: Mapping[str, str] | None = None,
) -> None:
    """Write counts; the file appears under its name when it is complete.

    Args:
        path: file to write; an older one is replaced.
        counts: counts and triggers.
        attributes: attributes of the file beside those of the format.
        truth: parameters of a simulation by name.
        units: units of these parameters by name.
    """
    with write_hdf5(path) as file:
        file.attrs.update(dict(attributes or {}) | {"format": FORMAT, "version": VERSION})
        file["counts"], file["triggers"] = counts.counts, counts.triggers
        write_truth_group(file, truth or {}, units or {})


def _check_whole(path: Path | str, name: str, values: NDArray, least: int) -> None:
    """Refuse fractions, NaN and numbers below a least one."""
    with np.errstate(invalid="ignore"):
        bad = ~(np.isfinite(values) & (values >= least) & (values == np.round(values)))
    if bad.any():
        index = tuple(int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))
        which = ", ".join(f"{axis} {i}" for axis, i in zip(("run", "sensor"), index, strict=False))
        absent = f", and {ABSENT} where a sensor was absent" if name == "counts" else ""
        raise InputError(
            f"{path}: `{name}` of {which} is {values[index]}; write whole numbers, {max(least, 0)} or more{absent}"
        )
