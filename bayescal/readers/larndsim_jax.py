"""Hits from the output files of larnd-sim-jax.

Groups `batch_i/event_j` with one entry a hit: `adc` (real-valued counts), `pixels` (pixel + pixels_per_event * event),
`ticks` (the last tick below threshold, one before the firing), `eventID`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.readers.edepsim import EVENTS_PER_FILE
from bayescal.readers.hdf5 import open_hdf5, read_array, require_finite
from bayescal.readers.hits import Hits, from_rows

MINIMUM_ADC = 80.9
"""Just below the ADC value of the default threshold of 5000 e- (80.9515 counts)."""

_COLUMNS = ("eventID", "pixels", "ticks", "adc")


def convert(
    paths: Path | str | Sequence[Path | str], pixels_per_event: int, *, minimum_adc: float = MINIMUM_ADC
) -> Hits:
    """Read the hits of one or several output files; events of several files are numbered as in `readers.edepsim`.

    Entries without a pixel (negative number) and entries below a minimum are what larnd-sim-jax writes for pixels that
    did not fire; they are no hits and are left out.

    Args:
        paths: one file or several.
        pixels_per_event: number of pixels of the detector, `PixelGeometry.n_pixels`.
        minimum_adc: smallest value of a hit [counts].
    """
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    parts = [_read_file(path, EVENTS_PER_FILE * number) for number, path in enumerate(files)]
    event_id, pixel, tick, adc = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    keep = (pixel >= 0) & (adc >= minimum_adc)
    if not keep.any():
        raise InputError(f"{files[0]}: none of {keep.size} entries reaches {minimum_adc} ADC counts; lower minimum_adc")
    return from_rows(event_id[keep], pixel[keep] % pixels_per_event, tick[keep] + 1, adc[keep], integer_adc=False)


def _read_file(path: Path | str, first_event: int) -> tuple[NDArray, ...]:
    """Event numbers, pixel numbers, recorded ticks and ADC values of a file."""
    with open_hdf5(path) as file:
        groups = [_read_event(group) for group in _events(file)]
    if not groups:
        raise InputError(f"{path}: no group `batch_i/event_j` is there; give an output file of larnd-sim-jax")
    event_id, pixel, tick, adc = (np.concatenate(columns) for columns in zip(*groups, strict=True))
    require_finite(str(path), {"ticks": tick, "adc": adc})
    if (tick != np.round(tick)).any():
        raise InputError(
            f"{path}: `ticks` has fractions; a version that interpolates the crossing wrote it, use one of 2026"
        )
    return (
        event_id.astype(np.int64) + first_event,
        pixel.astype(np.int64),
        tick.astype(np.int64),
        adc.astype(np.float64),
    )


def _events(file: h5py.File) -> Iterator[h5py.Group]:
    """The groups of single events."""
    for batch in file.values():
        if isinstance(batch, h5py.Group):
            yield from (event for event in batch.values() if isinstance(event, h5py.Group))


def _read_event(group: h5py.Group) -> list[NDArray]:
    """The columns of an event."""
    return [np.atleast_1d(read_array(group, name)) for name in _COLUMNS]
