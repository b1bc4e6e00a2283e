"""A model in whitened coordinates."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import handlers
from numpyro.infer.util import potential_energy

from bayescal.inference.laplace import Gaussian
from bayescal.inference.potential import Potential
from bayescal.inference.whitened_model import SITE, whitened


def model(inputs, data=None):
    width = numpyro.sample("width", dist.LogNormal(0.0, 1.0))
    with numpyro.plate("part", 2):
        share = numpyro.sample("share", dist.Uniform(0.0, width))
    numpyro.sample("y", dist.Normal(share.sum(), inputs), obs=data)


def test_density_is_that_of_the_model(key):
    potential = Potential(model, 0.5, 1.0, key)
    factor = np.array([[0.5, 0.0, 0.0], [0.2, 0.4, 0.0], [-0.1, 0.3, 2.0]])
    gaussian = Gaussian(np.array([0.3, -0.2, 0.1]), factor @ factor.T, factor)
    other = whitened(model, gaussian, potential.unravel)
    for y in np.random.default_rng(4).normal(size=(5, 3)):
        found = potential_energy(other, (0.5, 1.0), {}, {SITE: y})
        np.testing.assert_allclose(found, potential.value(gaussian.colour(y)), rtol=1e-12)


def test_one_free_parameter(key):
    potential = Potential(model, 0.5, 1.0, key)
    gaussian = Gaussian(np.zeros(3), np.eye(3), np.eye(3))
    trace = handlers.trace(handlers.seed(whitened(model, gaussian, potential.unravel), jax.random.key(1))).get_trace(
        0.5, 1.0
    )
    free = [name for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"]]
    assert free == [SITE]
