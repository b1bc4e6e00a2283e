"""Expected light of a cluster of charge that may lie anywhere along the drift, looked up at a few shifts."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LEAST_PE = 1e-6
"""Expected light is not taken below this, so that a sensor in the dark has a finite log-probability [p.e.]."""

_STENCIL = 5  # nodes whose light gives the slope


class Scan(eqx.Module):
    """Expected light of a cluster along its range of drift shifts.

    Attributes:
        shift_cm: coarse nodes, evenly spaced over the allowed range.
        mean_pe: expected light.
        slope_pe_per_cm: its derivative by the shift, from differences of the nodes.
    """

    shift_cm: Float[Array, "*cluster node"]
    mean_pe: Float[Array, "*cluster node sensor"]
    slope_pe_per_cm: Float[Array, "*cluster node sensor"]


def scan_of_light(shift_cm: Float[Array, " node"], mean_pe: Float[Array, "node sensor"]) -> Scan:
    """The scan of one cluster from its light at evenly spaced nodes.

    Slopes are those of polynomials of fourth order through the nearest five nodes; derivatives of look-ups would take
    several times longer than the look-ups and have a step at every voxel of a library.
    """
    slope = jnp.asarray(_difference_matrix(shift_cm.size)) @ mean_pe / (shift_cm[1] - shift_cm[0])
    return Scan(shift_cm, mean_pe, slope)


def _difference_matrix(n_nodes: int) -> Float[np.ndarray, "node node"]:
    """Derivatives at evenly spaced nodes, in units of their step, from the values there."""
    powers = np.arange(_STENCIL)
    matrix = np.zeros((n_nodes, n_nodes))
    for node in range(n_nodes):
        first = np.clip(node - _STENCIL // 2, 0, n_nodes - _STENCIL)
        place = first + powers - node
        matrix[node, first : first + _STENCIL] = np.linalg.solve(place ** powers[:, None], powers == 1)
    return matrix


def light_between(scan: Scan, shift_cm: Float[Array, " place"]) -> Float[Array, "place sensor"]:
    """Expected light of one cluster at any shifts: cubic between the nodes, with their values and slopes."""
    step = scan.shift_cm[1] - scan.shift_cm[0]
    place = (shift_cm - scan.shift_cm[0]) / step
    node = jnp.clip(place.astype(int), 0, scan.shift_cm.size - 2)
    t = (place - node)[:, None]
    low, high = scan.mean_pe[node], scan.mean_pe[node + 1]
    slope_low, slope_high = scan.slope_pe_per_cm[node], scan.slope_pe_per_cm[node + 1]
    rise = t * t * (3 - 2 * t)
    cubic = low + rise * (high - low) + step * t * (1 - t) * ((1 - t) * slope_low - t * slope_high)
    return jnp.maximum(cubic, LEAST_PE)


def shift_of_time(time_us: Array, assumed_us: Array, velocity_cm_per_us: Array, direction: Array) -> Array:
    """Shift [cm] of clusters whose time [us] is not the assumed one: charge that starts later is nearer the anode.

    Args:
        time_us: time of the cluster.
        assumed_us: time that its positions assume.
        velocity_cm_per_us: drift velocity.
        direction: of the drift along x, 1 or -1, as in `DriftVolumes`.
    """
    return direction * velocity_cm_per_us * (time_us - assumed_us)


def time_of_shift(shift_cm: Array, assumed_us: Array, velocity_cm_per_us: Array, direction: Array) -> Array:
    """Time [us] of clusters with a shift [cm]; the inverse of `shift_of_time`."""
    return assumed_us + direction * shift_cm / velocity_cm_per_us
