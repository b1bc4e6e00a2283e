from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light.box import Box
from bayescal.light.detector import LightDetector, physical_visibility
from bayescal.light.library import voxel_centres_cm
from bayescal.light.sensors import Sensors
from bayescal.light.visibility import Medium, PhysicalVisibility
from bayescal.testing import check_gradient

BOX = Box(np.array([-50.0, -40.0, -30.0]), np.array([50.0, 40.0, 30.0]))
CLEAR = Medium(absorption_length=1e12, rayleigh_length=1e12, scattered_fraction=0.0)
BLACK = np.zeros(6)
ON_AXIS = np.array([10.0, 0.0, 5.0])  # 35 cm before the first sensor
see = eqx.filter_jit(PhysicalVisibility.__call__)
split = eqx.filter_jit(PhysicalVisibility.parts)


def two_sensors(radius_cm: float = 10.0) -> Sensors:
    """A disc at the lower z wall, and a small one, inside the box, that looks to lower x."""
    return Sensors(
        position_cm=np.array([[10.0, 0.0, -30.0], [20.0, 5.0, 0.0]]),
        normal=np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]]),
        area_cm2=np.pi * np.array([radius_cm, 2.0]) ** 2,
        efficiency=np.array([1.0, 0.5]),
        kind=("disc", "small"),
    )


def visibility(medium: Medium, reflectivity: np.ndarray = BLACK, radius_cm: float = 10.0) -> PhysicalVisibility:
    return PhysicalVisibility(two_sensors(radius_cm), BOX, medium, reflectivity)


def test_disc_on_its_axis() -> None:
    """(1 - cos alpha) / 2; the softened cosine is 1 + 0.05^2 / 4 there."""
    seen = see(visibility(CLEAR), ON_AXIS)[0]
    assert seen == pytest.approx(0.5 * (1 - 35 / np.hypot(35, 10)), rel=0.05**2 / 4)


def test_small_sensor_far_away() -> None:
    """A cos / (4 pi d^2), at 60 degrees, with half the efficiency; the next term is 3 A cos / (4 pi d^2)."""
    point = np.array([20.0 - 20.0, 5.0 + 20.0 * np.sqrt(3), 0.0])
    seen, size = see(visibility(CLEAR), point)[1], 4 / (4 * 40.0**2)
    assert seen == pytest.approx(0.5 * size * 0.5, rel=0.05**2 + 3 * size)


def test_a_sensor_is_dark_behind() -> None:
    before, behind = see(visibility(CLEAR), np.array([[0.0, 5.0, 0.0], [40.0, 5.0, 0.0]]))[:, 1]
    assert 0 < behind < 1e-3 * before


def test_half_of_the_light_at_contact() -> None:
    """Finite also on the sensor itself."""
    near = see(visibility(CLEAR), np.array([[20.0 - 1e-4, 5.0, 0.0], [20.0, 5.0, 0.0]]))[:, 1]
    np.testing.assert_allclose(near, 0.5 * 0.5, rtol=1e-4)
    slope = jax.jit(jax.grad(lambda x: visibility(Medium())(x).sum()))(jnp.array([20.0, 5.0, 0.0]))
    assert np.isfinite(slope).all()


def test_attenuation() -> None:
    clear = see(visibility(CLEAR), ON_AXIS)[0]
    dim = see(visibility(Medium(300.0, 60.0, 0.0)), ON_AXIS)[0]
    assert dim == pytest.approx(clear * np.exp(-35 / 300 - 35 / 120), rel=1e-10)


def test_halo() -> None:
    absorption, rayleigh, distance = 300.0, 60.0, 35.0
    halo = split(visibility(Medium(absorption, rayleigh)), ON_AXIS).scattered[0]
    expected = 100 / (4 * (distance**2 + rayleigh**2)) * (1 - np.exp(-distance / rayleigh))
    expected *= np.exp(-distance / np.sqrt(absorption * rayleigh / 3))
    assert halo == pytest.approx(expected, rel=1e-10)


def test_reflected_light_comes_from_the_mirror_image() -> None:
    """Seen directly from there, in a box that is large enough."""
    point = np.array([12.0, -3.0, 8.0])
    reflected = split(visibility(Medium()), point).reflected
    large = PhysicalVisibility(two_sensors(), Box(10 * BOX.lower_cm, 10 * BOX.upper_cm), Medium(), BLACK)
    np.testing.assert_allclose(reflected, split(large, BOX.mirror_images(point)).direct, rtol=1e-12)


def test_linear_in_efficiency_fraction_and_reflectivity() -> None:
    """Sums over a track, taken once, give its light for any of these constants."""
    track = np.linspace([-40.0, -30.0, -20.0], [45.0, 35.0, 25.0], 7)
    parts = jax.tree.map(lambda part: part.sum(axis=0), split(visibility(Medium()), track))
    walls = np.linspace(0.1, 0.6, 6)
    expected = see(visibility(Medium(scattered_fraction=0.9), walls), track).sum(axis=0)
    np.testing.assert_allclose(parts.total(two_sensors().efficiency, 0.9, walls), expected, rtol=1e-12)


def test_nothing_is_seen_from_outside() -> None:
    points = np.array([[50.0, 0.0, 0.0], [0.0, 41.0, 0.0], [0.0, 0.0, -300.0]])
    np.testing.assert_array_equal(see(visibility(Medium(), np.full(6, 0.3)), points), 0.0)


def test_gradients() -> None:
    """Position, both lengths, scattered fraction, reflectivities, efficiencies."""

    def log_seen(x: jax.Array) -> jax.Array:
        sensors = eqx.tree_at(lambda s: s.efficiency, two_sensors(), x[12:14])
        model = PhysicalVisibility(sensors, BOX, Medium(100 * x[3], 100 * x[4], x[5]), x[6:12])
        return jnp.log(model(x[:3])).sum()

    constants = [20.0, 0.991, 0.6, *np.linspace(0.05, 0.3, 6), 0.7, 0.4]
    for point in ([3.0, -7.0, 11.0], [19.0, 5.5, 0.7], [-49.0, 39.0, 29.0]):
        check_gradient(log_seen, np.array([*point, *constants]), rtol=1e-7, step=1e-3)


def test_reference_values_of_module0(module0: LightDetector) -> None:
    """Made by an independent program from the same formulae."""
    seen = see(physical_visibility(module0), np.zeros(3))
    assert seen.sum() == pytest.approx(6.6592e-4, abs=0.6e-8)
    assert seen[0] == pytest.approx(6.3831e-6, abs=0.6e-10)
    assert seen[6] == pytest.approx(1.4874e-6, abs=0.6e-10)
    assert seen.max() == pytest.approx(5.604e-5, abs=0.6e-8)


def test_reference_values_of_icarus(icarus: LightDetector) -> None:
    seen = see(physical_visibility(icarus), np.array([-210.0, -22.5, 0.0]))
    assert seen.sum() == pytest.approx(1.42698e-2, abs=0.6e-7)
    assert seen.max() == pytest.approx(5.7601e-4, abs=0.6e-8)


@pytest.mark.parametrize(
    ("name", "n_points", "expected"),
    [("module0", 3000, [-7.0, -6.6, -5.6, -4.5, -3.8]), ("icarus", 1000, [-8.2, -7.2, -5.3, -3.9, -3.1])],
)
def test_quantiles_over_the_library(
    request: pytest.FixtureRequest, name: str, n_points: int, expected: list[float]
) -> None:
    """1, 10, 50, 90 and 99 % of the visibilities of all voxels, known to 0.05; a sample of voxels adds 0.03."""
    detector = request.getfixturevalue(name)
    centres = voxel_centres_cm(detector.box, detector.n_voxels).reshape(-1, 3)
    sample = np.random.default_rng(7).choice(centres, n_points, replace=False)
    seen = see(physical_visibility(detector), sample)
    found = np.log10(np.quantile(seen, [0.01, 0.1, 0.5, 0.9, 0.99]))
    np.testing.assert_allclose(found, expected, atol=0.08)
