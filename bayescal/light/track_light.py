"""Light of known tracks as a function of the optical constants, integrated over their points before a fit.

Visibility by `bayescal.light.visibility` is linear in the scattered fraction and the reflectivities. Straight and
reflected light depend on the two lengths by one attenuation, k = 1/absorption + 1/(2 Rayleigh); the halo is a function
of the Rayleigh length times exp(-u distance), u^2 = 3/(absorption Rayleigh). Each is interpolated between Chebyshev
nodes (L. N. Trefethen, Approximation Theory and Approximation Practice, SIAM 2013, section 5), and the sums over points
at all nodes are reduced to the few directions that they span.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.errors import InputError
from bayescal.flashes import Clusters
from bayescal.light.box import Box, Points
from bayescal.light.detector import LightDetector, Visibility, expected_pe, in_every_volume
from bayescal.light.visibility import Medium, PhysicalVisibility, Reflectivity

RAYLEIGH_RANGE_CM = (40.0, 250.0)
ABSORPTION_RANGE_CM = (110.0, 20_000.0)
"""Lengths between which light is interpolated; outside, that of the limit is taken [cm]."""

_LARGEST_LENGTH_CM = 1e15
_TOLERANCE = 1e-3  # relative error of a track's light that is accepted
_RANK_TOLERANCE = 1e-5  # of the directions that are kept, relative to the first
_TRIALS = 4  # media at which the error is measured

Photons = Float[Array | np.ndarray, "track point"]
Scalar = Float[Array | np.ndarray, ""] | float


class Nodes(eqx.Module):
    """Chebyshev nodes of the second kind on an interval."""

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    count: int = eqx.field(static=True)

    @property
    def places(self) -> Float[np.ndarray, " node"]:
        """Where they are, in falling order."""
        return 0.5 * (
            self.low + self.high + (self.high - self.low) * np.cos(np.pi * np.arange(self.count) / (self.count - 1))
        )

    def weights(self, x: Scalar) -> Float[Array, " node"]:
        """What each node contributes to the interpolation at x, held within the interval: Lagrange's polynomials."""
        x = jnp.clip(jnp.asarray(x), self.low, self.high)
        places = self.places
        others = ~np.eye(self.count, dtype=bool)
        ratios = jnp.where(others, (x - places) / np.where(others, places[:, None] - places, 1.0), 1.0)
        return ratios.prod(axis=1)


class TrackLight(eqx.Module):
    """Light of tracks for sensors of efficiency one.

    Attributes:
        attenuation: nodes of k [1/cm].
        log_rayleigh: nodes of the logarithm of the Rayleigh length [cm].
        diffusion: nodes of u [1/cm].
        basis: directions that the light at all nodes spans, times the tracks' scale.
        average: of the basis over the tracks.
        mixing: the light at each node in these directions: straight, by wall, halo.
    """

    attenuation: Nodes
    log_rayleigh: Nodes
    diffusion: Nodes
    basis: Float[Array | np.ndarray, "rank track sensor"]
    average: Float[Array | np.ndarray, "rank sensor"]
    mixing: Float[Array | np.ndarray, "column rank"]

    def __call__(self, medium: Medium, reflectivity: Reflectivity) -> Float[Array, "track sensor"]:
        """Sum over the points of each track of photons times visibility.

        Args:
            medium: optical constants.
            reflectivity: of the walls at lower x, upper x, lower y, upper y, lower z, upper z.
        """
        return jnp.tensordot(self.columns(medium, reflectivity) @ self.mixing, self.basis, axes=1)

    def mean(self, medium: Medium, reflectivity: Reflectivity) -> Float[Array, " sensor"]:
        """Mean over the tracks, without the sum over each; arguments as those of a call."""
        return self.columns(medium, reflectivity) @ self.mixing @ self.average

    def columns(self, medium: Medium, reflectivity: Reflectivity) -> Float[Array, " column"]:
        """What each node contributes to the light."""
        rayleigh = jnp.asarray(medium.rayleigh_length)
        absorption = jnp.asarray(medium.absorption_length)
        straight = self.attenuation.weights(1 / absorption + 0.5 / rayleigh)
        halo = jnp.outer(
            self.log_rayleigh.weights(jnp.log(rayleigh)), self.diffusion.weights(jnp.sqrt(3 / (absorption * rayleigh)))
        )
        reflected = jnp.outer(jnp.asarray(reflectivity), straight)
        return jnp.concatenate([straight, reflected.ravel(), medium.scattered_fraction * halo.ravel()])


class _Part(eqx.Module):
    """One way of the light, as a visibility for sensors of efficiency one."""

    optics: PhysicalVisibility
    way: int = eqx.field(static=True)

    @property
    def box(self) -> Box:
        return self.optics.box

    def __call__(self, points_cm: Points) -> Float[Array, "*point sensor"]:
        parts = self.optics.parts(points_cm)
        if self.way < 0:
            return parts.scattered
        return parts.direct if self.way == 0 else parts.reflected[..., self.way - 1, :]


_WALLS = 6
_HALO = -1


def track_light(clusters: Clusters, detector: LightDetector) -> TrackLight:
    """Integrate the light of tracks at all nodes, and make sure that it is right between them.

    Args:
        clusters: tracks whose positions are known.
        detector: light detector; its reflectivities and efficiencies are not used.

    Raises:
        InputError: the interpolation is off by more than 0.1 %: the detector is too large for these nodes.
    """
    points, photons = padded_points(clusters)
    (k_low, k_high), (u_low, u_high) = _ranges()
    attenuation, diffusion = Nodes(k_low, k_high, 7), Nodes(u_low, u_high, 8)
    log_rayleigh = Nodes(math.log(RAYLEIGH_RANGE_CM[0]), math.log(RAYLEIGH_RANGE_CM[1]), 10)
    straight = [Medium(1 / k, _LARGEST_LENGTH_CM) for k in attenuation.places]
    halo = [
        Medium(3 / (u**2 * rayleigh), rayleigh) for rayleigh in np.exp(log_rayleigh.places) for u in diffusion.places
    ]
    ways = [(medium, way) for way in range(_WALLS + 1) for medium in straight] + [(medium, _HALO) for medium in halo]
    light = np.stack([_light(detector, medium, way, points, photons) for medium, way in ways])
    found = TrackLight(attenuation, log_rayleigh, diffusion, *_compressed(light))
    _check(found, detector, points, photons)
    return found


def padded_points(
    clusters: Clusters,
) -> tuple[Float[np.ndarray, "cluster point 3"], Float[np.ndarray, "cluster point"]]:
    """Points [cm] and photons of all clusters, in rows of equal length; padding repeats a point without photons."""
    owner = np.asarray(clusters.point_cluster)
    count = np.bincount(owner, minlength=clusters.n_clusters)
    first = np.cumsum(count) - count
    place = np.arange(owner.size) - first[owner]
    points = np.repeat(np.asarray(clusters.position_cm)[first][:, None], count.max(), axis=1)
    photons = np.zeros(points.shape[:2])
    points[owner, place], photons[owner, place] = clusters.position_cm, clusters.photons
    return points, photons


def _ranges() -> tuple[tuple[float, float], tuple[float, float]]:
    """Least and largest attenuation k and u [1/cm] between the limits of both lengths."""
    (rayleigh, far), (absorption, clear) = RAYLEIGH_RANGE_CM, ABSORPTION_RANGE_CM
    k = (1 / clear + 0.5 / far, 1 / absorption + 0.5 / rayleigh)
    return k, (float(np.sqrt(3 / (clear * far))), float(np.sqrt(3 / (absorption * rayleigh))))


def _light(
    detector: LightDetector, medium: Medium, way: int, points: np.ndarray, photons: np.ndarray
) -> Float[np.ndarray, "track sensor"]:
    optics = PhysicalVisibility(detector.sensors, detector.box, medium, np.zeros(_WALLS))
    return np.asarray(_integrated(in_every_volume(detector, _Part(optics, way)), points, photons))


@eqx.filter_jit
def _integrated(visibility: Visibility, points: Points, photons: Photons) -> Float[Array, "track sensor"]:
    return expected_pe(1.0, visibility, points, photons)


class _Compressed(NamedTuple):
    basis: Float[np.ndarray, "rank track sensor"]
    average: Float[np.ndarray, "rank sensor"]
    mixing: Float[np.ndarray, "column rank"]


def _compressed(light: Float[np.ndarray, "column track sensor"]) -> _Compressed:
    """The light in the directions that it spans, each track and sensor by its own scale."""
    scale = np.maximum(light.max(axis=0), np.finfo(float).tiny)
    relative = (light / scale).reshape(len(light), -1)
    size, directions = np.linalg.eigh(relative @ relative.T)
    mixing = directions[:, size > _RANK_TOLERANCE**2 * size[-1]]
    basis = (mixing.T @ relative).reshape(-1, *scale.shape) * scale
    return _Compressed(basis, basis.mean(axis=1), mixing)


def _check(found: TrackLight, detector: LightDetector, points: np.ndarray, photons: np.ndarray) -> None:
    """Compare with the light of a few tracks at media between the nodes."""
    some = slice(0, 64)
    random = np.random.default_rng(0)
    low, high = np.log([RAYLEIGH_RANGE_CM, ABSORPTION_RANGE_CM]).T
    for rayleigh, absorption in np.exp(random.uniform(low, high, (_TRIALS, 2))):
        medium, reflectivity = Medium(absorption, rayleigh), np.full(_WALLS, 0.1)
        sensors = eqx.tree_at(lambda s: s.efficiency, detector.sensors, np.ones(detector.sensors.n_sensors))
        optics = PhysicalVisibility(sensors, detector.box, medium, reflectivity)
        exact = np.asarray(_integrated(in_every_volume(detector, optics), points[some], photons[some]))
        worst = float(np.max(np.abs(np.asarray(found(medium, reflectivity))[some] - exact) / np.maximum(exact, 1e-12)))
        if worst > _TOLERANCE:
            raise InputError(
                f"{detector.name}: light interpolated in the optical constants is off by {worst:.1%}: the detector is "
                "too large for this model; calibrate a network of its visibility (siren_calibration) instead"
            )
