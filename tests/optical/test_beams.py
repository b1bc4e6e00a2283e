"""Beams of injectors: their density, their rays, and what sensors see of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.optical.beams import fisher_density, make_beams
from bayescal.readers.optical_detector import read_optical_detector
from bayescal.testing import check_counts, check_gradient

PLACE, AXIS, WIDTH = (1.9, 0.0, 0.3), (-1.0, 0.2, -0.3), 0.12


@pytest.fixture(scope="module")
def eos():
    return read_optical_detector("eos")


@pytest.fixture(scope="module")
def beams(eos):
    return make_beams([PLACE], [AXIS], WIDTH, eos.tank, eos.sensors)


def fisher_cosines(rng, n, width):
    """Inverse of the cumulative distribution in the cosine."""
    kappa = 1 / width**2
    return 1 + np.log(rng.random(n) * (1 - np.exp(-2 * kappa)) + np.exp(-2 * kappa)) / kappa


@pytest.mark.parametrize("width", [0.02, 0.3, 3.0])
def test_all_light_is_somewhere(width):
    """Gauss-Legendre in the angle, up to where a narrow beam ends at exp(-50)."""
    node, weight = np.polynomial.legendre.leggauss(200)
    end = min(np.pi, 10 * width)
    theta = end * (node + 1) / 2
    density = np.asarray(fisher_density(jnp.cos(theta), width))
    assert np.pi * end * np.sum(weight * np.sin(theta) * density) == pytest.approx(1.0, abs=1e-10)


def test_a_narrow_beam_is_gaussian():
    """Ratios of densities at 0, 1 and 2 widths off the axis; the next order is theta^4/(24 width^2)."""
    density = np.asarray(fisher_density(jnp.cos(0.01 * np.arange(3)), 0.01))
    np.testing.assert_allclose(density[1:] / density[0], np.exp([-0.5, -2.0]), rtol=1e-4)


def test_rays_have_the_moments_of_the_beam(beams):
    """Mean cosine coth(kappa) - 1/kappa; across, the spiral balances but for less than its last ray."""
    rays = beams.rays(0)
    assert float(rays.light.sum()) == pytest.approx(1.0)
    along = np.asarray(rays.direction) @ beams.frame[0].T
    np.testing.assert_allclose(np.linalg.norm(along, axis=1), 1.0, rtol=1e-12)
    assert 1 - along[:, 2].mean() == pytest.approx(WIDTH**2, rel=2 / 384)
    assert np.abs(along[:, :2].mean(axis=0)).max() < np.hypot(along[:, 0], along[:, 1]).max() / 384
    np.testing.assert_allclose((along[:, :2] ** 2).mean(axis=0), WIDTH**2, rtol=0.02)


def test_sensors_see_the_photons_of_a_tracer(tracer, eos, beams):
    """Photons one by one through clear water: chi-square of all sensors; false alarm 1e-3."""
    sensors, n = eos.sensors, 400_000

    def source(rng, number):
        axis = np.tile(beams.frame[0, 2][:, None], number)
        direction = tracer.around(rng, axis, fisher_cosines(rng, number, WIDTH))
        return tracer.Photons(np.tile(PLACE, (number, 1)), direction.T, np.zeros(number), np.full(number, 400.0))

    tank = tracer.Tank(tracer.Cylinder(2.0, 3.0), sensors.position_m, sensors.normal, sensors.radius_m)
    traced = tracer.trace_source(np.random.default_rng(1), source, n, tank, tracer.Water(0.0, 0.0, 0.0))
    seen = tracer.counts(traced.incidences, sensors.n_sensors)[0]
    share = np.asarray(beams.seen_fraction(jnp.zeros((1, 2)), jnp.ones(1), sensors))[0]
    check_counts(np.append(seen, n - seen.sum()), np.append(share, 1 - share.sum()))


def test_slopes_turn_the_beam(eos, beams):
    """A beam made along the turned axis is the same as one whose slopes turn it."""
    slope = jnp.array([[0.03, -0.02]])
    turned = beams.frame[0, 2] + 0.03 * beams.frame[0, 0] - 0.02 * beams.frame[0, 1]
    other = make_beams([PLACE], [turned], WIDTH, eos.tank, eos.sensors)
    wide = jnp.array([1.1])
    np.testing.assert_allclose(
        beams.seen_fraction(slope, wide, eos.sensors),
        other.seen_fraction(jnp.zeros((1, 2)), wide, eos.sensors),
        rtol=1e-10,
    )


def test_gradient_is_that_of_differences(eos, beams):
    def light(x):
        seen = beams.seen_fraction(x[None, :2], x[2:], eos.sensors)
        return jnp.sum(jnp.log(seen + 1e-6))

    check_gradient(jax.jit(light), np.array([0.01, -0.02, 1.05]), rtol=1e-5)


@pytest.mark.parametrize(
    ("direction", "sentence"),
    [
        ([], "injector_direction has 0 entries, injector_m has 1; give one direction an injector"),
        ([(0, 0, 0)], r"injector_direction: \[0.0, 0.0, 0.0\] is no direction; give a vector of any length"),
        (
            [(2, 0, 0)],
            r"injector_direction: the beam from \[1.9, 0.0, 0.3\] along \[2.0, 0.0, 0.0\] leaves the tank after 0.1 m; "
            "turn it inwards",
        ),
    ],
)
def test_bad_beams_are_one_sentence(eos, direction, sentence):
    with pytest.raises(InputError, match=sentence):
        make_beams([PLACE], direction, WIDTH, eos.tank, eos.sensors)
