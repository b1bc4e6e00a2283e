from __future__ import annotations

from pathlib import Path

import h5py
import jax
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.readers.edepsim import read_segments, write_segments
from bayescal.segments import Segments, from_rows


@pytest.fixture
def segments() -> Segments:
    rng = np.random.default_rng(0)
    n = 20
    start = rng.uniform(-30, 30, (n, 3))
    return from_rows(
        np.repeat([3, 92, 97, 1000], 5),
        (rng.integers(0, 9, n), rng.choice([11, 13, -13], n)),
        (start, start + rng.normal(size=(n, 3))),
        tuple(rng.uniform(0, 5, (3, n))),
    )


@pytest.fixture
def path(tmp_path: Path, segments: Segments) -> Path:
    write_segments(tmp_path / "segments.h5", segments)
    return tmp_path / "segments.h5"


def _change(path: Path, column: str, row: int, value: float) -> None:
    with h5py.File(path, "r+") as file:
        rows = file["segments"][()]
        rows[column][row] = value
        file["segments"][...] = rows


def test_round_trip_is_exact(path: Path, segments: Segments) -> None:
    for ours, theirs in zip(jax.tree.leaves(read_segments(path)), jax.tree.leaves(segments), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_file_has_beam_along_z_and_drift_along_x(path: Path, segments: Segments) -> None:
    with h5py.File(path) as file:
        rows = file["segments"][()]
    np.testing.assert_array_equal(rows["z_start"], segments.start_cm[:, 0])
    np.testing.assert_array_equal(rows["y_end"], segments.end_cm[:, 1])
    np.testing.assert_array_equal(rows["x_end"], segments.end_cm[:, 2])
    np.testing.assert_allclose(rows["x"], (segments.start_cm + segments.end_cm)[:, 2] / 2)
    np.testing.assert_allclose(rows["dx"], segments.length_cm)


def test_several_files_keep_their_events_apart(path: Path, segments: Segments) -> None:
    both = read_segments([path, str(path)])
    assert both.event_id.tolist() == [3, 92, 97, 1000, 1000003, 1000092, 1000097, 1001000]
    np.testing.assert_array_equal(both.energy_mev, np.tile(segments.energy_mev, 2))


def test_large_event_numbers_only_in_the_first_file(path: Path) -> None:
    _change(path, "eventID", 4, 1_000_000)
    assert read_segments(path).n_events == 5
    with pytest.raises(InputError, match="eventID 1000000 is not below 1000000: give this file first or alone"):
        read_segments([path, path])


@pytest.mark.peer
@pytest.mark.parametrize(
    ("number", "n_segments", "n_events", "length_cm", "energy_mev"),
    [(0, 168, 26, 199.623, 380.370), (1, 120, 16, 197.395, 373.560)],
)
def test_totals_of_the_peers_files(
    peer_data: Path, number: int, n_segments: int, n_events: int, length_cm: float, energy_mev: float
) -> None:
    segments = read_segments(peer_data / f"module0/segments_{number}.h5")
    assert (segments.n_segments, segments.n_events) == (n_segments, n_events)
    assert round(float(segments.total_length_cm), 3) == length_cm
    assert round(float(segments.energy_mev.sum()), 3) == energy_mev
    np.testing.assert_allclose(segments.dedx_mev_per_cm * segments.length_cm, segments.energy_mev, rtol=2e-3)
    assert segments.time_us.max() < 0.0032


@pytest.mark.peer
def test_all_files_of_the_peers_together(peer_data: Path) -> None:
    paths = sorted((peer_data / "module0").glob("segments_*.h5"))
    together = read_segments(paths)
    assert together.n_events == sum(read_segments(path).n_events for path in paths)
    np.testing.assert_allclose(together.energy_mev.sum(), sum(read_segments(path).energy_mev.sum() for path in paths))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.h5: there is no such file; check the path"):
        read_segments(tmp_path / "nothing.h5")


def test_no_file() -> None:
    with pytest.raises(InputError, match="no file of ionisation steps is given"):
        read_segments([])


def test_not_hdf5(tmp_path: Path) -> None:
    (tmp_path / "notes.h5").write_text("eventID, dE\n1, 2\n")
    with pytest.raises(InputError, match=r"notes\.h5: this is not an HDF5 file"):
        read_segments(tmp_path / "notes.h5")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"segments\.h5: the HDF5 file is truncated or damaged"):
        read_segments(path)


def test_missing_dataset(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["tracks"] = np.zeros(3)
    with pytest.raises(InputError, match=r"other\.h5: dataset `segments` is missing, the file has `tracks`"):
        read_segments(tmp_path / "other.h5")


@pytest.mark.parametrize("column", ["dE", "x_start", "eventID"])
def test_missing_column(path: Path, column: str) -> None:
    with h5py.File(path, "r+") as file:
        rows = file["segments"][()]
        del file["segments"]
        file["segments"] = rows[[name for name in rows.dtype.names if name != column]]
    with pytest.raises(InputError, match=rf"segments\.h5: `segments` lacks the column `{column}`"):
        read_segments(path)


@pytest.mark.parametrize(("column", "value"), [("dE", np.nan), ("z_start", np.inf), ("t0", np.nan)])
def test_not_finite(path: Path, column: str, value: float) -> None:
    _change(path, column, 7, value)
    with pytest.raises(InputError, match=rf"segments\.h5: segments: `{column}` must be finite, row 7 is {value}"):
        read_segments(path)


def test_negative_energy(path: Path) -> None:
    _change(path, "dE", 3, -0.5)
    with pytest.raises(InputError, match=r"segments\.h5: segments: `dE` must not be negative, row 3 is -0\.5"):
        read_segments(path)


def test_no_rows(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        rows = file["segments"][:0]
        del file["segments"]
        file["segments"] = rows
    with pytest.raises(InputError, match=r"segments\.h5: `segments` has no rows"):
        read_segments(path)


@pytest.mark.parametrize("folder", ["absent", "file"])
def test_unwritable_output(tmp_path: Path, segments: Segments, folder: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"out\.h5: cannot be written; choose a file in a folder that exists"):
        write_segments(tmp_path / folder / "out.h5", segments)


def test_a_folder_is_not_overwritten(tmp_path: Path, segments: Segments) -> None:
    (tmp_path / "out.h5").mkdir()
    with pytest.raises(InputError, match=r"out\.h5: cannot be written"):
        write_segments(tmp_path / "out.h5", segments)
    assert list(tmp_path.iterdir()) == [tmp_path / "out.h5"]
