"""Training of a network on a photon library, in single precision, by Adam with warm-up and cosine decay of its rate.

Each step takes voxels at random; its random numbers depend on the key and the step's number alone, so that a training
that was stopped and goes on from its checkpoint ends at the same bits as one that was not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import xlogy
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.light.library import PhotonLibrary, voxel_centres_cm
from bayescal.light.siren import Layer, LogLink, PseudoLog, SinePseudoLog, Siren
from bayescal.readers.hdf5 import open_hdf5, read_array, write_hdf5

PerEntry = Float[Array, "voxel sensor"]
PerVoxel = Float[Array, " voxel"]
Watch = Callable[[int, float], None]
Loss = Callable[[Any, PerEntry, PerEntry], PerVoxel]
"""Loss of voxels by (head, output of the network, visibility in the library)."""
State = tuple[Any, optax.OptState]
"""Layers and what the optimiser remembers; optax's types know no modules."""


class PoissonLoss(eqx.Module):
    """Deviance of the library's counts: 2 n (v - t + t ln(t / v)), the Poisson likelihood up to a constant.

    About one by entry where the network is right and the counts are not small.

    Attributes:
        photons: n, photons launched in each voxel; of a library without noise any number, which only scales the loss.
    """

    photons: float = eqx.field(static=True, default=1e6)

    def __call__(self, head: LogLink, output: PerEntry, visibility: PerEntry) -> PerVoxel:
        """Mean over sensors."""
        log_visibility = head.log_visibility(output)
        terms = jnp.exp(log_visibility) - visibility + xlogy(visibility, visibility) - visibility * log_visibility
        return 2 * self.photons * terms.mean(axis=1)


class WeightedSquares(eqx.Module):
    """Squares of differences of pseudo-logarithms, weighted by visibility: slar's loss.

    The weight is 1e6 times the library's visibility, and one where that is below 1e-8.
    """

    weight: float = eqx.field(static=True, default=1e6)
    smallest: float = eqx.field(static=True, default=1e-8)

    def __call__(self, head: PseudoLog | SinePseudoLog, output: PerEntry, visibility: PerEntry) -> PerVoxel:
        """Mean over sensors."""
        weight = self.weight * visibility
        weight = jnp.where(weight < self.smallest, 1.0, weight)
        return (weight * (head.activated(output) - head.transformed(visibility)) ** 2).mean(axis=1)


class Recipe(eqx.Module):
    """How to train.

    Attributes:
        loss: what is made small.
        steps: of the optimiser.
        batch: voxels a step.
        learning_rate: the largest; it rises from zero over the first steps and falls to zero as a cosine.
        warm_up: share of the steps in which it rises: Adam's first steps are as long as it, whatever the gradient is.
        largest_gradient: norm to which longer gradients are shortened. In training by `PoissonLoss` norms are about 10;
            much longer ones, which the exponential of the log link makes now and then, would throw the network to finer
            structure than the visibility has.
        emphasis: voxels are drawn with a probability that goes as this power of the light that all sensors together
            see of them, and weighted by its inverse; 0 draws all alike.
        block: steps in one call of the compiled program, after which the training can be watched and is saved.
    """

    loss: Loss = eqx.field(static=True, default=PoissonLoss())
    steps: int = eqx.field(static=True, default=8_000)
    batch: int = eqx.field(static=True, default=4096)
    learning_rate: float = eqx.field(static=True, default=2e-3)
    warm_up: float = eqx.field(static=True, default=0.025)
    largest_gradient: float = eqx.field(static=True, default=15.0)
    emphasis: float = eqx.field(static=True, default=0.5)
    block: int = eqx.field(static=True, default=100)

    def optimiser(self) -> optax.GradientTransformation:
        """Adam of gradients of bounded norm."""
        return warmed_adam(self.steps, self.learning_rate, self.warm_up, self.largest_gradient)


def warmed_adam(
    steps: int, learning_rate: float, warm_up: float, largest_gradient: float
) -> optax.GradientTransformation:
    """Adam (D. P. Kingma, J. Ba, arXiv:1412.6980) of gradients of bounded norm; its rate rises, then falls as a cosine.

    Args:
        steps: of the optimiser.
        learning_rate: the largest.
        warm_up: share of the steps in which it rises from zero.
        largest_gradient: norm to which longer gradients are shortened.
    """
    rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, round(warm_up * steps), steps)
    return optax.chain(optax.clip_by_global_norm(largest_gradient), optax.adam(rate))


class Trained(NamedTuple):
    """A network that was trained, and the loss of each step's voxels [step]."""

    siren: Siren
    curve: NDArray


class _Data(NamedTuple):
    """Voxels to draw from: centre [cm], visibilities, probability of all up to each, weight in the loss."""

    centre_cm: Float[Array, "voxel 3"]
    visibility: PerEntry
    cumulative: PerVoxel
    weight: PerVoxel


def train(
    key: PRNGKeyArray,
    siren: Siren,
    library: PhotonLibrary,
    recipe: Recipe,
    checkpoint: Path | str | None = None,
    watch: Watch = lambda step, loss: None,
) -> Trained:
    """Train the layers of a network on a library.

    Args:
        key: random key.
        siren: network to start from.
        library: what it shall reproduce at the centres of voxels, efficiency included.
        recipe: how.
        checkpoint: file that is written after every block of steps; a training of the same key, network, library and
            recipe goes on from it.
        watch: called after every block with the number of steps so far and the mean loss of the block.

    Raises:
        InputError: the checkpoint cannot be read or written, or belongs to another training.
    """
    data, fingerprint = _prepare(library, recipe), _fingerprint(key, siren, library, recipe)
    layers: Any = siren.layers
    state = layers, recipe.optimiser().init(layers)
    curve = np.zeros(0, np.float32)
    if checkpoint is not None and Path(checkpoint).exists():
        state, curve = _load(Path(checkpoint), state, fingerprint)
    while (left := recipe.steps - len(curve)) > 0:
        steps = min(recipe.block, left)
        state, losses = _advance(key, state, len(curve), steps, data, (siren, recipe))
        curve = np.append(curve, np.asarray(losses)[:steps])
        if checkpoint is not None:
            _save(Path(checkpoint), state, curve, fingerprint)
        watch(len(curve), float(curve[-steps:].mean()))
    return Trained(replace(siren, layers=state[0]), curve)


def _prepare(library: PhotonLibrary, recipe: Recipe) -> _Data:
    visibility = np.asarray(library.visibility * library.efficiency, np.float32).reshape(-1, library.n_sensors)
    light = visibility.sum(axis=1, dtype=np.float64)
    chance = (light + light.mean() / len(light)) ** recipe.emphasis
    chance /= chance.sum()
    weight = 1 / (len(chance) * chance)
    return _Data(
        jnp.asarray(voxel_centres_cm(library.box, library.n_voxels).reshape(-1, 3)),
        jnp.asarray(visibility),
        jnp.asarray(np.cumsum(chance)),
        jnp.asarray(weight, jnp.float32),
    )


@jax.jit
def _advance(
    key: PRNGKeyArray, state: State, first: int, steps: int, data: _Data, fixed: tuple[Siren, Recipe]
) -> tuple[State, Float[Array, " block"]]:
    """The state after so many steps, at most a block, and the loss of each."""
    siren, recipe = fixed

    def one(number: Int[Array, ""], carry: tuple[State, Array]) -> tuple[State, Array]:
        state, losses = carry
        state, loss = _step(jax.random.fold_in(key, first + number), state, data, siren, recipe)
        return state, losses.at[number].set(loss.astype(losses.dtype))

    return jax.lax.fori_loop(0, steps, one, (state, jnp.zeros(recipe.block, jnp.float32)))


def _step(key: PRNGKeyArray, state: State, data: _Data, siren: Siren, recipe: Recipe) -> tuple[State, Array]:
    """One step of the optimiser."""
    layers, moments = state
    drawn = jax.random.uniform(key, (recipe.batch,), data.cumulative.dtype)
    voxel = jnp.minimum(jnp.searchsorted(data.cumulative, drawn, side="right"), len(data.cumulative) - 1)

    def loss(layers: tuple[Layer, ...]) -> Array:
        output = replace(siren, layers=layers).output(data.centre_cm[voxel])
        return (data.weight[voxel] * recipe.loss(siren.head, output, data.visibility[voxel])).mean()

    value, gradient = jax.value_and_grad(loss)(layers)
    updates, moments = recipe.optimiser().update(gradient, moments, layers)
    return (optax.apply_updates(layers, updates), moments), value


def _fingerprint(key: PRNGKeyArray, siren: Siren, library: PhotonLibrary, recipe: Recipe) -> dict[str, str]:
    """Digests of what the outcome depends on, by name."""
    parts = {"key": jax.random.key_data(key), "network": siren, "library": library, "recipe": recipe}
    return {name: _digest(part) for name, part in parts.items()}


def _digest(tree: Any) -> str:
    leaves, structure = jax.tree.flatten(tree)
    digest = hashlib.sha256(str(structure).encode())
    for leaf in leaves:
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def _save(path: Path, state: State, curve: NDArray, fingerprint: Mapping[str, str]) -> None:
    """Write where a training stands; the file is whole or stays as it was."""
    with write_hdf5(path) as file:
        file.attrs.update(fingerprint)
        file["curve"] = curve
        for number, leaf in enumerate(jax.tree.leaves(state)):
            file[f"state/{number}"] = np.asarray(leaf)


def _load(path: Path, like: State, fingerprint: Mapping[str, str]) -> tuple[State, NDArray]:
    """A state built like another one, and the curve up to it."""
    leaves, structure = jax.tree.flatten(like)
    with open_hdf5(path) as file:
        changed = [name for name, digest in fingerprint.items() if file.attrs.get(name) != digest]
        if changed:
            raise InputError(
                f"{path}: holds a training of another {' and '.join(changed)}; undo that or name a new checkpoint"
            )
        values = [jnp.asarray(read_array(file, f"state/{number}")) for number in range(len(leaves))]
        return jax.tree.unflatten(structure, values), read_array(file, "curve")
