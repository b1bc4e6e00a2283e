import json

import numpy as np
import pytest
import yaml

from bayescal.conditions import StoredCalibration, View
from bayescal.conditions.export import about, export_stored_json, export_stored_yaml


@pytest.fixture
def stored(make, january):
    return StoredCalibration(3, january(20), make(1, 9))


def test_yaml_holds_values_and_what_they_are(stored, january, tmp_path):
    export_stored_yaml(stored, tmp_path / "c.yaml", View("default", january(21)))
    text = (tmp_path / "c.yaml").read_text()
    assert yaml.safe_load(text) == {"kb": stored.calibration.estimates.constants[0].mean}
    valid = "valid from 2026-01-01T00:00:00Z to 2026-01-09T00:00:00Z"
    assert text.startswith(f"# Calibration 3 of module0, tag default, {valid}.\n# Added 2026-01-20T00:00:00Z by ada.\n")
    assert "# Looked up as of 2026-01-21T00:00:00Z.\n" in text
    assert "left out: long_diff" in text


def test_json_holds_everything(stored, january, tmp_path):
    export_stored_json(stored, tmp_path / "c.json", View("default", january(21)))
    read = json.loads((tmp_path / "c.json").read_text())
    estimates = stored.calibration.estimates
    assert read["parameters"]["long_diff"]["low_95"] == estimates.constants[1].low_95
    np.testing.assert_array_equal(read["covariance"], estimates.covariance)
    assert read["matrix_parameters"] == ["kb", "long_diff"]
    assert read["provenance"]["seed"] == 7
    assert read["calibration"]["valid_to"] == "2026-01-09T00:00:00Z"
    assert read["calibration"]["as_of"] == "2026-01-21T00:00:00Z"
    assert (read["calibration"]["number"], read["calibration"]["author"]) == (3, "ada")


def test_what_did_not_converge_is_marked(make, january):
    lines = about(StoredCalibration(1, january(20), make(converged=False)))
    assert lines[0] == "The fit DID NOT CONVERGE."
    assert lines[-1] == "Comment: first try"
