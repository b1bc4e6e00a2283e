"""Where diffused charge lands: shares of cells and the moments of the landing place inside each."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.charge.coverage import NODES, WEIGHTS, Coverage
from bayescal.special import normal_cdf, normal_pdf

_SHARE_FLOOR = 1e-12


class Landing(eqx.Module):
    """Charge of a step that lands in a cell: its share, and where along the step it came from and where it landed.

    Attributes:
        share: fraction of the step's charge.
        mean: mean of (u, x, y): place along the step in half lengths, distances |dx|, |dy| from the pixel's centre
            [cm].
        square: mean of (x^2, y^2, xy) [cm^2].
        covariance: of (u, x, y); entries uu, ux, uy, xx, xy, yy.
    """

    share: Float[Array, " pair"]
    mean: Float[Array, "3 pair"]
    square: Float[Array, "3 pair"]
    covariance: Float[Array, "6 pair"]

    def polynomial_terms(self) -> Float[Array, "pair 6"]:
        """Mean of 1, x, y, xy, x^2, y^2."""
        _, x, y = self.mean
        xx, yy, xy = self.square
        return jnp.stack([jnp.ones_like(x), x, y, xy, xx, yy], axis=-1)


def land(
    coverage: Coverage, shift_cm: Float[Array, " 2"], width_cm: Float[Array, "step node"], pitch_cm: float
) -> Landing:
    """Distribute each step's charge over the cells in its reach.

    The transverse normal distribution is integrated in closed form over the cell, with its first and second moments;
    along the step a Gauss-Legendre rule is used.

    Args:
        coverage: the pairs.
        shift_cm: shift along x and y, subtracted from all positions [cm].
        width_cm: transverse width at the nodes of each step [cm].
        pitch_cm: pixel pitch [cm].
    """
    x, y = (_axis_moments(coverage, axis, shift_cm[axis], width_cm) for axis in (0, 1))
    x = x[coverage.pair_step, coverage.pair_x]
    y = y[coverage.pair_step, coverage.pair_y]
    weight, node = jnp.asarray(WEIGHTS), jnp.asarray(NODES)

    def total(power_u: int, power_x: int, power_y: int) -> Float[Array, " pair"]:
        return ((weight * node**power_u) * x[:, power_x] * y[:, power_y]).sum(axis=-1)

    share = total(0, 0, 0)
    # a share lost in rounding counts as spread over the middle of the cell
    middle = 0.25 * pitch_cm
    scale = 1 / (share + _SHARE_FLOOR)

    def mean(power_u: int, power_x: int, power_y: int) -> Float[Array, " pair"]:
        floor = _SHARE_FLOOR * middle ** (power_x + power_y) if power_u == 0 else 0.0
        return (total(power_u, power_x, power_y) + floor) * scale

    u, mx, my = mean(1, 0, 0), mean(0, 1, 0), mean(0, 0, 1)
    xx, yy, xy = mean(0, 2, 0), mean(0, 0, 2), mean(0, 1, 1)
    covariance = [mean(2, 0, 0) - u * u, mean(1, 1, 0) - u * mx, mean(1, 0, 1) - u * my]
    covariance += [xx - mx * mx, xy - mx * my, yy - my * my]
    return Landing(share, jnp.stack([u, mx, my]), jnp.stack([xx, yy, xy]), jnp.stack(covariance))


def _axis_moments(
    coverage: Coverage, axis: int, shift_cm: Float[Array, ""], width_cm: Float[Array, "step node"]
) -> Float[Array, "step slot 3 node"]:
    """Share of each slot along one axis and its first two moments of the distance from the pixel's centre."""
    steps = coverage.steps
    n_slots = coverage.slot_sign.shape[-1]
    place = jnp.asarray(steps.centre_cm)[:, axis, None] - shift_cm
    place += jnp.asarray(steps.half_cm)[:, axis, None] * jnp.asarray(NODES)
    edge = jnp.asarray(coverage.first_edge_cm)[:, axis, None] + coverage.cell_cm * jnp.arange(n_slots + 1)
    z = (edge[:, :, None] - place[:, None, :]) / width_cm[:, None, :]
    phi = normal_pdf(z)
    share = jnp.diff(normal_cdf(z), axis=1)
    width = width_cm[:, None, :]
    first = -width * jnp.diff(phi, axis=1)
    second = width**2 * (share - jnp.diff(z * phi, axis=1))
    offset = place[:, None, :] - coverage.slot_centre_cm[:, axis, :, None]
    sign = coverage.slot_sign[:, axis, :, None]
    return jnp.stack([share, sign * (first + offset * share), second + 2 * offset * first + offset**2 * share], axis=2)
