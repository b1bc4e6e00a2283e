"""Hits of photomultipliers in our own HDF5 schema: the first time and the charge of each hit sensor in each event.

- Dataset `hits`, one compound row a hit, in any order: `event` (i8) number of the event, from 0; `sensor` (i8) number
  of the sensor in the detector, from 0; `charge` (f8) above zero [p.e.]; `time` (f8) [ns], in the window.
- Dataset `live`, may be absent: one bool a sensor, False for dead and absent ones; all are alive where absent.
- Attributes of the file: `format` = "bayescal-pmt-hits", `version` = 1; `n_events` and `n_sensors`, since events and
  sensors without hits have no rows; `window`, start and end of the time in which the sensors looked [ns]; others are
  provenance.
- Group `truth`, in simulated files: one dataset a parameter, a number or an array (events first where each has a
  value), with the attribute `units`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import h5py
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayescal.errors import InputError
from bayescal.readers.hdf5 import (
    open_format,
    read_array,
    read_table,
    read_truth_group,
    require_finite,
    write_hdf5,
    write_truth_group,
)

FORMAT = "bayescal-pmt-hits"
VERSION = 1

_COLUMNS = ("event", "sensor", "charge", "time")


class PMTHits(eqx.Module):
    """Hits of photomultipliers, sorted by event and sensor.

    Attributes:
        event: number of the event, from 0.
        sensor: number of the sensor, from 0.
        charge_pe: charge above zero [p.e.].
        time_ns: time of the hit [ns].
        live: False for dead and absent sensors.
        window_ns: start and end of the time in which sensors looked [ns].
        n_events: events, with those that have no hit.
    """

    event: Int[np.ndarray, " hit"]
    sensor: Int[np.ndarray, " hit"]
    charge_pe: Float[np.ndarray, " hit"]
    time_ns: Float[np.ndarray, " hit"]
    live: Bool[np.ndarray, " sensor"]
    window_ns: tuple[float, float] = eqx.field(static=True)
    n_events: int = eqx.field(static=True)

    @property
    def n_hits(self) -> int:
        """Number of hits."""
        return self.charge_pe.shape[0]

    @property
    def n_sensors(self) -> int:
        """Number of sensors, dead ones included."""
        return self.live.shape[0]

    def dense(self) -> Float[np.ndarray, "event sensor 2"]:
        """Charge [p.e.] and time [ns] of every sensor in every event, 0 without a hit: a value of `PMTReadout`."""
        value = np.zeros((self.n_events, self.n_sensors, 2))
        value[self.event, self.sensor] = np.stack([self.charge_pe, self.time_ns], axis=-1)
        return value

    def events(self, first: int, stop: int) -> PMTHits:
        """Hits of the events from `first` on and before `stop`, numbered from 0 again."""
        kept = (self.event >= first) & (self.event < stop)
        event, sensor, charge, time = (a[kept] for a in (self.event, self.sensor, self.charge_pe, self.time_ns))
        return PMTHits(event - first, sensor, charge, time, self.live, self.window_ns, stop - first)


def from_dense(
    value: Float[ArrayLike, "event sensor 2"], window_ns: tuple[float, float], live: ArrayLike | None = None
) -> PMTHits:
    """Hits of events of which every sensor has a charge and a time.

    Args:
        value: charge [p.e.], 0 without a hit, and time [ns].
        window_ns: start and end of the time in which sensors looked [ns].
        live: False for dead sensors; all are alive where absent.
    """
    value = np.asarray(value, np.float64)
    event, sensor = np.nonzero(value[..., 0])
    alive = np.broadcast_to(True if live is None else np.asarray(live, bool), value.shape[1])
    window = (float(window_ns[0]), float(window_ns[1]))
    charge, time = value[event, sensor].T
    return PMTHits(event, sensor, charge, time, np.array(alive), window, len(value))


def read_pmt_hits(path: Path | str, n_sensors: int) -> PMTHits:
    """Read the hits of a file.

    Args:
        path: file to read.
        n_sensors: number of sensors of the detector.

    Raises:
        InputError: if the file cannot be read, is of another format or detector, or has a value that no hit can have.
    """
    with open_format(path, FORMAT, VERSION) as file:
        n_events, in_file = (_whole_attribute(file, name) for name in ("n_events", "n_sensors"))
        window = _window(file)
        table = read_table(file, "hits", _COLUMNS)
        live = read_array(file, "live") if "live" in file else np.ones(in_file, bool)
    check_n_sensors(path, in_file, n_sensors)
    _check_values(path, table, window)
    order = np.lexsort((table["sensor"], table["event"]))
    event, sensor, charge, time = (table[name][order] for name in _COLUMNS)
    _check_numbers(path, event, sensor, n_events, n_sensors)
    if live.shape != (n_sensors,):
        raise InputError(f"{path}: `live` has the shape {live.shape}, need one value for each of {n_sensors} sensors")
    hits = PMTHits(
        *(event.astype(np.int64), sensor.astype(np.int64)), charge, time, live.astype(bool), window, n_events
    )
    _check_live(path, hits)
    return hits


def select_events(hits: PMTHits, first: int, stop: int, path: Path | str) -> PMTHits:
    """Hits of some events, numbered from 0 again.

    Args:
        hits: hits of a file.
        first: first event.
        stop: the one after the last event.
        path: file the hits come from, for the message.

    Raises:
        InputError: if the file does not have these events or they have no hits.
    """
    if not 0 <= first < stop <= hits.n_events:
        raise InputError(
            f"{path}: events {first} to {stop - 1} are asked for, the file has 0 to {hits.n_events - 1}: "
            "choose from these"
        )
    chosen = hits.events(first, stop)
    if chosen.n_hits == 0:
        raise InputError(f"{path}: events {first} to {stop - 1} have no hits; choose others")
    return chosen


def read_truth(path: Path | str) -> dict[str, NDArray]:
    """The parameters that a file of hits was simulated with, by name; empty for real data."""
    with open_format(path, FORMAT, VERSION) as file:
        return read_truth_group(file)


def write_pmt_hits(
    path: Path | str,
    hits: PMTHits,
    *,
    attributes: Mapping[str, Any] | None = None,
    truth: Mapping[str, ArrayLike] | None = None,
    units: Mapping[str, str] | None = None,
) -> None:
    """Write hits; the file appears under its name when it is complete.

    Args:
        path: file to write; an older one is replaced.
        hits: the hits.
        attributes: attributes of the file beside those of the format.
        truth: parameters of a simulation by name.
        units: units of these parameters by name.
    """
    rows = np.zeros(hits.n_hits, [("event", "i8"), ("sensor", "i8"), ("charge", "f8"), ("time", "f8")])
    for name, column in zip(_COLUMNS, (hits.event, hits.sensor, hits.charge_pe, hits.time_ns), strict=True):
        rows[name] = column
    header = {"n_events": hits.n_events, "n_sensors": hits.n_sensors, "window": np.asarray(hits.window_ns)}
    with write_hdf5(path) as file:
        file.attrs.update(dict(attributes or {}) | header | {"format": FORMAT, "version": VERSION})
        file["hits"], file["live"] = rows, hits.live
        write_truth_group(file, truth or {}, units or {})


def check_n_sensors(path: Path | str, in_file: int, n_sensors: int) -> None:
    """Refuse a file of another number of sensors than the detector's.

    Args:
        path: the file, for the message.
        in_file: its number of sensors.
        n_sensors: the detector's.
    """
    if in_file != n_sensors:
        raise InputError(
            f"{path}: the file has {in_file} sensors, the detector has {n_sensors}: "
            "check that detector and file belong together"
        )


def _whole_attribute(file: h5py.File, name: str) -> int:
    """An attribute that is a number of things."""
    value = file.attrs.get(name)
    if not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{file.filename}: the attribute `{name}` is {value}; set it to a whole number of 1 or more")
    return int(value)


def _window(file: h5py.File) -> tuple[float, float]:
    """Start and end of the window [ns]."""
    value = np.ravel(file.attrs.get("window", np.zeros(0)))
    if value.shape != (2,) or not np.issubdtype(value.dtype, np.number) or not -np.inf < value[0] < value[1] < np.inf:
        raise InputError(f"{file.filename}: the attribute `window` is {value}; set it to a start and a later end [ns]")
    return float(value[0]), float(value[1])


def _check_values(path: Path | str, table: dict[str, NDArray], window_ns: tuple[float, float]) -> None:
    """Refuse charges and times that no hit can have."""
    for name in ("event", "sensor"):
        if not np.issubdtype(table[name].dtype, np.integer):
            raise InputError(f"{path}: hits: `{name}` has the type {table[name].dtype}; write whole numbers (i8)")
    charge, time = table["charge"], table["time"]
    require_finite(f"{path}: hits", {"charge": charge, "time": time})
    if (charge <= 0).any():
        row = int(np.argmax(charge <= 0))
        raise InputError(f"{path}: hits: `charge` must be above zero, row {row} is {charge[row]}; leave out that row")
    outside = (time < window_ns[0]) | (time > window_ns[1])
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"{path}: hits: `time` of row {row} is {time[row]} ns, outside of the window from {window_ns[0]} to "
            f"{window_ns[1]} ns: leave out that row, or correct the attribute `window`"
        )


def _check_numbers(path: Path | str, event: NDArray, sensor: NDArray, n_events: int, n_sensors: int) -> None:
    """Refuse events and sensors that are not there, and two hits of a sensor in an event; rows are sorted."""
    for name, number, end in (("event", event, n_events), ("sensor", sensor, n_sensors)):
        bad = (number < 0) | (number >= end)
        if bad.any():
            row = int(np.argmax(bad))
            where = f"a hit of sensor {sensor[row]} in event {event[row]}"
            raise InputError(
                f"{path}: hits: {where}, the {name}s are 0 to {end - 1}: correct the number or leave it out"
            )
    twice = (np.diff(event) == 0) & (np.diff(sensor) == 0)
    if twice.any():
        row = int(np.argmax(twice))
        raise InputError(
            f"{path}: hits: sensor {sensor[row]} has two hits in event {event[row]}; keep the first and its charge"
        )


def _check_live(path: Path | str, hits: PMTHits) -> None:
    """Refuse hits of dead sensors."""
    dead = ~hits.live[hits.sensor]
    if dead.any():
        row = int(np.argmax(dead))
        raise InputError(
            f"{path}: hits: sensor {hits.sensor[row]} has a hit in event {hits.event[row]} and is dead in `live`: "
            "leave out the hit or set the sensor alive"
        )
