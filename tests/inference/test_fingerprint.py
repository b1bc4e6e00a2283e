"""What draws depend on."""

from functools import partial

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescal.inference.fingerprint import digest, digest_of_model, fingerprint
from bayescal.inference.settings import FitSettings


class Detector(eqx.Module):
    gain: np.ndarray
    layout: str = eqx.field(static=True)


def model(inputs, data=None):
    del inputs, data


def made(settings=None, inputs=1.0, seed=1, start=None):
    arguments = {"inputs": inputs, "data": np.arange(3.0)}
    return fingerprint(model, arguments, jax.random.key(seed), settings or FitSettings(), start)


def changed(**what):
    one, other = made(), made(**what)
    assert one.keys() == other.keys()
    return [name for name in one if one[name] != other[name]]


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ({}, []),
        ({"seed": 2}, ["seed"]),
        ({"inputs": 1.5}, ["inputs"]),
        ({"start": {"kb": 0.05}}, ["start values"]),
        ({"settings": FitSettings(chains=2, target_accept=0.9)}, ["setting chains", "setting target_accept"]),
        ({"settings": FitSettings(method="hmc", leaps=5)}, ["setting method", "setting leaps"]),
    ],
)
def test_what_changed_is_named(what, names):
    assert changed(**what) == names


def test_where_a_run_ends_does_not_count():
    ends = FitSettings(draws=10, until="ess > 1000", max_draws=20000, checkpoint_seconds=1.0)
    assert changed(settings=ends) == []


def test_arrays_count_with_value_shape_and_type():
    base = np.arange(4.0)
    others = [base + 1e-15, base.astype(np.float32), base.reshape(2, 2), [base], {"a": base}]
    assert len({digest(tree) for tree in [base, *others]}) == 6
    assert digest(jax.numpy.asarray(base)) == digest(base)


def test_static_fields_and_kinds_of_prior_count():
    trees = [Detector(np.ones(2), "a"), Detector(np.ones(2), "b"), dist.Normal(0.0, 1.0), dist.Cauchy(0.0, 1.0)]
    assert len(set(map(digest, trees))) == 4
    assert digest(Detector(np.ones(2), "a")) == digest(trees[0])


def test_a_model_is_known_by_its_file(tmp_path):
    found = []
    for text in ("def model(inputs, data):\n    return 1\n", "def model(inputs, data):\n    return 2\n"):
        path = tmp_path / "model.py"
        path.write_text(text)
        space = {}
        exec(compile(text, path, "exec"), space)
        found.append(digest_of_model(space["model"]))
        assert digest_of_model(partial(space["model"], data=3)) == found[-1]
    assert found[0] != found[1]


def test_a_model_without_a_file_is_known_by_its_code():
    spaces = [{}, {}]
    for text, space in zip(("def model(a, b):\n    return a", "def model(a, b):\n    return b"), spaces, strict=True):
        exec(compile(text, "<cell>", "exec"), space)
    assert digest_of_model(spaces[0]["model"]) != digest_of_model(spaces[1]["model"])


def test_a_callable_object_is_a_model():
    class Model:
        def __call__(self, inputs, data=None):
            del inputs, data

    assert digest_of_model(Model()) == digest_of_model(model)
