from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bayescal.charge.geometry import PixelGeometry
from bayescal.errors import InputError
from bayescal.readers.hdf5 import write_hdf5
from bayescal.readers.hits import Hits, check_pixels, from_rows, read_attributes, read_hits, read_truth, write_hits

GEOMETRY = PixelGeometry(0.4434, 2, 3, (0.0, 0.0), (1.0,), (0.0,))


@pytest.fixture
def hits() -> Hits:
    return from_rows([4, 2, 4, 2], [5, 1, 5, 0], [30, 7, -12, 7], [81.25, 100.5, 90.0, 256.0], integer_adc=False)


@pytest.fixture
def path(tmp_path: Path, hits: Hits) -> Path:
    write_hits(tmp_path / "hits.h5", hits)
    return tmp_path / "hits.h5"


def test_rows_are_sorted_by_event_pixel_and_tick(hits: Hits) -> None:
    assert hits.event_id.tolist() == [2, 2, 4, 4]
    assert hits.pixel.tolist() == [0, 1, 5, 5]
    assert hits.tick.tolist() == [7, 7, -12, 30]
    assert hits.adc.tolist() == [256.0, 100.5, 90.0, 81.25]


def test_round_trip_of_real_values(path: Path, hits: Hits) -> None:
    read = read_hits(path)
    for name in ("event_id", "pixel", "tick", "adc"):
        np.testing.assert_array_equal(getattr(read, name), getattr(hits, name))
    assert not read.integer_adc
    assert read.n_hits == 4


def test_round_trip_of_integer_codes(tmp_path: Path) -> None:
    write_hits(tmp_path / "hits.h5", from_rows([0], [1], [2], [81.0], integer_adc=True))
    read = read_hits(tmp_path / "hits.h5")
    assert read.integer_adc
    assert read.adc.tolist() == [81.0]
    with h5py.File(tmp_path / "hits.h5") as file:
        assert file["hits"].dtype["adc"] == np.int32


def test_attributes_say_what_the_file_is(tmp_path: Path, hits: Hits) -> None:
    write_hits(tmp_path / "hits.h5", hits, attributes={"seed": 3, "model": "charge_constants", "tick_us": 0.05})
    attributes = read_attributes(tmp_path / "hits.h5")
    assert attributes["format"] == "bayescal-hits"
    assert attributes["adc"] == "real"
    assert (attributes["version"], attributes["tick_us"], attributes["seed"]) == (1, 0.05, 3)


def test_truth_keeps_values_and_units(tmp_path: Path, hits: Hits) -> None:
    truth = {"kb": 0.0486, "event_time": np.array([0.1, 0.2])}
    write_hits(tmp_path / "hits.h5", hits, truth=truth, units={"event_time": "us"})
    read = read_truth(tmp_path / "hits.h5")
    assert read["kb"] == 0.0486
    np.testing.assert_array_equal(read["event_time"], truth["event_time"])
    with h5py.File(tmp_path / "hits.h5") as file:
        assert file["truth/event_time"].attrs["units"] == "us"


def test_real_data_have_no_truth(path: Path) -> None:
    assert read_truth(path) == {}


def test_a_failed_write_leaves_the_older_file(path: Path, hits: Hits) -> None:
    def fail() -> None:
        with write_hdf5(path) as file:
            file["hits"] = np.zeros(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert read_hits(path).n_hits == hits.n_hits
    assert list(path.parent.iterdir()) == [path]


def test_hits_on_pixels_pass(hits: Hits) -> None:
    check_pixels(hits, GEOMETRY, "hits.h5")


@pytest.mark.parametrize("pixel", [-1, 6])
def test_hits_on_no_pixel(pixel: int) -> None:
    hits = from_rows([4, 8], [1, pixel], [0, 0], [90.0, 90.0], integer_adc=False)
    with pytest.raises(
        InputError, match=rf"hits\.h5: 1 of 2 hits lie on no pixel .* pixel {pixel} in event 8, .* pixel is 5"
    ):
        check_pixels(hits, GEOMETRY, "hits.h5")


def test_another_format(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["hits"] = np.zeros(3)
    with pytest.raises(InputError, match=r"other\.h5: this is not a file of the format bayescal-hits "):
        read_hits(tmp_path / "other.h5")


def test_later_version(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(InputError, match=r"hits\.h5: version 2 of bayescal-hits is unknown, need 1"):
        read_hits(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.h5: there is no such file"):
        read_hits(tmp_path / "nothing.h5")


def test_not_hdf5(tmp_path: Path) -> None:
    (tmp_path / "hits.h5").write_text("event, pixel")
    with pytest.raises(InputError, match=r"hits\.h5: this is not an HDF5 file"):
        read_hits(tmp_path / "hits.h5")


def test_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"hits\.h5: the HDF5 file is truncated or damaged"):
        read_hits(path)


def test_missing_column(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        rows = file["hits"][()]
        del file["hits"]
        file["hits"] = rows[["event", "pixel", "adc"]]
    with pytest.raises(InputError, match=r"hits\.h5: `hits` lacks the column `tick`"):
        read_hits(path)


def test_no_hits(tmp_path: Path) -> None:
    write_hits(tmp_path / "hits.h5", from_rows([], [], [], [], integer_adc=False))
    with pytest.raises(InputError, match=r"hits\.h5: `hits` has no rows"):
        read_hits(tmp_path / "hits.h5")


def test_not_finite(tmp_path: Path) -> None:
    write_hits(tmp_path / "hits.h5", from_rows([1, 2], [1, 2], [1, 2], [90.0, np.nan], integer_adc=False))
    with pytest.raises(InputError, match=r"hits\.h5: hits: `adc` must be finite, row 1 is nan"):
        read_hits(tmp_path / "hits.h5")


def test_the_same_hit_twice(tmp_path: Path) -> None:
    write_hits(tmp_path / "hits.h5", from_rows([1, 1], [7, 7], [30, 30], [90.0, 91.0], integer_adc=False))
    with pytest.raises(InputError, match=r"hits\.h5: hits: event 1, pixel 7, tick 30 is there twice"):
        read_hits(tmp_path / "hits.h5")


def test_fractions_among_integer_codes(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["adc"] = "integer"
    with pytest.raises(InputError, match=r"hits\.h5: hits: `adc` has the value 100\.5 in a file of integer codes"):
        read_hits(path)
