"""Summaries of the posterior of a drift shift: moments, densest sets, modes, draws."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy.typing import NDArray

from bayescal.reconstruction.clusters import ClusterBatch
from bayescal.reconstruction.t0 import (
    LEAST_INFORMATION,
    Constraint,
    Flash,
    Grid,
    Light,
    ShiftPosterior,
    chunk_size,
    flashes_of,
    light_of_shift,
    log_likelihood,
    node_widths,
)

_SUBDIVISION = 8  # of a step, by interpolation, where sets and quantiles are computed
_NEWTON_STEPS = 4
_N_MODES = 4


class Modes(NamedTuple):
    """Maxima of the posterior by falling density: place [cm], log-density and mass of the peak; NaN where none is."""

    shift_cm: Float[Array, "*cluster mode"]
    log_density: Float[Array, "*cluster mode"]
    mass: Float[Array, "*cluster mode"]


class DensestSet(NamedTuple):
    """Intervals, by position, that together are the smallest set of a given mass; NaN beyond the last.

    Attributes:
        lower_cm, upper_cm: ends of the intervals.
        mass: probability of each.
    """

    lower_cm: Float[Array, "*cluster interval"]
    upper_cm: Float[Array, "*cluster interval"]
    mass: Float[Array, "*cluster interval"]


@eqx.filter_jit
def moments(posterior: ShiftPosterior) -> tuple[Float[Array, "*cluster"], Float[Array, "*cluster"]]:
    """Mean and standard deviation of the shift [cm]."""
    mass = jnp.exp(posterior.log_density) * node_widths(posterior.shift_cm)
    mean = (mass * posterior.shift_cm).sum(axis=-1)
    return mean, jnp.sqrt((mass * (posterior.shift_cm - mean[..., None]) ** 2).sum(axis=-1))


@eqx.filter_jit
def densest_set(posterior: ShiftPosterior, level: Float[Array, ""] | float, *, n_intervals: int = 4) -> DensestSet:
    """The smallest set of shifts with a probability, which may be several intervals.

    Args:
        posterior: of one cluster or a batch.
        level: probability, for example 0.68.
        n_intervals: room for intervals; where there are more, the last of them are left out.
    """
    if posterior.log_evidence.ndim == 0:
        return _densest_set(posterior, level, n_intervals)
    return jax.vmap(lambda one: _densest_set(one, level, n_intervals))(posterior)


def find_modes(
    posterior: ShiftPosterior,
    batch: ClusterBatch,
    counts: Float[Array | np.ndarray, "cluster sensor"],
    light: Light,
    constraint: Constraint,
    saturated: Bool[NDArray, "cluster sensor"] | None = None,
) -> Modes:
    """The highest maxima of each posterior, refined by Newton steps.

    Args:
        posterior: of the batch, by `shift_posteriors`.
        batch: the clusters.
        counts: light of each cluster's flash [p.e.], NaN where a sensor is absent.
        light: expected light and its readout.
        constraint: what else is known of the shifts.
        saturated: as for `shift_posteriors`.
    """
    return _find_modes((posterior, batch, flashes_of(counts, constraint, saturated)), light)


@eqx.filter_jit
def _find_modes(rows: tuple[ShiftPosterior, ClusterBatch, Flash], light: Light) -> Modes:
    """`find_modes` of flashes."""

    def one(row: tuple) -> Modes:
        posterior, batch, flash = row
        peaks = _peaks(posterior)
        shifted = light_of_shift(batch, light)

        def value(x: Float[Array, ""]) -> Float[Array, ""]:
            return log_likelihood(shifted(x)[None], x[None], flash, light.readout)[0]

        def slope(x: Float[Array, ""]) -> Float[Array, ""]:
            return jax.jvp(value, (x,), (jnp.ones_like(x),))[1]

        def newton(x: Float[Array, ""], low: Float[Array, ""], high: Float[Array, ""]) -> Float[Array, ""]:
            def step(_: int, x: Float[Array, ""]) -> Float[Array, ""]:
                score, curvature = jax.jvp(slope, (x,), (jnp.ones_like(x),))
                # where the curve is not concave, to the neighbouring node uphill
                return jnp.clip(x + score / jnp.maximum(-curvature, LEAST_INFORMATION), low, high)

            return jax.lax.fori_loop(0, _NEWTON_STEPS, step, x)

        found = jax.vmap(newton)(peaks.start_cm, peaks.lower_cm, peaks.upper_cm)
        log_total = posterior.log_evidence + jnp.log(batch.highest_cm - batch.lowest_cm)
        log_density = jax.vmap(value)(found) - log_total
        return Modes(*(jnp.where(peaks.mass > 0, each, jnp.nan) for each in (found, log_density, peaks.mass)))

    size = chunk_size(rows[1], rows[2].counts.shape[-1], Grid(_N_MODES, _N_MODES))
    return jax.lax.map(one, jax.tree.map(jnp.asarray, rows), batch_size=size)


@eqx.filter_jit
def sample(key: Array, posterior: ShiftPosterior, shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
    """Independent shifts from the posterior of one cluster [cm].

    Args:
        key: random key.
        posterior: of one cluster.
        shape: of the draws.
    """
    shift, _, mass = _subdivided(posterior)
    edges = jnp.concatenate([jnp.zeros(1), jnp.cumsum(mass)])
    return jnp.interp(jax.random.uniform(key, shape), edges / edges[-1], shift)


class _Pieces(NamedTuple):
    """A posterior on pieces of its steps: their edges, their log-density and their masses, which add up to one."""

    edge_cm: Float[Array, " edge"]
    log_density: Float[Array, " piece"]
    mass: Float[Array, " piece"]


def _subdivided(posterior: ShiftPosterior) -> _Pieces:
    """The posterior on pieces of its steps, log-densities interpolated."""
    place = jnp.arange(posterior.shift_cm.shape[-1], dtype=float)
    n_pieces = (place.size - 1) * _SUBDIVISION
    edge = jnp.interp(jnp.arange(n_pieces + 1) / _SUBDIVISION, place, posterior.shift_cm)
    log_density = jnp.interp((jnp.arange(n_pieces) + 0.5) / _SUBDIVISION, place, posterior.log_density)
    mass = jnp.exp(log_density) * jnp.diff(edge)
    return _Pieces(edge, log_density, mass / mass.sum())


def _densest_set(posterior: ShiftPosterior, level: Float[Array, ""] | float, n_intervals: int) -> DensestSet:
    """`densest_set` of one cluster."""
    edge, log_density, mass = _subdivided(posterior)
    order = jnp.argsort(-log_density)
    before = jnp.cumsum(mass[order]) - mass[order]
    inside = jnp.zeros(mass.size, bool).at[order].set(before < level)
    outside = jnp.concatenate([jnp.zeros(1, bool), inside[:-1]])
    number = jnp.cumsum(inside & ~outside) - 1
    slot = jnp.where(inside, number, n_intervals)
    total = jax.ops.segment_sum(mass, slot, n_intervals)
    lower = jax.ops.segment_min(edge[:-1], slot, n_intervals)
    upper = jax.ops.segment_max(edge[1:], slot, n_intervals)
    there = jnp.arange(n_intervals) <= number[-1]
    return DensestSet(*(jnp.where(there, values, jnp.nan) for values in (lower, upper, total)))


class _Peaks(NamedTuple):
    """Nodes at the highest maxima, the nodes beside them, and the masses of the peaks up to the valleys."""

    start_cm: Float[Array, " mode"]
    lower_cm: Float[Array, " mode"]
    upper_cm: Float[Array, " mode"]
    mass: Float[Array, " mode"]


def _peaks(posterior: ShiftPosterior) -> _Peaks:
    """The highest maxima of the posterior of one cluster; mass zero where there are fewer."""
    shift, value = posterior.shift_cm, posterior.log_density
    n_nodes = shift.size
    before = jnp.concatenate([jnp.array([-jnp.inf]), value[:-1]])
    after = jnp.concatenate([value[1:], jnp.array([-jnp.inf])])
    top = (value > before) & (value >= after)
    valley = (value <= before) & (value < after)
    basin = jnp.cumsum(valley)
    mass = jax.ops.segment_sum(jnp.exp(value) * node_widths(shift), basin, n_nodes)
    node = jnp.argsort(jnp.where(top, -value, jnp.inf))[:_N_MODES]
    lower, upper = (shift[jnp.clip(node + step, 0, n_nodes - 1)] for step in (-1, 1))
    return _Peaks(shift[node], lower, upper, jnp.where(top[node], mass[basin[node]], 0.0))
