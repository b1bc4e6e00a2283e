"""Model files by name and by path."""

import hashlib
from pathlib import Path

import pytest

from bayescal.errors import InputError
from bayescal.model_files import folder_of_models, list_models, load_model

LINE = Path(__file__).parent / "own_model" / "line.py"


def test_shipped_models_are_listed_by_name():
    assert set(list_models()) == {path.stem for path in folder_of_models().glob("*.py")}


def test_a_users_own_file_is_loaded_by_path():
    model = load_model(str(LINE))
    assert (model.name, model.observed, model.path) == ("line", "volts", LINE)
    assert model.digest == hashlib.sha256(LINE.read_bytes()).hexdigest()
    assert [parameter.name for parameter in model.parameters] == ["slope", "offset", "noise", "pedestal"]
    assert model.summary.startswith("A straight line")


def test_an_unchanged_file_runs_once():
    assert load_model(LINE).module is load_model(LINE).module


def test_a_changed_file_runs_again(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(LINE.read_text())
    before = load_model("own.py", tmp_path)
    path.write_text(LINE.read_text().replace('"slope"', '"tilt"'))
    after = load_model("own.py", tmp_path)
    assert after.digest != before.digest
    assert after.parameters[0].name == "tilt"


def test_unknown_name():
    with pytest.raises(InputError, match="no shipped model is called 'charge_constant'"):
        load_model("charge_constant")


def test_missing_file():
    with pytest.raises(InputError, match=r"nowhere\.py: no such model file"):
        load_model("nowhere.py")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def model(", "failed with SyntaxError"),
        ("import no_such_package", "failed with ModuleNotFoundError: No module named 'no_such_package'"),
        ("PARAMETERS = ()\nmodel = None", "missing: example"),
        ("PARAMETERS = ['kb']\nmodel = example = None", "PARAMETERS must be a tuple of bayescal.parameters.Parameter"),
        (LINE.read_text().replace('"offset", "V"', '"slope", "V"'), "names a parameter twice"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, sentence):
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(InputError, match=f"own.py: .*{sentence}"):
        load_model(path)


def test_missing_hook(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(LINE.read_text().replace("def load(", "def load_it("))
    with pytest.raises(InputError, match=r"own\.py: the model file defines no 'load'"):
        load_model(path).hook("load")
