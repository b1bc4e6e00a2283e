from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light.box import Box
from bayescal.light.detector import LightDetector, expected_pe
from bayescal.light.library import PhotonLibrary
from bayescal.light.sensors import Sensors
from bayescal.readers.light_detector import read_light_detector
from bayescal.testing import check_gradient

BOX = Box(np.zeros(3), np.array([3.0, 3.0, 3.0]))
LIBRARY = PhotonLibrary(BOX, np.random.default_rng(1).uniform(0.1, 0.2, (3, 3, 3, 4)))
RANDOM = np.random.default_rng(2)
POINTS = RANDOM.uniform(0.1, 2.9, (5, 6, 3))
PHOTONS = RANDOM.uniform(10.0, 20.0, (5, 6)) * (np.arange(6) < np.array([6, 3, 1, 0, 5])[:, None])
light = eqx.filter_jit(expected_pe)
look_up = eqx.filter_jit(PhotonLibrary.__call__)
YIELDS, DARK = np.array([1.0, 0.5, 2.0, 0.1]), np.array([0.1, 0.2, 0.0, 0.3])


def test_expected_light_is_a_sum_over_points() -> None:
    found = light(YIELDS, LIBRARY, POINTS, PHOTONS, DARK)
    seen = np.asarray(look_up(LIBRARY, POINTS))
    for cluster in range(5):
        arrived = sum(PHOTONS[cluster, point] * seen[cluster, point] for point in range(6))
        np.testing.assert_allclose(found[cluster], YIELDS * arrived + DARK, rtol=1e-12)
    np.testing.assert_array_equal(found[3], DARK)


def test_padding_may_be_anywhere() -> None:
    moved = np.where(PHOTONS[..., None] > 0, POINTS, 1e9)
    expected = light(YIELDS, LIBRARY, POINTS, PHOTONS, DARK)
    np.testing.assert_allclose(light(YIELDS, LIBRARY, moved, PHOTONS, DARK), expected, rtol=1e-15)


def test_two_clusters_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the five is left over."""
    whole = light(YIELDS, LIBRARY, POINTS, PHOTONS, DARK)
    monkeypatch.setattr("bayescal.light.detector._CHUNK", 2 * 6 * 4)
    np.testing.assert_allclose(expected_pe(YIELDS, LIBRARY, POINTS, PHOTONS, DARK), whole, rtol=1e-14)


def test_gradients() -> None:
    """Yields, dark light, photons and the shift of all points along x."""

    def total(x: jax.Array) -> jax.Array:
        points = POINTS + x[8] * jnp.array([1.0, 0.0, 0.0])
        return (expected_pe(x[:4], LIBRARY, points, PHOTONS * x[9], x[4:8]) ** 2).sum() / 1e3

    check_gradient(total, np.array([*YIELDS, *DARK, 0.01, 1.1]), rtol=1e-7, step=1e-4)


def test_memory_of_a_gradient_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one cluster at a time a further one takes less than a tenth of its visibilities: only what is given."""
    monkeypatch.setattr("bayescal.light.detector._CHUNK", 1)
    library = PhotonLibrary(BOX, np.ones((1, 1, 2, 100)))

    def temporary_bytes(clusters: int) -> int:
        points, photons = np.full((clusters, 200, 3), 1.5), np.ones((clusters, 200))
        slope = jax.grad(lambda p, q: expected_pe(1.0, library, p, q).sum())
        return jax.jit(slope).lower(points, photons).compile().memory_analysis().temp_size_in_bytes

    assert temporary_bytes(100) - temporary_bytes(10) < 0.1 * 90 * 200 * 100 * 8


def test_module0(module0: LightDetector) -> None:
    assert (module0.n_volumes, module0.n_sensors, module0.sensors.kinds) == (1, 48, ("LCM", "ArcLight"))
    np.testing.assert_allclose(module0.all_sensors.position_cm, module0.sensors.position_cm, rtol=1e-15)
    np.testing.assert_array_equal(module0.all_drift.anode_x_cm, [15.1362])
    np.testing.assert_array_equal(module0.all_drift.cathode_x_cm, [-15.1362])
    assert module0.alive.all()


def test_mirrored_copies() -> None:
    """Anodes of the 2x2 are at the outer faces of each module, its cathodes in the middle of each module."""
    detector = read_light_detector("2x2")
    drift = detector.all_drift
    anode, cathode = [63.9224, 3.0776], [33.65, 33.35]
    mirrored_module = [-3.0776, -63.9224]
    np.testing.assert_allclose(drift.anode_x_cm, 2 * anode + 2 * mirrored_module)
    np.testing.assert_allclose(drift.cathode_x_cm, 2 * cathode + 2 * [-33.35, -33.65])
    sensors = detector.all_sensors
    assert sensors.n_sensors == detector.n_sensors == 384
    np.testing.assert_allclose(sensors.position_cm[0], [48.7862 + 4.0, -60.07, 2.01])
    np.testing.assert_allclose(sensors.position_cm[48], [18.2138 - 4.0, -60.07, 2.01])
    np.testing.assert_array_equal(sensors.normal[48:96], sensors.normal[:48])


def test_drift_volumes_of_icarus(icarus: LightDetector) -> None:
    drift = icarus.all_drift
    np.testing.assert_allclose(drift.anode_x_cm, [-358.49, -61.94])
    np.testing.assert_allclose(drift.cathode_x_cm, [-210.29, -210.14])
    np.testing.assert_allclose(icarus.all_sensors.position_cm, icarus.sensors.position_cm, rtol=1e-13)


def test_dead_sensors(module0: LightDetector) -> None:
    detector = dataclasses.replace(module0, dead_sensors=(3, 47))
    np.testing.assert_array_equal(np.flatnonzero(~detector.alive), [3, 47])


def test_sensors_need_area_and_a_kind() -> None:
    row = np.array([[0.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match="1 sensors need as many kinds, there are 2"):
        Sensors(row, row, np.ones(1), np.ones(1), ("a", "b"))
    with pytest.raises(ValueError, match="area_cm2 must be positive"):
        Sensors(row, row, np.zeros(1), np.ones(1), ("a",))
