from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from bayescal.reconstruction.clusters import ClusterBatch, batch_clusters
from bayescal.reconstruction.shift_summary import densest_set, find_modes, moments, sample
from bayescal.reconstruction.t0 import (
    Constraint,
    Grid,
    ShiftPosterior,
    flashes_of,
    make_grid,
    no_constraint,
    shift_of_time,
    shift_posteriors,
    time_constraint,
    time_of_shift,
)
from bayescal.testing import assert_covers, assert_mean, check_gradient

N_TRACKS = 256
N_MEASURED = 8  # tracks whose time is measured to half a centimetre
GRID = Grid(16, 64)


class Reconstructed(NamedTuple):
    """Tracks, their true shifts, their flashes and posteriors."""

    batch: ClusterBatch
    shift_cm: np.ndarray
    counts: np.ndarray
    constraint: Constraint
    posterior: ShiftPosterior


@pytest.fixture(scope="module")
def tracks(toy, seen_tracks) -> Reconstructed:
    batch, shift, counts, time = seen_tracks(N_TRACKS, N_MEASURED)
    return Reconstructed(batch, shift, counts, time, shift_posteriors(batch, counts, toy.light, GRID, time))


def measured(tracks: Reconstructed, row: int) -> tuple[float, float] | None:
    """What the time says of a track's shift."""
    return (tracks.constraint.mean_cm[row], 0.5) if row < N_MEASURED else None


def one(posterior: ShiftPosterior, row: int) -> ShiftPosterior:
    return jax.tree.map(lambda values: values[row], posterior)


def test_the_grid_agrees_with_a_dense_one(tracks, toy, dense) -> None:
    """Evidence to 0.01, as when the step is halved, and so the densities; moments to 2 % of the width."""
    mean, sd = (np.asarray(values) for values in moments(tracks.posterior))
    for row in range(24):
        expected = dense(toy, tracks.batch, row, tracks.counts[row], measured(tracks, row))
        assert tracks.posterior.log_evidence[row] == pytest.approx(expected.log_evidence, abs=0.01)
        at_nodes = np.interp(tracks.posterior.shift_cm[row], expected.shift_cm, expected.density)
        found = np.exp(tracks.posterior.log_density[row])
        np.testing.assert_allclose(found[1:-1], at_nodes[1:-1], atol=0.012 * expected.density.max())
        mass = expected.density / expected.density.sum()
        dense_mean = mass @ expected.shift_cm
        dense_sd = np.sqrt(mass @ (expected.shift_cm - dense_mean) ** 2)
        assert mean[row] == pytest.approx(dense_mean, abs=0.02 * dense_sd)
        assert sd[row] == pytest.approx(dense_sd, rel=0.02)
    assert (np.asarray(tracks.posterior.resolution) < 1.0).all()


def test_sets_cover_the_true_shift(tracks) -> None:
    for level in (0.68, 0.95):
        found = densest_set(tracks.posterior, level)
        inside = (found.lower_cm <= tracks.shift_cm[:, None]) & (tracks.shift_cm[:, None] <= found.upper_cm)
        assert_covers(int(np.asarray(inside).any(axis=1).sum()), N_TRACKS, level)
        np.testing.assert_allclose(np.nansum(found.mass, axis=1), level, atol=0.02)


def test_modes_are_the_maxima(tracks, toy, dense) -> None:
    found = find_modes(tracks.posterior, tracks.batch, tracks.counts, toy.light, tracks.constraint)
    several = np.asarray(jnp.isfinite(found.shift_cm).sum(axis=1))
    assert (several[:32] > 1).sum() > 3
    for row in range(16):
        expected = dense(toy, tracks.batch, row, tracks.counts[row], measured(tracks, row))
        top = np.argmax(expected.density)
        assert found.shift_cm[row, 0] == pytest.approx(expected.shift_cm[top], abs=0.02)
        assert np.exp(found.log_density[row, 0]) == pytest.approx(expected.density[top], rel=0.012)
    np.testing.assert_allclose(np.nansum(found.mass, axis=1)[several < 4], 1.0, atol=1e-6)


def test_draws_follow_the_posterior(tracks) -> None:
    posterior = one(tracks.posterior, 20)
    mean, sd = moments(posterior)
    draws = np.asarray(sample(jax.random.key(1), posterior, (4000,)))
    assert_mean(draws, float(mean), 4000)
    assert draws.std() == pytest.approx(float(sd), rel=0.05)
    assert (draws >= posterior.shift_cm[0]).all()
    assert (draws <= posterior.shift_cm[-1]).all()


def test_two_bumps_make_two_intervals() -> None:
    """0.6 N(-5, 1) + 0.4 N(5, 1): the 68 % set is where the density is above a threshold, found by root finding."""
    x = np.linspace(-12, 12, 481)
    density = 0.6 * scipy.stats.norm.pdf(x, -5) + 0.4 * scipy.stats.norm.pdf(x, 5)
    posterior = ShiftPosterior(jnp.asarray(x), jnp.log(density), jnp.zeros(()), jnp.zeros(()))
    found = densest_set(posterior, 0.68)

    def half_widths(threshold: float) -> np.ndarray:
        return np.sqrt(-2 * np.log(threshold * np.sqrt(2 * np.pi) / np.array([0.6, 0.4])))

    def content(threshold: float) -> float:
        return np.array([0.6, 0.4]) @ (2 * scipy.stats.norm.cdf(half_widths(threshold)) - 1)

    width = half_widths(scipy.optimize.brentq(lambda threshold: content(threshold) - 0.68, 1e-4, 0.159))
    np.testing.assert_allclose(found.lower_cm[:2], [-5 - width[0], 5 - width[1]], atol=0.02)
    np.testing.assert_allclose(found.upper_cm[:2], [-5 + width[0], 5 + width[1]], atol=0.02)
    np.testing.assert_allclose(found.mass[:2], np.array([0.6, 0.4]) * (2 * scipy.stats.norm.cdf(width) - 1), atol=5e-3)
    assert np.isnan(found.lower_cm[2:]).all()


def test_gradient_of_the_evidence(toy, flash) -> None:
    """By two of the sensors' gains; the places of the nodes, which follow the gains, have no share in it."""
    batch = batch_clusters(toy.tracks(1, 1), toy.volumes)
    counts = flash(toy, batch, (batch.lowest_cm + batch.highest_cm) / 2, 3)

    def log_evidence(log_gain):
        gain = jnp.ones(12).at[:2].set(jnp.exp(log_gain))
        light = eqx.tree_at(lambda light: light.expected.gain, toy.light, gain)
        return shift_posteriors(batch, counts, light, Grid(16, 128), no_constraint(1)).log_evidence[0]

    check_gradient(log_evidence, np.array([0.05, -0.1]), rtol=2e-3, step=1e-2)


def test_charge_that_starts_later_is_nearer_the_anode() -> None:
    """At 0.16 cm/us, 50 us after the assumed 10 us: 8 cm towards the anode, to either side."""
    direction = jnp.array([1.0, -1.0])
    shift = shift_of_time(jnp.array(60.0), jnp.array(10.0), jnp.array(0.16), direction)
    np.testing.assert_allclose(shift, [8.0, -8.0])
    np.testing.assert_allclose(time_of_shift(shift, jnp.array(10.0), jnp.array(0.16), direction), 60.0)


def test_unknown_times_constrain_nothing() -> None:
    times, zero = jnp.array([np.nan, 5.0]), jnp.zeros(2)
    found = time_constraint(times, zero, jnp.array(0.16), jnp.ones(2), jnp.array(0.3))
    assert found.width_cm.tolist() == [np.inf, 0.3]
    assert found.mean_cm.tolist() == [0.0, pytest.approx(0.8)]
    free, bound = (
        jax.tree.map(lambda values, row=row: values[row], found).log_density(jnp.array([0.8, 3.0])) for row in (0, 1)
    )
    assert free.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(bound, scipy.stats.norm.logpdf([0.8, 3.0], 0.8, 0.3), rtol=1e-12)


def test_full_sensors_of_flashes_are_limits() -> None:
    counts, full = np.array([[5.0, np.nan, 70.0]]), np.array([[False, False, True]])
    found = flashes_of(counts, no_constraint(1), full)
    np.testing.assert_array_equal(found.counts, [[5.0, np.nan, np.nan]])
    assert (found.limits.sensor.tolist(), found.limits.least_pe.tolist()) == ([[2]], [[70.0]])
    assert flashes_of(counts, no_constraint(1)).limits.sensor.shape == (1, 0)


def test_grid_for_the_largest_range(toy) -> None:
    batch = batch_clusters(toy.tracks(4, 8), toy.volumes)
    span = (batch.highest_cm - batch.lowest_cm).max()
    grid = make_grid(batch, coarse_cm=1.0, n_fine=32)
    assert grid.n_fine == 32
    assert grid.n_coarse % 8 == 0
    assert span / (grid.n_coarse - 1) <= 1.0
