"""Light detectors: our own presets and TOML files, and the YAML files of siren-pfmatch."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import yaml
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, PositiveInt, ValidationError

from bayescal.errors import InputError
from bayescal.light.box import Box
from bayescal.light.detector import DriftVolumes, LightDetector
from bayescal.light.sensors import Sensors

_AXES = "xyz"

Position = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Share = Annotated[float, Field(ge=0, le=1)]


class _Table(BaseModel):
    """A table of the file: no unknown keys."""

    model_config = ConfigDict(extra="forbid")


class _Box(_Table):
    lower_cm: Position
    upper_cm: Position
    n_voxels: tuple[PositiveInt, PositiveInt, PositiveInt]


class _Drift(_Table):
    lower_cm: list[Position] = Field(min_length=1)
    upper_cm: list[Position] = Field(min_length=1)
    direction: list[Literal[-1, 1]] = Field(min_length=1)


class _Walls(_Table):
    reflectivity: Annotated[list[Share], Field(min_length=6, max_length=6)]


class _Kind(_Table):
    area_cm2: PositiveFloat
    efficiency: Share


class _SensorGroup(_Table):
    kind: str
    normal: Position
    position_cm: list[Position] = Field(min_length=1)


class _Volume(_Table):
    """One volume with its sensors."""

    name: str
    source: str = ""
    box: _Box
    drift: _Drift
    walls: _Walls
    kinds: dict[str, _Kind]
    sensors: list[_SensorGroup] = Field(min_length=1)
    dead_sensors: list[int] = []


class _Copies(_Table):
    centre_cm: list[Position] = Field(min_length=1)
    mirrored: list[Annotated[str, Field(pattern=f"^[{_AXES}]*$")]]


class _CopiedVolume(_Table):
    """Copies of the volume of another detector."""

    name: str
    source: str = ""
    like: str
    volumes: _Copies
    dead_sensors: list[int] = []


_T = TypeVar("_T", bound=_Table)


class PfmatchDetector(NamedTuple):
    """What a detector file of siren-pfmatch says.

    Attributes:
        sensor_cm: positions of the sensors [cm].
        lower_cm, upper_cm: corners of the drift volumes [cm].
        photons_per_mev: light yield [1/MeV].
        drift_velocity: of electrons [cm/us].
    """

    sensor_cm: Float[np.ndarray, "sensor 3"]
    lower_cm: Float[np.ndarray, "volume 3"]
    upper_cm: Float[np.ndarray, "volume 3"]
    photons_per_mev: float
    drift_velocity: float


def read_light_detector(name_or_path: Path | str) -> LightDetector:
    """Read a light detector.

    Args:
        name_or_path: name of a detector that comes with the package, as "module0"; or a TOML file like those.

    Raises:
        InputError: if there is no such detector, or a file cannot be understood.
    """
    path = _file(name_or_path)
    table = _read_toml(path)
    if "like" not in table:
        return _one_volume(path, _validated(path, _Volume, table))
    copied = _validated(path, _CopiedVolume, table)
    like = _file(copied.like)
    return _copies(path, copied, _one_volume(like, _validated(like, _Volume, _read_toml(like))))


def list_light_detectors() -> list[str]:
    """Names of the light detectors that come with the package."""
    folder = resources.files("bayescal") / "detectors" / "light"
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".toml"))


def read_pfmatch_detector(path: Path | str) -> PfmatchDetector:
    """Read a detector file of siren-pfmatch (https://github.com/CIDeR-ML/siren-pfmatch), a YAML file.

    Raises:
        InputError: if there is no such file or it cannot be understood.
    """
    path = Path(path)
    table = _read_yaml(path)
    corners = _rows(path, table, r"TPC(\d+)", (2, 3))
    if corners.size == 0:
        ends = [_rows(path, table, rf"{end}Position_TPC(\d+)", (3,)) for end in ("Min", "Max")]
        if ends[0].shape != ends[1].shape:
            raise InputError(f"{path}: as many `MinPosition_TPC...` as `MaxPosition_TPC...` are needed; mend the file")
        corners = np.stack(ends, axis=1)
    sensors = _rows(path, table, r"PMT(\d+)", (3,))
    if corners.size == 0 or sensors.size == 0:
        raise InputError(f"{path}: `PMT0`, ... and `TPC0`, ... are needed; give a detector file of siren-pfmatch")
    numbers = [table.get(key) for key in ("LightYield", "DriftVelocity")]
    if not all(isinstance(number, int | float) for number in numbers):
        raise InputError(f"{path}: `LightYield` and `DriftVelocity` must be numbers, they are {numbers}")
    return PfmatchDetector(sensors, corners[:, 0], corners[:, 1], float(numbers[0]), float(numbers[1]))


def _file(name_or_path: Path | str) -> Path:
    """A user's TOML file, or the one of a detector that comes with the package."""
    path, name = Path(name_or_path), str(name_or_path)
    if path.suffix == ".toml":
        return path
    if name not in list_light_detectors():
        known = ", ".join(list_light_detectors())
        raise InputError(f"there is no light detector `{name}`: give one of {known}, or a path to a .toml file")
    return Path(str(resources.files("bayescal") / "detectors" / "light" / f"{name}.toml"))


def _read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: this is not a TOML file of a light detector ({error})") from error


def _validated(path: Path, kind: type[_T], table: dict[str, Any]) -> _T:
    """A checked file, or one sentence on its first fault."""
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        message = f"{path}: `{key}`: {fault['msg']}; detectors/light/module0.toml shows how"
        raise InputError(message) from error


def _one_volume(path: Path, volume: _Volume) -> LightDetector:
    """The detector of a file with sensors."""
    box = _box(path, volume.box)
    detector = LightDetector(
        name=volume.name,
        sensors=_sensors(path, volume),
        box=box,
        reflectivity=np.array(volume.walls.reflectivity),
        drift=_drift(path, volume.drift),
        centre_cm=((box.lower_cm + box.upper_cm) / 2)[None],
        mirrored=np.zeros((1, 3), bool),
        n_voxels=volume.box.n_voxels,
        dead_sensors=tuple(volume.dead_sensors),
        source=volume.source,
    )
    return _refuse_unknown_dead(path, detector)


def _copies(path: Path, copied: _CopiedVolume, volume: LightDetector) -> LightDetector:
    """The detector of a file that names the volume of another one."""
    places = copied.volumes
    if len(places.mirrored) != len(places.centre_cm):
        raise InputError(f'{path}: [volumes] needs one of `mirrored` for each of `centre_cm`; write "" for no mirror')
    detector = LightDetector(
        name=copied.name,
        sensors=volume.sensors,
        box=volume.box,
        reflectivity=volume.reflectivity,
        drift=volume.drift,
        centre_cm=np.array(places.centre_cm),
        mirrored=np.array([[axis in axes for axis in _AXES] for axes in places.mirrored]),
        n_voxels=volume.n_voxels,
        dead_sensors=tuple(copied.dead_sensors),
        source=copied.source,
    )
    return _refuse_unknown_dead(path, detector)


def _box(path: Path, box: _Box) -> Box:
    """The volume."""
    try:
        return Box(np.array(box.lower_cm), np.array(box.upper_cm))
    except ValueError as error:
        raise InputError(f"{path}: [box]: {error}") from error


def _drift(path: Path, drift: _Drift) -> DriftVolumes:
    """The drift volumes of one volume."""
    if not len(drift.lower_cm) == len(drift.upper_cm) == len(drift.direction):
        raise InputError(f"{path}: [drift] needs as many `lower_cm`, `upper_cm` and `direction`; one a drift volume")
    return DriftVolumes(np.array(drift.lower_cm), np.array(drift.upper_cm), np.array(drift.direction, float))


def _sensors(path: Path, volume: _Volume) -> Sensors:
    """The sensors of one volume, group after group."""
    groups = volume.sensors
    unknown = [group.kind for group in groups if group.kind not in volume.kinds]
    if unknown:
        raise InputError(f"{path}: [kinds.{unknown[0]}] is missing; add it with `area_cm2` and `efficiency`")
    count = [len(group.position_cm) for group in groups]
    normal = np.array([group.normal for group in groups])
    if not np.allclose(np.linalg.norm(normal, axis=1), 1.0):
        raise InputError(f"{path}: every `normal` must have length 1; write for example [0, 0, 1]")
    kinds = [volume.kinds[group.kind] for group in groups]
    return Sensors(
        position_cm=np.concatenate([group.position_cm for group in groups]),
        normal=np.repeat(normal, count, axis=0),
        area_cm2=np.repeat([kind.area_cm2 for kind in kinds], count),
        efficiency=np.repeat([kind.efficiency for kind in kinds], count),
        kind=tuple(np.repeat([group.kind for group in groups], count).tolist()),
    )


def _refuse_unknown_dead(path: Path, detector: LightDetector) -> LightDetector:
    """The detector, if its dead sensors exist."""
    unknown = [number for number in detector.dead_sensors if not 0 <= number < detector.n_sensors]
    if unknown:
        raise InputError(
            f"{path}: `dead_sensors`: there is no sensor {unknown[0]}, the last is {detector.n_sensors - 1}"
        )
    return detector


def _read_yaml(path: Path) -> dict[str, Any]:
    """The mapping of a YAML file."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"{path}: this is not a YAML file of siren-pfmatch ({' '.join(str(error).split())})"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a table of keys is expected; give a detector file of siren-pfmatch")
    return content


def _rows(path: Path, table: dict[str, Any], pattern: str, shape: tuple[int, ...]) -> np.ndarray:
    """The arrays under numbered keys, in the order of their numbers, from 0 and without gaps."""
    found = {int(match[1]): value for key, value in table.items() if (match := re.fullmatch(pattern, str(key)))}
    if sorted(found) != list(range(len(found))):
        raise InputError(f"{path}: keys like `{pattern}` must be numbered from 0 without gaps; mend the file")
    try:
        rows = np.array([np.array(found[number], float) for number in range(len(found))])
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: keys like `{pattern}` must hold numbers, in equal shapes ({error})") from error
    if rows.size and (rows.shape[1:] != shape or not np.isfinite(rows).all()):
        raise InputError(f"{path}: each key like `{pattern}` must hold finite numbers in the shape {shape}")
    return rows
