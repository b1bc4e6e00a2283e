"""A small detector with light sensors on two walls, for the tests of T0 and of flash matching."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats
from jaxtyping import Array, Float

from bayescal.flashes import Clusters, clusters_from_points
from bayescal.light.detector import DriftVolumes
from bayescal.reconstruction.clusters import ClusterBatch, batch_clusters
from bayescal.reconstruction.t0 import Constraint, Light


class ToyLight(eqx.Module):
    """Expected light from a solid angle and an attenuation length; zero outside the box.

    Attributes:
        sensor_cm: places of the sensors [cm].
        gain: of each sensor.
        half_cm: half of the box's edges, its centre is the origin [cm].
    """

    sensor_cm: Float[np.ndarray, "sensor 3"]
    gain: Float[Array | np.ndarray, " sensor"]
    half_cm: Float[np.ndarray, " 3"]

    def __call__(self, position_cm: Float[Array, "point 3"], photons: Float[Array, " point"]) -> Array:
        square = ((position_cm[:, None] - self.sensor_cm) ** 2).sum(axis=-1)
        visibility = jnp.exp(-jnp.sqrt(square) / 80.0) * 5.0 / (square + 25.0)
        inside = (jnp.abs(position_cm) <= self.half_cm + 1e-6).all(axis=-1)
        return self.gain * (jnp.where(inside, photons, 0.0) @ visibility)

    def by_numpy(self, position_cm: np.ndarray, photons: np.ndarray) -> np.ndarray:
        """The same for positions inside the box, shape (..., point, 3)."""
        square = ((position_cm[..., None, :] - self.sensor_cm) ** 2).sum(axis=-1)
        visibility = np.exp(-np.sqrt(square) / 80.0) * 5.0 / (square + 25.0)
        return np.asarray(self.gain) * (photons[..., None] * visibility).sum(axis=-2)


class Counts(eqx.Module):
    """Negative binomial counts with a relative error of the mean."""

    error: float

    def __call__(self, mean: Array) -> dist.Distribution:
        return dist.NegativeBinomial2(mean, jnp.full_like(mean, self.error**-2))


class Toy(eqx.Module):
    """The detector, its readout, and tracks in it."""

    light: Light
    volumes: DriftVolumes

    def tracks(self, seed: int, n_tracks: int, *, photons_per_cm: float = 1000.0, length_cm: float = 20.0) -> Clusters:
        """Straight tracks inside the box, moved along x so that they start at its lower face."""
        rng = np.random.default_rng(seed)
        half = self.light.expected.half_cm
        direction = rng.normal(size=(n_tracks, 3))
        direction *= length_cm / np.linalg.norm(direction, axis=1, keepdims=True)
        direction[:, 0] *= 0.5
        centre = (half - np.abs(direction) / 2) * rng.uniform(-1, 1, (n_tracks, 3))
        points = centre[:, None] + direction[:, None] * (np.arange(10)[:, None] / 9 - 0.5)
        points[..., 0] -= points[..., 0].min(axis=1, keepdims=True) + half[0]
        zeros, owner = np.zeros(n_tracks), np.arange(n_tracks).repeat(10)
        return clusters_from_points(
            (zeros, np.arange(n_tracks), zeros),
            (zeros, np.full(n_tracks, np.nan)),
            owner,
            points.reshape(-1, 3),
            np.full(owner.size, photons_per_cm * length_cm / 10),
        )


@pytest.fixture(scope="session")
def toy() -> Toy:
    """Twelve sensors on the walls at z = -30 and 30 cm, nearer to one end of the drift than to the other."""
    y, z = np.meshgrid(np.linspace(-45, 45, 6), [-31.0, 31.0])
    place = np.stack([np.full(12, 5.0), y.ravel(), z.ravel()], axis=1)
    half = np.array([15.0, 60.0, 30.0])
    light = Light(ToyLight(place, np.ones(12), half), Counts(0.1))
    return Toy(light, DriftVolumes(-half[None], half[None], np.ones(1)))


@pytest.fixture(scope="session")
def flash() -> Callable[..., np.ndarray]:
    """Draws the counts of shifted clusters; `error` is that of each sensor's gain, drawn anew for each cluster."""

    def draw(toy: Toy, batch: ClusterBatch, shift_cm: np.ndarray, seed: int, error: float = 0.1) -> np.ndarray:
        rng = np.random.default_rng(seed)
        mean = toy.light.expected.by_numpy(moved(batch.position_cm, np.asarray(shift_cm)[:, None]), batch.photons)
        gain = rng.gamma(error**-2, error**2, mean.shape) if error > 0 else 1.0
        return rng.poisson(mean * gain).astype(float)

    return draw


class Dense(NamedTuple):
    """Posterior of one shift on a fine even grid."""

    shift_cm: np.ndarray
    density: np.ndarray
    log_evidence: float


@pytest.fixture(scope="session")
def dense() -> Callable[..., Dense]:
    """Posterior of a cluster's shift by SciPy on 3,000 nodes, whatever its shape; NaN counts are left out."""

    def posterior(toy: Toy, batch: ClusterBatch, row: int, counts: np.ndarray, time: tuple | None = None) -> Dense:
        edges = np.linspace(batch.lowest_cm[row], batch.highest_cm[row], 3001)
        shift = (edges[1:] + edges[:-1]) / 2
        mean = toy.light.expected.by_numpy(moved(batch.position_cm[row], shift[:, None]), batch.photons[row])
        size = toy.light.readout.error**-2
        present = np.isfinite(counts)
        value = scipy.stats.nbinom.logpmf(counts, size, size / (size + mean))[:, present].sum(axis=1)
        if time is not None:
            value = value + scipy.stats.norm.logpdf(shift, *time)
        log_mean = scipy.special.logsumexp(value) - np.log(shift.size)
        return Dense(shift, np.exp(value - log_mean) / (edges[-1] - edges[0]), log_mean)

    return posterior


def moved(position_cm: np.ndarray, shift_cm: np.ndarray) -> np.ndarray:
    """Points, shape (..., point, 3), shifted along x; shifts of shape (..., 1)."""
    return position_cm + shift_cm[..., None] * np.eye(3)[0]


class Seen(NamedTuple):
    """Tracks, their true shifts, their flashes and what is known of their times."""

    batch: ClusterBatch
    shift_cm: np.ndarray
    counts: np.ndarray
    constraint: Constraint


@pytest.fixture(scope="session")
def seen_tracks(toy, flash) -> Callable[[int, int], Seen]:
    """So many tracks: the times of the first ones are measured to half a centimetre, as many behind lack three sensors.

    Flashes have an unknown gain of 10 % of every sensor, drawn anew for each track.
    """

    def see(n_tracks: int, n_measured: int) -> Seen:
        batch = batch_clusters(toy.tracks(1, n_tracks), toy.volumes)
        rng = np.random.default_rng(2)
        shift = rng.uniform(batch.lowest_cm, batch.highest_cm)
        counts = flash(toy, batch, shift, 3)
        counts[n_measured : 2 * n_measured, -3:] = np.nan
        time = Constraint(shift + 0.5 * rng.normal(size=n_tracks), np.full(n_tracks, np.inf))
        time.width_cm[:n_measured] = 0.5
        return Seen(batch, shift, counts, time)

    return see
