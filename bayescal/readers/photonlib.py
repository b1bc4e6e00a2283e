"""Photon libraries in photonlib's HDF5 files (https://github.com/CIDeR-ML/photonlib).

One volume: `numvox` (voxels along x, y, z), `min` and `max` (corners of the box [cm]), `vis` (one row a voxel, one
column a sensor) with the voxel `ix + nx iy + nx ny iz` in each row, and optionally `eff`, a factor on `vis`. Several
volumes: `meta_nvox` and `meta_range` (voxels, and lower and upper x, y, z of each volume), `data_id` and tables `vis0`,
`vis1`, ...; the i-th volume has the table named by the i-th `data_id`. That layout knows no mirror images.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.light.box import Box
from bayescal.light.library import PhotonLibrary
from bayescal.light.volumes import MultiVolume
from bayescal.readers.hdf5 import open_hdf5, read_array, write_hdf5


def read_photon_library(path: Path | str) -> PhotonLibrary:
    """Read the library of one volume.

    Raises:
        InputError: if the file or a dataset is missing or damaged, shapes do not fit each other, or a value is no
            number or negative.
    """
    with open_hdf5(path) as file:
        if "meta_range" in file:
            raise InputError(f"{path}: this is a library of several volumes; read it with `read_multi_volume_library`")
        n_voxels = _voxels(path, "numvox", read_array(file, "numvox"))
        box = _box(path, "`min` and `max`", read_array(file, "min"), read_array(file, "max"))
        table = _table(path, "vis", read_array(file, "vis"), n_voxels)
        efficiency = read_array(file, "eff") if "eff" in file else np.ones(())
    return PhotonLibrary(box, table, _efficiency(path, efficiency, table.shape[3]))


def write_photon_library(path: Path | str, library: PhotonLibrary) -> None:
    """Write the library of one volume, so that photonlib reads it; the file appears when it is complete.

    Raises:
        InputError: if it cannot be written.
    """
    with write_hdf5(path) as file:
        file["numvox"] = np.array(library.n_voxels)
        file["min"], file["max"] = np.asarray(library.box.lower_cm), np.asarray(library.box.upper_cm)
        _write_table(file, "vis", library)
        efficiency = np.asarray(library.efficiency, float)
        if (efficiency != 1).any():
            file["eff"] = efficiency


def read_multi_volume_library(path: Path | str) -> MultiVolume:
    """Read the library of several volumes.

    Raises:
        InputError: as `read_photon_library`; if volumes overlap; or if volumes with one table differ in their voxels.
    """
    with open_hdf5(path) as file:
        if "meta_range" not in file:
            raise InputError(f"{path}: `meta_range` is missing; read one volume with `read_photon_library`")
        ranges, voxels = read_array(file, "meta_range"), read_array(file, "meta_nvox")
        names = _names(path, read_array(file, "data_id"), ranges, voxels)
        boxes = [_box(path, f"`meta_range` of volume {i}", *ends.T) for i, ends in enumerate(ranges)]
        first = {name: names.index(name) for name in dict.fromkeys(names)}
        libraries = []
        for name, volume in first.items():
            alike = [i for i, other in enumerate(names) if other == name]
            if (voxels[alike] != voxels[volume]).any():
                raise InputError(f"{path}: volumes {alike} share `{name}` but differ in `meta_nvox`; make them equal")
            n_voxels = _voxels(path, f"meta_nvox of volume {volume}", voxels[volume])
            libraries.append(PhotonLibrary(boxes[volume], _table(path, name, read_array(file, name), n_voxels)))
    _refuse_overlaps(path, boxes)
    return MultiVolume(
        children=tuple(libraries),
        child=tuple(list(first).index(name) for name in names),
        lower_cm=np.stack([box.lower_cm for box in boxes]),
        upper_cm=np.stack([box.upper_cm for box in boxes]),
        mirrored=np.zeros((len(boxes), 3), bool),
    )


def write_multi_volume_library(path: Path | str, volumes: MultiVolume) -> None:
    """Write the library of several volumes, so that photonlib reads it; the file appears when it is complete.

    Raises:
        InputError: if a volume is a mirror image or a child is not a photon library with efficiency one, which the
            layout cannot hold; if the file cannot be written.
    """
    libraries = [child for child in volumes.children if isinstance(child, PhotonLibrary)]
    if len(libraries) < len(volumes.children):
        raise InputError(f"{path}: only photon libraries can be written; tabulate each volume's visibility first")
    if np.asarray(volumes.mirrored).any():
        raise InputError(f"{path}: photonlib's layout has no mirror images; give such a volume a table of its own")
    if any((np.asarray(library.efficiency) != 1).any() for library in libraries):
        raise InputError(f"{path}: photonlib's layout of several volumes has no efficiency; multiply the tables by it")
    with write_hdf5(path) as file:
        file["meta_range"] = np.stack([volumes.lower_cm, volumes.upper_cm], axis=-1)
        file["meta_nvox"] = np.array([libraries[child].n_voxels for child in volumes.child])
        file["data_id"] = np.array(volumes.child)
        for index, library in enumerate(libraries):
            _write_table(file, f"vis{index}", library)


def _write_table(file: h5py.File, name: str, library: PhotonLibrary) -> None:
    """Visibilities with one row a voxel, x fastest."""
    rows = np.asarray(library.visibility, np.float32).swapaxes(0, 2).reshape(-1, library.n_sensors)
    file.create_dataset(name, data=rows, compression="gzip")


def _table(path: Path | str, name: str, rows: NDArray, n_voxels: tuple[int, int, int]) -> jnp.ndarray:
    """Visibilities by x, y, z and sensor from rows with x fastest."""
    if rows.ndim != 2 or rows.shape[0] != np.prod(n_voxels) or rows.shape[1] == 0:
        expected = f"{np.prod(n_voxels)} rows for {' x '.join(map(str, n_voxels))} voxels and a column a sensor"
        raise InputError(f"{path}: `{name}` must have {expected}, its shape is {rows.shape}; mend the file")
    if rows.dtype.kind not in "fiu":
        raise InputError(f"{path}: `{name}` must hold numbers, it holds {rows.dtype}; write visibilities")
    bad = ~(np.isfinite(rows) & (rows >= 0)).all(axis=1)
    if bad.any():
        raise InputError(
            f"{path}: `{name}` must be finite and not negative, row {np.argmax(bad)} is not; mend it or make it 0"
        )
    return jnp.asarray(rows.astype(np.float32).reshape(*n_voxels[::-1], -1).swapaxes(0, 2))


def _voxels(path: Path | str, name: str, values: NDArray) -> tuple[int, int, int]:
    """Voxels along x, y and z."""
    if values.shape != (3,) or not (np.isfinite(values) & (values >= 1) & (values % 1 == 0)).all():
        raise InputError(f"{path}: `{name}` must be three whole numbers above zero, it is {values.tolist()}")
    n_x, n_y, n_z = (int(value) for value in values)
    return n_x, n_y, n_z


def _box(path: Path | str, name: str, lower: NDArray, upper: NDArray) -> Box:
    """A box from its corners."""
    if lower.shape != (3,) or upper.shape != (3,) or not (np.isfinite(lower) & np.isfinite(upper)).all():
        raise InputError(f"{path}: {name} must hold three numbers each, not {lower.tolist()} and {upper.tolist()}")
    if not (lower < upper).all():
        raise InputError(f"{path}: {name}: {lower.tolist()} is not below {upper.tolist()}; give the box's corners")
    return Box(lower.astype(float), upper.astype(float))


def _efficiency(path: Path | str, values: NDArray, n_sensors: int) -> NDArray:
    """One factor, or one for each sensor."""
    if values.shape not in ((), (1,), (n_sensors,)):
        raise InputError(f"{path}: `eff` must be one number or {n_sensors}, its shape is {values.shape}")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise InputError(f"{path}: `eff` must be finite and not negative, it is {values.tolist()}")
    return values.astype(float)


def _names(path: Path | str, data_id: NDArray, ranges: NDArray, voxels: NDArray) -> list[str]:
    """Name of the table of each volume."""
    count = data_id.size
    if data_id.shape != (count,) or ranges.shape != (count, 3, 2) or voxels.shape != (count, 3) or count == 0:
        shapes = f"{data_id.shape}, {ranges.shape}, {voxels.shape}"
        raise InputError(f"{path}: `data_id`, `meta_range`, `meta_nvox` must be (n), (n, 3, 2), (n, 3), not {shapes}")
    return [f"vis{number:.0f}" for number in data_id]


def _refuse_overlaps(path: Path | str, boxes: list[Box]) -> None:
    """Volumes may touch but not overlap."""
    for (i, one), (j, other) in combinations(enumerate(boxes), 2):
        if ((one.lower_cm < other.upper_cm) & (other.lower_cm < one.upper_cm)).all():
            raise InputError(f"{path}: volumes {i} and {j} of `meta_range` overlap; a point must be in one at most")
