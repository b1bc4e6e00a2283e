"""Scattered and reflected light of a point anywhere in a sphere, as a smooth function of its place.

Light on the wall depends on the distance rho of the point from the centre, over the radius, and on the angle between
the point and the place on the wall alone. It is found once by transport between zones, for points at many distances,
and fitted by

    rho^l P_l(cosine) T_k(2 rho^2 - 1),

P_l those of Legendre, T_k those of Chebyshev, and by the same over the distance from the point to the place, as which
light falls that has scattered near the point. The former are polynomials of the place, smooth at the centre too. The
coefficients are again polynomials of the logarithms of the lengths of absorption and scattering, where these are not
known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.optical.detector import OpticalDetector
from bayescal.optical.geometry import fibonacci_directions
from bayescal.optical.indirect import Coefficients, coefficients, make_transport, reflection_orders, sum_orders
from bayescal.optical.light_table import lagrange
from bayescal.optical.medium import REFERENCE_NM, Scintillator, Spectrum
from bayescal.optical.rays import Footprint, footprint, isotropic_rays
from bayescal.optical.zones import Zones

_FAR = (4, 6)  # numbers of powers and degrees
_NEAR = (3, 4)  # of those over the distance
_SOURCES = 24
_RAYS = 768
_STEP = 1e-3  # of absorption, over the attenuation, for a derivative


class Lateness(NamedTuple):
    """Of indirect light after direct light at the same sensor, mean over sensors and over points in the sphere.

    Attributes:
        scattered_share: of indirect light that was never reflected.
        scattered_m, reflected_m: how much longer the ways are [m].
        reemitted_share: of scattering that is re-emission.
    """

    scattered_share: float
    scattered_m: float
    reflected_m: float
    reemitted_share: float


class SphereLight(eqx.Module):
    """Indirect light at the sensors of a sphere; made by `make_sphere_light`.

    Attributes:
        coefficient: light on the wall for one photoelectron at full coverage [1/m^2].
        outward: unit vectors from the centre to the sensors.
        area_m2: of a sensor's opening times its response to diffuse light [m^2].
        log_absorption, log_rayleigh: logarithms of the lengths that the coefficients are tabulated at.
        radius_m: of the sphere [m].
        lateness: in the scintillator given.
    """

    coefficient: Float[Array, "absorption rayleigh shape"]
    outward: Float[np.ndarray, "sensor 3"]
    area_m2: Float[Array, ""]
    log_absorption: Float[np.ndarray, " absorption"]
    log_rayleigh: Float[np.ndarray, " rayleigh"]
    radius_m: float = eqx.field(static=True)
    lateness: Lateness = eqx.field(static=True)

    def __call__(self, position_m: Float[Array, " 3"], medium: Scintillator) -> Float[Array, " sensor"]:
        """Light at every sensor for one photoelectron at full coverage.

        Args:
            position_m: of the point, inside the sphere [3] [m].
            medium: whose lengths are within the table.
        """
        absorption = lagrange(jnp.log(jnp.asarray(medium.absorption_length_m)), self.log_absorption)
        rayleigh = lagrange(jnp.log(jnp.asarray(medium.rayleigh_length_m)), self.log_rayleigh)
        place = jnp.asarray(position_m) / self.radius_m
        coefficient = jnp.einsum("a,r,ars->s", absorption, rayleigh, self.coefficient)
        return self.area_m2 * (_shapes(place, self.outward) @ coefficient)


def _shapes(place: Float[Array, " 3"], outward: Float[Array | np.ndarray, "*n 3"]) -> Float[Array, "*n shape"]:
    """The functions that light is fitted by, of a point, over the radius, and directions from the centre."""
    along, square = jnp.asarray(outward) @ place, place @ place
    distance = jnp.sqrt(1 + square - 2 * along)[..., None, None]
    products = _solid_harmonics(along, square)[..., None, :] * _powers(square)[:, None]
    far, near = products[..., : _FAR[0], : _FAR[1]], products[..., : _NEAR[0], : _NEAR[1]] / distance
    return jnp.concatenate([each.reshape(*along.shape, -1) for each in (far, near)], axis=-1)


def _solid_harmonics(along: Float[Array, "*n"], square: Float[Array, ""]) -> Float[Array, "*n degree"]:
    """rho^l P_l, from rho times the cosine and rho^2, by the recursion of Legendre's polynomials."""
    found = [jnp.ones_like(along), along]
    for degree in range(1, _FAR[1] - 1):
        found.append(((2 * degree + 1) * along * found[-1] - degree * square * found[-2]) / (degree + 1))
    return jnp.stack(found, axis=-1)


def _powers(square: Float[Array, ""]) -> Float[Array, " power"]:
    """Chebyshev polynomials of the squared distance from the centre."""
    x = 2 * square - 1
    found = [jnp.ones_like(x), x]
    for _ in range(2, _FAR[0]):
        found.append(2 * x * found[-1] - found[-2])
    return jnp.stack(found)


class _Sources(NamedTuple):
    """Points at Chebyshev nodes in the squared distance from the centre, each in a direction of its own.

    Attributes:
        place: over the radius.
        share: of the volume of the sphere that each stands for.
        feet: of the rays of each.
    """

    place: Float[np.ndarray, "source 3"]
    share: Float[np.ndarray, " source"]
    feet: Footprint


def make_sphere_light(
    detector: OpticalDetector,
    zones: Zones,
    medium: Scintillator,
    spectrum: Spectrum,
    absorption_m: Sequence[float],
    rayleigh_m: Sequence[float],
) -> SphereLight:
    """Tabulate the indirect light of a sphere (some seconds, and a second for each pair of lengths).

    Args:
        detector: with sensors on a sphere.
        zones: of its tank.
        medium: in it.
        spectrum: few wavelengths of the light.
        absorption_m: lengths of absorption to tabulate at, one if it is known [m].
        rayleigh_m: lengths of Rayleigh scattering at 430 nm to tabulate at, one if it is known [m].
    """
    sources = _sources(zones)
    outward = _directions(zones)
    fit = _fit(sources.place, outward)

    def light(absorption: float, rayleigh: float) -> Float[Array, "2 source patch azimuth"]:
        given = eqx.tree_at(lambda m: (m.absorption_length_m, m.rayleigh_length_m), medium, (absorption, rayleigh))
        total = jnp.zeros((2, _SOURCES, zones.n_patches, zones.n_azimuth))
        for wavelength, weight in zip(spectrum.wavelength_nm, spectrum.weight, strict=True):
            total += weight * _light(sources.feet, zones, coefficients(given, wavelength), detector.reflectivity)
        return total

    def fitted(absorption: float, rayleigh: float) -> Float[np.ndarray, " shape"]:
        per_m2 = np.asarray(light(absorption, rayleigh).sum(axis=0)) / zones.patch_m2[:, None]
        return fit @ per_m2.reshape(-1)

    table = np.array([[fitted(one, other) for other in rayleigh_m] for one in absorption_m])
    return SphereLight(
        coefficient=jnp.asarray(table),
        outward=_unit(np.asarray(detector.sensors.position_m)),
        area_m2=detector.sensors.area_m2 * detector.sensors.acceptance.diffuse,
        log_absorption=np.log(absorption_m),
        log_rayleigh=np.log(rayleigh_m),
        radius_m=detector.tank.radius_m,
        lateness=_lateness(sources, zones, coefficients(medium, REFERENCE_NM), detector.reflectivity),
    )


def held_inside(position_m: Float[Array, " 3"], radius_m: float, margin_m: float) -> Float[Array, " 3"]:
    """A point where it is deeper than a margin; else moved so as to stay half of it away from the wall, smoothly.

    Args:
        position_m: anywhere [3] [m].
        radius_m: of the sphere [m].
        margin_m: less than the radius [m].
    """
    free, least = radius_m - margin_m, margin_m / 2
    square = jnp.sum(position_m**2)
    distance = jnp.sqrt(jnp.where(square > free**2, square, free**2))
    return position_m * (free + least * jnp.tanh((distance - free) / least)) / distance


def _sources(zones: Zones) -> _Sources:
    """Directions near the equator, where zones have about the same size along and around."""
    angle = np.pi * (np.arange(_SOURCES) + 0.5) / _SOURCES
    distance = np.sqrt((1 - np.cos(angle)) / 2)
    place = distance[:, None] * fibonacci_directions(3 * _SOURCES)[_SOURCES : 2 * _SOURCES]
    feet = [_footprint(jnp.asarray(zones.tank.radius_m * each), zones) for each in place]
    share = distance * np.sin(angle)
    return _Sources(place, share / share.sum(), jax.tree.map(lambda *each: jnp.stack(each), *feet))


@jax.jit
def _footprint(position_m: Float[Array, " 3"], zones: Zones) -> Footprint:
    return footprint(isotropic_rays(position_m, count=_RAYS), zones)


def _directions(zones: Zones) -> Float[np.ndarray, "patch azimuth 3"]:
    """Unit vectors from the centre to the patches."""
    polar = zones.wall[:, None] / zones.tank.radius_m
    turn = 2 * np.pi * np.arange(zones.n_azimuth) / zones.n_azimuth
    parts = (np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar) + 0 * turn)
    return np.stack(parts, axis=-1)


def _fit(place: Float[np.ndarray, "source 3"], outward: Float[np.ndarray, "*patch 3"]) -> np.ndarray:
    """The matrix from light of all sources on all patches to the coefficients, least squares."""
    shapes = np.asarray(jax.jit(jax.vmap(_shapes, in_axes=(0, None)))(place, outward))
    orthogonal, triangle = np.linalg.qr(shapes.reshape(-1, shapes.shape[-1]))
    return np.linalg.solve(triangle, orthogonal.T)


@jax.jit
def _light(
    feet: Footprint, zones: Zones, medium: Coefficients, reflectivity: float
) -> Float[Array, "2 source patch azimuth"]:
    """Light that was never reflected, and light that was."""
    transport = make_transport(zones, medium)

    def of_source(each: Footprint) -> Float[Array, "2 patch azimuth"]:
        orders = reflection_orders(transport, each.in_medium(medium.attenuation))
        return jnp.stack([orders[0], sum_orders(orders, reflectivity) - orders[0]])

    return jnp.moveaxis(jax.vmap(of_source)(feet), 1, 0)


def _lateness(sources: _Sources, zones: Zones, medium: Coefficients, reflectivity: float) -> Lateness:
    """The mean way of light is the logarithmic derivative of its amount by absorption, its sign changed."""
    step = _STEP * medium.attenuation
    absorption = (medium.absorption + sign * step for sign in (0.0, -1.0, 1.0))
    media = (medium._replace(absorption=each) for each in absorption)
    amount, less, more = (np.asarray(_light(sources.feet, zones, each, reflectivity)) for each in media)
    way = _directions(zones)[None] - sources.place[:, None, None]
    straight_m = zones.tank.radius_m * np.linalg.norm(way, axis=-1)
    later = (less - more) / (2 * step) - amount * straight_m
    total, late = (np.einsum("kspa,s->k", each, sources.share) for each in (amount, later))
    scattered, reflected = late / np.where(total > 0, total, 1.0)
    return Lateness(
        float(total[0] / max(total.sum(), 1e-30)),
        float(scattered),
        float(reflected),
        float(medium.reemission / medium.scattering),
    )


def _unit(vector: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
