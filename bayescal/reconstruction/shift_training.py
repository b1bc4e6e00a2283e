"""Training of a network that guesses drift shifts, on light that is simulated anew for every step.

Clusters are those of made tracks or of the data themselves; each step takes some of them, moves each to a random place
of its range and draws the light that its flash would have there. So the training never sees the same flash twice, and
the network approaches the posterior of the shift under the light, the readout and the clusters that it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from bayescal.light.shift_network import NetworkSize, Scaling, ShiftNetwork, initialise_network
from bayescal.light.training import warmed_adam
from bayescal.reconstruction.clusters import ClusterBatch
from bayescal.reconstruction.proposed_shift import log_masses
from bayescal.reconstruction.t0 import Light, light_of_shift

_SCALED_BY = 1024  # flashes that give the scaling of the light
_LEAST_WIDTH = 1e-3  # of a feature that is the same everywhere

Watch = Callable[[int, float], None]


class ShiftRecipe(eqx.Module):
    """How to train.

    Attributes:
        steps: of the optimiser.
        batch: flashes a step.
        learning_rate: the largest; it rises from zero over the first steps and falls to zero as a cosine.
        warm_up: share of the steps in which it rises.
        largest_gradient: norm to which longer gradients are shortened.
        absent: probability of a sensor to be left out of a flash, so that the network knows flashes that lack some.
        block: steps in one call of the compiled program, after which the training can be watched.
    """

    steps: int = eqx.field(static=True, default=6_000)
    batch: int = eqx.field(static=True, default=256)
    learning_rate: float = eqx.field(static=True, default=1e-3)
    warm_up: float = eqx.field(static=True, default=0.05)
    largest_gradient: float = eqx.field(static=True, default=1.0)
    absent: float = eqx.field(static=True, default=0.01)
    block: int = eqx.field(static=True, default=100)

    def optimiser(self) -> optax.GradientTransformation:
        """Adam of gradients of bounded norm."""
        return warmed_adam(self.steps, self.learning_rate, self.warm_up, self.largest_gradient)


class TrainedShifts(NamedTuple):
    """A network that was trained, and the loss of each step [step].

    The loss is the mean of the logarithm of the even density of shifts over the network's density of the true shift:
    zero for a network that knows nothing, and minus the information on the shift otherwise [nats].
    """

    network: ShiftNetwork
    curve: NDArray


class _Flashes(NamedTuple):
    """Simulated flashes: cluster of each, its shift [cm] and its light [p.e.]."""

    cluster: ClusterBatch
    shift_cm: Float[Array, " flash"]
    counts: Float[Array, "flash sensor"]


_State = tuple[Any, optax.OptState]


def new_network(
    key: PRNGKeyArray, batch: ClusterBatch, light: Light, detector: str, size: NetworkSize | None = None
) -> ShiftNetwork:
    """A network to be trained on clusters and light like these, whose features it scales.

    Args:
        key: random key.
        batch: clusters.
        light: expected light and its readout.
        detector: name of the detector.
        size: of the network.
    """
    flash_key, layer_key = jax.random.split(key)
    counts = np.log1p(np.asarray(_draw_flashes(flash_key, jax.tree.map(jnp.asarray, batch), light, _SCALED_BY).counts))
    lowest, highest, emits = np.asarray(batch.lowest_cm), np.asarray(batch.highest_cm), np.asarray(batch.photons) > 0
    position_cm = np.asarray(batch.position_cm).copy()
    position_cm[..., 0] += lowest[:, None] * np.asarray(batch.sense)
    beside = np.column_stack([highest - lowest, np.log(np.asarray(batch.photons).sum(axis=1))])
    scaling = Scaling(*(_mean_and_width(rows) for rows in (position_cm[emits], beside, counts)))
    return initialise_network(layer_key, counts.shape[1], scaling, size or NetworkSize(), detector)


def _mean_and_width(rows: Float[NDArray, "row feature"]) -> Float[Array, "2 feature"]:
    return jnp.asarray(np.stack([rows.mean(axis=0), np.maximum(rows.std(axis=0), _LEAST_WIDTH)]))


def train_shifts(
    key: PRNGKeyArray,
    network: ShiftNetwork,
    batch: ClusterBatch,
    light: Light,
    recipe: ShiftRecipe,
    watch: Watch = lambda step, loss: None,
) -> TrainedShifts:
    """Train a network on simulated flashes of clusters.

    Args:
        key: random key.
        network: to start from, as of `new_network`.
        batch: the clusters, some thousand or more.
        light: expected light and its readout, whose distribution can be drawn from.
        recipe: how.
        watch: called after every block of steps with the number of steps so far and the mean loss of the block.
    """
    layers: Any = network.layers
    state, clusters = (layers, recipe.optimiser().init(layers)), jax.tree.map(jnp.asarray, batch)
    curve = np.zeros(0, np.float32)
    while (left := recipe.steps - len(curve)) > 0:
        steps = min(recipe.block, left)
        numbers = jnp.asarray(len(curve)), jnp.asarray(steps)
        state, losses = _advance(key, state, numbers, (clusters, light), (network, recipe))
        curve = np.append(curve, np.asarray(losses)[:steps])
        watch(len(curve), float(curve[-steps:].mean()))
    return TrainedShifts(eqx.tree_at(lambda n: n.layers, network, state[0]), curve)


@eqx.filter_jit
def _advance(
    key: PRNGKeyArray,
    state: _State,
    numbers: tuple[Int[Array, ""], Int[Array, ""]],
    data: tuple[ClusterBatch, Light],
    fixed: tuple[ShiftNetwork, ShiftRecipe],
) -> tuple[_State, Float[Array, " block"]]:
    """The state after so many steps from a first one, at most a block, and the loss of each."""
    (first, steps), (network, recipe) = numbers, fixed

    def one(number: Int[Array, ""], carry: tuple[_State, Array]) -> tuple[_State, Array]:
        (layers, moments), losses = carry
        flash_key, absent_key = jax.random.split(jax.random.fold_in(key, first + number))
        flashes = _draw_flashes(flash_key, *data, recipe.batch)
        absent = jax.random.bernoulli(absent_key, recipe.absent, flashes.counts.shape)
        seen = flashes._replace(counts=jnp.where(absent, jnp.nan, flashes.counts))

        def loss(layers: Any) -> Array:
            return _mean_loss(eqx.tree_at(lambda n: n.layers, network, layers), seen)

        value, gradient = jax.value_and_grad(loss)(layers)
        updates, moments = recipe.optimiser().update(gradient, moments, layers)
        return (optax.apply_updates(layers, updates), moments), losses.at[number].set(value)

    return jax.lax.fori_loop(0, steps, one, (state, jnp.zeros(recipe.block, jnp.float32)))


@eqx.filter_jit
def _draw_flashes(key: PRNGKeyArray, clusters: ClusterBatch, light: Light, n_flashes: int) -> _Flashes:
    """Light of random clusters, each at a random place of its range."""
    row_key, shift_key, count_key = jax.random.split(key, 3)
    row = jax.random.randint(row_key, (n_flashes,), 0, (clusters.row >= 0).sum())
    taken = jax.tree.map(lambda values: values[row], clusters)
    shift = jax.random.uniform(shift_key, row.shape, minval=taken.lowest_cm, maxval=taken.highest_cm)
    mean_pe = jax.vmap(lambda cluster, shift: light_of_shift(cluster, light)(shift))(taken, shift)
    return _Flashes(taken, shift, jnp.asarray(light.readout(mean_pe).sample(count_key), float))


def _mean_loss(network: ShiftNetwork, flashes: _Flashes) -> Float[Array, ""]:
    """Mean loss of flashes, in the precision of the network."""
    clusters, n_bins = flashes.cluster, network.size.bins
    log_mass = jax.vmap(lambda cluster, counts: log_masses(network, cluster, counts))(clusters, flashes.counts)
    place = (flashes.shift_cm - clusters.lowest_cm) / (clusters.highest_cm - clusters.lowest_cm)
    at = jnp.clip((place * n_bins).astype(int), 0, n_bins - 1)
    return -(jnp.take_along_axis(log_mass, at[:, None], axis=1) + np.float32(np.log(n_bins))).mean()
