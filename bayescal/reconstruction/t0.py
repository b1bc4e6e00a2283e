"""Posterior of the drift shift of a cluster, and so of its time, from the light that it made.

A cluster whose time is not known is displaced along the drift field: its points lie at r + x e_x with an unknown shift
x that must leave it inside its volume. The expected light m(x) follows from the visibility, and the counts n of a flash
give the posterior p(x | n) = p(n | m(x)) p(x) / Z with a uniform p(x). It often has several modes (light that falls off
towards two walls), so it is computed on a grid: coarse nodes over the whole range, which all flashes share, then fine
ones with a step below half the local resolution sigma_x, sigma_x^-2 = sum_j (dm_j/dx)^2 / var_j, wherever the flash
may be from. Light is looked up at the coarse nodes alone; between them it is a cubic with slopes by differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float
from numpy.typing import NDArray
from numpyro.distributions import Distribution

from bayescal.light.shifted import LEAST_PE, Scan, light_between, scan_of_light, shift_of_time
from bayescal.light.shifted import time_of_shift as time_of_shift
from bayescal.likelihoods.limits import Limits, log_at_least, no_limits, split_limits
from bayescal.reconstruction.clusters import ClusterBatch
from bayescal.special import log_normal_pdf

Expected = Callable[[Float[Array, "point 3"], Float[Array, " point"]], Float[Array, " sensor"]]
"""Expected light [p.e.] of points [cm] that emit photons; a compiled program is kept for each function object."""

Readout = Callable[[Float[Array, "*batch sensor"]], Distribution]
"""Distribution of the counts of each sensor for an expected light; it needs `log_prob` and `variance`."""

_CUT = 30.0  # shifts whose log-likelihood promises less than the best by this get no fine nodes
_CAUTION = 0.5  # of what a step from a coarse node promises: the linear extrapolation may be off by this fraction
_LEAST_NODES = 8  # coarse nodes are a multiple of it, so that few shapes are compiled
LEAST_INFORMATION = 1e-12
"""Where light says nothing of the shift, Newton steps take this Fisher information [1/cm^2]."""

_CHUNK_ELEMENTS = 1 << 22
_LARGEST_CHUNK = 256


class Light(eqx.Module):
    """How much light a cluster gives, and what is counted of it.

    Attributes:
        expected: expected light of points.
        readout: distribution of the counts of an expected light.
    """

    expected: Expected
    readout: Readout


class Grid(eqx.Module):
    """Numbers of nodes.

    Attributes:
        n_coarse: nodes over the whole range of shifts, 5 or more; a step over which the light changes smoothly.
        n_fine: nodes where the flash may be from.
    """

    n_coarse: int = eqx.field(static=True)
    n_fine: int = eqx.field(static=True)


class Constraint(eqx.Module):
    """What a time measurement says of the shift: a normal distribution [cm]; an infinite width says nothing.

    Attributes:
        mean_cm: shift that the time asks for.
        width_cm: standard deviation, of the time times the drift velocity and of the field's distortions together.
    """

    mean_cm: Float[Array | np.ndarray, "*cluster"]
    width_cm: Float[Array | np.ndarray, "*cluster"]

    def log_density(self, shift_cm: Float[Array, "*node"]) -> Float[Array, "*node"]:
        """Logarithm of the density at shifts [1/cm]; zero without a measurement."""
        finite = jnp.isfinite(self.width_cm)
        width = jnp.where(finite, self.width_cm, 1.0)
        mean = jnp.where(finite, self.mean_cm, 0.0)
        return jnp.where(finite, log_normal_pdf(shift_cm - mean, width), 0.0)


class Flash(eqx.Module):
    """What was seen of one flash, and what its time says of the shift of a cluster that may have made it.

    Attributes:
        counts: light [p.e.], NaN where a sensor is absent or at the end of its range.
        limits: sensors at the end of their range.
        constraint: what else is known of the shift.
    """

    counts: Float[Array | np.ndarray, "*flash sensor"]
    limits: Limits
    constraint: Constraint


class ShiftPosterior(eqx.Module):
    """Posterior of a shift on its grid.

    Attributes:
        shift_cm: nodes, increasing.
        log_density: logarithm of the posterior density at the nodes [1/cm].
        log_evidence: logarithm of the mean of likelihood (and constraint, [1/cm]) over the allowed range.
        resolution: largest fine step in units of half the local resolution; above one the grid is too coarse.
    """

    shift_cm: Float[Array, "*cluster node"]
    log_density: Float[Array, "*cluster node"]
    log_evidence: Float[Array, "*cluster"]
    resolution: Float[Array, "*cluster"]


def make_grid(batch: ClusterBatch, *, coarse_cm: float = 5.0, n_fine: int = 64) -> Grid:
    """A grid for the largest range of shifts in a batch.

    Args:
        batch: the clusters.
        coarse_cm: largest step of the coarse nodes [cm].
        n_fine: number of fine nodes.
    """
    range_cm = float(np.max(np.asarray(batch.highest_cm) - np.asarray(batch.lowest_cm)))
    n_coarse = math.ceil(range_cm / coarse_cm) + 1
    return Grid(-(-n_coarse // _LEAST_NODES) * _LEAST_NODES, n_fine)


def time_constraint(
    time_us: Array, assumed_us: Array, velocity_cm_per_us: Array, direction: Array, width_cm: Array
) -> Constraint:
    """What known times say of the shifts; times that are NaN say nothing.

    Args:
        time_us: measured times, of linked flashes for example.
        assumed_us: times that the positions assume.
        velocity_cm_per_us: drift velocity.
        direction: of the drift along x, 1 or -1, as in `DriftVolumes`.
        width_cm: standard deviation of the shift for a known time [cm].
    """
    known = jnp.isfinite(time_us)
    shift = shift_of_time(jnp.where(known, time_us, assumed_us), assumed_us, velocity_cm_per_us, direction)
    return Constraint(shift, jnp.where(known, width_cm, jnp.inf))


def no_constraint(n_clusters: int) -> Constraint:
    """Times that are not known, of a number of clusters."""
    return Constraint(np.zeros(n_clusters), np.full(n_clusters, np.inf))


def shift_posteriors(
    batch: ClusterBatch,
    counts: Float[Array | np.ndarray, "cluster sensor"],
    light: Light,
    grid: Grid,
    constraint: Constraint,
    saturated: Bool[NDArray, "cluster sensor"] | None = None,
) -> ShiftPosterior:
    """Posterior of the shift of each cluster of a batch from the flash that it made.

    Args:
        batch: the clusters.
        counts: light of each cluster's flash [p.e.], NaN where a sensor is absent.
        light: expected light and its readout; the variance of its counts sets the step.
        grid: numbers of nodes.
        constraint: what else is known of the shifts.
        saturated: whether a sensor stands at the end of its range, so that its count is a lower limit; none where not
            given.
    """
    return _shift_posteriors((batch, flashes_of(counts, constraint, saturated)), light, grid)


def flashes_of(
    counts: Float[Array | np.ndarray, "flash sensor"],
    constraint: Constraint,
    saturated: Bool[NDArray, "flash sensor"] | None = None,
) -> Flash:
    """Flashes, sensors at the end of their range apart.

    Args:
        counts: light [p.e.], NaN where a sensor is absent.
        constraint: what else is known of the shifts.
        saturated: whether a sensor stands at the end of its range, so that its count is a lower limit; none where not
            given.
    """
    if saturated is None:
        return Flash(counts, no_limits(counts.shape[:1]), constraint)
    return Flash(*split_limits(np.asarray(counts), saturated), constraint)


@eqx.filter_jit
def _shift_posteriors(rows: tuple[ClusterBatch, Flash], light: Light, grid: Grid) -> ShiftPosterior:
    """`shift_posteriors` of flashes."""

    def one(row: tuple[ClusterBatch, Flash]) -> ShiftPosterior:
        batch, flash = row
        scanned = scan(batch, light, grid)
        return refine(scanned, promise(scanned, flash, light.readout), flash, light.readout, grid)

    size = chunk_size(rows[0], rows[1].counts.shape[-1], grid)
    return jax.lax.map(one, jax.tree.map(jnp.asarray, rows), batch_size=size)


def scan(batch: ClusterBatch, light: Light, grid: Grid) -> Scan:
    """Expected light and its slope of one cluster (a batch without its axis) at the coarse nodes."""
    shift = jnp.linspace(batch.lowest_cm, batch.highest_cm, grid.n_coarse)
    return scan_of_light(shift, jax.vmap(light_of_shift(batch, light))(shift))


class Promise(eqx.Module):
    """What a Newton step of at most half a coarse step promises at each coarse node.

    Attributes:
        log_likelihood: at the node.
        gain: of the step, by the quadratic expansion.
        information: Fisher information of the shift [1/cm^2].
    """

    log_likelihood: Float[Array, " node"]
    gain: Float[Array, " node"]
    information: Float[Array, " node"]

    @property
    def highest(self) -> Float[Array, " node"]:
        """What may be reached around the node; the expansion may be off by a part."""
        return self.log_likelihood + (1 + _CAUTION) * self.gain


def promise(scan: Scan, flash: Flash, readout: Readout) -> Promise:
    """What the likelihood of one flash may reach along one cluster's range.

    Args:
        scan: expected light of the cluster at coarse nodes.
        flash: what was seen.
        readout: distribution of the counts of an expected light.
    """
    present, constraint = jnp.isfinite(flash.counts), flash.constraint
    weight = jnp.where(present, scan.slope_pe_per_cm / readout(scan.mean_pe).variance, 0.0)
    measured = jnp.isfinite(constraint.width_cm)
    precision = jnp.where(measured, 1 / jnp.where(measured, constraint.width_cm, 1.0) ** 2, 0.0)
    information = (weight * scan.slope_pe_per_cm).sum(axis=-1) + precision
    residual = jnp.where(present, flash.counts, 0.0) - scan.mean_pe
    score = (weight * residual).sum(axis=-1) + precision * (constraint.mean_cm - scan.shift_cm)
    half = (scan.shift_cm[1] - scan.shift_cm[0]) / 2
    step = jnp.clip(score / jnp.maximum(information, LEAST_INFORMATION), -half, half)
    value = log_likelihood(scan.mean_pe, scan.shift_cm, flash, readout)
    return Promise(value, score * step - 0.5 * information * step**2, information)


def refine(scan: Scan, coarse: Promise, flash: Flash, readout: Readout, grid: Grid) -> ShiftPosterior:
    """Posterior of the shift of one cluster for one flash.

    Args:
        scan: expected light of the cluster at coarse nodes.
        coarse: what the flash promises there.
        flash: what was seen.
        readout: distribution of the counts of an expected light.
        grid: numbers of nodes.
    """
    fine, resolution = _fine_nodes(scan.shift_cm, coarse, grid.n_fine)
    values = log_likelihood(light_between(scan, fine), fine, flash, readout)
    shift, values = jnp.concatenate([scan.shift_cm, fine]), jnp.concatenate([coarse.log_likelihood, values])
    order = jnp.argsort(shift)
    shift, values = shift[order], values[order]
    log_total = logsumexp(values, b=node_widths(shift))
    log_range = jnp.log(scan.shift_cm[-1] - scan.shift_cm[0])
    return ShiftPosterior(shift, values - log_total, log_total - log_range, resolution)


def log_likelihood(
    mean_pe: Float[Array, "node sensor"], shift_cm: Float[Array, " node"], flash: Flash, readout: Readout
) -> Float[Array, " node"]:
    """Log-probability of what was seen, for each expected light and its shift; absent sensors say nothing."""
    present = jnp.isfinite(flash.counts)
    counted = readout(mean_pe)
    each = counted.log_prob(jnp.where(present, flash.counts, 0.0))
    at_least = log_at_least(mean_pe, counted.variance, flash.limits)
    return jnp.where(present, each, 0.0).sum(axis=-1) + at_least + flash.constraint.log_density(shift_cm)


def chunk_size(batch: ClusterBatch, n_sensors: int, grid: Grid) -> int:
    """Number of clusters that are worked on together, a divisor of all, so that memory stays bounded."""
    per_cluster = max(grid.n_coarse, grid.n_fine) * batch.photons.shape[-1] * n_sensors
    room = max(1, min(batch.n_clusters, _LARGEST_CHUNK, _CHUNK_ELEMENTS // per_cluster))
    return next(size for size in range(room, 0, -1) if batch.n_clusters % size == 0)


def light_of_shift(batch: ClusterBatch, light: Light) -> Callable[[Float[Array, ""]], Float[Array, " sensor"]]:
    """Expected light of a cluster as a function of its shift [cm]."""

    def mean_pe(shift_cm: Float[Array, ""]) -> Float[Array, " sensor"]:
        moved = jnp.asarray(batch.position_cm).at[:, 0].add(shift_cm * jnp.asarray(batch.sense))
        return jnp.maximum(light.expected(moved, jnp.asarray(batch.photons)), LEAST_PE)

    return mean_pe


def _fine_nodes(
    shift_cm: Float[Array, " node"], promise: Promise, n_fine: int
) -> tuple[Float[Array, " fine"], Float[Array, ""]]:
    """Places of the fine nodes, and their largest step in units of half the local resolution.

    Coarse nodes that promise next to the best share the fine nodes in proportion to the number of resolution widths
    around them.
    """
    half = (shift_cm[1] - shift_cm[0]) / 2
    kept = promise.highest > jnp.max(promise.log_likelihood + promise.gain) - _CUT
    edges = jnp.concatenate([shift_cm[:1], shift_cm[1:] - half, shift_cm[-1:]])
    per_cm = jnp.maximum(2 * jnp.sqrt(promise.information), 1 / half)
    wanted = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.where(kept, per_cm * jnp.diff(edges), 0.0))])
    places = (jnp.arange(n_fine) + 0.5) / n_fine * wanted[-1]
    return jax.lax.stop_gradient((jnp.interp(places, wanted, edges), wanted[-1] / n_fine))


def node_widths(shift_cm: Float[Array, "*cluster node"]) -> Float[Array, "*cluster node"]:
    """Weights of the trapezoidal rule [cm]."""
    step = jnp.diff(shift_cm, axis=-1)
    edge = jnp.zeros_like(step[..., :1])
    return (jnp.concatenate([edge, step], axis=-1) + jnp.concatenate([step, edge], axis=-1)) / 2
