"""Cherenkov light of an electron shower in water, as one source along its axis.

Length, profile and angles are fits to showers of Geant4: M. Raedel, C. Wiebusch, Astropart. Phys. 38 (2012) 53 and 44
(2013) 102, arXiv:1206.5530 and 1210.5140, made above 1 GeV. Below, the profile's mean depth is kept above zero and its
shape one that starts at zero.
"""

from __future__ import annotations

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray
from scipy.special import gammaincinv

from bayescal.optical.cherenkov import Radiator
from bayescal.optical.emission import Emission, ShowerCone, directions_of_slopes
from bayescal.optical.medium import SPEED_OF_LIGHT_M_PER_NS

Scalar = Float[Array | np.ndarray, ""] | float

LENGTH_M_PER_MEV = 5.32e-3
"""Path of all particles of a shower together, as if at beta 1 [m/MeV]."""

_LENGTH_SPREAD_M = 0.058  # standard deviation of that path at 1 GeV; grows with the root of the energy
_RADIATION_LENGTH_M = 0.3608  # of water, PDG
_SHAPE_AT_GEV, _SHAPE_PER_DECADE = 2.018, 1.455  # of the gamma density of the depth in radiation lengths
_RATE = 0.632
_LEAST_SHAPE = 1.05  # a density that starts at zero
_SHAPE_ROUNDING, _DEPTH_ROUNDING = 0.05, 0.3  # width of the approach to the least shape and to depth zero
_LARGEST_SHAPE = 4.0  # of the table of quantiles: 23 GeV
_TABLE_POINTS = 12


class ElectronShower(eqx.Module):
    """An electron, or a photon, and its shower.

    Attributes:
        vertex_m: where it starts [3] [m].
        slope: of its direction, along the first two vectors of the frame [2].
        kinetic_mev: at the start [MeV].
        time_ns: of the start [ns].
        frame: axes, near the direction, rows [3, 3]; see `frame_about`.
    """

    vertex_m: Float[Array | np.ndarray, " 3"]
    slope: Float[Array | np.ndarray, " 2"]
    kinetic_mev: Scalar
    time_ns: Scalar
    frame: Float[Array | np.ndarray, "3 3"]


class ElectronLight(eqx.Module):
    """How electron showers shine.

    Attributes:
        radiator: water, as the sensors see it.
        cone: angles of the light.
        depth_scale: of the depths of the light, over those of the mean shower.
        nodes: along the axis.
    """

    radiator: Radiator
    cone: ShowerCone
    depth_scale: Scalar = 1.0
    nodes: int = eqx.field(static=True, default=24)

    def emit(self, shower: ElectronShower) -> Emission:
        """Light of a shower that is not stopped by a wall."""
        direction = directions_of_slopes(shower.frame, jnp.asarray(shower.slope))
        mean_depth, share = depth_nodes_m(shower.kinetic_mev, self.nodes)
        depth = self.depth_scale * mean_depth
        every = jnp.ones(self.nodes)
        return Emission(
            position_m=jnp.asarray(shower.vertex_m) + depth[:, None] * direction,
            direction=jnp.broadcast_to(direction, (self.nodes, 3)),
            weight=track_length_m(shower.kinetic_mev) * self.radiator.light_per_m * share,
            cos_theta_c=every * self.radiator.cos_cherenkov(1.0),
            cone_width=0.0 * every,
            time_ns=jnp.asarray(shower.time_ns) + depth / SPEED_OF_LIGHT_M_PER_NS,
            profile=self.cone,
        )


def track_length_m(kinetic_mev: Scalar) -> Float[Array, ""]:
    """Mean path of all particles of a shower [m], as if at beta 1."""
    return LENGTH_M_PER_MEV * jnp.asarray(kinetic_mev)


def track_length_spread_m(kinetic_mev: Scalar) -> Float[Array, ""]:
    """Standard deviation of that path from shower to shower [m]."""
    return _LENGTH_SPREAD_M * jnp.sqrt(jnp.asarray(kinetic_mev) / 1000.0)


def mean_depth_m(kinetic_mev: Scalar) -> Float[Array, ""]:
    """Mean depth of the light along the axis [m]."""
    depth = _DEPTH_ROUNDING * jax.nn.softplus(_linear_shape(kinetic_mev) / _DEPTH_ROUNDING)
    return _RADIATION_LENGTH_M / _RATE * depth


def depth_shape(kinetic_mev: Scalar) -> Float[Array, ""]:
    """Shape a of the gamma density t^(a - 1) exp(-b t) of the depth t; b is such that the mean is `mean_depth_m`."""
    above = (_linear_shape(kinetic_mev) - _LEAST_SHAPE) / _SHAPE_ROUNDING
    return _LEAST_SHAPE + _SHAPE_ROUNDING * jax.nn.softplus(above)


def depth_nodes_m(kinetic_mev: Scalar, nodes: int) -> tuple[Float[Array, " node"], NDArray]:
    """Depths of nodes of equal rank in all showers [node] [m] and their shares of the light [node].

    The ranks are those of a Gauss-Legendre rule for the cumulative distribution. Logarithms of the quantiles of the
    gamma density are polynomials in the logarithm of its shape, exact to 1e-9 for shapes from 1.05 to 4.
    """
    shape = depth_shape(kinetic_mev)
    low, high = np.log(_LEAST_SHAPE), np.log(_LARGEST_SHAPE)
    place = (2.0 * jnp.log(shape) - low - high) / (high - low)
    log_quantile = jnp.zeros(nodes)
    for coefficient in reversed(_quantile_table(nodes)):
        log_quantile = log_quantile * place + coefficient
    share = np.polynomial.legendre.leggauss(nodes)[1] / 2
    quantile = jnp.exp(log_quantile)
    return mean_depth_m(kinetic_mev) * quantile / jnp.sum(share * quantile), share


@lru_cache
def _quantile_table(nodes: int) -> NDArray:
    """Powers of the place in ln a of the logarithms of the quantiles [power, node]."""
    points = np.cos(np.pi * (np.arange(_TABLE_POINTS) + 0.5) / _TABLE_POINTS)
    low, high = np.log(_LEAST_SHAPE), np.log(_LARGEST_SHAPE)
    shapes = np.exp((low + high + (high - low) * points) / 2)
    ranks = (1.0 + np.polynomial.legendre.leggauss(nodes)[0]) / 2
    return np.linalg.solve(np.vander(points, increasing=True), np.log(gammaincinv(shapes[:, None], ranks)))


def _linear_shape(kinetic_mev: Scalar) -> Float[Array, ""]:
    """The shape a as fitted above 1 GeV, a straight line in the logarithm of the energy."""
    return _SHAPE_AT_GEV + _SHAPE_PER_DECADE * jnp.log10(jnp.asarray(kinetic_mev) / 1000.0)
