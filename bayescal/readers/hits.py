"""Observed hits in our own HDF5 schema.

- Dataset `hits`, one compound row a hit: `event` (i8) number of the event; `pixel` (i8) = ix + n_x (iy + n_y plane), as
  in `bayescal.charge.geometry`; `tick` (i4) at which the pixel fired, counted from the event's start; `adc` digitised
  value [counts], f8 for real-valued ones, i4 for integer codes.
- Attributes of the file: `format` = "bayescal-hits", `version` = 1, `adc` = "real" or "integer", `tick_us` length of a
  tick [us]; others are provenance.
- Group `truth`, in simulated files: one dataset a parameter, a number or an array (one value an event, in the order of
  the event numbers), with the attribute `units`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jax import Array
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayescal.charge.electronics import Electronics
from bayescal.charge.geometry import PixelGeometry
from bayescal.errors import InputError
from bayescal.readers.hdf5 import (
    open_format,
    read_table,
    read_truth_group,
    require_finite,
    write_hdf5,
    write_truth_group,
)

FORMAT = "bayescal-hits"
VERSION = 1


class Hits(eqx.Module):
    """Hits of self-triggering pixels, sorted by event, pixel and tick.

    Attributes:
        event_id: number of the event.
        pixel: number of the pixel in the detector, the same in every event.
        tick: tick at which the pixel fired.
        adc: digitised value [counts].
        integer_adc: whether the values are codes of whole counts (a code stands for the charges that round down to it).
    """

    event_id: Int[Array | np.ndarray, " hit"]
    pixel: Int[Array | np.ndarray, " hit"]
    tick: Int[Array | np.ndarray, " hit"]
    adc: Float[Array | np.ndarray, " hit"]
    integer_adc: bool = eqx.field(static=True)

    @property
    def n_hits(self) -> int:
        """Number of hits."""
        return self.adc.shape[0]


def from_rows(event_id: ArrayLike, pixel: ArrayLike, tick: ArrayLike, adc: ArrayLike, *, integer_adc: bool) -> Hits:
    """Hits from rows in any order.

    Args:
        event_id: numbers of the events.
        pixel: numbers of the pixels.
        tick: ticks of the firings.
        adc: digitised values [counts].
        integer_adc: whether the values are integer codes.
    """
    whole = [np.asarray(column, np.int64) for column in (event_id, pixel, tick)]
    order = np.lexsort(whole[::-1])
    names, numbers, ticks = (column[order] for column in whole)
    return Hits(names, numbers, ticks, np.asarray(adc, np.float64)[order], integer_adc)


def read_hits(path: Path | str) -> Hits:
    """Read the hits of a file.

    Raises:
        InputError: if the file cannot be read, is of another format, or has a value that no hit can have.
    """
    with open_format(path, FORMAT, VERSION) as file:
        table = read_table(file, "hits", ("event", "pixel", "tick", "adc"))
        integer_adc = file.attrs.get("adc") == "integer"
    require_finite(f"{path}: hits", {"adc": table["adc"]})
    hits = from_rows(table["event"], table["pixel"], table["tick"], table["adc"], integer_adc=integer_adc)
    _check_rows(path, hits)
    return hits


def read_attributes(path: Path | str) -> dict[str, Any]:
    """The attributes of a file of hits: format, length of a tick, provenance."""
    with open_format(path, FORMAT, VERSION) as file:
        return dict(file.attrs)


def read_truth(path: Path | str) -> dict[str, NDArray]:
    """The parameters that a file of hits was simulated with, by name; empty for real data."""
    with open_format(path, FORMAT, VERSION) as file:
        return read_truth_group(file)


def write_hits(
    path: Path | str,
    hits: Hits,
    *,
    attributes: Mapping[str, Any] | None = None,
    truth: Mapping[str, ArrayLike] | None = None,
    units: Mapping[str, str] | None = None,
) -> None:
    """Write hits; the file appears under its name when it is complete.

    Args:
        path: file to write; an older one is replaced.
        hits: the hits.
        attributes: attributes of the file beside those of the format; `tick_us` replaces the default of 0.1 us.
        truth: parameters of a simulation by name.
        units: units of these parameters by name.
    """
    kind = "integer" if hits.integer_adc else "real"
    header = {"tick_us": Electronics().tick_us} | dict(attributes or {})
    header |= {"format": FORMAT, "version": VERSION, "adc": kind}
    with write_hdf5(path) as file:
        file.attrs.update(header)
        file["hits"] = _rows(hits)
        write_truth_group(file, truth or {}, units or {})


def check_pixels(hits: Hits, geometry: PixelGeometry, path: Path | str) -> None:
    """Refuse hits that lie on no pixel of the detector.

    Args:
        hits: the hits.
        geometry: the detector's pixels.
        path: file the hits come from, for the message.
    """
    outside = (np.asarray(hits.pixel) < 0) | (np.asarray(hits.pixel) >= geometry.n_pixels)
    if outside.any():
        row = int(np.argmax(outside))
        first = f"pixel {hits.pixel[row]} in event {hits.event_id[row]}"
        raise InputError(
            f"{path}: {outside.sum()} of {hits.n_hits} hits lie on no pixel of the detector, the first is {first}, "
            f"the last pixel is {geometry.n_pixels - 1}: check that detector and hits belong together"
        )


def _rows(hits: Hits) -> NDArray:
    """The hits as the rows of the schema."""
    adc = "i4" if hits.integer_adc else "f8"
    rows = np.zeros(hits.n_hits, [("event", "i8"), ("pixel", "i8"), ("tick", "i4"), ("adc", adc)])
    rows["event"], rows["pixel"], rows["tick"], rows["adc"] = hits.event_id, hits.pixel, hits.tick, hits.adc
    return rows


def _check_rows(path: Path | str, hits: Hits) -> None:
    """Refuse two hits of one pixel at one tick, and fractions among integer codes."""
    twice = (np.diff(hits.event_id) == 0) & (np.diff(hits.pixel) == 0) & (np.diff(hits.tick) == 0)
    if twice.any():
        row = int(np.argmax(twice))
        where = f"event {hits.event_id[row]}, pixel {hits.pixel[row]}, tick {hits.tick[row]}"
        raise InputError(f"{path}: hits: {where} is there twice; a pixel fires once at a tick: remove the copies")
    fraction = hits.adc != np.round(hits.adc)
    if hits.integer_adc and fraction.any():
        value = hits.adc[np.argmax(fraction)]
        raise InputError(
            f'{path}: hits: `adc` has the value {value} in a file of integer codes; set its attribute adc = "real"'
        )
