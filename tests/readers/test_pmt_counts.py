from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.readers.pmt_counts import PMTCounts, read_pmt_counts, read_truth, write_pmt_counts

COUNTS = PMTCounts(np.array([[3, -1, 0], [5, 2, 1]]), np.array([1000, 2000]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    truth, units = {"absorption_m": 90.0}, {"absorption_m": "m"}
    write_pmt_counts(tmp_path / "counts.h5", COUNTS, attributes={"seed": 5}, truth=truth, units=units)
    return tmp_path / "counts.h5"


def replace(path: Path, name: str, values: object) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = values


def test_round_trip(path: Path) -> None:
    read = read_pmt_counts(path, 3)
    np.testing.assert_array_equal(read.counts, COUNTS.counts)
    np.testing.assert_array_equal(read.triggers, COUNTS.triggers)
    np.testing.assert_array_equal(read.live, [[True, False, True], [True, True, True]])
    assert read_truth(path) == {"absorption_m": 90.0}
    with h5py.File(path) as file:
        assert [file.attrs[name] for name in ("format", "version", "seed")] == ["bayescal-pmt-counts", 1, 5]


def test_whole_numbers_as_floats(path: Path) -> None:
    replace(path, "counts", COUNTS.counts.astype(float))
    assert read_pmt_counts(path, 3).counts.dtype == np.int64


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (
            "counts",
            [[3, -2, 0], [5, 2, 1]],
            "`counts` of run 0, sensor 1 is -2; write whole numbers, 0 or more, and",
        ),
        ("counts", [[3, 1, 0], [5, np.nan, 1]], "`counts` of run 1, sensor 1 is nan; write whole numbers"),
        ("counts", [[3, 1, 0.5], [5, 1, 1]], r"`counts` of run 0, sensor 2 is 0\.5; write whole numbers"),
        ("counts", -np.ones((2, 3)), "`counts` has -1 for every sensor in every run; give a run with sensors"),
        ("counts", [3, 1, 0], r"`counts` and `triggers` have the shapes \(3,\) and \(2,\), need \(run, sensor\)"),
        ("counts", np.zeros((2, 4)), "the file has 4 sensors, the detector has 3: check that detector and file"),
        ("triggers", [1000, 0], "`triggers` of run 1 is 0; write whole numbers, 1 or more$"),
        ("triggers", [1000], r"`counts` and `triggers` have the shapes \(2, 3\) and \(1,\)"),
    ],
)
def test_values_that_cannot_be(path: Path, name: str, values: object, words: str) -> None:
    replace(path, name, values)
    with pytest.raises(InputError, match=rf"counts\.h5: {words}"):
        read_pmt_counts(path, 3)


def test_missing_dataset(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["triggers"]
    with pytest.raises(InputError, match=r"counts\.h5: / lacks the dataset `triggers`, it has `counts`"):
        read_pmt_counts(path, 3)


def test_another_format(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = "bayescal-pmt-hits"
    with pytest.raises(InputError, match=r"counts\.h5: this is not a file of the format bayescal-pmt-counts"):
        read_pmt_counts(path, 3)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.h5: there is no such file"):
        read_pmt_counts(tmp_path / "nothing.h5", 3)
