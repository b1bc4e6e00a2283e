from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bayescal.charge.electronics import Electronics
from bayescal.errors import InputError
from bayescal.readers.detector import list_detectors, read_detector, read_detector_constants

OWN = """
name = "small"
temperature_k = 89.0
dead_pixels = [3, 4]

[geometry]
pitch_cm = 0.5
n_x = 2
n_y = 3
lower_cm = [0.0, -1.0]
anode_z_cm = [10.0]
cathode_z_cm = [0]

[electronics]
threshold_e = 6000.0
busy_ticks = 1
"""

LAYOUT = {
    "pixel_pitch": 4.0,
    "drift_length": 300.0,
    "chip_channel_to_position": {11000: [0, 0], 11001: [1, 4], 11002: [1, 1]},
    "tile_positions": {
        1: [310.0, 10.0, -4.0],
        2: [310.0, -10.0, -4.0],
        3: [-310.0, 10.0, -4.0],
        4: [-310.0, -10.0, -4.0],
    },
    "tile_indeces": {1: [1, 1], 2: [1, 2], 3: [2, 1], 4: [2, 2]},
    "tile_orientations": {1: [-1, 1, 1], 2: [-1, 1, 1], 3: [1, 1, 1], 4: [1, 1, 1]},
}
PROPERTIES = {"DISCRIMINATION_THRESHOLD": 7000, "RESET_NOISE_CHARGE": 800, "V_REF": 1300, "time_interval": [0, 150.0]}


def _yaml(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


def test_module0() -> None:
    """The numbers of Module-0: 140 x 280 pixels on two planes, 30.431 cm of drift."""
    detector = read_detector("module0")
    geometry = detector.geometry
    assert (geometry.n_x, geometry.n_y, geometry.n_planes, geometry.n_pixels) == (140, 280, 2, 78400)
    assert geometry.upper_cm == pytest.approx((31.038, 62.076), abs=1e-12)
    assert geometry.anode_z_cm[0] - geometry.cathode_z_cm[0] == pytest.approx(30.431, abs=1e-12)
    assert geometry.pixel(*geometry.column_row(22.9, -4.3), 1) == 292721 - 3 * 78400
    assert detector.electronics == Electronics()
    assert detector.temperature_k == 87.17


@pytest.mark.peer
def test_module0_is_what_larndsims_files_say(peer_data: Path) -> None:
    theirs = read_detector(peer_data / "module0/detector.yaml", peer_data / "module0/pixel_layout.yaml")
    ours = read_detector("module0")
    assert theirs.geometry == ours.geometry
    assert theirs.electronics == ours.electronics
    assert theirs.temperature_k == ours.temperature_k


@pytest.mark.peer
def test_constants_of_module0(peer_data: Path) -> None:
    assert read_detector_constants(peer_data / "module0/detector.yaml") == {
        "Ab": 0.8,
        "kb": 0.0486,
        "electric_field": 0.5,
        "lifetime": 2200.0,
        "long_diff": 4.0e-6,
        "tran_diff": 8.8e-6,
        "electrons_per_mev": 4.237e4,
    }


def test_list_of_detectors() -> None:
    assert "module0" in list_detectors()


def test_own_file(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(OWN)
    detector = read_detector(tmp_path / "small.toml")
    assert (detector.name, detector.temperature_k, detector.dead_pixels) == ("small", 89.0, (3, 4))
    assert detector.geometry.upper_cm == (1.0, 0.5)
    assert detector.electronics == Electronics(threshold_e=6000.0, busy_ticks=1)


def test_larndsims_files(tmp_path: Path) -> None:
    detector = read_detector(_yaml(tmp_path / "d.yaml", PROPERTIES), _yaml(tmp_path / "l.yaml", LAYOUT))
    geometry = detector.geometry
    assert (geometry.pitch_cm, geometry.n_x, geometry.n_y) == (0.4, 2, 10)
    assert geometry.lower_cm == (-0.8, -2.0)
    assert (geometry.anode_z_cm, geometry.cathode_z_cm) == ((31.0, -31.0), (1.0, -1.0))
    electronics = detector.electronics
    assert (electronics.threshold_e, electronics.reset_noise_e, electronics.discard_reset_noise_e) == (7000, 800, 800)
    assert (electronics.v_ref_mv, electronics.first_tick, electronics.end_tick) == (1300, -100, 1500)


def test_numbers_that_yaml_takes_for_texts(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("lifetime: 2.2e3\nlong_diff: 4e-6\n")
    assert read_detector_constants(tmp_path / "d.yaml") == {"lifetime": 2200.0, "long_diff": 4e-6}


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="there is no detector `module1`: give one of module0"):
        read_detector("module1")


def test_larndsims_properties_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"d\.yaml: larnd-sim's detector properties need its pixel layout too"):
        read_detector(_yaml(tmp_path / "d.yaml", PROPERTIES))


@pytest.mark.parametrize("name", ["absent.toml", "absent.yaml"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    layout = None if name.endswith("toml") else tmp_path / "l.yaml"
    with pytest.raises(InputError, match=rf"{name}: there is no such file"):
        read_detector(tmp_path / name, layout)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pitch_cm = 0.5\n", "", r"\[geometry\] lacks `pitch_cm`"),
        ("pitch_cm = 0.5", "pitch_cm = -0.5", "needs a positive pitch"),
        ("pitch_cm = 0.5", 'pitch_cm = "wide"', "`pitch_cm` must be a number or a list of numbers, it is 'wide'"),
        ("busy_ticks = 1", "busy = 1", "unknown key `busy`; the keys are threshold_e"),
        ("temperature_k = 89.0", "temperature = 89.0", "unknown key `temperature`"),
        ("[electronics]", "[electronics", "this is not a TOML file of a detector"),
        ("dead_pixels = [3, 4]", 'response = "table"', "`response` cannot be chosen in a file"),
    ],
)
def test_wrong_toml(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in OWN
    (tmp_path / "small.toml").write_text(OWN.replace(old, new))
    with pytest.raises(InputError, match=rf"small\.toml: .*{message}"):
        read_detector(tmp_path / "small.toml")


def test_layout_without_a_key(tmp_path: Path) -> None:
    layout = {key: value for key, value in LAYOUT.items() if key != "drift_length"}
    with pytest.raises(InputError, match=r"l\.yaml: the key `drift_length` is missing"):
        read_detector(_yaml(tmp_path / "d.yaml", PROPERTIES), _yaml(tmp_path / "l.yaml", layout))


def test_layout_whose_tables_disagree(tmp_path: Path) -> None:
    layout = LAYOUT | {"tile_indeces": {1: [1, 1]}}
    with pytest.raises(InputError, match=r"l\.yaml: the tables of the tiles do not fit each other"):
        read_detector(_yaml(tmp_path / "d.yaml", PROPERTIES), _yaml(tmp_path / "l.yaml", layout))


def test_text_for_a_number(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"d\.yaml: `V_CM` must be a number, it is 'low'"):
        read_detector(_yaml(tmp_path / "d.yaml", {"V_CM": "low"}), _yaml(tmp_path / "l.yaml", LAYOUT))


@pytest.mark.parametrize(("text", "message"), [("[1, 2]", "a table of keys is expected"), ("a: [1", "not a YAML file")])
def test_wrong_yaml(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"d\.yaml: .*{message}"):
        read_detector_constants(tmp_path / "d.yaml")
