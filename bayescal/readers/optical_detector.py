"""Optical detectors: our own presets and TOML files, LUCiD's JSON files, and tables of sensors (CSV)."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from bayescal.errors import InputError
from bayescal.optical import efficiency
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.geometry import (
    Cylinder,
    Sphere,
    Tank,
    find_faults,
    grid_on_cylinder,
    rings_on_cylinder,
    spiral_on_sphere,
)
from bayescal.optical.sensors import ACCEPTANCES, Photosensors

Share = Annotated[float, Field(ge=0, le=1)]

_COLUMNS = ("x_m", "y_m", "z_m", "normal_x", "normal_y", "normal_z")
_CURVES = {
    "R3600": efficiency.R3600,
    "R12860": efficiency.R12860,
    "R14374": efficiency.R14374,
    "SiPM": efficiency.SIPM,
}


class _Table(BaseModel):
    """A table of the file: no unknown keys."""

    model_config = ConfigDict(extra="forbid")


class _Tank(_Table):
    shape: Literal["cylinder", "sphere"]
    radius_m: PositiveFloat
    height_m: PositiveFloat | None = None

    @property
    def tank(self) -> Tank:
        """The shape itself."""
        return Sphere(self.radius_m) if self.height_m is None else Cylinder(self.radius_m, self.height_m)


class _Sensors(_Table):
    radius_m: PositiveFloat
    placement: Literal["grid", "rings", "spiral", "table"]
    acceptance: Literal["disc", "hemisphere", "super_kamiokande"] = "disc"
    batches: PositiveInt = 1
    dead: list[int] = []
    pitch_m: PositiveFloat | None = None
    columns: PositiveInt | None = None
    rows: PositiveInt | None = None
    number: PositiveInt | None = None
    table: Path | None = None


class _Readout(_Table):
    efficiency: Literal["R3600", "R12860", "R14374", "SiPM"] = "R3600"
    transit_sd_ns: PositiveFloat = 2.2
    dark_rate_khz: NonNegativeFloat = 4.2


class _Reflectivity(_Table):
    sensor: Share = 0.2
    wall: Share = 0.055


class _Detector(_Table):
    name: str
    source: str = ""
    tank: _Tank
    sensors: _Sensors
    readout: _Readout = _Readout()
    reflectivity: _Reflectivity = _Reflectivity()


class _LucidGeometry(_Table):
    radius: PositiveFloat
    height: PositiveFloat | None = None
    n_sensors: PositiveInt
    sensor_radius: PositiveFloat


class _Lucid(_Table):
    detector_type: Literal["cylinder", "sphere"]
    geometry_definitions: _LucidGeometry


_T = TypeVar("_T", bound=_Table)


def read_optical_detector(name_or_path: Path | str) -> OpticalDetector:
    """Read an optical detector.

    Args:
        name_or_path: name of a detector that comes with the package, as "super_kamiokande"; a TOML file like those; or
            a JSON file of LUCiD (https://github.com/CIDeR-ML/LUCiD).

    Raises:
        InputError: if there is no such detector, or a file cannot be understood.
    """
    path = Path(name_or_path)
    if path.suffix == ".json":
        detector = _build(path, _from_lucid(path))
        return replace(detector, faults=(*detector.faults, *_diameter_for_radius(detector)))
    path = _file(name_or_path)
    return _build(path, _validated(path, _Detector, _load(path, tomllib.loads, "a TOML file of an optical detector")))


def list_optical_detectors() -> list[str]:
    """Names of the optical detectors that come with the package."""
    folder = resources.files("bayescal") / "detectors" / "optical"
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".toml"))


def _file(name_or_path: Path | str) -> Path:
    path, name = Path(name_or_path), str(name_or_path)
    if path.suffix == ".toml":
        return path
    if name not in list_optical_detectors():
        known = ", ".join(list_optical_detectors())
        raise InputError(f"there is no optical detector `{name}`: give one of {known}, or a .toml or .json file")
    return Path(str(resources.files("bayescal") / "detectors" / "optical" / f"{name}.toml"))


def _load(path: Path, parse: Any, kind: str) -> Any:
    """What a text file holds."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: this is not {kind} ({error})") from error


def _validated(path: Path, kind: type[_T], table: Any) -> _T:
    """A checked file, or one sentence on its first fault."""
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise InputError(
            f"{path}: `{key}`: {fault['msg']}; detectors/optical/super_kamiokande.toml shows how"
        ) from error


def _from_lucid(path: Path) -> _Detector:
    """The same as our own file; what LUCiD leaves open has our defaults."""
    lucid = _validated(path, _Lucid, _load(path, json.loads, "a JSON file of an optical detector"))
    shape, numbers = lucid.detector_type, lucid.geometry_definitions
    placement = "rings" if shape == "cylinder" else "spiral"
    return _Detector(
        name=path.stem.removesuffix("_geom_config"),
        source="LUCiD",
        tank=_Tank(shape=shape, radius_m=numbers.radius, height_m=numbers.height),
        sensors=_Sensors(radius_m=numbers.sensor_radius, placement=placement, number=numbers.n_sensors),
    )


def _diameter_for_radius(detector: OpticalDetector) -> list[str]:
    """A fault where the radius is twice that of our detector of the same name."""
    name = detector.name.lower()
    if name not in list_optical_detectors():
        return []
    radius_m, published_m = detector.tank.radius_m, read_optical_detector(name).tank.radius_m
    if not np.isclose(radius_m, 2 * published_m, rtol=0.02):
        return []
    return [
        f"the radius of {radius_m:g} m is the published diameter of {detector.name}, its radius is {published_m:g} m"
    ]


def _build(path: Path, file: _Detector) -> OpticalDetector:
    if (file.tank.shape == "cylinder") != (file.tank.height_m is not None):
        raise InputError(f"{path}: `tank.height_m` belongs to a cylinder, and only to it; mend the file")
    tank = file.tank.tank
    position, normal, batch = _placed(path, file.sensors, tank)
    unknown = [number for number in file.sensors.dead if not 0 <= number < len(position)]
    if unknown:
        raise InputError(f"{path}: `sensors.dead` names {unknown[0]}, there are {len(position)} sensors, from 0")
    faults = find_faults(tank, position, file.sensors.radius_m)
    return OpticalDetector(
        name=file.name,
        tank=tank,
        sensors=Photosensors(
            position_m=position,
            normal=normal,
            radius_m=file.sensors.radius_m,
            acceptance=ACCEPTANCES[file.sensors.acceptance],
            batch=batch,
            live=~np.isin(np.arange(len(position)), file.sensors.dead),
        ),
        efficiency=_CURVES[file.readout.efficiency],
        transit_sd_ns=file.readout.transit_sd_ns,
        dark_rate_khz=file.readout.dark_rate_khz,
        sensor_reflectivity=file.reflectivity.sensor,
        wall_reflectivity=file.reflectivity.wall,
        faults=tuple(fault.sentence for fault in faults),
        source=file.source,
    )


def _placed(path: Path, sensors: _Sensors, tank: Tank) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, normals and batches of the sensors."""
    if sensors.placement == "table":
        return _from_table(path, sensors)
    position = _positions(path, sensors, tank)
    return position, tank.inward_normal(position), np.arange(len(position)) % sensors.batches


def _positions(path: Path, sensors: _Sensors, tank: Tank) -> np.ndarray:
    if sensors.placement == "spiral":
        if not isinstance(tank, Sphere):
            raise InputError(f"{path}: `sensors.placement` = spiral is for a sphere; choose grid, rings or table")
        return spiral_on_sphere(tank, _needed(path, sensors, "number"))
    if not isinstance(tank, Cylinder):
        raise InputError(f"{path}: `sensors.placement` = {sensors.placement} is for a cylinder; choose spiral or table")
    if sensors.placement == "rings":
        return rings_on_cylinder(tank, _needed(path, sensors, "number"), sensors.radius_m)
    pitch, columns, rows = (_needed(path, sensors, key) for key in ("pitch_m", "columns", "rows"))
    return grid_on_cylinder(tank, pitch, columns, rows, sensors.radius_m)


def _needed(path: Path, sensors: _Sensors, key: str) -> Any:
    value = getattr(sensors, key)
    if value is None:
        raise InputError(f"{path}: `sensors.{key}` is missing, `placement` = {sensors.placement} needs it")
    return value


def _from_table(path: Path, sensors: _Sensors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sensors of a CSV file with a line of names, one row a sensor."""
    file = path.parent / Path(_needed(path, sensors, "table")).expanduser()
    try:
        rows = np.atleast_1d(np.genfromtxt(file, delimiter=",", names=True, dtype=float, encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a table of sensors ({error})") from error
    missing = [name for name in _COLUMNS if name not in (rows.dtype.names or ())]
    if missing or not rows.size:
        raise InputError(f"{file}: needs the columns {', '.join(_COLUMNS)} and one row a sensor; it lacks some of them")
    values = np.stack([rows[name] for name in _COLUMNS], axis=1)
    length = np.linalg.norm(values[:, 3:], axis=1)
    bad = ~np.isfinite(values).all(axis=1) | ~(length > 0)
    if bad.any():
        raise InputError(f"{file}: row {int(np.argmax(bad))} has no finite position or no normal; mend or leave it out")
    batch = (
        rows["batch"].astype(int) if "batch" in (rows.dtype.names or ()) else np.arange(len(values)) % sensors.batches
    )
    return values[:, :3], values[:, 3:] / length[:, None], batch
