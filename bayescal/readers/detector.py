"""Detectors: our own presets and TOML files, and the YAML files of larnd-sim."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from bayescal.charge.detector import ChargeDetector
from bayescal.charge.electronics import Electronics
from bayescal.charge.geometry import PixelGeometry
from bayescal.errors import InputError

_MM_PER_CM = 10.0
_DIGITS = 9  # decimals of a length in cm: rounds away what the sum of two lengths leaves behind

CONSTANTS = {
    "Ab": "Ab",
    "kb": "kb",
    "eField": "electric_field",
    "lifetime": "lifetime",
    "long_diff": "long_diff",
    "tran_diff": "tran_diff",
    "MeVToElectrons": "electrons_per_mev",
}
"""Our names of the calibration constants in larnd-sim's detector properties."""

_ELECTRONICS = {
    "DISCRIMINATION_THRESHOLD": "threshold_e",
    "RESET_NOISE_CHARGE": "reset_noise_e",
    "UNCORRELATED_NOISE_CHARGE": "uncorrelated_noise_e",
    "DISCRIMINATOR_NOISE": "discriminator_noise_e",
    "V_PEDESTAL": "v_pedestal_mv",
    "V_CM": "v_cm_mv",
    "V_REF": "v_ref_mv",
}

_LAYOUT = (
    "pixel_pitch",
    "drift_length",
    "chip_channel_to_position",
    "tile_positions",
    "tile_indeces",
    "tile_orientations",
)

_GEOMETRY = ("pitch_cm", "n_x", "n_y", "lower_cm", "anode_z_cm", "cathode_z_cm")


def read_detector(name_or_path: Path | str, layout: Path | str | None = None) -> ChargeDetector:
    """Read a detector.

    Args:
        name_or_path: name of a detector that comes with the package, as "module0"; or a TOML file like those; or
            larnd-sim's detector properties, a YAML file.
        layout: larnd-sim's pixel layout, a YAML file that belongs to its detector properties. Its drift length is used,
            the one of the detector properties is not; nor is their drift velocity, as field and temperature give it.

    Raises:
        InputError: if there is no such detector, or a file cannot be understood.
    """
    path = Path(name_or_path)
    if layout is not None:
        return _from_larndsim(path, Path(layout))
    if path.suffix in (".yaml", ".yml"):
        raise InputError(f"{path}: larnd-sim's detector properties need its pixel layout too: give it as `layout`")
    return _from_toml(path if path.suffix == ".toml" else _preset(str(name_or_path)))


def read_detector_constants(path: Path | str) -> dict[str, float]:
    """The calibration constants that larnd-sim's detector properties hold, under our names and in our units."""
    properties = _read_yaml(Path(path))
    found = {ours: properties[theirs] for theirs, ours in CONSTANTS.items() if theirs in properties}
    return {name: _number(Path(path), name, value) for name, value in found.items()}


def list_detectors() -> list[str]:
    """Names of the detectors that come with the package."""
    folder = resources.files("bayescal") / "detectors"
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".toml"))


def _preset(name: str) -> Path:
    """File of a detector that comes with the package."""
    if name not in list_detectors():
        known = ", ".join(list_detectors())
        raise InputError(f"there is no detector `{name}`: give one of {known}, or a path to a .toml file")
    return Path(str(resources.files("bayescal") / "detectors" / f"{name}.toml"))


def _from_toml(path: Path) -> ChargeDetector:
    """The detector of a TOML file of our own."""
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: this is not a TOML file of a detector ({error})") from error
    geometry = _table(path, table, "geometry")
    missing = [name for name in _GEOMETRY if name not in geometry]
    if missing:
        raise InputError(f"{path}: [geometry] lacks `{missing[0]}`; add it, detectors/module0.toml shows how")
    parts = {
        "geometry": _build(path, PixelGeometry, _numbers(path, geometry)),
        "electronics": _build(path, Electronics, _numbers(path, _table(path, table, "electronics"))),
    }
    if "response" in table:
        raise InputError(f"{path}: `response` cannot be chosen in a file; leave it out and replace it in Python")
    return _build(path, ChargeDetector, {"name": path.stem} | table | parts)


def _table(path: Path, table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table within a TOML file, empty if it is absent."""
    inner = table.get(name, {})
    if not isinstance(inner, Mapping):
        raise InputError(f"{path}: `{name}` must be a table, write [{name}]")
    return inner


def _numbers(path: Path, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """A table whose values are numbers or lists of them."""
    for key, value in table.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise InputError(f"{path}: `{key}` must be a number or a list of numbers, it is {value!r}")
    return table


def _build(path: Path, kind: type, fields: Mapping[str, Any]) -> Any:
    """An object from a file's fields, each list as a tuple."""
    known = kind.__dataclass_fields__
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise InputError(f"{path}: unknown key `{unknown[0]}`; the keys are {', '.join(known)}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def _from_larndsim(path: Path, layout_path: Path) -> ChargeDetector:
    """The detector of larnd-sim's two files."""
    properties, layout = _read_yaml(path), _read_yaml(layout_path)
    return ChargeDetector(
        name=path.stem,
        geometry=_geometry(layout_path, layout),
        electronics=_electronics(path, properties),
        temperature_k=_number(path, "temperature", properties.get("temperature", 87.17)),
        source=f"larnd-sim: {path.name}, {layout_path.name}",
    )


class _Tiles(NamedTuple):
    """Tiles of a layout: pixels along each side; centre (drift, y, x) [cm], TPC and sign of the drift of each."""

    pixels: NDArray
    centre_cm: NDArray
    tpc: NDArray
    to_cathode: NDArray


def _tiles(path: Path, layout: Mapping[str, Any]) -> _Tiles:
    """The tiles of a pixel layout."""
    missing = [name for name in _LAYOUT if name not in layout]
    if missing:
        raise InputError(f"{path}: the key `{missing[0]}` is missing; give larnd-sim's pixel layout")
    try:
        tiles = sorted(layout["tile_positions"])
        return _Tiles(
            pixels=np.max(list(layout["chip_channel_to_position"].values()), axis=0) + 1,
            centre_cm=np.array([layout["tile_positions"][tile] for tile in tiles], float) / _MM_PER_CM,
            tpc=np.array([layout["tile_indeces"][tile][0] for tile in tiles]),
            to_cathode=np.array([layout["tile_orientations"][tile][0] for tile in tiles], float),
        )
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        message = f"{path}: the tables of the tiles do not fit each other, give larnd-sim's pixel layout ({error!r})"
        raise InputError(message) from error


def _geometry(path: Path, layout: Mapping[str, Any]) -> PixelGeometry:
    """Pixel planes that the tiles make up, one for each TPC."""
    tiles = _tiles(path, layout)
    pitch_cm = _number(path, "pixel_pitch", layout["pixel_pitch"]) / _MM_PER_CM
    drift_cm = _number(path, "drift_length", layout["drift_length"]) / _MM_PER_CM
    across_cm, half_cm = tiles.centre_cm[:, [2, 1]], tiles.pixels * pitch_cm / 2
    lower_cm, upper_cm = across_cm.min(axis=0) - half_cm, across_cm.max(axis=0) + half_cm
    n_x, n_y = np.rint((upper_cm - lower_cm) / pitch_cm).astype(int)
    first = [int(np.argmax(tiles.tpc == number)) for number in np.unique(tiles.tpc)]
    anode_cm = tiles.centre_cm[first, 0]
    cathode_cm = anode_cm + tiles.to_cathode[first] * drift_cm
    rounded = [tuple(np.round(value, _DIGITS).tolist()) for value in (lower_cm, anode_cm, cathode_cm)]
    return PixelGeometry(round(pitch_cm, _DIGITS), int(n_x), int(n_y), *rounded)


def _electronics(path: Path, properties: Mapping[str, Any]) -> Electronics:
    """Electronics from the keys that the detector properties have; larnd-sim's defaults for the others."""
    present = {ours: theirs for theirs, ours in _ELECTRONICS.items() if theirs in properties}
    values = {ours: _number(path, theirs, properties[theirs]) for ours, theirs in present.items()}
    if "RESET_NOISE_CHARGE" in properties:
        values["discard_reset_noise_e"] = values["reset_noise_e"]
    if "time_interval" in properties:
        end_us = _number(path, "time_interval", np.atleast_1d(properties["time_interval"])[-1])
        values["n_ticks"] = round(end_us / Electronics().tick_us) - Electronics().first_tick
    return _build(path, Electronics, values)


def _number(path: Path, key: str, value: Any) -> float:
    """A number of a YAML file, which takes 1e3 for a text."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: `{key}` must be a number, it is {value!r}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    """The mapping of a YAML file."""
    try:
        with path.open() as file:
            content = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: this is not a YAML file of larnd-sim ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a table of keys is expected; give larnd-sim's detector properties or pixel layout")
    return content
