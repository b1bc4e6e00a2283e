"""Bad input of the charge model: one clear sentence that names the file and the key or row, exit code 2."""

import h5py
import jax
import numpy as np
import pytest

from bayescal.readers.detector import read_detector
from bayescal.readers.edepsim import write_segments
from bayescal.readers.hits import from_rows, write_hits
from bayescal.tracks import generate_muons

STUDY = """\
model = "charge_constants"
data = "hits.h5"
[inputs]
segments = ["segments.h5"]
[parameters]
kb = {Uniform = [0.03, 0.08]}
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Folder with a study of one short track and one hit."""
    folder = tmp_path_factory.mktemp("good")
    geometry = read_detector("module0").geometry
    write_segments(folder / "segments.h5", generate_muons(jax.random.key(1), geometry, n_tracks=1, length_cm=3.0))
    write_hits(folder / "hits.h5", from_rows([0], [geometry.n_pixels], [100], [90.0], integer_adc=False))
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.fixture
def folder(good, tmp_path):
    """A copy to spoil."""
    for path in good.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def drop_column(path):
    with h5py.File(path, "r+") as file:
        rows = file["segments"][()]
        del file["segments"]
        file["segments"] = rows[[name for name in rows.dtype.names if name != "dE"]].copy()


def set_energy(value):
    def spoil(path):
        with h5py.File(path, "r+") as file:
            rows = file["segments"][()]
            rows["dE"][3] = value
            file["segments"][...] = rows

    return spoil


SPOILT_SEGMENTS = {
    "missing": (lambda path: path.unlink(), "segments.h5"),
    "not HDF5": (lambda path: path.write_text("x,y,z\n1,2,3\n"), "segments.h5"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:700]), "segments.h5"),
    "without dE": (drop_column, "dE"),
    "NaN": (set_energy(np.nan), "dE"),
    "negative": (set_energy(-1.0), "dE"),
}

SPOILT_STUDY = {
    "empty selection": ("[parameters]", "min_length_cm = 1e4\n[parameters]", "min_length_cm"),
    "unknown detector": ("[parameters]", 'detector = "modul0"\n[parameters]', "modul0"),
    "missing detector": ("[parameters]", 'detector = "own.toml"\n[parameters]', "own.toml"),
    "unknown input": ("segments =", "segment =", "unknown key 'segment'; did you mean 'segments'"),
    "unknown parameter": ("kb =", "kB2 =", "[parameters]: 'kB2' is not a parameter of this model; did you mean 'kb'"),
    "unknown distribution": ("Uniform", "Unifrom", "[parameters] kb: numpyro.distributions has no 'Unifrom'; did you"),
    "wrong argument count": ("0.03, 0.08", "0.03", "[parameters] kb: Uniform takes low, high, got 1 argument"),
    "empty support": ("0.03, 0.08", "0.08, 0.03", "[parameters] kb: Uniform(low=0.08, high=0.03) has an empty support"),
    "missing data": ("hits.h5", "other.h5", "other.h5"),
    "data of another kind": ("hits.h5", "segments.h5", "segments.h5"),
    "hits on no pixel": ("", "", "hits lie on no pixel of the detector"),
}


def assert_one_sentence(code, error, sentence):
    assert code == 2
    assert error.startswith("error: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize("kind", SPOILT_SEGMENTS)
def test_segments(bayescal, folder, capsys, kind):
    spoil, sentence = SPOILT_SEGMENTS[kind]
    spoil(folder / "segments.h5")
    code = bayescal("check", folder / "study.toml")
    assert_one_sentence(code, capsys.readouterr().err, sentence)


@pytest.mark.parametrize("kind", SPOILT_STUDY)
def test_study(bayescal, folder, capsys, kind):
    old, new, sentence = SPOILT_STUDY[kind]
    (folder / "study.toml").write_text(STUDY.replace(old, new, 1))
    code = bayescal("check", folder / "study.toml")
    assert_one_sentence(code, capsys.readouterr().err, sentence)


@pytest.mark.parametrize("command", ["fit", "simulate"])
def test_unwritable_output(bayescal, folder, capsys, command):
    code = bayescal(command, folder / "study.toml", "--output", folder / "hits.h5" / "result.nc")
    assert_one_sentence(code, capsys.readouterr().err, "result.nc: cannot be written")
