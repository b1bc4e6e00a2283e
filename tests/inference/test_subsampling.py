"""Plates that a model looks at in parts."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.errors import InputError
from bayescal.inference.potential import Potential, prior_potential
from bayescal.inference.subsampling import Plate, find_plate, without_rows

ROWS = 23
X = np.linspace(-1.0, 1.0, ROWS)
DATA = 2.0 * X + 0.1 * np.sin(40.0 * X)


def line(part):
    def model(inputs, data=None):
        slope = numpyro.sample("slope", dist.Normal(0.0, 3.0))
        noise = numpyro.sample("noise", dist.LogNormal(-1.0, 1.0))
        numpyro.sample("control", dist.Normal(slope, 1.0), obs=2.0)
        with numpyro.plate("rows", ROWS, subsample_size=part) as row:
            middle = numpyro.deterministic("middle", slope * inputs[row])
            numpyro.sample("y", dist.Normal(middle, noise), obs=None if data is None else data[row])

    return model


@pytest.mark.parametrize("part", [1, 5, 22])
def test_potential_is_that_of_all_rows(part, key):
    whole, parts = (Potential(line(size), X, DATA, key) for size in (None, part))
    assert whole.plate is None
    assert parts.plate == Plate("rows", ROWS, part, ("y",))
    for x in np.random.default_rng(3).normal(size=(3, 2)):
        (value, gradient), (expected, slope) = parts.value_and_grad(x), whole.value_and_grad(x)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(gradient, slope, rtol=1e-10)


def test_physical_values_and_prior_see_all_rows(key):
    whole, parts = (Potential(line(size), X, DATA, key) for size in (None, 5))
    x = whole.sample_prior(key, 4)
    np.testing.assert_array_equal(parts.sample_prior(key, 4), x)
    values = parts.constrain(x)
    assert values["middle"].shape == (4, ROWS)
    np.testing.assert_allclose(values["middle"], whole.constrain(x)["middle"])
    np.testing.assert_allclose(parts.unconstrain({"slope": 1.5}, x[0]), whole.unconstrain({"slope": 1.5}, x[0]))


def test_without_its_rows_a_model_keeps_priors_and_other_data(key):
    plate = Plate("rows", ROWS, 5, ("y",))
    x = np.array([0.2, 0.3])
    rest = Potential(without_rows(line(5), plate), X, DATA, key).value(x)
    slope = 0.3
    expected = prior_potential(line(5), X, DATA, key).value(x) - dist.Normal(slope, 1.0).log_prob(2.0)
    np.testing.assert_allclose(rest, expected, rtol=1e-12)


def test_several_plates_are_refused(key):
    def model(inputs, data=None):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        for name in ("left", "right"):
            with numpyro.plate(name, ROWS, subsample_size=3) as row:
                numpyro.sample(f"y_{name}", dist.Normal(mean, 1.0), obs=inputs[row])

    with pytest.raises(InputError, match=r"several subsampled plates \(left, right\): put all observed rows into one"):
        Potential(model, X, DATA, key)


def test_parameters_inside_the_plate_are_refused(key):
    def model(inputs, data=None):
        with numpyro.plate("rows", ROWS, subsample_size=3) as row:
            shift = numpyro.sample("shift", dist.Normal(0.0, 1.0))
            numpyro.sample("y", dist.Normal(shift, 1.0), obs=inputs[row])

    with pytest.raises(InputError, match="parameters shift are drawn inside the subsampled plate rows"):
        find_plate(model, X, DATA, jax.random.key(0))
