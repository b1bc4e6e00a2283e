import json

import numpy as np
import pytest
import yaml

from bayescal.diagnostics import export_json, export_yaml
from bayescal.errors import InputError


def test_yaml_holds_means_under_the_names_of_larndsim(tmp_path, nuts_result):
    export_yaml(nuts_result, tmp_path / "c.yaml")
    read = yaml.safe_load((tmp_path / "c.yaml").read_text())
    assert set(read) == {"kb", "long_diff", "MeVToElectrons"}
    assert all(isinstance(value, float) for value in read.values())
    assert read["MeVToElectrons"] == nuts_result.draws("electrons_per_mev").mean()
    text = (tmp_path / "c.yaml").read_text()
    assert "± 2.0e-07 cm^2/us" in text
    assert "left out: event_time" in text


def test_yaml_of_a_mode_holds_modes(tmp_path, map_result):
    export_yaml(map_result, tmp_path / "c.yaml", {"kb": "k_b"})
    assert yaml.safe_load((tmp_path / "c.yaml").read_text()) == {"k_b": 0.0486}


def test_yaml_without_any_known_constant_is_refused(tmp_path, nuts_result):
    with pytest.raises(InputError, match="has a name in larnd-sim"):
        export_yaml(nuts_result, tmp_path / "c.yaml", {"gain": "gain"})
    assert not (tmp_path / "c.yaml").exists()


def test_json_holds_numbers_units_and_covariance(tmp_path, nuts_result):
    export_json(nuts_result, tmp_path / "c.json")
    read = json.loads((tmp_path / "c.json").read_text())
    draws = np.array([nuts_result.draws(name) for name in read["matrix_parameters"]])
    np.testing.assert_allclose(read["covariance"], np.cov(draws))
    np.testing.assert_allclose(read["correlation"], np.corrcoef(draws))
    kb = read["parameters"]["kb"]
    assert kb["unit"] == "(kV/cm)(g/cm^2)/MeV"
    assert kb["mean"] == pytest.approx(nuts_result.draws("kb").mean())
    assert kb["low_68"] < kb["mean"] < kb["high_68"]
    assert read["provenance"]["seed"] == 7
    assert "event_time[1]" in read["parameters"]


def test_json_has_null_where_there_is_no_number(tmp_path, make_sampled):
    result = make_sampled(draws=10)
    result.data["posterior"]["kb"].values[:] = 1.0
    export_json(result, tmp_path / "c.json")
    read = json.loads((tmp_path / "c.json").read_text())
    assert read["parameters"]["kb"]["r_hat"] is None
    assert read["covariance"] == []


@pytest.mark.parametrize("write", [export_yaml, export_json])
def test_unwritable_output_is_one_sentence(tmp_path, nuts_result, write):
    with pytest.raises(InputError, match="cannot be written"):
        write(nuts_result, tmp_path / "nowhere" / "c")
    with pytest.raises(InputError, match="cannot be written"):
        write(nuts_result, tmp_path)
    assert list(tmp_path.iterdir()) == []
