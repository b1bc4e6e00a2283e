from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.readers.pfmatch import read_pfmatch

# two events: clusters of two and one points with two flashes; one cluster of one point without a flash
EVENTS = {
    "point": ("f4", [[1, 2, 3, 100, 4, 5, 6, 200, 7, 8, 9, 300], [-1, -2, -3, 50]]),
    "group": ("i4", [[2, 1], [1]]),
    "flash": ("f4", [[10, 20, 30, 40, 50, 60], []]),
    "qtime": ("f4", [[0, 0], [np.inf]]),
    "ftime": ("f4", [[-800, np.inf], []]),
    "match": ("i4", [[0, 1, 1, 0], []]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "events.h5", "w") as file:
        for name, (kind, rows) in EVENTS.items():
            dataset = file.create_dataset(name, shape=(2,), maxshape=(None,), dtype=h5py.vlen_dtype(np.dtype(kind)))
            for number, row in enumerate(rows):
                dataset[number] = np.array(row, kind)
    return tmp_path / "events.h5"


def test_events_are_split_into_clusters_and_flashes(path: Path) -> None:
    events = read_pfmatch(path, 3)
    clusters, flashes = events.clusters, events.flashes
    assert clusters.event_id.tolist() == [0, 0, 1]
    assert clusters.cluster_id.tolist() == [0, 1, 0]
    assert clusters.point_cluster.tolist() == [0, 0, 1, 2]
    assert clusters.position_cm[:, 0].tolist() == [1.0, 4.0, 7.0, -1.0]
    assert clusters.photons.tolist() == [100.0, 200.0, 300.0, 50.0]
    assert clusters.assumed_time_us.tolist() == [0.0, 0.0, 0.0]
    assert flashes.pe.tolist() == [[10.0, 20.0, 30.0], [40.0, 50.0, 60.0]]
    assert flashes.time_us[0] == -800.0
    assert np.isnan(flashes.time_us[1])
    assert events.links.tolist() == [[0, 1], [1, 0]]


def test_a_file_without_matches_has_no_links(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["match"]
    assert read_pfmatch(path, 3).links.shape == (0, 2)


def test_another_number_of_sensors(path: Path) -> None:
    with pytest.raises(InputError, match=r"event 0: `flash` has 6 values, which is no multiple of 5; check the number"):
        read_pfmatch(path, 5)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("group", [2, 2], r"event 0: `group` splits 3 points into \[2, 2\]"),
        ("qtime", [0.0], r"event 0: `qtime` has 1 values, need 2"),
        ("ftime", [1.0, 2.0, 3.0], r"event 0: `ftime` has 3 values, need 2"),
        ("match", [0, 2], r"event 0: `match` names a cluster or flash that is not there"),
        ("point", [1.0, 2.0], r"event 0: `point` has 2 values, which is no multiple of 4"),
        ("flash", [1.0, np.nan, 2.0, 1.0, 1.0, 1.0], r"event 0: `flash` must be finite, row 0 is nan"),
    ],
)
def test_parts_that_do_not_fit(path: Path, name: str, value: list[float], words: str) -> None:
    with h5py.File(path, "r+") as file:
        file[name][0] = np.array(value, EVENTS[name][0])
    with pytest.raises(InputError, match=rf"events\.h5: {words}"):
        read_pfmatch(path, 3)


def test_missing_dataset_and_rows(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["ftime"].resize(1, axis=0)
    with pytest.raises(InputError, match=r"need one row an event in each dataset, there are .*'ftime': 1"):
        read_pfmatch(path, 3)
    with h5py.File(path, "r+") as file:
        del file["group"]
    with pytest.raises(InputError, match=r"lacks the dataset `group`"):
        read_pfmatch(path, 3)
