"""Indirect light of fixed sources as a smooth function of the medium and of the wall's reflectivity.

Light on the patches of the wall is kept at Chebyshev nodes in the logarithms of two scales, of absorption and of
Rayleigh scattering, at two values of the Mie scale, in which it is all but linear, and by orders of reflection. A fit
evaluates a polynomial instead of transport, and is within 0.1 % of it on every patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.optical.indirect import (
    N_REFLECTIONS,
    coefficients,
    make_transport,
    reflection_orders,
    sum_orders,
)
from bayescal.optical.medium import SPEED_OF_LIGHT_M_PER_NS, Spectrum, Water, group_index
from bayescal.optical.rays import Footprint, Rays, footprint
from bayescal.optical.windows import Windows
from bayescal.optical.zones import Zones

Scalar = Float[Array, ""] | float

LOG_SCALE = 1.2
"""Largest logarithm of a scale of the table, four times the width of its prior."""

_SCALE_NODES = 5
_MIE_SCALES = (0.5, 1.5)


class _Nodes(NamedTuple):
    """Of a table, one array an axis."""

    log_absorption: np.ndarray
    log_rayleigh: np.ndarray
    mie: np.ndarray


class LightTable(eqx.Module):
    """Indirect light of runs on the patches of a wall.

    Attributes:
        light: at the nodes, for one photoelectron that the source emits at full coverage, flat in the nodes; by orders
            of reflection.
    """

    light: Float[Array, "node order patch run"]

    def __call__(self, water: Water, reflectivity: Scalar) -> Float[Array, "patch run"]:
        """Light on each patch [p.e.].

        Args:
            water: whose scales are within the table.
            reflectivity: of the wall.
        """
        nodes = _nodes()
        weights = [
            lagrange(jnp.log(jnp.asarray(water.absorption_scale)), nodes.log_absorption),
            lagrange(jnp.log(jnp.asarray(water.rayleigh_scale)), nodes.log_rayleigh),
            lagrange(jnp.asarray(water.mie_scale), nodes.mie),
        ]
        product = jnp.einsum("a,b,c->abc", *weights).reshape(-1)
        return sum_orders(jnp.tensordot(product, self.light, axes=1), reflectivity)


def make_table(sources: Sequence[Rays], spectra: Sequence[Spectrum], zones: Zones) -> LightTable:
    """Table for runs; one source and one spectrum a run.

    Args:
        sources: rays of each run's source for one photoelectron.
        spectra: of each run.
        zones: of the tank.
    """
    feet = [_footprint(each, zones) for each in sources]
    by_wavelength: dict[float, list[tuple[int, float]]] = {}
    for run, spectrum in enumerate(spectra):
        for wavelength, weight in zip(np.asarray(spectrum.wavelength_nm), np.asarray(spectrum.weight), strict=True):
            by_wavelength.setdefault(float(wavelength), []).append((run, float(weight)))
    total = np.zeros((*_shape(zones), len(spectra)))
    for wavelength, members in by_wavelength.items():
        together = jax.tree.map(lambda *each: jnp.stack(each), *(feet[run] for run, _ in members))
        for node, scales in enumerate(_grid()):
            light = np.asarray(_in_medium(together, zones, wavelength, scales))
            for column, (run, weight) in enumerate(members):
                total[node, :, :, run] += weight * light[column]
    return LightTable(jnp.asarray(total))


def make_timed_table(
    sources: Sequence[Rays], wavelength_nm: Sequence[float], zones: Zones, windows: Windows
) -> LightTable:
    """Table for point sources that each shine at every wavelength, in windows of time after the flight from the source.

    Its columns are the windows of each wavelength of each source. `Windows` makes shares of the cumulants of the delay,
    which follow from `_ways`.

    Args:
        sources: rays of each source for one photoelectron, all from one point.
        wavelength_nm: at each source [nm].
        zones: of the tank.
        windows: after the direct flight from a source to each patch.
    """
    feet = jax.tree.map(lambda *each: jnp.stack(each), *(_footprint(each, zones) for each in sources))
    places = np.stack([np.asarray(each.origin_m[0]) for each in sources])
    direct_m = np.linalg.norm(zones.patches_m.reshape(-1, 3) - places[:, None], axis=-1)[:, None]
    total = np.zeros((*_shape(zones), len(sources), len(wavelength_nm), windows.count))
    for number, wavelength in enumerate(wavelength_nm):
        ns_per_m = float(group_index(wavelength)) / SPEED_OF_LIGHT_M_PER_NS
        light = np.stack([np.asarray(_in_medium(feet, zones, wavelength, scales)) for scales in _grid()])
        ways = _ways(light, float(Water().absorption(wavelength)))
        delays = np.stack([ways[0] - direct_m, *ways[1:]])
        shares = windows.of_delayed(delays * ns_per_m ** np.arange(1.0, 4.0).reshape(-1, *[1] * light.ndim))
        total[:, :, :, :, number] = np.moveaxis(light[..., None] * shares, 1, 3)
    return LightTable(jnp.asarray(total.reshape(*total.shape[:3], -1)))


def _ways(
    light: Float[np.ndarray, "node source order patch"], absorption: float
) -> Float[np.ndarray, "cumulant node source order patch"]:
    """Mean [m], variance [m^2] and third central moment [m^3] of the way that light has come, from light at all nodes.

    Light is the Laplace transform of the distribution of its ways, in the absorption coefficient: the derivatives of
    its logarithm are, with alternating sign, their cumulants. Between the nodes of the absorption scale the logarithm
    is a polynomial.

    Args:
        light: at the nodes.
        absorption: coefficient where its scale is one [1/m].
    """
    at, power = absorption * np.exp(_nodes().log_absorption)[:, None], np.arange(_SCALE_NODES)
    derivative = (power * at ** (power - 1.0)) @ np.linalg.inv(at**power)
    cumulants = [np.log(np.maximum(light, np.finfo(float).tiny)).reshape(_SCALE_NODES, -1)]
    for _ in range(3):
        cumulants.append(-derivative @ cumulants[-1])
    return np.stack([each.reshape(light.shape) for each in cumulants[1:]])


_footprint = eqx.filter_jit(footprint)


def _shape(zones: Zones) -> tuple[int, int, int]:
    """Nodes, orders and patches."""
    return _grid().shape[0], N_REFLECTIONS + 1, zones.n_patches * zones.n_azimuth


@jax.jit
def _in_medium(
    feet: Footprint, zones: Zones, wavelength_nm: Scalar, scales: Float[Array, " 3"]
) -> Float[Array, "source order patch"]:
    """Light of several sources at one node: logarithms of two scales, and the Mie scale."""
    medium = coefficients(Water(jnp.exp(scales[0]), jnp.exp(scales[1]), scales[2]), wavelength_nm)
    transport = make_transport(zones, medium)
    orders = jax.vmap(lambda each: reflection_orders(transport, each.in_medium(medium.attenuation)))(feet)
    return orders.reshape(*orders.shape[:2], -1)


def _nodes() -> _Nodes:
    scale = LOG_SCALE * np.cos(np.pi * (np.arange(_SCALE_NODES) + 0.5) / _SCALE_NODES)
    return _Nodes(scale, scale, np.array(_MIE_SCALES))


def _grid() -> Float[np.ndarray, "node 3"]:
    """All nodes."""
    return np.stack(np.meshgrid(*_nodes(), indexing="ij"), axis=-1).reshape(-1, 3)


def lagrange(value: Float[Array, ""], nodes: np.ndarray) -> Float[Array, " node"]:
    """Weights of values at the nodes in the polynomial through them."""
    own = np.eye(nodes.size, dtype=bool)
    scale = jnp.prod(jnp.where(own, 1.0, nodes[:, None] - nodes[None, :]), axis=1)
    return jnp.prod(jnp.where(own, 1.0, value - nodes[None, :]), axis=1) / scale
