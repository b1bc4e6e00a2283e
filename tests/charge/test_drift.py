from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.charge import drift
from bayescal.testing import check_gradient

ARGON_K = 87.17


@pytest.mark.parametrize(
    ("field", "temperature_k", "velocity"),
    [
        (0.4, ARGON_K, 0.14205295744),
        (0.45, ARGON_K, 0.15127685479),
        (0.5, ARGON_K, 0.15964524822),
        (0.6, ARGON_K, 0.17435200501),
        (0.5, 89.0, 0.15474675668),
    ],
)
def test_drift_velocity(field: float, temperature_k: float, velocity: float) -> None:
    assert drift.drift_velocity(field, temperature_k) == pytest.approx(velocity, abs=1e-11)


def test_mobility_in_a_weak_field_is_the_first_constant() -> None:
    assert drift.mobility(0.0, drift.MOBILITY_TEMPERATURE_K) == drift.MOBILITY[0]


@pytest.mark.parametrize(
    ("z_cm", "anode_cm", "direction", "time_us"),
    [
        (10.0, 30.58975, 1.0, 128.971893809),
        (-20.0, -30.58975, -1.0, 66.333010963),
        (0.15875, 30.58975, 1.0, 190.616384391),
    ],
)
def test_drift_time(z_cm: float, anode_cm: float, direction: float, time_us: float) -> None:
    """The bend at the anode adds (1e-3 cm)^2 / (4 d) to a distance d, 1.5e-7 us after 10 cm."""
    distance = drift.drift_distance(jnp.asarray(z_cm), jnp.asarray(anode_cm), jnp.asarray(direction))
    assert distance / drift.drift_velocity(0.5, ARGON_K) == pytest.approx(time_us, abs=2e-7)


def test_drift_distance_bends_to_zero_at_the_anode() -> None:
    """Half of 1e-3 cm at the anode, nothing far behind it, positive everywhere."""
    z = jnp.asarray([30.0, 30.58975, 30.59075, 31.58975])
    found = drift.drift_distance(z, jnp.asarray(30.58975), jnp.asarray(1.0))
    np.testing.assert_allclose(found, [0.58975 + 4.24e-7, 5e-4, 2.0710678e-4, 2.5e-7], rtol=2e-3)


@pytest.mark.parametrize(
    ("time_us", "long_cm", "tran_cm", "long_us", "survival"),
    [
        (190.0, 0.038987177379, 0.057827329179, 0.244211323638, 0.917260621251),
        (10.0, 0.008944271910, 0.013266499161, 0.056025920032, 0.995464860398),
    ],
)
def test_spread_and_survival(time_us: float, long_cm: float, tran_cm: float, long_us: float, survival: float) -> None:
    time, velocity = jnp.asarray(time_us), drift.drift_velocity(0.5, ARGON_K)
    assert drift.spread_cm(time, 4.0e-6) == pytest.approx(long_cm, rel=1e-10)
    assert drift.spread_cm(time, 8.8e-6) == pytest.approx(tran_cm, rel=1e-10)
    assert drift.spread_cm(time, 4.0e-6) / velocity == pytest.approx(long_us, rel=1e-10)
    assert drift.survival(time, 2200.0) == pytest.approx(survival, rel=1e-11)


def test_limits_of_spread_and_survival() -> None:
    assert drift.spread_cm(jnp.asarray(0.0), 4e-6) == 0.0
    assert drift.survival(jnp.asarray(190.0), 1e15) == pytest.approx(1.0, abs=1e-12)


def test_gradients() -> None:
    check_gradient(lambda x: drift.drift_velocity(x[0], 100 * x[1]), np.array([0.47, 0.88]), rtol=1e-8, step=1e-3)
    check_gradient(lambda x: drift.survival(100 * x[0], 1000 * x[1]), np.array([1.3, 2.2]), rtol=1e-8, step=1e-3)
    check_gradient(lambda x: drift.spread_cm(100 * x[0], 1e-6 * x[1]), np.array([1.3, 4.0]), rtol=1e-8, step=1e-3)
    distance = lambda x: drift.drift_distance(1e-3 * x[0], jnp.asarray(0.0), jnp.asarray(-1.0))  # noqa: E731
    for z in (-3.0, -0.2, 0.0, 0.7, 10.0):
        check_gradient(distance, np.array([z]), rtol=1e-6, step=1e-2)


def test_distance_to_the_anode_shrinks_along_the_drift() -> None:
    slope = jax.grad(drift.drift_distance)(10.0, 30.58975, 1.0)
    assert slope == pytest.approx(-1.0, abs=1e-8)
