"""Transport against laws of conservation, and the whole light against photons followed one by one."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.detector import patches_at_sensors
from bayescal.optical.direct import cosine_to, seen_fraction, sight
from bayescal.optical.indirect import Coefficients, make_transport, reflection_orders, sum_orders
from bayescal.optical.rays import Rays, footprint, isotropic_rays
from bayescal.testing import check_gradient

PLACE = np.array([3.0, -2.0, 6.0])
N_PHOTONS = 5_000_000


@pytest.mark.parametrize(
    "medium", [Coefficients(0.0, 1 / 120, 0.0), Coefficients(0.0, 0.0, 1 / 120)], ids=["Rayleigh", "forward"]
)
def test_without_absorption_all_light_arrives(zones, medium):
    fate = footprint(isotropic_rays(jnp.asarray(PLACE)), zones).in_medium(medium.attenuation)
    orders = reflection_orders(make_transport(zones, medium), fate)
    assert float(fate.arrived.sum() + orders[0].sum()) == pytest.approx(1.0, abs=5e-3)
    total = np.asarray(orders[1:].sum(axis=(1, 2)))
    np.testing.assert_allclose(total / np.append(1.0, total[:-1]), 1.0, atol=1e-2)


def test_a_wall_that_reflects_gives_a_geometric_series(zones):
    medium = Coefficients(0.0, 0.0, 1e-9)
    fate = footprint(isotropic_rays(jnp.asarray(PLACE)), zones).in_medium(1e-9)
    light = sum_orders(reflection_orders(make_transport(zones, medium), fate), 0.4)
    assert float(fate.arrived.sum() + light.sum()) == pytest.approx(1 / (1 - 0.4), rel=1e-3)


def gaussian_cone(axis, spread_rad):
    """Rays and density of a Gaussian cone, as the tracer's injector."""
    axis = np.asarray(axis) / np.linalg.norm(axis)
    side = np.cross(axis, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    node, weight = np.polynomial.legendre.leggauss(24)
    theta = 6 * spread_rad * (node + 1) / 2
    share = np.sin(theta) * np.exp(-0.5 * (theta / spread_rad) ** 2) * weight
    turn = 2 * np.pi * (np.arange(24) + 0.5) / 24
    around = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * np.cross(axis, side)
    direction = np.cos(theta)[:, None, None] * axis + np.sin(theta)[:, None, None] * around
    fine = np.linspace(0, np.pi, 100_001)
    norm = 2 * np.pi * np.trapezoid(np.sin(fine) * np.exp(-0.5 * (fine / spread_rad) ** 2), fine)

    def density(cosine):
        return np.exp(-0.5 * (np.arccos(np.clip(cosine, -1, 1)) / spread_rad) ** 2) / norm

    return direction.reshape(-1, 3), np.repeat(share / share.sum() / 24, 24), axis, density


def expected(detector, zones, medium, source):
    """Direct and indirect light of one photon."""
    reflectivity = detector.coverage * 0.2 + (1 - detector.coverage) * 0.1
    if source == "isotropic":
        rays = isotropic_rays(jnp.asarray(PLACE))
        view = sight(PLACE, detector.sensors)
        factor = 1.0
    else:
        place = np.array([0.0, 0.0, 17.0])
        direction, share, axis, density = gaussian_cone([0.3, 0.0, -1.0], 0.15)
        rays = Rays(jnp.broadcast_to(place, direction.shape), jnp.asarray(direction), jnp.asarray(share))
        view = sight(place, detector.sensors)
        cosine = cosine_to(axis[None], place[None], sight(place[None], detector.sensors), detector.sensors)[0]
        factor = 4 * np.pi * density(np.asarray(cosine))
    direct = factor * seen_fraction(view, detector.sensors) * jnp.exp(-medium.attenuation * view.distance_m)
    fate = footprint(rays, zones).in_medium(medium.attenuation)
    light = sum_orders(reflection_orders(make_transport(zones, medium), fate), reflectivity)
    return np.asarray(direct), np.asarray(patches_at_sensors(detector, zones)(light.reshape(-1, 1))[:, 0])


def blocks_of_26(position):
    """Neighbouring sensors, within the barrel and each cap."""
    azimuth, on_cap = np.arctan2(position[:, 1], position[:, 0]), np.abs(position[:, 2]) > 18
    found = []
    for rows, first, second, cuts in (
        (np.flatnonzero(~on_cap), position[:, 2], azimuth, 10),
        (np.flatnonzero(on_cap & (position[:, 2] > 0)), position[:, 0], position[:, 1], 8),
        (np.flatnonzero(on_cap & (position[:, 2] < 0)), position[:, 0], position[:, 1], 8),
    ):
        for strip in np.array_split(rows[np.argsort(first[rows], kind="stable")], cuts):
            ordered = strip[np.argsort(second[strip], kind="stable")]
            found += np.array_split(ordered, round(len(ordered) / 26))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("source", ["isotropic", pytest.param("injector", marks=pytest.mark.validate)])
def test_light_is_that_of_photons_one_by_one(tracer, super_kamiokande, zones, source):
    """Direct to 0.15 %, all to 1 %, barrel and caps to 2 %, blocks to 2 % rms; and three standard errors."""
    sensors = super_kamiokande.sensors
    medium = Coefficients(1 / 90, 1 / 120, 0.0)
    tank = tracer.Tank(tracer.Cylinder(16.9, 36.2), sensors.position_m, sensors.normal, 0.254, 0.2, 0.1)
    start = (
        tracer.isotropic(PLACE, 400.0)
        if source == "isotropic"
        else tracer.injector(np.array([0.0, 0.0, 17.0]), np.array([0.3, 0.0, -1.0]), 0.15, 400.0)
    )
    traced = tracer.trace_source(np.random.default_rng(1), start, N_PHOTONS, tank, tracer.Water(1 / 90, 1 / 120, 0.0))
    seen = tracer.counts(traced.incidences, sensors.n_sensors)
    direct, indirect = (N_PHOTONS * each for each in expected(super_kamiokande, zones, medium, source))

    def near(model, counted, tolerance):
        return abs(model / counted - 1) < tolerance + 3 / np.sqrt(counted)

    z = sensors.position_m[:, 2]
    every = seen.sum(axis=0)
    assert near(direct.sum(), seen[0].sum(), 0.0015)
    assert near(direct.sum() + indirect.sum(), every.sum(), 0.01)
    for part in (np.abs(z) < 18, z > 18, z < -18):
        assert near((direct + indirect)[part].sum(), every[part].sum(), 0.02)
    blocks = blocks_of_26(sensors.position_m)
    model, counted = (np.array([each[block].sum() for block in blocks]) for each in (direct + indirect, every))
    beyond_noise = np.mean((model / counted - 1) ** 2 - 1 / counted)
    assert beyond_noise < 0.02**2 + 3 * np.sqrt(2 * np.mean(1 / counted**2) / len(blocks))


def test_gradient_is_that_of_differences(zones):
    feet = footprint(isotropic_rays(jnp.asarray(PLACE)), zones)

    def logs(x):
        medium = Coefficients(x[0], x[1], x[2])
        orders = reflection_orders(make_transport(zones, medium), feet.in_medium(medium.attenuation))
        return jnp.mean(jnp.log(sum_orders(orders, x[3])))

    check_gradient(logs, np.array([0.01, 0.008, 0.001, 0.14]), rtol=1e-5, step=1e-6)
