from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light.shift_network import NetworkSize, Scaling, ShiftDensity, ShiftNetwork, initialise_network

SENSORS = 5
SCALING = Scaling(
    jnp.array([[0.0, 5.0, 0.0], [10.0, 40.0, 20.0]]),
    jnp.array([[20.0, 9.0], [5.0, 1.0]]),
    jnp.stack([jnp.full(SENSORS, 3.0), jnp.ones(SENSORS)]),
)
RNG = np.random.default_rng(1)
POINTS, PHOTONS = RNG.normal(size=(8, 3)) * 20, RNG.uniform(1e3, 2e3, 8)
COUNTS = RNG.poisson(20.0, SENSORS).astype(float)
RANGE = jnp.asarray(18.0)


@pytest.fixture(scope="module")
def network() -> ShiftNetwork:
    """Not trained, with a last layer that is not zero."""
    made = initialise_network(jax.random.key(0), SENSORS, SCALING, NetworkSize(12, 8, 16, 2), "toy")
    weight = jax.random.normal(jax.random.key(1), made.layers[-1].weight.shape, jnp.float32)
    return eqx.tree_at(lambda n: n.layers[-1].weight, made, weight)


def guess(network, points=POINTS, photons=PHOTONS, counts=COUNTS) -> np.ndarray:
    return np.asarray(network(jnp.asarray(points), jnp.asarray(photons), RANGE, jnp.asarray(counts)))


def test_masses_add_up_to_one(network) -> None:
    """In single precision; those of a new network are equal."""
    masses = np.exp(guess(network).astype(float))
    assert masses.sum() == pytest.approx(1.0, abs=1e-6)
    assert masses.max() > 2 * masses.min()
    new = initialise_network(jax.random.key(0), SENSORS, SCALING, network.size, "toy")
    np.testing.assert_allclose(guess(new), -np.log(12), rtol=1e-6)


def test_light_and_points_are_used(network) -> None:
    assert np.abs(guess(network, counts=COUNTS[::-1]) - guess(network)).max() > 0.1
    assert np.abs(guess(network, points=POINTS + 10.0) - guess(network)).max() > 0.1
    assert np.abs(guess(network, photons=3 * PHOTONS) - guess(network)).max() > 0.01


def test_points_are_a_cloud(network) -> None:
    """Their order, points without photons and a point counted as two do not matter, up to rounding."""
    order = np.random.default_rng(2).permutation(8)
    np.testing.assert_allclose(guess(network, POINTS[order], PHOTONS[order]), guess(network), atol=1e-5)
    padded = np.concatenate([POINTS, np.full((4, 3), 50.0)]), np.concatenate([PHOTONS, np.zeros(4)])
    np.testing.assert_allclose(guess(network, *padded), guess(network), atol=1e-5)
    halves = np.repeat(POINTS, 2, axis=0), np.repeat(PHOTONS / 2, 2)
    np.testing.assert_allclose(guess(network, *halves), guess(network), atol=1e-5)


def test_absent_sensors_say_nothing(network) -> None:
    """What the network makes of their light has no influence; that they are absent has."""
    counts = COUNTS.copy()
    counts[2] = np.nan
    heard = network.layers[2].weight.at[:, network.size.point_features + 2 + 2].set(1e3)
    deaf = eqx.tree_at(lambda n: n.layers[2].weight, network, heard)
    assert np.abs(guess(deaf) - guess(network)).max() > 1
    np.testing.assert_array_equal(guess(deaf, counts=counts), guess(network, counts=counts))
    assert np.isfinite(guess(network, counts=np.full(SENSORS, np.nan))).all()


def test_layers_of_other_sizes_are_refused(network) -> None:
    with pytest.raises(ValueError, match="layers must have the shapes"):
        ShiftNetwork(network.layers[:-1], network.scaling, network.size, "toy")


def test_density_by_hand() -> None:
    """Two clusters, four bins: of 2 cm from -2 cm on, and of 1 cm from 0."""
    mass = jnp.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 1.0, 0.0]])
    density = ShiftDensity(jnp.array([-2.0, 0.0]), jnp.array([6.0, 4.0]), mass)
    np.testing.assert_allclose(density.edge_cm, [[-2, 0, 2, 4, 6], [0, 1, 2, 3, 4]])
    np.testing.assert_allclose(density.mean_cm, [-0.1 + 0.2 + 0.9 + 2.0, 2.5])
