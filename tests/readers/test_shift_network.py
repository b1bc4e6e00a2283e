from __future__ import annotations

from dataclasses import replace

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.light.detector import LightDetector
from bayescal.light.shift_network import NetworkSize, Scaling, ShiftNetwork, initialise_network
from bayescal.readers.light_detector import read_light_detector
from bayescal.readers.shift_network import read_shift_network, write_shift_network


@pytest.fixture(scope="module")
def detector() -> LightDetector:
    return read_light_detector("module0")


@pytest.fixture(scope="module")
def network() -> ShiftNetwork:
    scaling = Scaling(jnp.ones((2, 3)), jnp.ones((2, 2)), jnp.linspace(0.1, 3.0, 96).reshape(2, 48))
    return initialise_network(jax.random.key(0), 48, scaling, NetworkSize(6, 4, 5, 2), "module0")


@pytest.fixture
def file(tmp_path, network):
    write_shift_network(tmp_path / "network.h5", network)
    return tmp_path / "network.h5"


def test_round_trip(file, network, detector) -> None:
    """Bits, types and sizes."""
    read = read_shift_network(file, detector)
    assert jax.tree.structure(read) == jax.tree.structure(network)
    for one, other in zip(jax.tree.leaves(read), jax.tree.leaves(network), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert [path.name for path in file.parent.iterdir()] == ["network.h5"]


def test_other_detectors_are_refused(file, detector) -> None:
    with pytest.raises(InputError, match="was trained for `module0` with 48 sensors, not for `module1` with 48"):
        read_shift_network(file, replace(detector, name="module1"))
    twice = replace(detector, centre_cm=np.zeros((2, 3)), mirrored=np.zeros((2, 3), bool))
    with pytest.raises(InputError, match="with 48 sensors, not for `module0` with 96; train one for this detector"):
        read_shift_network(file, twice)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.attrs.update(format="other"), "`format` is not `bayescal shift network 1`"),
        (lambda file: file.attrs.pop("bins"), "its parts do not fit each other"),
        (lambda file: file.attrs.update(bins=7), "its parts do not fit each other"),
        (lambda file: file.attrs.pop("detector"), "its parts do not fit each other"),
        (lambda file: file.pop("scaling/light"), "lacks the dataset `scaling/light`"),
        (lambda file: file.pop("layer1"), "/ lacks the dataset `layer1/weight`"),
        (lambda file: file["layer1/bias"].write_direct(np.full(4, np.nan, np.float32)), "must be finite, row 0 is nan"),
    ],
)
def test_spoilt_files(file, detector, spoil, words) -> None:
    with h5py.File(file, "r+") as content:
        spoil(content)
    with pytest.raises(InputError, match=words):
        read_shift_network(file, detector)
