from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.readers.flashes import (
    LightEvents,
    check_sensors,
    check_volumes,
    clusters_from_points,
    flashes_from_rows,
    read_flashes,
    read_truth,
    write_flashes,
)


@pytest.fixture
def events() -> LightEvents:
    """Two events: two clusters and one flash, one cluster and two flashes, given in another order."""
    clusters = clusters_from_points(
        ([4, 2, 2], [0, 1, 0], [1, 0, 0]),
        ([0.0, 0.0, 5.0], [np.nan, 12.5, np.nan]),
        [1, 0, 2, 0],
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [-4.0, -5.0, -6.0]],
        [10.0, 20.0, 30.0, 40.0],
    )
    saturated = [[False, False], [True, False], [False, False]]
    flashes = flashes_from_rows(
        [4, 2, 4], [1, 0, 0], [3.5, np.nan, 1.5], [[5.0, np.nan], [1.0, 2.0], [3, 0]], saturated
    )
    return LightEvents(clusters, flashes, np.array([[1, 0], [2, 2]]))


@pytest.fixture
def path(tmp_path: Path, events: LightEvents) -> Path:
    write_flashes(tmp_path / "flashes.h5", events, truth={"light_yield": 0.9}, units={"light_yield": "1"})
    return tmp_path / "flashes.h5"


def change(path: Path, name: str, row: object, value: float, column: str | None = None) -> None:
    """Write one value of a dataset anew."""
    with h5py.File(path, "r+") as file:
        values = file[name][()]
        (values if column is None else values[column])[row] = value
        file[name][...] = values


def test_rows_are_sorted_and_points_follow_their_cluster(events: LightEvents) -> None:
    clusters, flashes = events.clusters, events.flashes
    assert clusters.event_id.tolist() == [2, 2, 4]
    assert clusters.cluster_id.tolist() == [0, 1, 0]
    assert clusters.volume.tolist() == [0, 0, 1]
    assert clusters.assumed_time_us.tolist() == [5.0, 0.0, 0.0]
    assert clusters.known_time_us[1] == 12.5
    assert clusters.point_cluster.tolist() == [0, 1, 2, 2]
    assert clusters.photons.tolist() == [30.0, 10.0, 20.0, 40.0]
    assert clusters.position_cm[:, 0].tolist() == [7.0, 1.0, 4.0, -4.0]
    assert flashes.pe[0].tolist() == [1.0, 2.0]
    assert flashes.time_us[1:].tolist() == [1.5, 3.5]
    assert flashes.saturated[:, 0].tolist() == [True, False, False]


def test_round_trip(path: Path, events: LightEvents) -> None:
    read = read_flashes(path)
    for part in ("clusters", "flashes"):
        for name, values in vars(getattr(events, part)).items():
            np.testing.assert_array_equal(getattr(getattr(read, part), name), values, err_msg=name)
    np.testing.assert_array_equal(read.links, events.links)
    assert read_truth(path) == {"light_yield": 0.9}


def test_links_may_be_absent(tmp_path: Path, events: LightEvents) -> None:
    write_flashes(tmp_path / "flashes.h5", LightEvents(events.clusters, events.flashes, np.zeros((0, 2), np.int64)))
    assert read_flashes(tmp_path / "flashes.h5").links.shape == (0, 2)
    assert read_truth(tmp_path / "flashes.h5") == {}


def test_attributes_and_units(tmp_path: Path, events: LightEvents) -> None:
    write_flashes(tmp_path / "flashes.h5", events, attributes={"seed": 3}, truth={"t": [1.0]}, units={"t": "us"})
    with h5py.File(tmp_path / "flashes.h5") as file:
        assert dict(file.attrs) == {"seed": 3, "format": "bayescal-flashes", "version": 1}
        assert file["truth/t"].attrs["units"] == "us"


def test_another_format_and_a_later_version(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(InputError, match=r"flashes\.h5: version 2 of bayescal-flashes is unknown, need 1"):
        read_flashes(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["format"]
    with pytest.raises(InputError, match=r"flashes\.h5: this is not a file of the format bayescal-flashes "):
        read_flashes(path)


@pytest.mark.parametrize("name", ["clusters", "points", "flashes", "pe", "saturated"])
def test_missing_dataset(path: Path, name: str) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
    with pytest.raises(InputError, match=rf"flashes\.h5: .*dataset `{name}`"):
        read_flashes(path)


@pytest.mark.parametrize(
    ("name", "row", "value", "column", "words"),
    [
        ("points", 2, np.nan, "y", r"points: `y` must be finite, row 2 is nan"),
        ("points", 1, -3.0, "photons", r"points: `photons` must not be negative, row 1 is -3"),
        ("points", 3, 7, "cluster", r"points: row 3 names event 4, cluster 7, which is not in the file"),
        ("points", 0, 1, "cluster", r"event 2, cluster 0 has no points; leave it out"),
        ("clusters", 1, 0, "cluster", r"clusters: event 2, cluster 0 is there twice"),
        ("clusters", 0, np.nan, "assumed_time", r"clusters: `assumed_time` must be finite, row 0"),
        ("clusters", 2, np.inf, "known_time", r"clusters: `known_time` is infinite in row 2; write NaN"),
        ("flashes", 2, 0, "flash", r"flashes: event 4, flash 0 is there twice"),
        ("flashes", 1, -np.inf, "time", r"time: event 4, flash 0 has an infinite time; write NaN"),
        ("pe", (1, 1), np.inf, None, r"pe: event 4, flash 0 has infinite light; write NaN"),
        ("pe", (2, 0), -1.0, None, r"pe: event 4, flash 1 has negative light; write 0, or NaN"),
        ("pe", (2, 0), np.nan, None, r"pe: event 4, flash 1 has no sensor with light; leave it out"),
        ("links", 0, 9, "flash", r"links: row 0 names event 2, flash 9, which is not in the file"),
    ],
)
def test_values_that_no_event_has(
    path: Path, name: str, row: object, value: float, column: str | None, words: str
) -> None:
    change(path, name, row, value, column)
    with pytest.raises(InputError, match=rf"flashes\.h5: {words}"):
        read_flashes(path)


def test_a_cluster_linked_twice(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        rows = file["links"][()]
        rows[0] = (4, 0, 0)
        file["links"][...] = rows
    with pytest.raises(InputError, match=r"links: event 4, cluster 0 is linked twice; keep one link"):
        read_flashes(path)


@pytest.mark.parametrize(("name", "shape"), [("pe", (2, 2)), ("pe", (3,)), ("saturated", (3, 3))])
def test_light_of_another_shape(path: Path, name: str, shape: tuple[int, ...]) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = np.zeros(shape, bool if name == "saturated" else float)
    with pytest.raises(
        InputError, match=r"`pe` and `saturated` have the shapes .*, need \(flash, sensor\) for 3 flashes"
    ):
        read_flashes(path)


def test_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"flashes\.h5: the HDF5 file is truncated or damaged"):
        read_flashes(path)


def test_volumes_and_sensors_belong_to_the_detector(events: LightEvents) -> None:
    check_volumes(events.clusters, 2, "flashes.h5")
    check_sensors(events.flashes, 2, "flashes.h5")
    with pytest.raises(InputError, match=r"flashes\.h5: event 4, cluster 0 is in volume 1, the detector has 1: check"):
        check_volumes(events.clusters, 1, "flashes.h5")
    with pytest.raises(InputError, match=r"flashes\.h5: `pe` has 2 sensors, the detector has 48: check"):
        check_sensors(events.flashes, 48, "flashes.h5")
