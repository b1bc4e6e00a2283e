import json

import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.readers.optical_detector import list_optical_detectors, read_optical_detector

TOML = """
name = "mine"
[tank]
shape = "cylinder"
radius_m = 2.0
height_m = 3.0
[sensors]
radius_m = 0.1
placement = "rings"
number = 100
"""


def write(folder, text, name="mine.toml"):
    path = folder / name
    path.write_text(text)
    return path


def test_presets():
    assert list_optical_detectors() == ["eos", "juno", "small_sphere", "super_kamiokande", "tao"]
    detector = read_optical_detector("super_kamiokande")
    assert (detector.sensors.n_sensors, detector.sensors.n_batches, detector.faults) == (11146, 8, ())
    assert detector.coverage == pytest.approx(0.401, abs=5e-4)
    assert 0.10 < detector.reflectivity < 0.12


@pytest.mark.parametrize(("name", "number", "coverage"), [("juno", 15000, 0.765), ("tao", 4000, 0.947)])
def test_spheres(name, number, coverage):
    """Discs on a spiral overlap at such coverages."""
    detector = read_optical_detector(name)
    assert detector.sensors.n_sensors == number
    assert detector.coverage == pytest.approx(coverage, abs=5e-4)
    assert len(detector.faults) == 1
    assert "sensors overlap another" in detector.faults[0]


def test_a_diameter_in_place_of_a_radius_is_a_fault(tmp_path):
    """Of a JSON file, against our detector of its name; nothing is changed."""
    sphere = {"radius": 1.8, "n_sensors": 100, "sensor_radius": 0.05}
    text = json.dumps({"detector_type": "sphere", "geometry_definitions": sphere})
    named, other = (read_optical_detector(write(tmp_path, text, name)) for name in ("TAO.json", "other.json"))
    assert named.tank.radius_m == 1.8
    assert named.faults == ("the radius of 1.8 m is the published diameter of TAO, its radius is 0.9 m",)
    assert other.faults == ()


@pytest.mark.peer
def test_files_of_lucid(peer_data):
    found = {
        path.stem.removesuffix("_geom_config"): read_optical_detector(path)
        for path in (peer_data / "optical").glob("*_geom_config.json")
    }
    assert set(found) == {"EOS", "HK", "IWCD", "JUNO", "SK", "TAO", "WCTE"}
    assert {name for name, each in found.items() if each.faults} == {"IWCD", "JUNO", "TAO"}
    assert found["JUNO"].faults == ("14242 of 15000 sensors overlap another",)
    coverage = {"SK": 0.260, "HK": 0.170, "IWCD": 0.769, "WCTE": 0.167, "EOS": 0.100, "JUNO": 0.765, "TAO": 0.772}
    for name, expected in coverage.items():
        assert found[name].coverage == pytest.approx(expected, rel=0.035)  # whole rows and hexagons


def test_a_table_of_sensors(tmp_path):
    write(tmp_path, "x_m,y_m,z_m,normal_x,normal_y,normal_z,batch\n2,0,0,-2,0,0,0\n0,2,1,0,-1,0,1\n", "tubes.csv")
    text = TOML.replace('"rings"\nnumber = 100', '"table"\ntable = "tubes.csv"\ndead = [1]')
    sensors = read_optical_detector(write(tmp_path, text)).sensors
    np.testing.assert_allclose(sensors.normal, [[-1, 0, 0], [0, -1, 0]])
    assert sensors.batch.tolist() == [0, 1]
    assert sensors.live.tolist() == [True, False]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("radius_m = 2.0", "radius_m = -2.0", "`tank.radius_m`: Input should be greater than 0"),
        ("height_m = 3.0", "", "`tank.height_m` belongs to a cylinder"),
        ("number = 100", "", "`sensors.number` is missing, `placement` = rings needs it"),
        ("number = 100", "number = 100\ndead = [500]", "`sensors.dead` names 500, there are"),
        ("[tank]", "[barrel]", "`tank`: Field required"),
        ('"rings"', '"spiral"', "is for a sphere"),
        ('"cylinder"\nradius_m = 2.0\nheight_m = 3.0', '"sphere"\nradius_m = 2.0', "is for a cylinder"),
        ('"rings"\nnumber = 100', '"table"\ntable = "none.csv"', "cannot be read as a table of sensors"),
        ("name", "na me", "this is not a TOML file of an optical detector"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, old, new, sentence):
    with pytest.raises(InputError, match=r"\.toml|\.csv") as caught:
        read_optical_detector(write(tmp_path, TOML.replace(old, new, 1)))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("x_m,y_m,z_m\n1,2,3\n", "needs the columns x_m, y_m, z_m, normal_x"),
        ("x_m,y_m,z_m,normal_x,normal_y,normal_z\n2,0,nan,1,0,0\n", "row 0 has no finite position or no normal"),
        ("x_m,y_m,z_m,normal_x,normal_y,normal_z\n2,0,0,0,0,0\n", "row 0 has no finite position or no normal"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path, rows, sentence):
    write(tmp_path, rows, "tubes.csv")
    text = TOML.replace('"rings"\nnumber = 100', '"table"\ntable = "tubes.csv"')
    with pytest.raises(InputError, match=r"tubes\.csv") as caught:
        read_optical_detector(write(tmp_path, text))
    assert sentence in str(caught.value)


def test_names_and_json_that_are_not_there(tmp_path):
    with pytest.raises(
        InputError,
        match="there is no optical detector `sk`: give one of eos, juno, small_sphere, super_kamiokande, tao",
    ):
        read_optical_detector("sk")
    with pytest.raises(InputError, match="there is no such file"):
        read_optical_detector(tmp_path / "none.json")
    path = write(tmp_path, json.dumps({"detector_type": "cube"}), "cube.json")
    with pytest.raises(InputError, match=r"cube\.json: `detector_type`"):
        read_optical_detector(path)
