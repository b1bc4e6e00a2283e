from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import gamma

from bayescal.optical.cherenkov import Radiator
from bayescal.optical.electron import (
    ElectronLight,
    ElectronShower,
    depth_nodes_m,
    depth_shape,
    mean_depth_m,
    track_length_m,
    track_length_spread_m,
)
from bayescal.optical.emission import ShowerCone, frame_about
from bayescal.testing import check_gradient

INDEX = 1.3448
MODEL = ElectronLight(Radiator(INDEX, 4658.0), ShowerCone(1 / INDEX))
FRAME = frame_about([0.3, -0.4, 0.5])

emit = eqx.filter_jit(ElectronLight.emit)
nodes_of = jax.jit(depth_nodes_m, static_argnums=1)
shape_of, depth_of = jax.jit(depth_shape), jax.jit(mean_depth_m)


def electron(kinetic_mev: float) -> ElectronShower:
    return ElectronShower(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.0]), jnp.asarray(kinetic_mev), 5.0, FRAME)


def test_track_length() -> None:
    """532 cm, or 2.06e5 photons of 300 to 700 nm (387 per cm), at 1 GeV, with a spread of 5.8 cm."""
    assert track_length_m(1000.0) == pytest.approx(5.32, rel=1e-12)
    assert 100 * track_length_m(1000.0) * 386.96 == pytest.approx(2.06e5, rel=2e-3)
    assert track_length_spread_m(250.0) == pytest.approx(0.029, rel=1e-12)


@pytest.mark.parametrize(("kinetic_mev", "depth_cm"), [(1000.0, 115.0), (500.0, 90.0), (200.0, 57.0)])
def test_mean_depth(kinetic_mev: float, depth_cm: float) -> None:
    assert 100 * depth_of(kinetic_mev) == pytest.approx(depth_cm, abs=0.8)


def test_depth_at_low_energy() -> None:
    """Above zero and rising: about half of an electron's range."""
    depth = np.asarray(jax.jit(jax.vmap(mean_depth_m))(np.array([10.0, 20.0, 50.0, 100.0])))
    assert (np.diff(depth) > 0).all()
    assert 0 < depth[0] < 0.05
    np.testing.assert_allclose(depth[1:], [0.045, 0.12, 0.29], rtol=0.35)


def test_shape() -> None:
    """That of the fit above 300 MeV, never below 1.05."""
    for kinetic_mev in (300.0, 1000.0, 3000.0):
        assert shape_of(kinetic_mev) == pytest.approx(2.018 + 1.455 * np.log10(kinetic_mev / 1000), abs=2e-3)
    assert shape_of(30.0) == pytest.approx(1.05, abs=1e-6)


@pytest.mark.parametrize("kinetic_mev", [50.0, 200.0, 1000.0, 10_000.0])
def test_nodes_are_quantiles(kinetic_mev: float) -> None:
    depth, share = nodes_of(kinetic_mev, 24)
    rank, weight = np.polynomial.legendre.leggauss(24)
    quantile = gamma.ppf((1 + rank) / 2, float(shape_of(kinetic_mev)))
    np.testing.assert_allclose(depth / depth[12], quantile / quantile[12], rtol=1e-7)
    np.testing.assert_allclose(share, weight / 2, rtol=1e-14)
    assert share @ depth == pytest.approx(float(depth_of(kinetic_mev)), rel=1e-12)


def test_nodes_have_the_spread_of_the_profile() -> None:
    """Standard deviation mean/sqrt(a), to 0.5 %."""
    depth, share = nodes_of(1000.0, 24)
    spread = np.sqrt(share @ (depth - share @ depth) ** 2)
    assert spread == pytest.approx(1.1523 / np.sqrt(2.018), rel=5e-3)


def test_emission() -> None:
    seen = emit(MODEL, electron(500.0))
    direction = (FRAME[2] + 0.1 * FRAME[0]) / np.sqrt(1.01)
    depth = np.asarray(nodes_of(500.0, 24)[0])
    np.testing.assert_allclose(seen.position_m, [1.0, 2.0, 3.0] + depth[:, None] * direction, rtol=1e-12)
    np.testing.assert_allclose(seen.direction, np.tile(direction, (24, 1)), rtol=1e-12)
    np.testing.assert_allclose(seen.time_ns, 5.0 + depth / 0.299792458, rtol=1e-12)
    np.testing.assert_allclose(seen.cos_theta_c, 1 / INDEX, rtol=1e-14)
    assert seen.weight.sum() == pytest.approx(2.66 * 4658.0, rel=1e-12)


def test_gradients() -> None:
    """Vertex, slopes, energy, time, and the width and exponent of the cone."""
    sensor_m = np.array([9.0, -5.0, 12.0])

    def light(x: jax.Array) -> jax.Array:
        shower = ElectronShower(x[:3], x[3:5], 100 * x[5], x[6], FRAME)
        seen = ElectronLight(Radiator(INDEX, 4658.0), ShowerCone(1 / INDEX, x[7], x[8])).emit(shower)
        way = sensor_m - seen.position_m
        distance = jnp.sqrt((way**2).sum(axis=-1))
        cosine = (way * seen.direction).sum(axis=-1) / distance
        received = seen.weight * seen.profile.density_per_sr(cosine, seen.cos_theta_c, seen.cone_width) / distance**2
        return jnp.log(received.sum()) + received @ seen.time_ns / received.sum()

    for kinetic_mev in (60.0, 205.0, 900.0):
        start = np.array([1.0, 2.0, 3.0, 0.05, -0.08, kinetic_mev / 100, 5.0, 0.02, 0.0811])
        check_gradient(light, start, rtol=1e-5, step=2e-5)
