from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.light.box import Box
from bayescal.light.library import PhotonLibrary, voxel_centres_cm
from bayescal.light.volumes import MultiVolume
from bayescal.readers.photonlib import (
    read_multi_volume_library,
    read_photon_library,
    write_multi_volume_library,
    write_photon_library,
)

BOX = Box(np.array([-2.0, 0.0, 1.0]), np.array([4.0, 5.0, 3.0]))
TABLE = np.random.default_rng(1).uniform(0.0, 1e-3, (2, 3, 4, 5)).astype(np.float32)


def one() -> PhotonLibrary:
    return PhotonLibrary(BOX, TABLE, np.array([0.1, 0.2, 0.3, 0.4, 0.5]))


def several(*, mirrored: bool = False) -> MultiVolume:
    """Three volumes that touch, the first and the last with the same table."""
    lower = BOX.lower_cm + np.array([[0.0, 0, 0], [6, 0, 0], [12, 0, 0]])
    other = PhotonLibrary(Box(lower[1], lower[1] + BOX.size_cm), 2 * TABLE[:1, :, :, :2])
    return MultiVolume(
        children=(PhotonLibrary(BOX, TABLE), other),
        child=(0, 1, 0),
        lower_cm=lower,
        upper_cm=lower + BOX.size_cm,
        mirrored=np.array([[False] * 3, [False] * 3, [mirrored, False, False]]),
    )


def write_raw(path: Path, **changes: object) -> Path:
    """Photonlib's file of the library, by h5py alone, with datasets changed, or left out where None is given."""
    rows = np.stack([TABLE[x, y, z] for z in range(4) for y in range(3) for x in range(2)])
    content = {"numvox": [2, 3, 4], "min": [-2.0, 0.0, 1.0], "max": [4.0, 5.0, 3.0], "vis": rows} | changes
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values is not None:
                file[name] = values
    return path


def write_raw_volumes(path: Path, **changes: object) -> Path:
    """Photonlib's file of two volumes with one table."""
    ranges = np.array([[[0.0, 1], [0, 1], [0, 1]], [[1.0, 2], [0, 1], [0, 1]]])
    content = {"meta_range": ranges, "meta_nvox": [[1, 1, 2]] * 2, "data_id": [0, 0], "vis0": np.ones((2, 3))}
    with h5py.File(path, "w") as file:
        for name, values in (content | changes).items():
            if values is not None:
                file[name] = values
    return path


def test_voxels_run_along_x_first(tmp_path: Path) -> None:
    library = read_photon_library(write_raw(tmp_path / "lib.h5", eff=0.5))
    np.testing.assert_array_equal(library.visibility, TABLE)
    np.testing.assert_array_equal(library.box.upper_cm, BOX.upper_cm)
    assert library.efficiency == 0.5
    assert read_photon_library(write_raw(tmp_path / "lib.h5")).efficiency == 1.0


def test_one_volume_comes_back(tmp_path: Path) -> None:
    write_photon_library(tmp_path / "lib.h5", one())
    found = read_photon_library(tmp_path / "lib.h5")
    np.testing.assert_array_equal(found.visibility, TABLE)
    np.testing.assert_array_equal(found.efficiency, one().efficiency)
    np.testing.assert_array_equal([found.box.lower_cm, found.box.upper_cm], [BOX.lower_cm, BOX.upper_cm])


def test_what_photonlib_finds_in_our_file(tmp_path: Path) -> None:
    """Its look-up, written out: voxel ix + nx iy + nx ny iz with indices that are cut off, one row a voxel."""
    write_photon_library(tmp_path / "lib.h5", one())
    point = np.array([2.7, 4.1, 1.2])
    with h5py.File(tmp_path / "lib.h5") as file:
        assert sorted(file) == ["eff", "max", "min", "numvox", "vis"]
        assert (file["vis"].dtype, file["vis"].compression) == (np.float32, "gzip")
        lower, upper, count = (file[name][:] for name in ("min", "max", "numvox"))
        index = ((point - lower) / ((upper - lower) / count)).astype(int)
        seen = file["vis"][int(index @ [1, count[0], count[0] * count[1]])] * file["eff"][()]
    np.testing.assert_allclose(one().nearest(point), seen, rtol=1e-6)


def test_efficiency_of_one_is_not_written(tmp_path: Path) -> None:
    write_photon_library(tmp_path / "lib.h5", PhotonLibrary(BOX, TABLE))
    with h5py.File(tmp_path / "lib.h5") as file:
        assert "eff" not in file


def test_several_volumes_come_back(tmp_path: Path) -> None:
    write_multi_volume_library(tmp_path / "lib.h5", several())
    with h5py.File(tmp_path / "lib.h5") as file:
        assert sorted(file) == ["data_id", "meta_nvox", "meta_range", "vis0", "vis1"]
        np.testing.assert_array_equal(file["data_id"], [0, 1, 0])
        np.testing.assert_array_equal(file["meta_range"][1], [[4.0, 10.0], [0.0, 5.0], [1.0, 3.0]])
    found = read_multi_volume_library(tmp_path / "lib.h5")
    assert found.child == (0, 1, 0)
    centres = voxel_centres_cm(BOX, (2, 2, 2)).reshape(-1, 1, 3) + np.array([[0.0, 0, 0], [6, 0, 0], [12, 0, 0]])
    np.testing.assert_allclose(found(centres), several()(centres), rtol=1e-12)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lib\.h5: there is no such file"):
        read_photon_library(tmp_path / "lib.h5")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "lib.h5").write_text("visibility")
    with pytest.raises(InputError, match=r"lib\.h5: this is not an HDF5 file"):
        read_photon_library(tmp_path / "lib.h5")


def test_a_truncated_file(tmp_path: Path) -> None:
    whole = write_raw(tmp_path / "whole.h5").read_bytes()
    (tmp_path / "lib.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"lib\.h5: the HDF5 file is truncated or damaged"):
        read_photon_library(tmp_path / "lib.h5")


def changed(row: int, value: float) -> np.ndarray:
    rows = np.zeros((24, 5))
    rows[row, 3] = value
    return rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vis": None}, "lacks the dataset `vis`"),
        ({"min": None}, "lacks the dataset `min`"),
        ({"vis": np.zeros((23, 5))}, r"`vis` must have 24 rows for 2 x 3 x 4 voxels .*\(23, 5\)"),
        ({"vis": np.zeros((24, 5, 7))}, r"`vis` must have 24 rows .*\(24, 5, 7\)"),
        ({"vis": np.zeros((24, 0))}, "a column a sensor"),
        ({"vis": np.full((24, 5), b"x")}, "`vis` must hold numbers"),
        ({"vis": changed(7, np.nan)}, "`vis` must be finite and not negative, row 7 is not"),
        ({"vis": changed(8, np.inf)}, "`vis` must be finite and not negative, row 8 is not"),
        ({"vis": changed(9, -1e-9)}, "`vis` must be finite and not negative, row 9 is not"),
        ({"numvox": [2, 3]}, "`numvox` must be three whole numbers above zero"),
        ({"numvox": [2, 3, 0]}, "`numvox` must be three whole numbers above zero"),
        ({"numvox": [2.5, 3, 4]}, "`numvox` must be three whole numbers above zero"),
        ({"max": [4.0, 0.0, 3.0]}, r"`min` and `max`: .* is not below"),
        ({"max": [4.0, np.nan, 3.0]}, "`min` and `max` must hold three numbers each"),
        ({"min": [b"a", b"b", b"c"]}, "`min` must hold numbers"),
        ({"eff": [1.0, 2.0]}, "`eff` must be one number or 5"),
        ({"eff": -1.0}, "`eff` must be finite and not negative"),
    ],
)
def test_bad_library(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=rf"lib\.h5: .*{message}"):
        read_photon_library(write_raw(tmp_path / "lib.h5", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vis0": None}, "lacks the dataset `vis0`"),
        ({"data_id": [0, 1]}, "lacks the dataset `vis1`"),
        ({"meta_nvox": None}, "lacks the dataset `meta_nvox`"),
        ({"data_id": [0]}, r"must be \(n\), \(n, 3, 2\), \(n, 3\), not \(1,\), \(2, 3, 2\), \(2, 3\)"),
        ({"meta_nvox": [[1, 1, 2], [2, 1, 1]]}, r"volumes \[0, 1\] share `vis0` but differ in `meta_nvox`"),
        ({"meta_nvox": [[1, 1, 3]] * 2}, "`vis0` must have 3 rows"),
        ({"meta_range": np.array([[[0.0, 1]] * 3] * 2)}, "volumes 0 and 1 of `meta_range` overlap"),
        ({"meta_range": np.array([[[0.0, 1]] * 3, [[3.0, 2]] * 3])}, "`meta_range` of volume 1: .* is not below"),
    ],
)
def test_bad_library_of_volumes(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=rf"lib\.h5: .*{message}"):
        read_multi_volume_library(write_raw_volumes(tmp_path / "lib.h5", **changes))


def test_the_wrong_reader(tmp_path: Path) -> None:
    read: list[tuple[Callable, Path, str]] = [
        (read_photon_library, write_raw_volumes(tmp_path / "a.h5"), "read it with `read_multi_volume_library`"),
        (read_multi_volume_library, write_raw(tmp_path / "b.h5"), "read one volume with `read_photon_library`"),
    ]
    for reader, path, message in read:
        with pytest.raises(InputError, match=message):
            reader(path)


def test_what_the_layout_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="layout has no mirror images"):
        write_multi_volume_library(tmp_path / "lib.h5", several(mirrored=True))
    half = MultiVolume((one(),), (0,), BOX.lower_cm[None], BOX.upper_cm[None], np.zeros((1, 3), bool))
    with pytest.raises(InputError, match="has no efficiency"):
        write_multi_volume_library(tmp_path / "lib.h5", half)
    nested = MultiVolume((several(),), (0,), BOX.lower_cm[None], BOX.upper_cm[None], np.zeros((1, 3), bool))
    with pytest.raises(InputError, match="only photon libraries can be written"):
        write_multi_volume_library(tmp_path / "lib.h5", nested)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_photon_library(tmp_path / "absent/lib.h5", one())
