from __future__ import annotations

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light import last_layer
from bayescal.light.box import Box
from bayescal.light.last_layer import TrackFeatures, last_layer_weights, track_features, weight_scale, weight_sd
from bayescal.light.last_layer import with_last_layer as with_layer
from bayescal.light.siren import Architecture, PseudoLog, Siren, initialise, log_link

LOWER_CM, UPPER_CM = np.array([-15.0, -60.0, 0.0]), np.array([15.0, 60.0, 30.0])
SENSORS, TRACKS, POINTS, FEATURES = 3, 11, 5, 9


@cache
def network() -> Siren:
    """Eight hidden features, in double precision."""
    head = log_link([1e-4, 1e-5, 1e-3])
    made = initialise(jax.random.key(3), Architecture(SENSORS, 8, 1), head, Box(LOWER_CM, UPPER_CM))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), made)


def points_and_photons() -> tuple[np.ndarray, np.ndarray]:
    """Points inside but one, and a point that is padding."""
    random = np.random.default_rng(1)
    points = random.uniform(LOWER_CM, UPPER_CM, (TRACKS, POINTS, 3))
    photons = random.uniform(1e4, 1e5, (TRACKS, POINTS))
    points[2, 1, 0], photons[4, 3] = 16.0, 0.0
    return points, photons


@cache
def seen() -> TrackFeatures:
    return jax.jit(track_features)(network(), *points_and_photons())


def test_light_is_that_of_the_network() -> None:
    points, photons = points_and_photons()
    light = seen().light(last_layer_weights(network()))
    expected = (photons[..., None] * np.asarray(network()(points))).sum(axis=1)
    np.testing.assert_allclose(light, expected, rtol=1e-10)


def test_another_last_layer() -> None:
    """ln v changes by the change of the weights times the features; the features stay."""
    made, points = network(), points_and_photons()[0][0]
    change = np.random.default_rng(2).normal(0, 0.1, (SENSORS, FEATURES))
    other = with_layer(made, last_layer_weights(made) + change)
    features = np.concatenate([made.features(points), np.ones((POINTS, 1))], axis=1)
    np.testing.assert_allclose(np.log(other(points) / made(points)), features @ change.T, rtol=1e-8)
    np.testing.assert_array_equal(other.features(points), made.features(points))


def test_slope_is_the_derivative() -> None:
    """Of sensor j by its own weights, and none by the others'."""
    tracks, weights = seen(), last_layer_weights(network())
    light, slope = jax.jit(lambda weights: tracks.light_and_slope(weights))(weights)
    whole = np.asarray(jax.jit(jax.jacfwd(tracks.light))(weights))
    np.testing.assert_allclose(light, tracks.light(weights), rtol=1e-12)
    for sensor in range(SENSORS):
        np.testing.assert_allclose(slope[sensor], whole[:, sensor, sensor], rtol=1e-9, atol=1e-12)
        assert not np.delete(whole[:, sensor], sensor, axis=1).any()


def test_parts_change_nothing(monkeypatch) -> None:
    """Light and its gradient, with a last part that is not full."""
    tracks, weights = seen(), last_layer_weights(network())
    value_and_grad = jax.value_and_grad(lambda weights: (tracks.light(weights) ** 2).sum())
    whole = tracks.at_a_time, *value_and_grad(weights)
    monkeypatch.setattr(last_layer, "_VALUES_AT_ONCE", 4 * POINTS * (FEATURES + SENSORS))
    in_parts = tracks.at_a_time, *value_and_grad(weights)
    assert (whole[0], in_parts[0]) == (TRACKS, 4)
    np.testing.assert_allclose(in_parts[1], whole[1], rtol=1e-12)
    np.testing.assert_allclose(in_parts[2], whole[2], rtol=1e-9)


def test_scale_makes_functions_of_width_one() -> None:
    """Mean over the box of the variance of ln v; 5 standard errors of 4,000 probes of a bounded |phi|^2, 9 at most."""
    made = network()
    scale = float(weight_scale(made))
    points = np.random.default_rng(3).uniform(LOWER_CM, UPPER_CM, (4000, 3))
    squares = (np.asarray(made.features(points)) ** 2).sum(axis=1) + 1
    error = 5 * scale**2 * squares.std() / np.sqrt(len(points))
    assert (scale**2 * squares).mean() == pytest.approx(1.0, abs=error + 0.02)  # 0.02: a cell of the probes' grid


def test_bias_is_as_free_as_a_yield() -> None:
    sd = weight_sd(FEATURES, jnp.asarray(0.5), function_sd=0.2, yield_sd=0.7)
    np.testing.assert_allclose(sd, [0.1] * (FEATURES - 1) + [0.7])


def test_other_heads() -> None:
    with pytest.raises(TypeError, match="under the head LogLink, not PseudoLog"):
        track_features(replace(network(), head=PseudoLog(jnp.ones(SENSORS))), *points_and_photons())
