from __future__ import annotations

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.light.box import Box
from bayescal.light.siren import Architecture, PseudoLog, SinePseudoLog, initialise, log_link
from bayescal.readers.siren import read_siren, write_siren

BOX = Box(np.array([-5.0, 0.0, 1.0]), np.array([5.0, 2.0, 9.0]))
HEADS = (log_link([1e-4, 1e-5]), PseudoLog(jnp.ones(2), 0.5, 1e-8), SinePseudoLog(jnp.ones(2), 25.0))


@pytest.fixture
def file(tmp_path):
    made = initialise(jax.random.key(0), Architecture(2, 4, 1), HEADS[0], BOX)
    write_siren(tmp_path / "network.h5", made)
    return tmp_path / "network.h5"


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_round_trip(tmp_path, head) -> None:
    """Bits, types and sizes."""
    made = initialise(jax.random.key(0), Architecture(2, 4, 2, first_w0=20.0, hidden_w0=25.0), head, BOX)
    write_siren(tmp_path / "network.h5", made)
    read = read_siren(tmp_path / "network.h5")
    assert jax.tree.structure(read) == jax.tree.structure(made)
    for one, other in zip(jax.tree.leaves(read), jax.tree.leaves(made), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert [path.name for path in tmp_path.iterdir()] == ["network.h5"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.attrs.update(format="other"), "`format` is not `bayescal siren 1`"),
        (lambda file: file.attrs.update(head="Other"), "`head` is not one of LogLink, PseudoLog, SinePseudoLog"),
        (lambda file: file.pop("head/offset"), "/ lacks the dataset `head/offset`"),
        (lambda file: file.pop("layer1"), "/ lacks the dataset `layer1/weight`"),
        (lambda file: file["layer0/bias"].write_direct(np.full(4, np.nan, np.float32)), "must be finite, row 0 is nan"),
        (lambda file: file["upper_cm"].write_direct(np.full(3, -9.0)), "its parts do not fit each other"),
        (lambda file: file.attrs.pop("first_w0"), "its parts do not fit each other"),
    ],
)
def test_spoilt_files(file, spoil, words) -> None:
    with h5py.File(file, "r+") as content:
        spoil(content)
    with pytest.raises(InputError, match=words):
        read_siren(file)
