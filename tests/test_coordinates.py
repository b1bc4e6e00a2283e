from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers

from bayescal.coordinates import InCoordinate, inverse_root, linear_above, logarithm_times
from bayescal.inference.potential import Potential
from bayescal.parameters import Parameter, draw

PLACES = np.array([-3.0, -0.4, 0.7, 5.0])


@pytest.mark.parametrize("transform", [logarithm_times(jnp.array(3.0)), inverse_root(2000.0), linear_above(0.1)])
def test_density_in_the_coordinate_is_the_prior_times_the_slope(transform):
    prior = dist.LogNormal(7.0, 1.5)

    def model(inputs, data=None):
        numpyro.sample("length", InCoordinate(prior, transform))

    potential = Potential(model, None, None, jax.random.key(0))
    for place in PLACES:
        x, slope = jax.value_and_grad(transform)(place)
        expected = float(prior.log_prob(x) + np.log(abs(slope)))
        assert -potential.value(np.array([place])) == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(potential.unconstrain({"length": x}, np.zeros(1)), place, rtol=1e-6)


def test_coordinates_are_what_they_say():
    np.testing.assert_allclose(logarithm_times(jnp.array(3.0)).inv(7.0), np.log(21.0))
    root = inverse_root(2000.0)
    np.testing.assert_allclose(root.inv(2.0), np.sqrt(1000.0), rtol=1e-10)
    np.testing.assert_allclose(root.inv(2e12), 0.5 * np.log(1e-9), rtol=1e-5)


def test_a_coordinate_may_depend_on_other_parameters():
    """A product that data measure: in the coordinates of the product the potential separates."""
    gain = Parameter("gain", "", 1.0, dist.LogNormal(0.0, 0.5), per="sensor")
    light = Parameter("light", "", 1.0, dist.LogNormal(0.0, 1.0))

    def model(inputs, data=None):
        values = draw(
            (gain, light), {}, {"sensor": 2}, coordinates={"gain": lambda values: logarithm_times(values["light"])}
        )
        product = values["gain"] * values["light"]
        numpyro.sample("seen", dist.Normal(jnp.log(product), 1e-3), obs=data)

    potential = Potential(model, None, np.zeros(2), jax.random.key(0))
    place = potential.unconstrain({"gain": np.full(2, 0.5), "light": 2.0}, np.zeros(3))
    np.testing.assert_allclose(place[: len(place) - 1], 0.0, atol=1e-12)
    shifted = place + np.array([0.0, 0.0, 0.3])
    assert abs(potential.value(shifted) - potential.value(place)) < 10.0  # 1e5 where the yields were to stay
    sites = handlers.trace(handlers.seed(model, jax.random.key(1))).get_trace(None)
    assert sites["gain"]["value"].shape == (2,)
