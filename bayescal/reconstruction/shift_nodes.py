"""Nodes at which the light of shifted clusters is computed before a fit, chosen by what their flashes say."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.likelihoods.counts import PhotonCounts
from bayescal.likelihoods.shifted_counts import ShiftNodes
from bayescal.reconstruction.clusters import ClusterBatch
from bayescal.reconstruction.t0 import (
    Constraint,
    Light,
    chunk_size,
    light_of_shift,
    make_grid,
    node_widths,
    shift_posteriors,
)


class Look(eqx.Module):
    """Light of points by a visibility [p.e.]."""

    visibility: eqx.Module

    def __call__(
        self, position_cm: Float[Array, "point 3"], photons: Float[Array, " point"]
    ) -> Float[Array, " sensor"]:
        """Sum over points of photons times visibility."""
        return photons @ self.visibility(position_cm)  # pyright: ignore[reportCallIssue]


class ErrorOf(eqx.Module):
    """Counts with a relative error of the model."""

    error: Float[Array, ""] | float

    def __call__(self, mean: Float[Array, "*batch sensor"]) -> PhotonCounts:
        """Their distribution."""
        return PhotonCounts(mean, model_error=self.error)


class MovedLight(eqx.Module):
    """Light of clusters as a function of their shifts [cm]: [cluster] to [cluster, sensor] [p.e.]."""

    batch: ClusterBatch
    look: Look

    def __call__(self, shift_cm: Float[Array, " cluster"]) -> Float[Array, "cluster sensor"]:
        """Light at shifts."""
        rows = (jax.tree.map(jnp.asarray, self.batch), shift_cm)
        return jax.lax.map(lambda row: light_of_shift(row[0], _light(self.look, 0.0))(row[1]), rows)


def _light(look: Look, error: float) -> Light:
    return Light(look, ErrorOf(error))


def shift_nodes(
    moved: MovedLight,
    counts: Float[np.ndarray, "cluster sensor"],
    constraint: Constraint,
    model_error: float,
    coarse_cm: float,
    n_fine: int,
) -> ShiftNodes:
    """Coarse nodes over each cluster's range, and fine ones where its flash may be from.

    Args:
        moved: clusters and visibility.
        counts: of each cluster's flash [p.e.], NaN where a sensor is absent.
        constraint: what measured times say of the shifts.
        model_error: relative error of the model of the light, for the local resolution.
        coarse_cm: largest step of the coarse nodes [cm].
        n_fine: number of fine nodes.
    """
    batch = moved.batch
    grid = make_grid(batch, coarse_cm=coarse_cm, n_fine=n_fine)
    light = _light(moved.look, model_error)
    shift = shift_posteriors(batch, counts, light, grid, constraint).shift_cm
    size = chunk_size(batch, counts.shape[-1], grid)
    table = _light_at_nodes(moved, shift, size)
    weight = node_widths(shift)
    return ShiftNodes(np.asarray(shift), np.asarray(weight / weight.sum(axis=-1, keepdims=True)), np.asarray(table))


@eqx.filter_jit
def _light_at_nodes(
    moved: MovedLight, shift_cm: Float[Array, "cluster node"], at_a_time: int
) -> Float[Array, "cluster node sensor"]:
    """In chunks of clusters that bound the memory."""

    def one(row: tuple[ClusterBatch, Float[Array, " node"]]) -> Float[Array, "node sensor"]:
        return jax.vmap(light_of_shift(row[0], _light(moved.look, 0.0)))(row[1])

    return jax.lax.map(one, (jax.tree.map(jnp.asarray, moved.batch), shift_cm), batch_size=at_a_time)
