"""Scattered and reflected light: transport between the zones of a tank, all orders, smooth in every parameter.

First collisions keep the direction of the light: the phase function of Rayleigh scattering is exact, that of forward
scattering is kept up to its second Legendre polynomial, re-emission is even. Light that has scattered before scatters
evenly in all directions. Walls reflect diffusely (Lambert). In azimuth everything is diagonal in Fourier components;
what zones see of each other is the same to both sides, so that these components are real.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from bayescal.optical.medium import Scintillator, Water
from bayescal.optical.rays import FirstFate
from bayescal.optical.zones import Zones

Scalar = Float[Array, ""] | float
Real = Float[Array, "..."]
Blocks = Float[Array, "mode source target"]

N_REFLECTIONS = 6
"""That are followed one by one."""

# Legendre coefficients (2 l + 1) <P_l> of phase functions, in units of 1/(4 pi)
RAYLEIGH = (1.0, 0.0, 0.5)  # 3/4 (1 + c^2)
FORWARD = (1.0, 2.0, 1.25)  # 4 c for c > 0, the Mie scattering of Super-K


class Coefficients(NamedTuple):
    """Of the medium at one wavelength [1/m]: light that is lost, that scatters, and that is emitted again."""

    absorption: Scalar
    rayleigh: Scalar
    mie: Scalar
    reemission: Scalar = 0.0

    @property
    def scattering(self) -> Scalar:
        """Of all kinds [1/m]."""
        return self.rayleigh + self.mie + self.reemission

    @property
    def attenuation(self) -> Scalar:
        """All that direct light loses [1/m]."""
        return self.absorption + self.scattering


def coefficients(medium: Water | Scintillator, wavelength_nm: Scalar) -> Coefficients:
    """Coefficients of a medium at one wavelength [nm]."""
    again = medium.reemission(wavelength_nm)
    lost = medium.absorption(wavelength_nm) - again
    return Coefficients(lost, medium.rayleigh(wavelength_nm), medium.mie(wavelength_nm), again)


class Transport(eqx.Module):
    """How indirect light reaches the wall of a tank in one medium, by Fourier component in azimuth.

    Attributes:
        from_paths: light on patches for paths of first collisions, moment by moment, after any number of scatters.
        from_wall: light on patches for light that a patch reflects, after any number of scatters and no reflection.
    """

    from_paths: Complex[Array, "mode path patch"]
    from_wall: Float[Array, "mode patch patch"]


def make_transport(zones: Zones, medium: Coefficients) -> Transport:
    """Transport in a medium that takes some light, by solving for all orders of scattering.

    What does not reach the wall has met a cell: collisions are scaled so that both add up to one.
    """
    loss, scatter = medium.attenuation, medium.scattering
    sees, seen, walls = zones.cell_to_patch, zones.cell_to_cell, zones.patch_to_patch
    sight = jnp.exp(-loss * sees.distance_m) * sees.weight / (4 * jnp.pi)
    to_patch = _fourier(sight)
    lost = jnp.sum(-jnp.expm1(-loss * sees.distance_m) * sees.weight, axis=(1, 2)) / (4 * jnp.pi)
    met = jnp.exp(-loss * seen.distance_m) * seen.weight
    to_cell = _fourier(met * (lost / met.sum(axis=(1, 2)))[:, None, None]) * (scatter / loss)
    lost_from_wall = jnp.sum(-jnp.expm1(-loss * walls.distance_m) * walls.weight, axis=(1, 2))
    met = sight * zones.cell_m3[:, None, None]
    from_patch = _fourier(met * (lost_from_wall / met.sum(axis=(0, 2)))[:, None]).transpose(0, 2, 1) * (scatter / loss)
    between = _fourier(jnp.exp(-loss * walls.distance_m) * walls.weight)
    # light on patches from light that starts in cells, after any number of scatters
    identity = jnp.eye(zones.n_cells)
    response = jnp.linalg.solve(identity - to_cell, to_patch)
    first = _fourier_moments(sight[..., None] * _phase(zones, medium))
    # the part of first collisions that scatters again does so evenly: traces of the second moments alone
    again = jnp.einsum("mcd,mdp->mcp", to_cell, response) * scatter
    trace = jnp.asarray([0.0, 0, 0, 1, 1, 1, 0, 0, 0])
    first = first + again[:, :, None, :] * trace[None, None, :, None]
    return Transport(
        first.reshape(first.shape[0], -1, zones.n_patches),
        between + jnp.einsum("mqc,mcp->mqp", from_patch, response),
    )


def _phase(zones: Zones, medium: Coefficients) -> Float[Array, "cell patch azimuth 9"]:
    """Light towards a patch for each moment of the directions before the collision, times 4 pi [1/m]."""
    even, linear, quadratic = (
        medium.rayleigh * one + medium.mie * other for one, other in zip(RAYLEIGH, FORWARD, strict=True)
    )
    towards = jnp.asarray(zones.moments)
    vector = linear * towards[..., :3]
    squares = even + medium.reemission - quadratic / 2 + 1.5 * quadratic * towards[..., 3:6]
    products = 3.0 * quadratic * towards[..., 6:]
    return jnp.concatenate([vector, squares, products], axis=-1)


def _fourier(kernel: Float[Array, "source target azimuth"]) -> Blocks:
    """Components of kernels that are the same to both sides."""
    return jnp.einsum("sta,am->mst", kernel, _waves(kernel.shape[2])[0])


def _fourier_moments(
    kernel: Float[Array, "source target azimuth moment"],
) -> Complex[Array, "mode source moment target"]:
    even, odd = (jnp.einsum("stan,am->msnt", kernel, wave) for wave in _waves(kernel.shape[2]))
    return jax.lax.complex(even, odd)


def _to_modes(light: Float[Array, "zone azimuth *moment"]) -> Complex[Array, "mode zone *moment"]:
    even, odd = (jnp.tensordot(wave.T, light, axes=(1, 1)) for wave in _waves(light.shape[1]))
    return jax.lax.complex(even, odd)


def _from_modes(modes: Complex[Array, "order mode patch"], n_azimuth: int) -> Float[Array, "order patch azimuth"]:
    """The inverse; components between the first and the last stand for two."""
    even, odd = _waves(n_azimuth)
    twice = np.where(np.isin(np.arange(even.shape[1]), (0, n_azimuth // 2)), 1.0, 2.0) / n_azimuth
    back = jnp.einsum("omp,am->opa", modes.real, even * twice)
    return back + jnp.einsum("omp,am->opa", modes.imag, odd * twice)


def _waves(n_azimuth: int) -> tuple[Float[np.ndarray, "azimuth mode"], Float[np.ndarray, "azimuth mode"]]:
    """Real and imaginary part of a Fourier transform over an even number of azimuths.

    For so few, products of matrices are as fast as a fast transform, and never wait for a free thread.
    """
    angle = 2 * np.pi / n_azimuth * np.outer(np.arange(n_azimuth), np.arange(n_azimuth // 2 + 1))
    return np.cos(angle), -np.sin(angle)


def reflection_orders(transport: Transport, fate: FirstFate) -> Float[Array, "order patch azimuth"]:
    """Light that meets each patch after 0, 1, 2, ... reflections by a perfect wall; no direct light among the first.

    Args:
        transport: in the medium.
        fate: of the source's rays in the same medium.
    """
    paths = _to_modes(fate.path_m)
    scattered = jnp.einsum("mc,mcp->mp", paths.reshape(paths.shape[0], -1), transport.from_paths)
    orders = [scattered]
    arrived = scattered + _to_modes(fate.arrived)
    for _ in range(N_REFLECTIONS):
        arrived = jnp.einsum("mq,mqp->mp", arrived, transport.from_wall)
        orders.append(arrived)
    return _from_modes(jnp.stack(orders), fate.arrived.shape[1])


def sum_orders(orders: Float[Array, "order ..."], reflectivity: Scalar) -> Real:
    """Indirect light of a wall of given reflectivity: a power series.

    Beyond the last order the light is spread evenly and decreases from one to the next by a common factor, that of
    the last two.
    """
    shape = (-1, *[1] * (orders.ndim - 1))
    power = jnp.asarray(reflectivity) ** jnp.arange(N_REFLECTIONS + 1)
    kept = jnp.asarray(reflectivity) * jnp.sum(orders[-1]) / jnp.sum(orders[-2])
    return jnp.sum(orders * power.at[-1].mul(1 / (1 - kept)).reshape(shape), axis=0)


class PatchesAtSensors(eqx.Module):
    """Which patches lie around each sensor: from light on patches to light on sensors.

    Attributes:
        index: flat numbers of patches.
        share: of each, over its area [1/m^2].
        area_m2: of a sensor's opening times its response to diffuse light [m^2].
    """

    index: np.ndarray
    share: np.ndarray
    area_m2: Float[Array, ""]

    def __call__(self, light: Float[Array, "patch run"]) -> Float[Array, "sensor run"]:
        """Light on each sensor's opening, from light on patches, flat."""
        return self.area_m2 * jnp.sum(light[self.index] * jnp.asarray(self.share)[..., None], axis=1)
