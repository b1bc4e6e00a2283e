from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.readers.pmt_hits import PMTHits, from_dense, read_pmt_hits, read_truth, select_events, write_pmt_hits

N_SENSORS = 4
WINDOW = (-50.0, 250.0)


@pytest.fixture
def value() -> np.ndarray:
    """Three events, the middle one without hits."""
    value = np.zeros((3, N_SENSORS, 2))
    value[0, 1], value[0, 3], value[2, 0] = (1.5, 12.25), (0.4, -3.0), (7.0, 100.0)
    return value


@pytest.fixture
def hits(value) -> PMTHits:
    return from_dense(value, WINDOW, [True, True, False, True])


@pytest.fixture
def path(tmp_path: Path, hits: PMTHits) -> Path:
    write_pmt_hits(tmp_path / "hits.h5", hits, truth={"vertex": np.zeros((3, 3))}, units={"vertex": "m"})
    return tmp_path / "hits.h5"


def change(path: Path, column: str, row: int, number: float) -> None:
    with h5py.File(path, "r+") as file:
        rows = file["hits"][()]
        rows[column][row] = number
        file["hits"][...] = rows


def test_round_trip(path: Path, value, hits: PMTHits) -> None:
    read = read_pmt_hits(path, N_SENSORS)
    np.testing.assert_array_equal(read.dense(), value)
    np.testing.assert_array_equal(read.live, hits.live)
    assert (read.n_events, read.n_hits, read.n_sensors, read.window_ns) == (3, 3, N_SENSORS, WINDOW)
    assert read_truth(path)["vertex"].shape == (3, 3)


def test_rows_are_sorted(path: Path, value) -> None:
    with h5py.File(path, "r+") as file:
        file["hits"][...] = file["hits"][()][::-1]
        del file["live"]
    read = read_pmt_hits(path, N_SENSORS)
    assert read.sensor.tolist() == [1, 3, 0]
    assert read.live.all()
    np.testing.assert_array_equal(read.dense(), value)


def test_attributes_say_what_the_file_is(tmp_path: Path, hits: PMTHits) -> None:
    write_pmt_hits(tmp_path / "hits.h5", hits, attributes={"seed": 3})
    with h5py.File(tmp_path / "hits.h5") as file:
        assert dict(file.attrs)["format"] == "bayescal-pmt-hits"
        assert [file.attrs[name] for name in ("version", "n_events", "n_sensors", "seed")] == [1, 3, N_SENSORS, 3]
    assert read_truth(tmp_path / "hits.h5") == {}


def test_selection(path: Path, value) -> None:
    hits = read_pmt_hits(path, N_SENSORS)
    np.testing.assert_array_equal(select_events(hits, 1, 3, path).dense(), value[1:])
    with pytest.raises(InputError, match=r"hits\.h5: events 1 to 1 have no hits; choose others"):
        select_events(hits, 1, 2, path)
    with pytest.raises(InputError, match=r"hits\.h5: events 2 to 3 are asked for, the file has 0 to 2"):
        select_events(hits, 2, 4, path)


@pytest.mark.parametrize(
    ("column", "number", "words"),
    [
        ("charge", np.nan, "hits: `charge` must be finite, row 1 is nan"),
        ("charge", -0.4, r"hits: `charge` must be above zero, row 1 is -0\.4; leave out that row"),
        ("charge", 0.0, r"hits: `charge` must be above zero, row 1 is 0\.0"),
        ("time", np.inf, "hits: `time` must be finite, row 1 is inf"),
        ("time", 300.0, r"hits: `time` of row 1 is 300\.0 ns, outside of the window from -50\.0 to 250\.0 ns"),
        ("sensor", 4, "hits: a hit of sensor 4 in event 0, the sensors are 0 to 3: correct the number"),
        ("sensor", -1, "hits: a hit of sensor -1 in event 0, the sensors are 0 to 3"),
        ("sensor", 1, "hits: sensor 1 has two hits in event 0; keep the first and its charge"),
        ("sensor", 2, "hits: sensor 2 has a hit in event 0 and is dead in `live`"),
        ("event", 3, "hits: a hit of sensor 3 in event 3, the events are 0 to 2"),
    ],
)
def test_values_that_no_hit_can_have(path: Path, column: str, number: float, words: str) -> None:
    change(path, column, 1, number)
    with pytest.raises(InputError, match=rf"hits\.h5: {words}"):
        read_pmt_hits(path, N_SENSORS)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("format", "bayescal-hits", "this is not a file of the format bayescal-pmt-hits"),
        ("version", 2, "version 2 of bayescal-pmt-hits is unknown, need 1"),
        ("n_events", 0, "the attribute `n_events` is 0; set it to a whole number of 1 or more"),
        ("window", [250.0, -50.0], r"the attribute `window` is \[250\. -50\.\]; set it to a start and a later end"),
        ("window", "now", "the attribute `window` is .* set it to a start and a later end"),
    ],
)
def test_attributes_that_cannot_be(path: Path, name: str, given: object, words: str) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs[name] = given
    with pytest.raises(InputError, match=rf"hits\.h5: {words}"):
        read_pmt_hits(path, N_SENSORS)


def test_another_detector(path: Path) -> None:
    with pytest.raises(InputError, match=r"hits\.h5: the file has 4 sensors, the detector has 11146: check that"):
        read_pmt_hits(path, 11_146)


def test_live_of_another_length(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["live"]
        file["live"] = np.ones(3, bool)
    with pytest.raises(InputError, match=r"hits\.h5: `live` has the shape \(3,\), need one value for each of 4"):
        read_pmt_hits(path, N_SENSORS)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.h5: there is no such file"):
        read_pmt_hits(tmp_path / "nothing.h5", N_SENSORS)


def test_not_hdf5(tmp_path: Path) -> None:
    (tmp_path / "hits.h5").write_text("event, sensor")
    with pytest.raises(InputError, match=r"hits\.h5: this is not an HDF5 file"):
        read_pmt_hits(tmp_path / "hits.h5", N_SENSORS)


def test_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"hits\.h5: the HDF5 file is truncated or damaged"):
        read_pmt_hits(path, N_SENSORS)


def replace_hits(path: Path, rows: np.ndarray) -> None:
    with h5py.File(path, "r+") as file:
        del file["hits"]
        file["hits"] = rows


def test_missing_column(path: Path) -> None:
    with h5py.File(path) as file:
        rows = file["hits"][()]
    replace_hits(path, rows[["event", "sensor", "charge"]])
    with pytest.raises(InputError, match=r"hits\.h5: `hits` lacks the column `time`"):
        read_pmt_hits(path, N_SENSORS)


def test_numbers_with_fractions(path: Path) -> None:
    replace_hits(path, np.zeros(2, [(name, "f8") for name in ("event", "sensor", "charge", "time")]))
    with pytest.raises(InputError, match=r"hits\.h5: hits: `event` has the type float64; write whole numbers"):
        read_pmt_hits(path, N_SENSORS)


def test_no_hits(tmp_path: Path) -> None:
    write_pmt_hits(tmp_path / "hits.h5", from_dense(np.zeros((2, N_SENSORS, 2)), WINDOW))
    with pytest.raises(InputError, match=r"hits\.h5: `hits` has no rows"):
        read_pmt_hits(tmp_path / "hits.h5", N_SENSORS)
