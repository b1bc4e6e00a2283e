"""Blocks of iterations."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.inference import fit
from bayescal.inference.convergence import quality
from bayescal.inference.laplace import Gaussian
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import Control, Sampler
from bayescal.inference.settings import FitSettings


def at_the_mode(case):
    covariance = case.inputs["covariance"]
    return Gaussian(case.data, covariance, np.linalg.cholesky(covariance))


def test_rewhitening_leaves_chains_where_they_are(gaussian_case, key):
    potential = Potential(*gaussian_case, key)
    old = Gaussian(gaussian_case.data, np.eye(10), np.eye(10))
    sampler = Sampler(potential, FitSettings(chains=3))
    before = sampler.start(key, old)

    def places(chains, whitening):
        return whitening.mode + chains.state.z @ whitening.factor.T

    def slopes(chains, whitening):
        return chains.state.z_grad @ np.linalg.inv(whitening.factor)

    after, new = sampler.rewhiten(before, old, np.random.default_rng(0).normal(2.0, 3.0, (500, 10)))
    np.testing.assert_allclose(places(after, new), places(before, old), rtol=1e-10)
    np.testing.assert_allclose(slopes(after, new), slopes(before, old), rtol=1e-10)
    np.testing.assert_allclose(np.diag(new.covariance), 9.0, rtol=0.3)


@pytest.mark.parametrize("method", ["nuts", "hmc"])
def test_draws_do_not_depend_on_where_blocks_are_cut(gaussian_case, key, method):
    potential = Potential(*gaussian_case, key)
    whitening = at_the_mode(gaussian_case)
    sampler = Sampler(potential, FitSettings(method=method, chains=2))

    def places(cuts):
        chains, found = sampler.start(key, whitening), []
        for iterations in cuts:
            chains, trace = sampler.run(chains, whitening, Control(iterations, True, 0.8))
            found.append(trace.y)
        return np.concatenate(found, axis=1)

    whole = places([10, 10])
    assert whole.shape == (2, 20, 10)
    np.testing.assert_array_equal(places([3, 7, 1, 9]), whole)


def test_hmc_takes_its_leaps_and_keeps_its_step_size(gaussian_case, key):
    whitening = at_the_mode(gaussian_case)
    sampler = Sampler(Potential(*gaussian_case, key), FitSettings(method="hmc", leaps=3, chains=2))
    chains = sampler.start(key, whitening)
    after, trace = sampler.run(chains, whitening, Control(10, False, 0.8))
    assert (trace.n_steps == 3).all()
    np.testing.assert_array_equal(trace.step_size, np.repeat(chains.state.adapt_state.step_size[:, None], 10, axis=1))
    assert not np.array_equal(after.state.z, chains.state.z)


def test_blank_states_have_the_form_of_real_ones(gaussian_case, key):
    whitening = at_the_mode(gaussian_case)
    for method in ("nuts", "hmc"):
        sampler = Sampler(Potential(*gaussian_case, key), FitSettings(method=method, chains=3))
        forms = [
            jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), chains)
            for chains in (sampler.blank(), sampler.start(key, whitening))
        ]
        assert forms[0] == forms[1]


@pytest.mark.parametrize("leaps", [None, 4])
def test_hmc_leaves_no_direction_with_its_own_period(key, leaps):
    """Four leaps of a tuned size bring six whitened directions back with the same square: R-hat of it was 2.0."""

    def normal(inputs, data=None):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1e4).expand([6]).to_event(1))
        numpyro.sample("observed", dist.Normal(mean, inputs).to_event(1), obs=data)

    result = fit(normal, 1.0, np.zeros(6), key=key, settings=FitSettings(method="hmc", leaps=leaps, draws=500))
    squares = quality({"square": result.data["posterior"]["mean"].values ** 2})
    assert squares.ess_bulk.min() > 200
