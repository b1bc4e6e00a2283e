"""Blocks of iterations of a BlackJAX kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.errors import InputError
from bayescal.inference import FitSettings
from bayescal.inference.blackjax_nuts import kernel
from bayescal.inference.kernels import KernelSampler, block, start_places
from bayescal.inference.laplace import Gaussian
from bayescal.inference.mcmc import Phase
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import Control


def made(known, key, method="sequential"):
    potential = Potential(*known.case, key)
    widths = known.sd["mean"]
    around = Gaussian(known.data, np.diag(widths**2), np.diag(widths))
    return KernelSampler(potential, kernel(8), around, FitSettings(chains=3, chain_method=method))


def places(sampler, chains):
    return sampler.whitening.colour(np.concatenate([share.state.position for share in chains.values()]))


def test_blocks_of_any_length_are_one_program(known_models, key):
    sampler, traced = made(known_models.gaussian(), key), []
    one_move = sampler.kernel.step

    def counted(*arguments):
        traced.append(1)
        return one_move(*arguments)

    sampler.kernel = sampler.kernel._replace(step=counted)
    chains, traces = sampler.start(key), []
    for iterations in (3, 10, 1):
        chains, trace = sampler.run(chains, Control(iterations, True, 0.8))
        traces.append(trace)
        assert trace.y.shape == (3, iterations, 10)
    assert len(traced) <= 3  # shapes, the loop's body, and that once more with its settled types
    assert sampler.gradients == 3 + sum(int(trace.n_steps.sum()) for trace in traces)
    np.testing.assert_allclose(places(sampler, chains), sampler.whitening.colour(traces[-1].y[:, -1]))


def test_vectorised_chains_agree_with_sequential_ones(known_models, key):
    found = {}
    for method in ("sequential", "vectorized"):
        sampler = made(known_models.gaussian(), key, method)
        found[method] = sampler.run(sampler.start(key), Control(5, False, 0.8))[1].y
    np.testing.assert_allclose(found["vectorized"], found["sequential"], rtol=1e-6)


def test_learning_keeps_places_and_unites_step_sizes(known_models, key):
    sampler = made(known_models.gaussian(), key)
    chains, _ = sampler.run(sampler.start(key), Control(10, True, 0.8))
    before = places(sampler, chains)
    draws = np.random.default_rng(0).normal(2.0, 3.0, (500, 10))
    chains = sampler.learn(chains, Phase(10, learn=True), draws)
    np.testing.assert_allclose(places(sampler, chains), before, rtol=1e-9)
    assert len({float(share.step_size[0]) for share in chains.values()}) == 1
    np.testing.assert_allclose(sampler.whitening.covariance[0, 0], 9.0 * 1e-4, rtol=0.3)


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
