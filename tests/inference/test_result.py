"""The file of a result."""

import jax
import numpy as np
import pytest
import xarray as xr

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit, load


@pytest.fixture(scope="module")
def result(gaussian_case):
    settings = FitSettings(draws=20, warmup=10, chains=2)
    facts = {"study": "study.toml", "hash": {"data": "abc"}}
    return fit(*gaussian_case, key=jax.random.key(1), settings=settings, units={"mean": "cm"}, provenance=facts)


def test_round_trip(result, tmp_path):
    result.save(tmp_path / "fit.nc")
    back = load(tmp_path / "fit.nc")
    assert (back.method, back.converged, back.verdict) == (result.method, result.converged, result.verdict)
    assert back.attrs == result.attrs
    assert back.attrs["hash"] == {"data": "abc"}
    assert back.units == {"mean": "cm"}
    for group in result.data.children:
        xr.testing.assert_identical(back.data[group].to_dataset(), result.data[group].to_dataset())
    assert back.draws("mean").shape == (40, 10)


def test_a_result_can_be_saved_over_the_one_it_was_loaded_from(result, tmp_path):
    path = tmp_path / "fit.nc"
    result.save(path)
    load(path).save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write_leaves_the_old_file(result, tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    result.save(path)
    before = path.read_bytes()

    def stop(tree, name, **options):
        with open(name, "wb") as file:
            file.write(b"half of a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.DataTree, "to_netcdf", stop)
    with pytest.raises(KeyboardInterrupt):
        result.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_parameter_is_named_with_those_there(result):
    with pytest.raises(InputError, match="no parameter kb: it has mean"):
        result.draws("kb")


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.nc: there is no such file"):
        load(tmp_path / "none.nc")


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_corrupt_file(result, tmp_path, kept):
    path = tmp_path / "fit.nc"
    result.save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"fit\.nc: not a readable NetCDF file"):
        load(path)


def test_file_of_somebody_else(tmp_path):
    xr.Dataset({"x": ("n", np.arange(3))}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"other\.nc: not a result of bayescal"):
        load(tmp_path / "other.nc")


def test_unwritable_folder(result, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        result.save(tmp_path / "absent" / "fit.nc")
