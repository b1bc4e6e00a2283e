"""Nodes of the integral over the shift of each cluster, chosen before a fit by what its flash says."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from bayescal.light.shifted import Scan, light_between
from bayescal.likelihoods.limits import split_limits
from bayescal.likelihoods.shifted_counts import ShiftNodes
from bayescal.reconstruction.pairs import PairRows, promise_pairs, refine_pairs
from bayescal.reconstruction.t0 import Constraint, Grid, Readout, node_widths


def shift_nodes(
    scan: Scan,
    counts: Float[NDArray, "cluster sensor"],
    saturated: Bool[NDArray, "cluster sensor"],
    readout: Readout,
    constraint: Constraint,
    grid: Grid,
) -> ShiftNodes:
    """Coarse nodes over each cluster's range, and fine ones where its flash may be from, with the light there.

    Args:
        scan: light of the clusters along their ranges.
        counts: of each cluster's flash [p.e.], NaN where a sensor is absent.
        saturated: whether a sensor stands at the end of its range.
        readout: distribution of the counts of an expected light, near that of the data.
        constraint: what measured times say of the shifts.
        grid: numbers of nodes.
    """
    seen, numbers = split_limits(counts, saturated), np.arange(len(counts))
    pairs = PairRows(numbers, numbers, constraint)
    promises, _ = promise_pairs(scan, seen, readout, pairs)
    shift = jnp.asarray(refine_pairs(scan, promises, seen, readout, grid, pairs).shift_cm)
    weight = node_widths(shift)
    light = jax.jit(jax.vmap(light_between))(scan, shift)
    return ShiftNodes(*map(np.asarray, (shift, weight / weight.sum(axis=-1, keepdims=True), light)))
