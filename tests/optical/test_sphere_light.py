"""Indirect light of a sphere: laws of conservation, smoothness, and photons followed one by one."""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.direct import seen_fraction, sight
from bayescal.optical.indirect import Coefficients, make_transport, reflection_orders
from bayescal.optical.medium import REFERENCE_NM, SPEED_OF_LIGHT_M_PER_NS, Scintillator, line
from bayescal.optical.rays import footprint, isotropic_rays
from bayescal.optical.sphere_light import held_inside, make_sphere_light
from bayescal.optical.zones import make_zones
from bayescal.readers.optical_detector import read_optical_detector
from bayescal.testing import check_gradient

BALL = """
name = "ball"
[tank]
shape = "sphere"
radius_m = 17.5
[sensors]
radius_m = 0.3
placement = "spiral"
number = 3000
"""
OIL = Scintillator(reemitted_share=0.0)
PLACE = 17.5 * 0.6 * np.array([0.6, 0.0, 0.8])
N_PHOTONS = 300_000


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    path = tmp_path_factory.mktemp("ball") / "ball.toml"
    path.write_text(BALL)
    return read_optical_detector(path)


@pytest.fixture(scope="module")
def zones(ball):
    return make_zones(ball.tank)


@pytest.fixture(scope="module")
def light(ball, zones):
    """At four lengths of absorption."""
    return make_sphere_light(ball, zones, OIL, line(REFERENCE_NM), [48.0, 54.0, 60.0, 70.0], [30.0])


def test_in_a_dense_medium_all_light_arrives(zones):
    """Optical depth 0.9 from the centre, no absorption."""
    medium = Coefficients(0.0, 1 / 20, 0.0)

    @eqx.filter_jit
    def arriving(zones):
        fate = footprint(isotropic_rays(jnp.asarray(PLACE)), zones).in_medium(medium.attenuation)
        return fate.arrived.sum() + reflection_orders(make_transport(zones, medium), fate)[0].sum()

    assert float(arriving(zones)) == pytest.approx(1.0, abs=5e-3)


def traced(tracer, ball, place, **medium):
    """Incidences by category and sensor, and how late each category is [m]."""
    sensors, index = ball.sensors, float(OIL.index_of_group)
    tank = tracer.Tank(tracer.Sphere(17.5), sensors.position_m, sensors.normal, 0.3, 0.2, 0.055)
    water = tracer.Water(1 / 60, 1 / 30, 0.0, group=index, **medium)
    start = tracer.isotropic(place, REFERENCE_NM)
    found = tracer.trace_source(np.random.default_rng(1), start, N_PHOTONS, tank, water).incidences
    way = found.time_ns * SPEED_OF_LIGHT_M_PER_NS / index
    later = way - np.linalg.norm(sensors.position_m - place, axis=1)[found.sensor]
    late = [later[found.category == each].mean() for each in (1, 2)]
    return tracer.counts(found, sensors.n_sensors), late


def assert_near(model, counted, tolerance):
    """Within a tolerance and three standard errors."""
    assert abs(model / counted - 1) < tolerance + 3 / np.sqrt(counted), (model, counted)


@pytest.fixture(scope="module")
def scattered_light(ball, zones):
    """Without reflections."""
    black = replace(ball, sensor_reflectivity=0.0, wall_reflectivity=0.0)
    return make_sphere_light(black, zones, OIL, line(REFERENCE_NM), [60.0], [30.0])


@pytest.mark.parametrize("share", [0.6, *(pytest.param(share, marks=pytest.mark.validate) for share in (0.0, 0.9))])
def test_light_is_that_of_photons_one_by_one(tracer, ball, light, scattered_light, share):
    """Direct to 0.5 %, scattered to 1 %, reflected (a twentieth of all) to 4 %, all to 1 %, and three standard errors.

    Near and far halves of the wall to 2 %. Ways of indirect light are longer by the mean over the sphere, to a third.
    """
    place = PLACE * share / 0.6
    scattered, indirect = (N_PHOTONS * np.asarray(each(jnp.asarray(place), OIL)) for each in (scattered_light, light))
    view = sight(jnp.asarray(place), ball.sensors)
    passed = jnp.exp(-OIL.attenuation(REFERENCE_NM) * view.distance_m)
    direct = N_PHOTONS * np.asarray(seen_fraction(view, ball.sensors) * passed)
    seen, late = traced(tracer, ball, place)
    assert_near(direct.sum(), seen[0].sum(), 0.005)
    assert_near(scattered.sum(), seen[1].sum(), 0.01)
    assert_near((indirect - scattered).sum(), seen[2].sum(), 0.04)
    assert_near((direct + indirect).sum(), seen.sum(), 0.01)
    near = ball.sensors.position_m @ [0.6, 0.0, 0.8] > 0
    for half in (near, ~near):
        assert_near((direct + indirect)[half].sum(), seen[:, half].sum(), 0.02)
    assert light.lateness.scattered_m == pytest.approx(late[0], rel=0.33)
    assert light.lateness.reflected_m == pytest.approx(late[1], rel=0.33)


@pytest.mark.validate
def test_reemitted_light_goes_in_all_directions(tracer, ball, zones, monkeypatch):
    """Against photons that scatter so."""
    monkeypatch.setattr(tracer, "rayleigh_cosine", lambda rng, n: rng.uniform(-1.0, 1.0, n))
    seen, _ = traced(tracer, ball, PLACE)
    # all scattering is re-emission: far below 420 nm, of an absorption of 1/60 + 1/30
    oil = Scintillator(20.0, 1e9, reemitted_share=2 / 3)
    light = make_sphere_light(ball, zones, oil, line(300.0), [20.0], [1e9])
    assert light.lateness.reemitted_share == pytest.approx(1.0, abs=1e-6)
    assert_near(N_PHOTONS * float(light(jnp.asarray(PLACE), oil).sum()), seen[1:].sum(), 0.015)


def test_lengths_between_those_of_the_table(light):
    """The polynomial through three lengths gives the light at the fourth.

    Of a function whose third derivative in the logarithm is below one, within the product of their distances over six.
    """
    place = jnp.asarray(PLACE)
    without = eqx.tree_at(
        lambda each: (each.coefficient, each.log_absorption),
        light,
        (light.coefficient[np.array([0, 1, 3])], light.log_absorption[np.array([0, 1, 3])]),
    )
    remainder = abs(np.prod(np.log(60.0) - np.asarray(without.log_absorption))) / 6
    np.testing.assert_allclose(without(place, OIL), light(place, OIL), rtol=remainder)


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_gradient_is_that_of_differences(light, share):
    """In the place, at the centre of the sphere too, and the lengths."""

    def logs(x):
        oil = Scintillator(60 * x[3], 30.0, reemitted_share=0.0)
        return jnp.mean(jnp.log(light(17.5 * x[:3], oil)) * jnp.arange(1.0, 3001.0))

    at = np.append(PLACE / 17.5 * share / 0.6, 1.0)
    check_gradient(logs, at, rtol=1e-5, step=1e-4)


def test_points_are_held_inside():
    """As they are below the margin of 1 m, between there and half of it beyond, and smooth."""
    inside, outside = jnp.array([0.0, 3.0, 0.0]), jnp.array([0.0, 30.0, 40.0])
    assert (held_inside(inside, 5.0, 1.0) == inside).all()
    assert (held_inside(jnp.zeros(3), 5.0, 1.0) == 0).all()
    np.testing.assert_allclose(held_inside(outside, 5.0, 1.0), [0.0, 2.7, 3.6], rtol=1e-12)
    check_gradient(
        lambda x: held_inside(x, 5.0, 1.0) @ jnp.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 0.5]), rtol=1e-7
    )
