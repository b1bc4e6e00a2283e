from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from bayescal.errors import InputError
from bayescal.readers.light_detector import list_light_detectors, read_light_detector, read_pfmatch_detector

OWN = """
name = "small"

[box]
lower_cm = [0, 0, 0]
upper_cm = [10.0, 20.0, 30.0]
n_voxels = [2, 4, 6]

[drift]
lower_cm = [[0, 0, 0]]
upper_cm = [[10.0, 20.0, 30.0]]
direction = [-1]

[walls]
reflectivity = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]

[kinds.wide]
area_cm2 = 100.0
efficiency = 0.01

[[sensors]]
kind = "wide"
normal = [0, 0, 1]
position_cm = [[1, 2, -1], [3, 4, -1]]
"""

COPIES = """
name = "two"
like = "module0"
dead_sensors = [95]

[volumes]
centre_cm = [[0, 0, 0], [40, 0, 0]]
mirrored = ["", "xz"]
"""

PFMATCH = {
    "LightYield": 24000,
    "DriftVelocity": 0.16,
    "TPC0": [[0, 0, 0], [1, 2, 3]],
    "PMT0": [0.5, 1.0, -0.1],
    "PMT1": [0.5, 1.5, -0.1],
}


def test_list_of_detectors() -> None:
    assert list_light_detectors() == ["2x2", "icarus", "module0"]


@pytest.mark.peer
def test_positions_of_icarus_are_those_of_siren_pfmatch(peer_data: Path) -> None:
    ours, theirs = read_light_detector("icarus"), read_pfmatch_detector(peer_data / "light/icarus_detector.yaml")
    np.testing.assert_array_equal(ours.sensors.position_cm, theirs.sensor_cm)
    np.testing.assert_array_equal(ours.drift.lower_cm, theirs.lower_cm)
    np.testing.assert_array_equal(ours.drift.upper_cm, theirs.upper_cm)
    volume = yaml.safe_load((peer_data / "light/icarus_detector.yaml").read_text())
    np.testing.assert_array_equal(ours.box.lower_cm, volume["PhotonLibraryVolumeMin"])
    np.testing.assert_array_equal(ours.box.upper_cm, volume["PhotonLibraryVolumeMax"])
    assert list(ours.n_voxels) == volume["PhotonLibraryNvoxels"]


@pytest.mark.peer
def test_positions_of_the_2x2_are_those_of_siren_pfmatch(peer_data: Path) -> None:
    """In y and z; in x its file has the upper face of each volume, where ours have the light traps' middle."""
    ours, theirs = read_light_detector("2x2"), read_pfmatch_detector(peer_data / "light/2x2_detector.yaml")
    np.testing.assert_allclose(ours.all_sensors.position_cm[:, 1:], theirs.sensor_cm[:, 1:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(theirs.sensor_cm[:, 0], np.repeat(ours.centre_cm[:, 0] + 15.14, 48), atol=1e-9)
    np.testing.assert_allclose(ours.all_drift.lower_cm, theirs.lower_cm, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.all_drift.upper_cm, theirs.upper_cm, rtol=0, atol=1e-9)
    assert (theirs.photons_per_mev, theirs.drift_velocity) == (24000.0, 0.1596452482154287)


def test_own_file(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(OWN)
    detector = read_light_detector(tmp_path / "small.toml")
    assert (detector.name, detector.n_voxels, detector.n_sensors) == ("small", (2, 4, 6), 2)
    np.testing.assert_array_equal(detector.sensors.position_cm, [[1, 2, -1], [3, 4, -1]])
    np.testing.assert_array_equal(detector.sensors.normal, [[0, 0, 1]] * 2)
    np.testing.assert_array_equal(detector.sensors.area_cm2, 100.0)
    np.testing.assert_array_equal(detector.sensors.efficiency, 0.01)
    np.testing.assert_array_equal(detector.drift.anode_x_cm, 0.0)
    assert detector.sensors.kind == ("wide", "wide")


def test_copies_of_another_detector(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(COPIES)
    detector = read_light_detector(tmp_path / "two.toml")
    assert (detector.name, detector.n_sensors, detector.dead_sensors) == ("two", 96, (95,))
    np.testing.assert_allclose(detector.all_sensors.position_cm[48], [40 - 4.0, -60.07, 31.49])
    np.testing.assert_allclose(detector.all_sensors.normal[48], [0, 0, -1])


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="there is no light detector `module1`: give one of 2x2, icarus, module0"):
        read_light_detector("module1")


def test_missing_file(tmp_path: Path) -> None:
    for name, reader in (("a.toml", read_light_detector), ("a.yaml", read_pfmatch_detector)):
        with pytest.raises(InputError, match=rf"{name}: there is no such file"):
            reader(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[box]", "[box", "this is not a TOML file of a light detector"),
        ("n_voxels = [2, 4, 6]\n", "", r"`box\.n_voxels`: Field required"),
        ("n_voxels = [2, 4, 6]", "n_voxels = [2, 4, 0]", r"`box\.n_voxels\.2`: Input should be greater than 0"),
        ("upper_cm = [10.0, 20.0, 30.0]\nn", "upper_cm = [0, 20.0, 30.0]\nn", r"\[box\]: the lower corner"),
        ("direction = [-1]", "direction = [0]", r"`drift\.direction\.0`"),
        ("direction = [-1]", "direction = [-1, 1]", r"\[drift\] needs as many"),
        ("0.5, 0.6]", "0.5]", r"`walls\.reflectivity`: List should have at least 6 items"),
        ("0.5, 0.6]", "0.5, 1.6]", r"`walls\.reflectivity\.5`: Input should be less than or equal to 1"),
        ("area_cm2 = 100.0", "area_cm2 = -1", r"`kinds\.wide\.area_cm2`: Input should be greater than 0"),
        ("area_cm2 = 100.0", "area = 100.0", r"`kinds\.wide\.area_cm2`: Field required"),
        ("[kinds.wide]", "[kinds.tall]", r"\[kinds\.wide\] is missing"),
        ("normal = [0, 0, 1]", "normal = [0, 0, 2]", "every `normal` must have length 1"),
        ("[3, 4, -1]]", "[3, 4]]", r"`sensors\.0\.position_cm\.1\.2`: Field required"),
        ("[3, 4, -1]]", "[3, 4, nan]]", r"`sensors\.0\.position_cm\.1\.2`: Input should be a finite number"),
        (
            'name = "small"',
            'name = "small"\ndead_sensors = [2]',
            "`dead_sensors`: there is no sensor 2; the last one is 1",
        ),
        ('name = "small"', 'name = "small"\ncolour = 3', "`colour`: Extra inputs are not permitted"),
    ],
)
def test_wrong_toml(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in OWN
    (tmp_path / "small.toml").write_text(OWN.replace(old, new))
    with pytest.raises(InputError, match=rf"small\.toml: .*{message}"):
        read_light_detector(tmp_path / "small.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('like = "module0"', 'like = "module9"', "there is no light detector `module9`"),
        ('like = "module0"', 'like = "2x2"', r"2x2\.toml: `box`: Field required"),
        ('["", "xz"]', '[""]', "one of `mirrored` for each of `centre_cm`"),
        ('["", "xz"]', '["", "q"]', r"`volumes\.mirrored\.1`: String should match pattern"),
        ("[95]", "[96]", "there is no sensor 96; the last one is 95"),
    ],
)
def test_wrong_copies(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in COPIES
    (tmp_path / "two.toml").write_text(COPIES.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_light_detector(tmp_path / "two.toml")


def test_file_of_siren_pfmatch(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(PFMATCH))
    detector = read_pfmatch_detector(tmp_path / "d.yaml")
    np.testing.assert_array_equal(detector.sensor_cm, [[0.5, 1.0, -0.1], [0.5, 1.5, -0.1]])
    np.testing.assert_array_equal([detector.lower_cm, detector.upper_cm], [[[0, 0, 0]], [[1, 2, 3]]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PMT1": [0.5, 1.5]}, "must hold numbers, in equal shapes"),
        ({"PMT0": [1.0, 2.0], "PMT1": [1.0, 2.0]}, r"must each hold finite numbers in the shape \(3,\)"),
        ({"PMT1": [0.5, 1.5, "up"]}, "must hold numbers"),
        ({"PMT3": [0.5, 1.5, 0.0]}, "must be numbered from 0 without gaps"),
        ({"TPC0": None}, "must each hold"),
        ({"LightYield": "bright"}, "`LightYield` must be a number, it is 'bright'"),
    ],
)
def test_wrong_file_of_siren_pfmatch(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(PFMATCH | changes))
    with pytest.raises(InputError, match=rf"d\.yaml: .*{message}"):
        read_pfmatch_detector(tmp_path / "d.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "a table of keys is expected"),
        ("a: [1", "not a YAML file of siren-pfmatch"),
        ("LightYield: 1", "`PMT0`, ... and `TPC0`, ... are needed"),
    ],
)
def test_wrong_yaml(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"d\.yaml: .*{message}"):
        read_pfmatch_detector(tmp_path / "d.yaml")
