"""The log-density as a function of a flat vector."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

from bayescal.errors import InputError
from bayescal.inference.potential import Potential, hessian, prior_potential
from bayescal.testing import check_gradient


def line(inputs, data=None):
    slope = numpyro.sample("slope", dist.Uniform(inputs["low"], 3.0))
    offset = numpyro.sample("offset", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    mean = numpyro.deterministic("mean", offset.sum() + slope * inputs["x"])
    numpyro.sample("y", dist.Normal(mean, 0.5), obs=data)


INPUTS, DATA = {"x": np.array([0.0, 1.0, 2.0]), "low": 1.0}, np.array([0.1, 2.0, 4.2])


@pytest.fixture
def potential(key):
    return Potential(line, INPUTS, DATA, key)


def test_value_is_the_joint_density_with_the_jacobian(potential):
    x = np.array([0.3, -0.4, 0.7])
    share = 1.0 / (1.0 + np.exp(-0.7))
    slope = 1.0 + 2.0 * share
    prior = norm.logpdf(x[:2], 0.0, 2.0).sum() - np.log(2.0)
    likelihood = norm.logpdf(DATA, x[:2].sum() + slope * INPUTS["x"], 0.5).sum()
    jacobian = np.log(2.0 * share * (1.0 - share))
    np.testing.assert_allclose(potential.value(x), -(prior + likelihood + jacobian), rtol=1e-12)


def test_labels_follow_the_flat_vector(potential):
    assert potential.labels == ("offset[0]", "offset[1]", "slope")
    values = potential.constrain(np.array([[0.3, -0.4, 0.0], [1.0, 2.0, 50.0]]))
    np.testing.assert_allclose(values["offset"], [[0.3, -0.4], [1.0, 2.0]])
    np.testing.assert_allclose(values["slope"], [2.0, 3.0])
    assert values["mean"].shape == (2, 3)


def test_constrain_keeps_leading_axes_of_any_length(potential):
    x = np.random.default_rng(0).normal(size=(2, 173, 3))
    values = potential.constrain(x)
    assert values["slope"].shape == (2, 173)
    np.testing.assert_array_equal(values["offset"], x[..., :2])


def test_unconstrain_inverts_and_fills_in(potential):
    default = np.array([0.1, 0.2, 0.3])
    x = potential.unconstrain({"slope": 1.5}, default)
    np.testing.assert_allclose(x, [0.1, 0.2, np.log(0.25 / 0.75)])
    np.testing.assert_allclose(potential.constrain(x)["slope"], 1.5)


def test_start_errors_name_the_parameter(potential):
    with pytest.raises(InputError, match=r"start names slop, but the free parameters are offset, slope"):
        potential.unconstrain({"slop": 1.0}, np.zeros(3))
    with pytest.raises(InputError, match=r"start value of slope lies outside its prior's support"):
        potential.unconstrain({"slope": 0.5}, np.zeros(3))


def test_gradient_is_that_of_the_value(potential):
    for x in potential.sample_prior(jax.random.key(2), 3):
        check_gradient(lambda z: potential.programs.energy(z, potential.inputs, potential.data), x)


def test_hessian_by_differences_equals_automatic_differentiation(potential):
    x = np.array([0.3, -0.4, 0.7])
    expected = jax.hessian(potential.programs.energy)(jnp.asarray(x), potential.inputs, potential.data)
    np.testing.assert_allclose(hessian(potential, x, 0.01 * np.eye(3)), expected, rtol=1e-6, atol=1e-6)
    assert potential.evaluations.gradients == 6


def test_new_inputs_of_the_same_shape_are_not_traced_again(key):
    runs = []

    def counted(inputs, data=None):
        runs.append(1)
        line(inputs, data)

    potential = Potential(counted, INPUTS, DATA, key)
    x = potential.sample_prior(key, 2)[0]
    potential.value_and_grad(x)
    before = len(runs)
    other = potential.with_inputs({"x": jnp.array([1.0, 5.0, 2.0], jnp.float32), "low": np.float32(0.5)})
    assert other.value_and_grad(x)[0] != potential.value_and_grad(x)[0]
    assert len(runs) == before
    assert other.evaluations.gradients == 3


def test_other_data_are_another_potential(potential):
    x = np.array([0.3, -0.4, 0.7])
    moved = potential.with_data(INPUTS, DATA.astype(np.float32) + 1.0)
    fresh = Potential(line, INPUTS, np.asarray(DATA + 1.0), jax.random.key(1))
    np.testing.assert_allclose(moved.value(x), fresh.value(x), rtol=1e-6)  # data of single precision
    assert potential.value(x) != moved.value(x)


def test_prior_potential_leaves_out_data_and_factors(key):
    x = np.array([0.3, -0.4, 0.7])
    share = 1.0 / (1.0 + np.exp(-0.7))
    expected = norm.logpdf(x[:2], 0.0, 2.0).sum() - np.log(2.0) + np.log(2.0 * share * (1.0 - share))
    np.testing.assert_allclose(prior_potential(line, INPUTS, DATA, key).value(x), -expected, rtol=1e-12)


def test_prior_draws_follow_the_prior(potential):
    slope = potential.constrain(potential.sample_prior(jax.random.key(3), 4000))["slope"]
    assert abs(slope.mean() - 2.0) < 5.0 * (2.0 / np.sqrt(12.0)) / np.sqrt(4000)


def test_models_that_cannot_be_fitted_say_why(key):
    with pytest.raises(InputError, match="no free parameter"):
        Potential(lambda inputs, data: None, INPUTS, DATA, key)
    with pytest.raises(InputError, match="prior of n is discrete"):
        Potential(lambda inputs, data: numpyro.sample("n", dist.Poisson(3.0)), INPUTS, DATA, key)
    with pytest.raises(InputError, match="inputs of a model must be a pytree of arrays and numbers"):
        Potential(line, {"x": "text"}, DATA, key)


def test_fields_of_distributions_have_an_order_that_every_process_shares():
    """Low, high and support of a uniform prior would come in any order."""
    assert dist.Uniform.gather_pytree_data_fields() == ("_support", "high", "low")
    prior = dist.Uniform(jnp.zeros(2), 3.0)
    back = jax.jit(lambda prior: prior)(prior)
    np.testing.assert_array_equal(back.low, prior.low)
    assert back.high == 3.0
    assert back.batch_shape == (2,)
    masked = jax.jit(lambda prior: prior)(dist.Normal(0.0, 1.0).mask(False))
    assert masked.log_prob(5.0) == 0.0
