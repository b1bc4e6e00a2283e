"""Blocks of iterations of a BlackJAX kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.errors import InputError
from bayescal.inference import FitSettings, mclmc
from bayescal.inference.blackjax_nuts import kernel
from bayescal.inference.gaussian import Gaussian
from bayescal.inference.kernels import KernelSampler, block, start_places
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import Control


def made(known, key, method="sequential"):
    """A sampler, and a whitening with the right widths but no correlations."""
    widths = known.sd["mean"]
    around = Gaussian(known.data, np.diag(widths**2), np.diag(widths))
    return KernelSampler(Potential(*known.case, key), kernel(8), FitSettings(chains=3, chain_method=method)), around


def test_blocks_of_any_length_are_one_program(known_models, key):
    sampler, around = made(known_models.gaussian(), key)
    one_move, traced = sampler.kernel.step, []

    def counted(*arguments):
        traced.append(1)
        return one_move(*arguments)

    sampler.kernel = sampler.kernel._replace(step=counted)
    chains = sampler.start(key, around)
    for iterations in (3, 10, 1):
        chains, trace = sampler.run(chains, around, Control(iterations, True, 0.8))
        assert trace.y.shape == (3, iterations, 10)
        assert sampler.gradients(trace) == trace.n_steps.sum()
        np.testing.assert_array_equal(chains.state.position, trace.y[:, -1])
    assert len(traced) <= 3  # shapes, the loop's body, and that once more with its settled types


@pytest.mark.parametrize("one", [kernel(8), mclmc.kernel()], ids=["nuts", "mclmc"])
def test_blank_chains_have_the_form_of_real_ones(known_models, key, one):
    sampler, around = made(known_models.gaussian(), key)
    sampler = KernelSampler(sampler.potential, one, sampler.settings)
    chains = sampler.start(key, around)
    after = sampler.settle(sampler.run(chains, around, Control(2, True, 0.8))[0])
    forms = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (sampler.blank(), chains, after)]
    assert forms[0] == forms[1] == forms[2]


def test_vectorised_chains_agree_with_sequential_ones(known_models, key):
    found = {}
    for method in ("sequential", "vectorized"):
        sampler, around = made(known_models.gaussian(), key, method)
        found[method] = sampler.run(sampler.start(key, around), around, Control(5, False, 0.8))[1].y
    np.testing.assert_allclose(found["vectorized"], found["sequential"], rtol=1e-6)


def test_rewhitening_leaves_chains_where_they_are(known_models, key):
    sampler, old = made(known_models.gaussian(), key)
    before = sampler.start(key, old)
    after, new = sampler.rewhiten(before, old, np.random.default_rng(0).normal(2.0, 3.0, (500, 10)))

    def slopes(chains, whitening):
        return chains.state.logdensity_grad @ np.linalg.inv(whitening.factor)

    np.testing.assert_allclose(new.colour(after.state.position), old.colour(before.state.position), rtol=1e-9)
    np.testing.assert_allclose(slopes(after, new), slopes(before, old), rtol=1e-9)
    np.testing.assert_allclose(new.covariance[0, 0], 9.0 * 1e-4, rtol=0.3)


def test_settling_unites_step_sizes(known_models, key):
    sampler, around = made(known_models.gaussian(), key)
    chains, _ = sampler.run(sampler.start(key, around), around, Control(10, True, 0.8))
    assert len(set(chains.step_size)) == 3
    settled = sampler.settle(chains)
    np.testing.assert_allclose(np.log(settled.step_size), chains.averaging.log_step_size_avg.mean())
    assert sampler.step_size(settled) == settled.step_size[0]


def test_no_finite_start_is_refused(key):
    def broken(inputs, data=None):
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.factor("likelihood", jnp.nan * x)

    with pytest.raises(InputError, match="no chain can start"):
        start_places(key, Potential(broken, 1.0, None, key), Gaussian(np.zeros(1), np.eye(1), np.eye(1)), 2)


def test_block_stops_at_its_iterations():
    chain, kept = jax.jit(block, static_argnums=(0, 3))(lambda n: (n + 1, {"square": n**2}), 2, 3, 5)
    assert chain == 5
    np.testing.assert_array_equal(kept["square"], [4, 9, 16, 0, 0])
