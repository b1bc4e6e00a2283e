import csv
import json

import numpy as np
import pytest
import yaml

from bayescal.diagnostics import export_covariance, export_csv, export_json, export_yaml, member_rows
from bayescal.diagnostics.export import csv_text
from bayescal.errors import InputError


def test_yaml_holds_means_under_the_names_of_larndsim(tmp_path, nuts_result):
    export_yaml(nuts_result, tmp_path / "c.yaml")
    read = yaml.safe_load((tmp_path / "c.yaml").read_text())
    assert set(read) == {"kb", "long_diff", "MeVToElectrons"}
    assert all(isinstance(value, float) for value in read.values())
    assert read["MeVToElectrons"] == nuts_result.draws("electrons_per_mev").mean()
    text = (tmp_path / "c.yaml").read_text()
    assert "± 2.0e-07 cm^2/us" in text
    assert "68 %: 0.04" in text
    assert "left out: event_time.\n" in text


def test_yaml_shows_both_intervals(tmp_path, map_result):
    export_yaml(map_result, tmp_path / "c.yaml", {"electrons_per_mev": "MeVToElectrons"})
    shown = "± 150 e-/MeV (standard deviation), 68 %: 42221 … 42519, 95 %: 42076 … 42664"  # 0.9945 and 1.9600 sd
    assert shown in (tmp_path / "c.yaml").read_text()


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
    assert kb["mode"] == 0.0486
    assert kb["median"] == np.median(nuts_result.draws("kb"))
    assert read["provenance"]["seed"] == 7
    assert "event_time[1]" in read["parameters"]


def test_json_has_null_where_there_is_no_number(tmp_path, make_sampled):
    result = make_sampled(draws=10)
    result.data["posterior"]["kb"].values[:] = 1.0
    export_json(result, tmp_path / "c.json")
    read = json.loads((tmp_path / "c.json").read_text())
    assert read["parameters"]["kb"]["r_hat"] is None
    assert read["covariance"] == []


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_reads_back_exactly(tmp_path, nuts_result):
    export_csv(nuts_result, tmp_path / "c.csv")
    rows = read_csv(tmp_path / "c.csv")
    assert [row["parameter"] for row in rows[2:4]] == ["electrons_per_mev", "event_time[0]"]
    kb, draws = rows[0], nuts_result.draws("kb")
    assert kb["unit"] == "(kV/cm)(g/cm^2)/MeV"
    assert (float(kb["mean"]), float(kb["median"]), float(kb["mode"])) == (draws.mean(), np.median(draws), 0.0486)
    row = member_rows(nuts_result)[0]
    for key in ("sd", "low_68", "high_68", "low_95", "high_95"):
        assert float(kb[key]) == row[key]


def test_csv_of_a_mode_has_empty_cells(tmp_path, map_result):
    export_csv(map_result, tmp_path / "c.csv")
    kb = read_csv(tmp_path / "c.csv")[0]
    assert (kb["mean"], kb["median"], kb["mode"]) == ("", "", "0.0486")


def test_covariance_reads_back_exactly(tmp_path, nuts_result, known):
    export_covariance(nuts_result, tmp_path / "v.csv")
    rows = read_csv(tmp_path / "v.csv")
    draws = np.array([nuts_result.draws(name) for name in known[0]])
    assert [(row["parameter"], row["parameter_2"]) for row in rows[:2]] == [("kb", "kb"), ("kb", "long_diff")]
    covariance = np.array([float(row["covariance"]) for row in rows]).reshape(3, 3)
    correlation = np.array([float(row["correlation"]) for row in rows]).reshape(3, 3)
    np.testing.assert_array_equal(covariance, np.cov(draws))
    np.testing.assert_allclose(correlation, np.corrcoef(draws))


def test_a_missing_covariance_is_refused(tmp_path, make_sampled):
    result = make_sampled(draws=10)
    result.data["posterior"]["kb"].values[:] = 1.0
    with pytest.raises(InputError, match="no covariance to write"):
        export_covariance(result, tmp_path / "v.csv")
    assert not (tmp_path / "v.csv").exists()


def test_every_double_reads_back_from_csv_json_and_yaml():
    numbers = np.random.default_rng(5).uniform(size=300) * 10.0 ** np.arange(-150, 150)
    (text,) = csv.reader([csv_text((), [numbers.tolist()]).strip()])
    assert [float(number) for number in text] == numbers.tolist()
    assert json.loads(json.dumps(numbers.tolist())) == numbers.tolist()
    assert yaml.safe_load(yaml.safe_dump(numbers.tolist())) == numbers.tolist()


@pytest.mark.parametrize("write", [export_yaml, export_json, export_csv, export_covariance])
def test_unwritable_output_is_one_sentence(tmp_path, nuts_result, write):
    with pytest.raises(InputError, match="cannot be written"):
        write(nuts_result, tmp_path / "nowhere" / "c")
    with pytest.raises(InputError, match="cannot be written"):
        write(nuts_result, tmp_path)
    assert list(tmp_path.iterdir()) == []
