from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
import scipy.stats
from numpyro.distributions import biject_to
from numpyro.infer.util import potential_energy

from bayescal.standardised import StandardisedNormal

LOC, SCALE = jnp.array([[1.0, -2.0], [0.5, 3.0]]), jnp.array([[0.5, 2.0], [1.0, 0.1]])
CENTRE = jnp.array([[0.3, 0.1], [-1.0, 2.0]])
ROOT = jnp.array([[[0.5, 0.0], [0.2, 0.4]], [[2.0, 0.0], [-1.0, 0.3]]])


def prior() -> StandardisedNormal:
    return StandardisedNormal(LOC, SCALE, CENTRE, ROOT)


def test_density_is_that_of_independent_components() -> None:
    x = np.array([[0.2, -1.0], [0.7, 2.9]])
    assert (prior().batch_shape, prior().event_shape) == ((2,), (2,))
    np.testing.assert_allclose(prior().log_prob(x), scipy.stats.norm.logpdf(x, LOC, SCALE).sum(axis=1), rtol=1e-12)


def test_draws() -> None:
    """Means within five standard errors of 4,000 draws, false alarm 2e-6."""
    draws = np.asarray(prior().sample(jax.random.key(1), (4000,)))
    assert (np.abs(draws.mean(axis=0) - LOC) < 5 * SCALE / np.sqrt(4000)).all()
    np.testing.assert_allclose(draws.std(axis=0), SCALE, rtol=5 / np.sqrt(2 * 4000))


def test_coordinates() -> None:
    """x = centre + root z, both ways, for any number of leading axes."""
    z = np.random.default_rng(2).normal(size=(3, 2, 2))
    transform = biject_to(prior().support)
    x = transform(jnp.asarray(z))
    np.testing.assert_allclose(x, CENTRE + np.einsum("bij,nbj->nbi", ROOT, z), rtol=1e-12)
    np.testing.assert_allclose(transform.inv(x), z, rtol=1e-10, atol=1e-12)
    assert prior().support(x).all()
    assert not prior().support(x.at[1, 0, 1].set(jnp.nan))[1, 0]


def test_sampler_sees_the_coordinates() -> None:
    """The potential of z is that of x less the logarithm of the determinant of the root."""
    z = jnp.array([[0.1, -0.4], [1.0, 0.3]])
    found = potential_energy(lambda: numpyro.sample("x", prior()), (), {}, {"x": z})
    x = CENTRE + jnp.einsum("bij,bj->bi", ROOT, z)
    determinant = np.log(0.5 * 0.4 * 2.0 * 0.3)
    assert float(found) == pytest.approx(-float(prior().log_prob(x).sum()) - determinant, rel=1e-12)


def test_goes_through_compiled_programs() -> None:
    assert jax.jit(lambda prior, x: prior.log_prob(x).sum())(prior(), LOC) == pytest.approx(
        float(prior().log_prob(LOC).sum())
    )
