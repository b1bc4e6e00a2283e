from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from bayescal.optical.emission import (
    ConeWithHalo,
    GaussianCone,
    Isotropic,
    Profile,
    ShowerCone,
    directions_of_slopes,
    frame_about,
    point_emission,
)
from bayescal.testing import check_gradient

WATER = 1 / 1.3448
HALO = ShowerCone(WATER)


@eqx.filter_jit
def density(profile: Profile, cosine: np.ndarray, centre: np.ndarray | float, width: np.ndarray | float) -> jax.Array:
    return profile.density_per_sr(jnp.asarray(cosine), centre, width)


def fraction(profile: Profile, low: float, high: float, centre: float = WATER, width: float = 0.03) -> float:
    """Share of the light between two cosines, by Gauss-Legendre in panels that end at the peak."""
    edges = np.unique(np.clip(centre + np.concatenate([-np.geomspace(2e-4, 2, 40), np.geomspace(2e-4, 2, 40)]), -1, 1))
    edges = np.unique([low, high, *edges[(edges > low) & (edges < high)]])
    x, weight = np.polynomial.legendre.leggauss(12)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    cosine = np.zeros((100, 12))  # one shape, compiled once
    cosine[: len(half)] = middle[:, None] + half[:, None] * x
    seen = np.asarray(density(profile, cosine, np.array(centre), np.array(width)))[: len(half)]
    return float(2 * np.pi * half @ seen @ weight)


@pytest.mark.parametrize("profile", [Isotropic(), GaussianCone(), HALO, ConeWithHalo(HALO, 0.1)])
def test_all_light_is_somewhere(profile: Profile) -> None:
    assert fraction(profile, -1.0, 1.0) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("width", [0.03, 0.3, 1.0])
@pytest.mark.parametrize("centre", [WATER, 0.95, 1.0])
def test_cones_of_any_width_and_angle(centre: float, width: float) -> None:
    """Normalised by the error function, also at the threshold."""
    assert fraction(GaussianCone(), -1.0, 1.0, centre, width) == pytest.approx(1.0, abs=1e-8)


def test_faces_of_sensors() -> None:
    """The mean over a disc, whose points have the angles a/d cos(t) with weight sin^2(t), to 3 % of the peak."""
    reach, width = 0.016, 0.005
    cosine = WATER + np.linspace(-0.04, 0.04, 801)
    turn = np.pi * np.arange(1, 200) / 200
    points = np.asarray(density(GaussianCone(), cosine[:, None] + 0.668 * reach * np.cos(turn), WATER, width))
    exact = points @ np.sin(turn) ** 2 * 2 / 200
    seen = np.asarray(GaussianCone().seen(cosine, WATER, width, (reach / 2) ** 2).density_per_sr)
    assert np.abs(seen - exact).max() < 0.03 * exact.max()
    gaussian = np.asarray(density(GaussianCone(), cosine, WATER, np.hypot(width, reach / 2)))
    assert np.abs(seen - exact).sum() < np.abs(gaussian - exact).sum() / 3  # 0.23 of its fourth cumulant is left


def test_colours() -> None:
    """Light of all angles together has the colours of the source; alone, dispersion makes angles of colours."""
    cosine = WATER + np.linspace(-0.1, 0.1, 2001)
    cone = ConeWithHalo(HALO, 0.2)
    seen = cone.seen(cosine, WATER, 0.008, 6e-5)
    of_cone = 0.8 * GaussianCone().seen(cosine, WATER, 0.008, 6e-5).density_per_sr
    light, blue, blue2 = (2e-4 * np.pi * np.asarray(each).sum() for each in (seen[0], *seen.colours(0.005)))
    assert blue == pytest.approx(0.0, abs=1e-6)
    assert blue2 == pytest.approx(light, abs=1e-3)
    assert 2e-4 * np.pi * np.asarray(of_cone).sum() == pytest.approx(0.8, abs=1e-6)
    alone = GaussianCone().seen(WATER - 0.668 * 0.005, WATER, 0.005, 0.0)
    for each, tolerance in zip(alone.colours(0.005), (2e-3, 4e-3), strict=True):
        assert float(each / alone.density_per_sr) == pytest.approx(1.0, abs=tolerance)


def test_gaussian_cone_by_hand() -> None:
    """A standard deviation of 0.2 in the cosine leaves 0.90 of a Gaussian within the sphere."""
    sine = np.sqrt(1 - WATER**2)
    inside = norm.cdf((1 - WATER) / 0.2) - norm.cdf((-1 - WATER) / 0.2)
    assert inside == pytest.approx(0.90, abs=0.005)
    width = np.sqrt((np.sqrt(sine**4 + 2 * 0.2**2 * WATER**2) - sine**2) / WATER**2)  # 0.2 in the cosine
    assert width == pytest.approx(0.2 / sine, rel=0.03)
    seen = density(GaussianCone(), np.array([WATER, WATER - 0.2]), np.array(WATER), width)
    expected = np.array([1.0, np.exp(-0.5)]) / (0.2 * np.sqrt(2 * np.pi) * 2 * np.pi) / inside
    np.testing.assert_allclose(seen, expected, rtol=1e-12)


def test_light_of_a_shower_near_its_cone() -> None:
    """As in the fit with a cusp: 48 % within 5 degrees, 65 % within 10; 82 and 94 % within 20 and 40 there."""
    angle = np.arccos(WATER)
    for degrees, expected, tolerance in ((5, 0.48, 5e-4), (10, 0.65, 5e-4), (20, 0.817, 0.015), (40, 0.940, 0.025)):
        limits = np.cos(np.clip(angle + np.radians([degrees, -degrees]), 0, np.pi))
        assert fraction(HALO, *limits) == pytest.approx(expected, abs=tolerance)


def test_shower_cone_is_close_to_the_fit_with_a_cusp() -> None:
    """4.27033 exp(-6.02527 |x|^0.29887) - 0.00103, at 3 to 40 degrees from the peak, to 15 %."""
    degrees = np.array([-40.0, -20.0, -10.0, -5.0, -3.0, 3.0, 5.0, 10.0, 20.0, 40.0])
    cosine = np.cos(np.arccos(WATER) + np.radians(degrees))
    fit = 4.27033 * np.exp(-6.02527 * np.abs(cosine - WATER) ** 0.29887) - 0.00103
    np.testing.assert_allclose(density(HALO, cosine, WATER, 0.0), fit, rtol=0.15)


def test_halo_share() -> None:
    cosine = np.array([-0.5, 0.7, 0.9])
    parts = [np.asarray(density(part, cosine, WATER, 0.05)) for part in (GaussianCone(), HALO)]
    mixed = density(ConeWithHalo(HALO, 0.1), cosine, WATER, 0.05)
    np.testing.assert_allclose(mixed, 0.9 * parts[0] + 0.1 * parts[1], rtol=1e-12)


def test_point() -> None:
    point = point_emission(np.array([1.0, 2.0, 3.0]), 40.0, 7.0)
    np.testing.assert_array_equal(point.position_m, [[1.0, 2.0, 3.0]])
    assert (float(point.weight[0]), float(point.time_ns[0])) == (40.0, 7.0)
    np.testing.assert_allclose(point.profile.density_per_sr(jnp.zeros((5, 1)), 0.0, 0.0), 0.25 / np.pi, rtol=1e-14)


@pytest.mark.parametrize("direction", [[0.0, 0.0, 1.0], [0.0, 0.0, -2.0], [0.3, -0.5, 0.1]])
def test_frame(direction: list[float]) -> None:
    """Right-handed, orthonormal, with the direction last."""
    frame = frame_about(direction)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(frame) == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(frame[2], np.array(direction) / np.linalg.norm(direction), rtol=1e-14)


def test_slopes() -> None:
    frame = frame_about([1.0, 2.0, -0.5])
    direction = np.asarray(jax.jit(directions_of_slopes)(frame, np.array([0.1, -0.2])))
    np.testing.assert_allclose(frame @ direction * np.sqrt(1.05), [0.1, -0.2, 1.0], rtol=1e-12)


def test_gradients() -> None:
    """Angle, its centre and width, share and shape of the halo."""

    def log_density(x: jax.Array) -> jax.Array:
        profile = ConeWithHalo(ShowerCone(x[1], x[4], x[5], 10 * x[6]), x[3])
        return jnp.log(profile.density_per_sr(x[0], x[1], x[2]))

    def seen(x: jax.Array) -> jax.Array:
        profile = ConeWithHalo(ShowerCone(WATER), x[3])
        found = profile.seen(x[0], x[1], x[2], x[4] ** 2)
        return jnp.log(found.density_per_sr) + sum(found.colours(x[5])) / found.density_per_sr

    for cosine in (WATER, 0.76, 0.7):
        check_gradient(seen, np.array([cosine, WATER - 0.003, 0.01, 0.1, 0.008, 0.005]), rtol=1e-6, step=1e-5)
    for cosine in (WATER, 0.8, -0.3):
        check_gradient(log_density, np.array([cosine, WATER, 0.05, 0.1, 0.02, 0.0811, 1.647]), rtol=1e-6, step=2e-5)
