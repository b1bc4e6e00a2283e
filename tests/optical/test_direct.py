import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.direct import cosine_to, seen_fraction, seen_variance, sight, solid_angle
from bayescal.optical.geometry import Sphere, spiral_on_sphere
from bayescal.optical.sensors import DISC, HEMISPHERE, SUPER_KAMIOKANDE_BULB, Photosensors
from bayescal.testing import check_gradient


def on_sphere(radius_m, number, sensor_m, acceptance=DISC):
    tank = Sphere(radius_m)
    position = spiral_on_sphere(tank, number)
    every = np.ones(number, bool)
    return Photosensors(position, tank.inward_normal(position), sensor_m, acceptance, np.zeros(number, int), every)


@pytest.mark.parametrize(
    ("distance", "expected"), [(0.254, 1.8403023690), (1.0, 0.1933749054), (5.0, 0.0080916618), (20.0, 0.0005066462)]
)
def test_solid_angle_is_exact_on_the_axis(distance, expected):
    assert solid_angle(jnp.array(distance), jnp.array(1.0), 0.254) == pytest.approx(expected, abs=6e-11)


def test_solid_angle_of_an_oblique_disc():
    """The closed form, and how far it is from the exact 0.025604254 and 0.043453946 sr."""
    got = [float(solid_angle(jnp.array(d), jnp.array(c), 0.254)) for d, c in ((2.0, 0.5), (1.0, 0.2))]
    assert got == pytest.approx([0.025600595, 0.043147644], rel=1e-7)


def exact_solid_angle(distance, cosine, radius):
    """By summing over rings of the disc."""
    node, weight = np.polynomial.legendre.leggauss(200)
    r, angle = radius * (node + 1) / 2, 2 * np.pi * (np.arange(400) + 0.5) / 400
    x, y = r[:, None] * np.cos(angle), r[:, None] * np.sin(angle)
    sine = np.sqrt(1 - cosine**2)
    square = (distance * sine - x) ** 2 + y**2 + (distance * cosine) ** 2
    return np.sum(weight[:, None] * r[:, None] * radius / 2 * 2 * np.pi / 400 * distance * cosine / square**1.5)


@pytest.mark.parametrize(("radii", "error"), [(3.0, 0.025), (4.0, 0.008), (6.0, 0.0015)])
def test_error_of_the_solid_angle(radii, error):
    for cosine in np.linspace(0.1, 1.0, 10):
        exact = exact_solid_angle(radii, cosine, 1.0)
        assert solid_angle(jnp.array(radii), jnp.array(cosine), 1.0) == pytest.approx(exact, rel=error)


@pytest.mark.parametrize(
    ("sensors", "expected"),
    [(on_sphere(17.5, 15000, 0.25), 0.76518900), (on_sphere(1.8, 4000, 0.05), 0.77115869)],
)
def test_share_of_a_source_in_the_middle_of_a_sphere(sensors, expected):
    assert float(seen_fraction(sight(np.zeros(3), sensors), sensors).sum()) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("acceptance", "diffuse"), [(DISC, 1.0), (HEMISPHERE, 1.5), (SUPER_KAMIOKANDE_BULB, 1.128)])
def test_acceptance_of_diffuse_light(acceptance, diffuse):
    """2 times the integral of area(c) over c from 0 to 1."""
    assert float(acceptance.diffuse) == pytest.approx(diffuse, abs=2e-3)
    assert float(acceptance.area(jnp.array(1.0))) == pytest.approx(0.987 if diffuse == 1.128 else 1.0)


def test_a_bulb_seen_from_the_front_collects_its_area():
    sensors = on_sphere(17.5, 10, 0.25, SUPER_KAMIOKANDE_BULB)
    flat = on_sphere(17.5, 10, 0.25)
    view = sight(np.zeros(3), sensors)
    np.testing.assert_allclose(seen_fraction(view, sensors), 0.987 * seen_fraction(view, flat), rtol=1e-12)


def test_gradient_is_that_of_differences():
    sensors = on_sphere(17.5, 50, 0.25, SUPER_KAMIOKANDE_BULB)

    def light(x):
        return jnp.sum(jnp.log(seen_fraction(sight(x, sensors), sensors)))

    check_gradient(light, np.array([3.0, -2.0, 6.0]), rtol=1e-5)


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (4.0, 1.0, 2.0), (-6.0, 3.0, 6.0)])
def test_variance_of_the_angle_over_a_disc(place):
    """Against 2e5 points of a disc of 0.254 m, to 2 %: their number tells it to 0.3 %, the rest is its size."""
    rng, normal = np.random.default_rng(2), np.array([[0.0, 0.0, -1.0]])
    centre, axis = np.array([[0.0, 0.0, 8.0]]), np.array([[0.48, -0.6, 0.64]])
    disc = Photosensors(centre, normal, 0.254, DISC, np.zeros(1, int), np.ones(1, bool))
    view = sight(np.array([place]), disc)
    found = seen_variance(axis, cosine_to(axis, np.array([place]), view, disc), view, disc)
    radius, turn = 0.254 * np.sqrt(rng.uniform(size=200_000)), rng.uniform(0, 2 * np.pi, 200_000)
    points = centre + np.stack([radius * np.cos(turn), radius * np.sin(turn), 0 * radius], axis=1)
    way = points - np.array(place)
    angle = np.arccos(way @ axis[0] / np.linalg.norm(way, axis=1))
    assert float(found[0, 0]) == pytest.approx(angle.var(), rel=0.02)
