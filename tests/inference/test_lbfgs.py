"""The mode in a large space."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.inference.gaussian import LowRankGaussian, gaussian
from bayescal.inference.optimise import LARGEST_DENSE, find_mode, minimise, prior_scale
from bayescal.inference.potential import Potential


def prepared(case, key):
    potential = Potential(*case, key)
    return potential, prior_scale(potential.sample_prior(key, 200))


@pytest.mark.parametrize("exposure", [3.0, 1e4])
def test_mode_and_widths_of_a_thousand_rates(make_hierarchy, key, exposure):
    potential, scale = prepared(make_hierarchy(exposure), key)
    found = minimise(potential, scale.centre, scale, 1500)
    assert found.converged
    assert found.gradients < 400
    inverse, rate = np.exp(found.x[0]), np.exp(found.x[1:])
    hessian = np.diag(np.append(inverse * (rate.sum() + 1.0), (inverse + exposure) * rate))
    hessian[0, 1:] = hessian[1:, 0] = inverse * rate
    covariance = np.linalg.inv(hessian)
    assert found.gradient @ covariance @ found.gradient < 1e-3
    approximation = gaussian(found)
    assert isinstance(approximation, LowRankGaussian)
    np.testing.assert_allclose(approximation.sd, np.sqrt(np.diag(covariance)), rtol=0.01)


def wide(inputs, data=None):
    """Widths over six orders of magnitude under a flat prior, one more than the whole Hessian is taken for."""
    x = numpyro.sample("x", dist.Normal(0.0, 1e5).expand([LARGEST_DENSE + 1]).to_event(1))
    numpyro.factor("likelihood", -0.5 * jnp.sum(((x - 1.0) / inputs) ** 2))


def test_widths_over_orders_of_magnitude(key):
    widths = np.logspace(-3, 3, LARGEST_DENSE + 1)
    potential, scale = prepared((wide, widths, None), key)
    found = minimise(potential, scale.centre + scale.spread, scale, 1500)
    assert found.converged
    np.testing.assert_allclose((found.x - 1.0) / widths, 0.0, atol=0.02)


def test_giving_up_says_why_and_turns_to_the_next_start(make_hierarchy, key):
    potential, scale = prepared(make_hierarchy(3.0), key)
    short = minimise(potential, scale.centre, scale, 100)
    assert not short.converged
    assert "gradients were not enough" in short.reason
    lost = np.full(potential.size, np.nan)
    assert minimise(potential, lost, scale, 15).reason == "the log-density at the start is not finite"
    looks = []
    found = find_mode(potential, [lost, scale.centre], scale, None, 1500, lambda *look: looks.append(look))
    assert found.converged
    assert looks[-1] == (2, "straight", found.steps, found.value)


def test_a_cliff_of_non_finite_values_is_stepped_back_from(key):
    def cliff(inputs, data=None):
        x = numpyro.sample("x", dist.Normal(0.0, 10.0).expand([LARGEST_DENSE + 1]).to_event(1))
        log_density = jnp.where(x < 1.0, inputs * x - 1e-3 * x**2, jnp.nan) + 3.0 * jnp.log1p(-x)
        numpyro.factor("likelihood", log_density.sum())

    potential, scale = prepared((cliff, 20.0, None), key)
    found = minimise(potential, np.full(potential.size, -8.0), scale, 1500)
    assert found.converged
    assert ((found.x > 0.8) & (found.x < 0.9)).all()
