import numpy as np
import pytest

from bayescal.conditions.results import file_source, read_estimates
from bayescal.errors import InputError
from bayescal.inference.result import Moments, assemble, laplace_group


@pytest.fixture
def path(tmp_path):
    """A posterior of one constant."""
    draws = np.random.default_rng(1).normal(2000.0, 30.0, (4, 300))
    curvature = laplace_group(
        Moments((), np.zeros(0), np.zeros((0, 0))), Moments((), np.zeros(0), np.zeros((0, 0))), {}
    )
    attributes = {"method": "nuts", "converged": True, "verdict": "fine", "provenance": {}}
    groups = {"posterior": {"lifetime": draws}, "prior": {"lifetime": 10 * draws[:1]}}
    assemble(groups, curvature, attributes, {"lifetime": "us"}).save(tmp_path / "nuts.nc")
    return tmp_path / "nuts.nc"


def test_estimates_of_a_file(path):
    (lifetime,) = read_estimates(path).constants
    assert (lifetime.name, lifetime.unit) == ("lifetime", "us")
    assert lifetime.mean == pytest.approx(2000.0, abs=5 * 30 / np.sqrt(1200))  # five standard errors


def test_errors_name_the_file(path, tmp_path):
    with pytest.raises(InputError, match=r"nuts.nc: the result has no parameter 'kb'; it has lifetime"):
        read_estimates(path, ["kb"])
    with pytest.raises(InputError, match=r"nowhere.nc: there is no such file"):
        read_estimates(tmp_path / "nowhere.nc")


def test_the_source_is_the_file_and_its_digest(tmp_path):
    (tmp_path / "nuts.nc").write_bytes(b"abc")
    source = file_source(tmp_path / "nuts.nc")
    assert source.path == str(tmp_path / "nuts.nc")
    assert source.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
