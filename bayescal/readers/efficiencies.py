"""Relative efficiencies of sensors from a former calibration: a text file with one number a line, sensor by sensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from bayescal.errors import InputError
from bayescal.readers.pmt_hits import check_n_sensors


def read_efficiencies(path: Path | str, n_sensors: int) -> Float[np.ndarray, " sensor"]:
    """Read relative efficiencies, as they stand.

    Args:
        path: file to read; what follows a `#` is a comment.
        n_sensors: number of sensors of the detector.

    Raises:
        InputError: if the file cannot be read, has another number of sensors, or a number that is not above zero.
    """
    try:
        values = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as one efficiency a line ({error}); check the file") from error
    if values.shape[1] != 1:
        raise InputError(f"{path}: has {values.shape[1]} numbers a line; write one efficiency a line")
    check_n_sensors(path, len(values), n_sensors)
    bad = ~(np.isfinite(values[:, 0]) & (values[:, 0] > 0))
    if bad.any():
        sensor = int(np.argmax(bad))
        raise InputError(f"{path}: the efficiency of sensor {sensor} is {values[sensor, 0]:g}; write one above zero")
    return values[:, 0]
