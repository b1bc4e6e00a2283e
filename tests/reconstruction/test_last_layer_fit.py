from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from bayescal.light import last_layer
from bayescal.light.last_layer import TrackFeatures
from bayescal.reconstruction.last_layer_fit import (
    ExpectedLight,
    LastLayerPosterior,
    LightReadout,
    WeightPrior,
    fit_last_layer,
    mixture,
)

SENSORS, TRACKS, POINTS, FEATURES = 24, 150, 3, 4
KIND = (0,) * 12 + (1,) * 12
READOUT = LightReadout(KIND, np.ones(SENSORS, bool))
NO_ERROR = np.zeros(2)
DEAD = 5


class Case(NamedTuple):
    """Tracks, the weights that their light was made with, drawn from the prior, and the prior."""

    tracks: TrackFeatures
    weights: jax.Array
    prior: WeightPrior


@pytest.fixture(scope="module")
def case() -> Case:
    """About 60 photo-electrons a track."""
    random = np.random.default_rng(1)
    features = random.uniform(-1, 1, (TRACKS, POINTS, FEATURES))
    features[..., -1] = 1.0
    photons, offset = random.uniform(0.5, 1.5, (TRACKS, POINTS)), np.full(SENSORS, 3.0)
    prior = WeightPrior(jnp.asarray(random.normal(0, 0.3, (SENSORS, FEATURES))), 0.3)
    weights = prior.mean + 0.3 * random.normal(size=(SENSORS, FEATURES))
    return Case(TrackFeatures(*map(jnp.asarray, (features, photons, offset))), weights, prior)


def counts_of(case: Case, readout: LightReadout, error: np.ndarray, seed: int) -> np.ndarray:
    light = case.tracks.light(case.weights)
    drawn = readout.counts(light, error, jnp.ones(light.shape, bool)).sample(jax.random.key(seed))
    return np.asarray(drawn, float)


def whitened_slope(case: Case, posterior: LastLayerPosterior, readout: LightReadout, counts: np.ndarray) -> np.ndarray:
    """Gradient of the log-posterior in units of its own width [sensor]."""

    @jax.grad
    def slope(weights):
        light = case.tracks.light(weights)
        density = readout.counts(light, posterior.model_error, jnp.isfinite(counts)).log_prob(counts).sum()
        return density - 0.5 * (((weights - case.prior.mean) / case.prior.sd) ** 2).sum()

    steep = jax.jit(slope)(posterior.mean)
    roots = np.asarray(posterior.precision_root)
    return np.array([np.linalg.norm(np.linalg.solve(*pair)) for pair in zip(roots, np.asarray(steep), strict=True)])


@pytest.fixture(scope="module")
def fitted(case) -> tuple[LastLayerPosterior, np.ndarray]:
    """Poisson counts, some absent, one sensor dead, and their posterior."""
    counts = counts_of(case, READOUT, NO_ERROR, 2)
    counts[::7, 3] = np.nan
    readout = replace(READOUT, live=np.arange(SENSORS) != DEAD)
    return fit_last_layer(case.tracks, counts, readout, case.prior, NO_ERROR), counts


def test_mode(case, fitted) -> None:
    """Less than 2e-4 of a log-posterior is left, half of the squared slope."""
    posterior, counts = fitted
    readout = replace(READOUT, live=np.arange(SENSORS) != DEAD)
    assert whitened_slope(case, posterior, readout, counts).max() < 0.02


def test_mode_of_all_that_a_readout_can_be(case, monkeypatch) -> None:
    """With noise, model error, a yield, dark counts and saturation, and with tracks in parts, the last not full.

    Steps use the information of counts that are not saturated, so that the last ones are less exact.
    """
    monkeypatch.setattr(last_layer, "_VALUES_AT_ONCE", 40 * SENSORS * (FEATURES + SENSORS))
    assert case.tracks.at_a_time == 40
    error = np.array([0.1, 0.2])
    readout = LightReadout(KIND, np.ones(SENSORS, bool), 0.8, np.array([1.2, 1.5]), 3.0, 90.0)
    counts = counts_of(case, readout, error, 3)
    assert 0.01 < (counts == 90.0).mean() < 0.5
    posterior = fit_last_layer(case.tracks, counts, readout, case.prior, error)
    assert whitened_slope(case, posterior, readout, counts).max() < 0.05
    np.testing.assert_array_equal(posterior.model_error, error)


def test_precision_is_fisher_information_and_prior(case, fitted) -> None:
    posterior, counts = fitted
    light = np.asarray(case.tracks.light(posterior.mean))
    slope = np.asarray(jax.jit(jax.jacfwd(case.tracks.light))(posterior.mean))
    for sensor in (0, 3):
        seen = np.isfinite(counts[:, sensor])
        steep = slope[seen, sensor, sensor]
        expected = (steep.T / light[seen, sensor]) @ steep + np.eye(FEATURES) / 0.3**2
        root = np.asarray(posterior.precision_root[sensor])
        np.testing.assert_allclose(root @ root.T, expected, rtol=0.02)  # it is taken a step before the mode


def test_dead_sensor_keeps_its_prior(case, fitted) -> None:
    posterior, _ = fitted
    np.testing.assert_array_equal(posterior.mean[DEAD], case.prior.mean[DEAD])
    np.testing.assert_allclose(posterior.precision_root[DEAD], np.eye(FEATURES) / 0.3, rtol=1e-12)


def test_posterior_holds_the_truth(case, fitted) -> None:
    """Distances of 23 vectors in units of the posterior are chi-square distributed, false alarm 1e-3 at each end."""
    posterior, _ = fitted
    away = np.einsum("jba,jb->ja", posterior.precision_root, case.weights - posterior.mean)
    total = (np.delete(away, DEAD, axis=0) ** 2).sum()
    assert 1e-3 < scipy.stats.chi2.cdf(total, (SENSORS - 1) * FEATURES) < 1 - 1e-3


def test_covariance_and_draws(case, fitted) -> None:
    """Covariance of 4,000 draws of a sensor: five standard errors, sqrt(2 / 4000) of a variance."""
    posterior, _ = fitted
    precision = np.einsum("jab,jcb->jac", posterior.precision_root, posterior.precision_root)
    root = np.asarray(posterior.covariance_root)
    covariance = np.einsum("jab,jcb->jac", root, root)
    np.testing.assert_allclose(covariance, np.linalg.inv(precision), rtol=1e-9, atol=1e-15)
    draws = np.asarray(posterior.draws(jax.random.key(5), 4000))
    assert draws.shape == (4000, SENSORS, FEATURES)
    standard = np.linalg.solve(root[0], (draws[:, 0] - posterior.mean[0]).T)
    np.testing.assert_allclose(np.cov(standard), np.eye(FEATURES), atol=5 * np.sqrt(2 / 4000))
    assert np.abs(standard.mean(axis=1)).max() < 5 / np.sqrt(4000)


def test_expected_light(case, fitted) -> None:
    """Standard deviation J^T C J by hand, multiplied by a yield, and the model error beside it."""
    posterior = replace(fitted[0], model_error=np.array([0.1, 0.2]))
    readout = replace(READOUT, light_yield=np.full(SENSORS, 2.0), excess_noise=1.5)
    found = posterior.expected_light(case.tracks, readout)
    slope = np.asarray(jax.jacfwd(case.tracks.light)(posterior.mean))
    for track, sensor in ((0, 0), (7, 20)):
        steep = slope[track, sensor, sensor]
        covariance = posterior.covariance_root[sensor] @ posterior.covariance_root[sensor].T
        sd = 2 * np.sqrt(steep @ covariance @ steep)
        assert float(found.sd_weights[track, sensor]) == pytest.approx(sd, rel=1e-8)
        error = (0.1, 0.2)[KIND[sensor]] * np.sqrt(1.5 * float(found.mean[track, sensor]))
        assert float(found.sd[track, sensor]) == pytest.approx(np.hypot(sd, error), rel=1e-8)
    np.testing.assert_allclose(found.mean, 2 * case.tracks.light(posterior.mean), rtol=1e-12)


def test_mixture() -> None:
    """Two members by hand, 10 +- 1 and 14 +- 2 p.e.: 12, and the variance 2.5 of the members and 8 between them."""
    one, other = (ExpectedLight(*(np.full((1, 1), value) for value in member)) for member in ((10, 1, 3), (14, 2, 4)))
    mean, sd_weights, sd = (np.asarray(part).item() for part in mixture([one, other]))
    assert (mean, sd_weights, sd) == pytest.approx((12, np.sqrt(2.5 + 8), np.sqrt(12.5 + 8)))


def test_model_error_is_found(case) -> None:
    """Five standard errors of t^2 from n counts, sqrt(2 / n) (1 + t^2), of which the prior takes away one or two."""
    error = np.array([0.6, 0.0])
    counts = counts_of(case, READOUT, error, 6)
    found = fit_last_layer(case.tracks, counts, READOUT, case.prior).model_error
    tolerance = 5 * np.sqrt(2 / (12 * TRACKS)) * (1 + error**2)
    assert (np.abs(np.asarray(found) ** 2 - error**2) < tolerance).all()
