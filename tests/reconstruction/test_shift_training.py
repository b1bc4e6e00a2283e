from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescal.light.shift_network import NetworkSize, ShiftNetwork
from bayescal.reconstruction.clusters import ClusterBatch, batch_clusters
from bayescal.reconstruction.proposed_shift import Proposal, proposed_posteriors
from bayescal.reconstruction.shift_training import ShiftRecipe, TrainedShifts, new_network, train_shifts
from bayescal.reconstruction.t0 import Light, flashes_of, no_constraint

KEY = jax.random.key(4)
SIZE = NetworkSize(16, 16, 32, 2)
RECIPE = ShiftRecipe(steps=200, batch=128, learning_rate=5e-3, block=50)


class Watched(NamedTuple):
    """A training, the loss of its blocks, and how often the light had been traced after each."""

    trained: TrainedShifts
    losses: list[float]
    traces: list[int]


@pytest.fixture(scope="module")
def batch(toy) -> ClusterBatch:
    return batch_clusters(toy.tracks(5, 256), toy.volumes)


@pytest.fixture(scope="module")
def light(toy) -> Light:
    return Light(toy.light.expected, dist.Poisson)


@pytest.fixture(scope="module")
def start(batch, light) -> ShiftNetwork:
    return new_network(jax.random.key(5), batch, light, "toy", SIZE)


@pytest.fixture(scope="module")
def watched(batch, light, start) -> Watched:
    traced, losses, traces = [], [], []

    def expected(position_cm, photons):
        traced.append(None)
        return light.expected(position_cm, photons)

    def watch(step: int, loss: float) -> None:
        losses.append(loss)
        traces.append(len(traced))

    return Watched(train_shifts(KEY, start, batch, Light(expected, light.readout), RECIPE, watch), losses, traces)


def test_features_are_of_the_order_of_one(batch, start) -> None:
    emits = batch.photons > 0
    x_cm = (batch.position_cm[..., 0] + batch.lowest_cm[:, None])[emits]
    np.testing.assert_allclose(start.scaling.position_cm[:, 0], [x_cm.mean(), x_cm.std()])
    assert float(start.scaling.beside[1, 1]) == pytest.approx(1e-3)  # tracks of one length
    assert ((np.asarray(start.scaling.light[1]) > 0.1) & (np.asarray(start.scaling.light[1]) < 3)).all()


def test_training_finds_the_shift(watched) -> None:
    """The first loss is that of equal shifts, zero; information of 0.3 is a range that is a quarter shorter."""
    curve = watched.trained.curve
    assert curve.shape == (200,)
    assert curve[0] == pytest.approx(0.0, abs=1e-5)
    assert curve[-50:].mean() < -0.3
    np.testing.assert_allclose(watched.losses, curve.reshape(4, 50).mean(axis=1), rtol=1e-6)


def test_blocks_share_one_program(watched) -> None:
    assert len(set(watched.traces)) == 1


def test_what_was_learned_saves_draws(toy, light, flash, start, watched) -> None:
    """On tracks and flashes that were not trained on; the effective share of the draws, in the mean of 32 tracks."""
    batch = batch_clusters(toy.tracks(6, 32), toy.volumes)
    shift = np.random.default_rng(7).uniform(batch.lowest_cm, batch.highest_cm)
    flashes = flashes_of(flash(toy, batch, shift, 8, error=0.0), no_constraint(32))
    before, after = (
        proposed_posteriors(KEY, batch, flashes, light, Proposal(network, 100)).ess.mean() / 100
        for network in (start, watched.trained.network)
    )
    assert float(after) > 1.15 * float(before)


def test_only_layers_are_trained(start, watched) -> None:
    trained = watched.trained.network
    assert eqx.tree_equal(trained.scaling, start.scaling)
    assert all((one.weight != other.weight).any() for one, other in zip(trained.layers, start.layers, strict=True))
    assert all(layer.weight.dtype == jnp.float32 for layer in trained.layers)
