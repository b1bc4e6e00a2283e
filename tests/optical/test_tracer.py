"""The tracer against closed values; statistical tests allow five standard errors: a false alarm of 6e-7 each."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

N_SIGMA = 5.0
CLEAR = (0.0, 0.0, 0.0)


def assert_fraction(found: int, n: int, expected: float) -> None:
    """A binomial count."""
    assert abs(found - n * expected) < N_SIGMA * np.sqrt(n * expected * (1 - expected))


def assert_mean(draws: np.ndarray, expected: float) -> None:
    assert abs(draws.mean() - expected) < N_SIGMA * draws.std(ddof=1) / np.sqrt(len(draws))


def assert_uniform(found: np.ndarray) -> None:
    """Counts with one expectation: chi^2 is nearly normal with variance 2 k."""
    k, mean = len(found) - 1, found.mean()
    assert mean > 20
    assert abs(((found - mean) ** 2).sum() / mean - k) < N_SIGMA * np.sqrt(2 * k)


def assert_rms(draws: np.ndarray, expected: float) -> None:
    """Of a normal with mean 0."""
    assert abs(np.sqrt(np.mean(draws**2)) / expected - 1) < N_SIGMA / np.sqrt(2 * len(draws))


def small_cylinder(tracer: ModuleType, r_pmt: float = 0.0, r_sheet: float = 0.0) -> object:
    """Radius 2 m, height 3 m: 10 columns of 5 discs on the barrel and 9 on each cap; a = 0.2 m."""
    phi, z = (each.ravel() for each in np.meshgrid(2 * np.pi * np.arange(10) / 10, 0.55 * (np.arange(5) - 2)))
    side = np.stack([np.cos(phi), np.sin(phi), 0 * phi], axis=1)
    x, y = (each.ravel() for each in np.meshgrid([-0.9, 0.0, 0.9], [-0.9, 0.0, 0.9]))
    caps = [np.stack([x, y, np.full(9, sign * 1.5)], axis=1) for sign in (1, -1)]
    position = np.concatenate([2 * side + z[:, None] * [0, 0, 1], *caps])
    normal = np.concatenate([-side, np.repeat([[0, 0, -1.0], [0, 0, 1.0]], 9, axis=0)])
    return tracer.Tank(tracer.Cylinder(2.0, 3.0), position, normal, 0.2, r_pmt, r_sheet)


def wall_light(tracer: ModuleType, rng: np.random.Generator, n: int) -> object:
    """Photons that leave the wall of the small cylinder, uniform in area, by Lambert's law: one radiance everywhere."""
    on_cap = rng.random(n) < 2.0 / (2.0 + 3.0)
    phi, radius = 2 * np.pi * rng.random(n), np.where(on_cap, 2 * np.sqrt(rng.random(n)), 2.0)
    z = np.where(on_cap, rng.choice([-1.5, 1.5], n), rng.uniform(-1.5, 1.5, n))
    x = np.stack([radius * np.cos(phi), radius * np.sin(phi), z])
    u = tracer.around(rng, tracer.Cylinder(2.0, 3.0).inward(x), tracer.forward_cosine(rng, n))
    return tracer.Photons((x * (1 - 1e-9)).T, u.T, np.zeros(n), np.full(n, 400.0))


# Water


def test_water_at_400_nm(tracer: ModuleType) -> None:
    water, x = tracer.Water(), np.array([400.0])
    assert tracer.daimon_index(x)[0] == pytest.approx(1.34356, abs=0.6e-5)
    assert 20 * water.delay_ns_per_m(x)[0] == pytest.approx(92.1644, abs=4e-4)  # n_g has five decimals
    np.testing.assert_allclose(1 / water.coefficients(x)[:, 0], [400, 176, 9886], rtol=3e-3)


def test_rayleigh_length_is_steeper_than_the_fourth_power(tracer: ModuleType) -> None:
    at_300, at_400 = tracer.sk_rayleigh_per_m(np.array([300.0, 400.0]))
    assert at_300 / at_400 == pytest.approx(4.18, abs=0.006)


def test_absorption_has_no_jump_where_the_measured_table_begins(tracer: ModuleType) -> None:
    below, above = tracer.sk_absorption_per_m(np.array([464 - 1e-6, 464 + 1e-6]))
    assert above == pytest.approx(below, rel=1e-6)


def test_band_transmission(tracer: ModuleType) -> None:
    """Of detectable Cherenkov light; direct light of a source in the middle of a sphere of 10 m."""
    light, n = tracer.Cherenkov(), 200_000
    weight = light.density(1.0) / light.density(1.0).sum()
    expected = weight @ np.exp(-10 * tracer.Water().coefficients(light.grid_nm).sum(axis=0))
    assert expected == pytest.approx(0.8676, abs=3e-4)
    tank = tracer.fibonacci_sphere(500, 10.0, 0.3)
    source = tracer.isotropic(np.zeros(3), light.sample)
    found = tracer.trace_source(np.random.default_rng(1), source, n, tank, tracer.Water()).incidences
    seen = 500 * (1 - 10 / np.hypot(10, 0.3)) / 2
    assert_fraction(np.sum(found.category == tracer.DIRECT), n, expected * seen)


# Geometry


@pytest.mark.parametrize(("n_sensors", "radius", "disc"), [(600, 17.5, 0.25), (2000, 1.8, 0.05)])
def test_light_from_the_middle_of_a_sphere(tracer: ModuleType, n_sensors: int, radius: float, disc: float) -> None:
    """n (1 - R / sqrt(R^2 + a^2)) / 2 where no discs overlap."""
    tank, n = tracer.fibonacci_sphere(n_sensors, radius, disc), 200_000
    source = tracer.isotropic(np.zeros(3), 400.0)
    found = tracer.trace_source(np.random.default_rng(2), source, n, tank, tracer.Water(*CLEAR)).incidences
    assert_fraction(len(found), n, n_sensors * (1 - radius / np.hypot(radius, disc)) / 2)
    assert (found.category == tracer.DIRECT).all()
    assert (found.cosine > radius / np.hypot(radius, disc) - 1e-6).all()
    delay = tracer.Water().delay_ns_per_m(np.array([400.0]))[0]
    assert (found.time_ns >= radius * delay * (1 - 1e-12)).all()
    assert (found.time_ns <= np.hypot(radius, disc) * delay * (1 + 1e-12)).all()


@pytest.mark.parametrize(("distance", "cosine", "expected"), [(2.0, 0.5, 0.025604254), (1.0, 0.2, 0.043453946)])
def test_solid_angle_of_an_oblique_disc(tracer: ModuleType, distance: float, cosine: float, expected: float) -> None:
    """One disc of 0.254 m in the middle of a cap; all light within half an angle that holds it."""
    tank = tracer.Tank(tracer.Cylinder(9.0, 10.0), [[0, 0, 5]], [[0, 0, -1]], 0.254)
    rng, n, half = np.random.default_rng(3), 200_000, np.cos(0.28)
    axis = np.array([-np.sqrt(1 - cosine**2), 0.0, cosine])
    u = tracer.around(rng, np.tile(axis[:, None], n), half + (1 - half) * rng.random(n))
    start = np.tile(np.array([0, 0, 5]) - distance * axis, (n, 1))
    photons = tracer.Photons(start, u.T, np.zeros(n), np.full(n, 400.0))
    found = tracer.trace(rng, photons, tank, tracer.Water(*CLEAR)).incidences
    assert_fraction(len(found), n, expected / (2 * np.pi * (1 - half)))


def test_every_disc_is_tried(tracer: ModuleType) -> None:
    """The search among near discs finds what trying all of them does, at grazing incidence and between overlaps too."""
    rng = np.random.default_rng(4)
    tanks = (small_cylinder(tracer), tracer.fibonacci_sphere(300, 1.8, 0.19))  # the sphere's discs overlap
    for tank in tanks:
        x = wall_light(tracer, rng, 5_000).position_m.T
        x = 0.99 * (x if tank is tanks[0] else 1.8 * x / np.sqrt((x * x).sum(axis=0)))
        u = tracer.around(rng, np.tile([[0.0], [0.0], [1.0]], x.shape[1]), rng.uniform(-1, 1, x.shape[1]))
        x = x + tank.shape.to_wall(x, u) * u
        found, distance, _ = tank.first_sensor(x, u)
        each = [tank.crossing(x, u, np.full(x.shape[1], j))[0] for j in range(tank.n_sensors)]
        nearest, hit = np.min(each, axis=0), np.isfinite(np.min(each, axis=0))
        assert 0.1 < hit.mean() < 0.95
        np.testing.assert_array_equal(np.where(hit, np.argmin(each, axis=0), -1), found)
        np.testing.assert_array_equal(distance[hit], nearest[hit])


def test_uniform_radiance_fills_all_sensors_alike(tracer: ModuleType) -> None:
    """In a closed tank each disc then takes pi a^2 of the wall's area, on barrel and caps."""
    rng, n, tank = np.random.default_rng(5), 200_000, small_cylinder(tracer)
    found = tracer.trace(rng, wall_light(tracer, rng, n), tank, tracer.Water(*CLEAR)).incidences
    assert_fraction(len(found), n, tank.coverage)
    assert_uniform(np.bincount(found.sensor, minlength=tank.n_sensors))


def test_super_kamiokande(tracer: ModuleType) -> None:
    """Sizes; and light at (3, -2, 6) m: 77 % direct, 12 % scattered, 11 % reflected, of each incidence alike."""
    tank, n = tracer.super_kamiokande(r_pmt=0.2, r_sheet=0.1), 100_000
    assert tank.n_sensors == 11_146
    assert tank.coverage == pytest.approx(0.401, abs=6e-4)
    source, water = tracer.isotropic(np.array([3.0, -2.0, 6.0]), 400.0), tracer.Water(1 / 90, 1 / 120, 0.0)
    found = tracer.trace_source(np.random.default_rng(6), source, n, tank, water).incidences
    share = tracer.counts(found, tank.n_sensors).sum(axis=1) / len(found)
    np.testing.assert_allclose(share, [0.77, 0.12, 0.11], atol=0.005 + N_SIGMA * 0.5 / np.sqrt(len(found)))


# Absorption, scattering, reflection


def test_every_photon_ends_once(tracer: ModuleType) -> None:
    tank, n = small_cylinder(tracer, r_pmt=0.5, r_sheet=0.7), 50_000
    source, water = tracer.isotropic(np.array([1.0, 0.5, 0.7]), 400.0), tracer.Water(0.1, 0.2, 0.1)
    found, fates = tracer.trace_source(np.random.default_rng(7), source, n, tank, water, batch=20_000)
    assert sum(fates) == n
    assert min(fates[:3]) > 1000
    assert fates.outside == 0
    assert_fraction(fates.sensor, len(found), 0.5)  # an incidence ends there or is reflected
    assert np.unique(found.photon[found.category == tracer.DIRECT], return_counts=True)[1].max() == 1
    assert found.photon.max() > 40_000
    np.testing.assert_array_equal(tracer.counts(found, tank.n_sensors).sum(), len(found))


def test_photons_born_outside_are_counted(tracer: ModuleType) -> None:
    source = tracer.isotropic(np.array([0.0, 0.0, 1.6]), 400.0)
    found, fates = tracer.trace_source(
        np.random.default_rng(8), source, 100, small_cylinder(tracer), tracer.Water(*CLEAR)
    )
    assert len(found) == 0
    assert fates == (0, 0, 0, 100)


def test_attenuation(tracer: ModuleType) -> None:
    """exp(-d / l) of light of one wavelength stays direct; without scattering the rest is absorbed."""
    tank, n = tracer.fibonacci_sphere(400, 5.0, 0.3), 100_000
    source, seen = tracer.isotropic(np.zeros(3), 400.0), 400 * (1 - 5 / np.hypot(5, 0.3)) / 2
    both = tracer.trace_source(np.random.default_rng(9), source, n, tank, tracer.Water(0.1, 0.06, 0.04)).incidences
    assert_fraction(np.sum(both.category == tracer.DIRECT), n, seen * np.exp(-5 * 0.2))
    dark = tracer.trace_source(np.random.default_rng(10), source, n, tank, tracer.Water(0.1, 0.0, 0.0))
    assert_fraction(dark.fates.absorbed, n, 1 - np.exp(-0.5))
    assert (dark.incidences.category == tracer.DIRECT).all()


def test_scatters_are_as_many_as_the_path_is_long(tracer: ModuleType) -> None:
    """Mean of (scatters - path / length) is 0 over whole flights, of any shape: discs cover this sphere all over."""
    tank, n = tracer.fibonacci_sphere(400, 5.0, 0.7), 20_000
    source, water = tracer.isotropic(np.array([0.0, 2.0, 0.0]), 400.0), tracer.Water(0.0, 0.2, 0.1)
    found = tracer.trace_source(np.random.default_rng(11), source, n, tank, water).incidences
    assert len(found) == n
    path = found.time_ns / water.delay_ns_per_m(np.array([400.0]))[0]
    assert_mean(found.n_scatters - 0.3 * path, 0.0)
    assert (path[found.category == tracer.DIRECT] < 7.1).all()


def test_angles_of_scattering(tracer: ModuleType) -> None:
    rng, n = np.random.default_rng(13), 200_000
    rayleigh, forward = tracer.rayleigh_cosine(rng, n), tracer.forward_cosine(rng, n)
    assert_mean(rayleigh, 0.0)
    assert_mean(rayleigh**2, 2 / 5)
    assert_mean(rayleigh**4, 9 / 35)
    assert_mean(forward, 2 / 3)  # Lambert's law about a normal too
    assert_mean(forward**2, 1 / 2)


def test_directions_about_an_axis(tracer: ModuleType) -> None:
    """At the angle asked for, uniform in azimuth, also where the frame changes its sign."""
    rng = np.random.default_rng(14)
    for axis in ([0, 0, 1.0], [0, 0, -1.0], [0.6, 0, 0.8], [0.48, -0.64, -0.6], [1.0, 0, 0]):
        unit = np.array(axis)
        u = tracer.around(rng, np.tile(unit[:, None], 20_000), np.full(20_000, 0.3))
        np.testing.assert_allclose(unit @ u, 0.3, atol=1e-12)
        np.testing.assert_allclose((u * u).sum(axis=0), 1.0, atol=1e-12)
        across = np.cross(unit, [0.36, 0.48, 0.8])
        assert_mean(across / np.linalg.norm(across) @ u, 0.0)
        assert_mean((across / np.linalg.norm(across) @ u) ** 2, (1 - 0.09) / 2)


def test_lambert_in_a_sphere(tracer: ModuleType) -> None:
    """One diffuse reflection lights a sphere uniformly, from wherever; incidences sum a geometric series."""
    tank, n, r = tracer.fibonacci_sphere(400, 5.0, 0.3), 100_000, 0.6
    tank = tracer.Tank(tank.shape, tank.position_m, tank.normal, 0.3, r, r)
    source = tracer.isotropic(np.array([3.0, 0.0, 1.0]), 400.0)
    found = tracer.trace_source(np.random.default_rng(15), source, n, tank, tracer.Water(*CLEAR)).incidences
    once = found.n_reflections == 1
    assert_fraction(once.sum(), n, r * tank.coverage)
    assert_uniform(np.bincount(found.sensor[once], minlength=400))
    assert_mean(found.cosine[once].astype(float), 2 / 3)
    assert_fraction(np.sum(found.n_reflections == 4), n, r**4 * tank.coverage)
    np.testing.assert_array_equal(found.category, np.where(found.n_reflections > 0, tracer.REFLECTED, tracer.DIRECT))


def test_injector(tracer: ModuleType) -> None:
    """Small angles: theta^2 has the mean 2 sd^2 (1 - sd^2 / 3 ...)."""
    photons = tracer.injector(np.zeros(3), [0, 3, 4], 0.05, 337.0, 7.0)(np.random.default_rng(16), 100_000)
    theta = np.arccos(photons.direction @ [0, 0.6, 0.8])
    assert_mean(theta**2, 2 * 0.05**2 * (1 - 0.05**2 / 3))
    assert (photons.time_ns == 7.0).all()
    assert (photons.wavelength_nm == 337.0).all()


# Muons


@pytest.mark.parametrize(("low", "high", "fixed", "daimon"), [(300, 700, 386.96, 388.96), (300, 600, 338.6, 341.3)])
def test_frank_tamm(tracer: ModuleType, low: float, high: float, fixed: float, daimon: float) -> None:
    """Photons per cm at beta 1."""
    of_fixed = tracer.Cherenkov(lambda x: 1.34 + 0 * x, 1.0, low, high).yield_per_m()
    assert of_fixed / 100 == pytest.approx(fixed, abs=0.05)
    assert tracer.Cherenkov(efficiency=1.0, low_nm=low, high_nm=high).yield_per_m() / 100 == pytest.approx(
        daimon, abs=0.05
    )


def test_detectable_cherenkov_light(tracer: ModuleType) -> None:
    light = tracer.Cherenkov()
    assert light.yield_per_m() / 100 == pytest.approx(46.58, abs=0.006)
    wavelength = light.sample(np.random.default_rng(17), 100_000)
    assert_mean(tracer.group_index(tracer.daimon_index, wavelength), 1.3860)
    assert np.degrees(np.arccos(1 / tracer.daimon_index(wavelength))).mean() == pytest.approx(41.96, abs=0.01)


def test_light_of_a_path(tracer: ModuleType) -> None:
    """Straight: the number from the yield at each step, all on the cone of beta and wavelength, each at its time."""
    rng, light = np.random.default_rng(18), tracer.Cherenkov()
    muon = tracer.Particle(300.0, [1.0, 2.0, 3.0], [0.0, 0.6, 0.8], 5.0)
    path = tracer.muon_path(rng, muon, light.highest_index, bending=0.0)
    photons = tracer.cherenkov_photons(rng, path, light, scale=10.0)
    middles = (path.beta[1:] + path.beta[:-1]) / 2
    expected = 10 * sum(light.yield_per_m(b) * step for b, step in zip(middles, np.diff(path.path_m), strict=True))
    assert abs(len(photons) - expected) < N_SIGMA * np.sqrt(expected)
    along = (photons.position_m - [1.0, 2.0, 3.0]) @ [0, 0.6, 0.8]
    beta = np.interp(along, path.path_m, path.beta)
    cosine = photons.direction @ [0, 0.6, 0.8]
    np.testing.assert_allclose(cosine * beta * tracer.daimon_index(photons.wavelength_nm), 1.0, rtol=1e-9)
    np.testing.assert_allclose(photons.time_ns, np.interp(along, path.path_m, path.time_ns), rtol=1e-12)
    assert path.time_ns[0] == 5.0
    assert_mean(photons.direction[:, 0], 0.0)


def test_muon_range_and_loss(tracer: ModuleType) -> None:
    energy = np.array([100, 200, 300, 500, 800, 1000, 1400, 2000.0])
    np.testing.assert_allclose(
        tracer.muon_range(energy), [31.24, 78.95, 129.2, 229.77, 377.3, 473.5, 661.8, 936.6], rtol=3e-4
    )
    loss = [2.256, 2.014, 1.980, 2.004, 2.062, 2.096, 2.151, 2.212]
    np.testing.assert_allclose(tracer.muon_stopping_power(energy), loss, atol=6e-4)
    np.testing.assert_allclose(tracer.muon_energy(tracer.muon_range(energy)), energy, rtol=1e-9)


def test_muon_path_ends_at_the_threshold(tracer: ModuleType) -> None:
    path = tracer.muon_path(np.random.default_rng(19), tracer.Particle(500.0, np.zeros(3), [0, 0, 1]), 1.34)
    assert path.path_m[-1] == pytest.approx(2.2977 - 0.1211, abs=2e-4)
    assert 1.34 * path.beta[-1] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(np.interp([1.0, 2.0], path.path_m, path.time_ns), [3.414, 7.004], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(path.direction, axis=1), 1.0)
    dark = tracer.muon_path(np.random.default_rng(20), tracer.Particle(50.0, np.zeros(3), [0, 0, 1]), 1.34)
    assert len(tracer.cherenkov_photons(np.random.default_rng(21), dark, tracer.Cherenkov())) == 0


@pytest.mark.parametrize("energy_mev", [300.0, 800.0])
def test_bending(tracer: ModuleType, energy_mev: float) -> None:
    """6.5-8 degrees rms a plane at the threshold, as the integral of (13.6 / (beta p))^2 says; none without bending."""
    rng, axis = np.random.default_rng(22), np.array([0.36, 0.48, 0.8])
    muon = tracer.Particle(energy_mev, np.zeros(3), axis)
    first, second = np.array([0.8, -0.6, 0.0]), np.array([0.48, 0.64, -0.6])
    ends = np.array([tracer.muon_path(rng, muon, 1.34).direction[-1] for _ in range(250)])
    angles = np.concatenate([np.arctan2(ends @ one, ends @ axis) for one in (first, second)])
    energy = np.geomspace(tracer.muon_energy(12.108), energy_mev, 20_001)
    total = energy + tracer.MUON_MASS_MEV
    per_mev = (13.6 * total / (total**2 - tracer.MUON_MASS_MEV**2)) ** 2 / 36.08 / tracer.muon_stopping_power(energy)
    expected = np.sqrt(np.trapezoid(per_mev, energy))
    assert 6.5 < np.degrees(expected) < 8.0  # over 200-900 MeV
    assert_rms(angles, expected)
    straight = tracer.muon_path(rng, muon, 1.34, bending=0.0)
    np.testing.assert_allclose(straight.position_m[-1], straight.path_m[-1] * axis, atol=1e-12)


# Electrons


def test_shower(tracer: ModuleType) -> None:
    """Number, mean depth, and the light near the Cherenkov angle: 48 % within 5 degrees of it, 65 % within 10."""
    light, rng = tracer.Cherenkov(), np.random.default_rng(23)
    electron = tracer.Particle(1000.0, np.zeros(3), [0.0, 0.6, 0.8], 3.0)
    photons = tracer.electron_photons(rng, electron, light, 4.0)
    rms = np.hypot(4 * 0.058 * light.yield_per_m(), np.sqrt(4 * 5.32 * light.yield_per_m()))
    assert abs(len(photons) - 4 * 5.32 * light.yield_per_m()) < N_SIGMA * rms
    z = photons.position_m @ [0, 0.6, 0.8]
    assert_mean(z, 2.018 / 0.632 * 0.3608)
    np.testing.assert_allclose(photons.time_ns, 3.0 + z / 0.299792458)
    off = np.arccos(photons.direction @ [0, 0.6, 0.8]) - np.arccos(1 / tracer.daimon_index(photons.wavelength_nm))
    assert np.mean(np.abs(off) < np.radians(5)) == pytest.approx(0.48, abs=0.005 + N_SIGMA * 0.5 / np.sqrt(len(z)))
    assert np.mean(np.abs(off) < np.radians(10)) == pytest.approx(0.65, abs=0.005 + N_SIGMA * 0.5 / np.sqrt(len(z)))


def test_shape_of_a_shower(tracer: ModuleType) -> None:
    x = np.linspace(-1.0 - 1 / 1.33, 1.0 - 1 / 1.33, 2_000_001)
    whole = 2 * np.pi * np.trapezoid(tracer.shower_angle_density(x), x)
    assert whole == pytest.approx(1.013, abs=6e-4)
    assert 36.08 / 0.632 * tracer.shower_shape(500.0)[0] == pytest.approx(90.0, abs=0.5)
    assert tracer.shower_shape(100.0)[0] == 1.05


# Readout


def test_single_photoelectrons(tracer: ModuleType) -> None:
    charge = tracer.single_pe_charge(np.random.default_rng(24), 200_000)
    assert tracer.single_pe_mean() == pytest.approx(0.995, abs=6e-4)
    assert_mean(charge, 1.0)
    assert charge.std() * tracer.single_pe_mean() == pytest.approx(0.981, abs=0.01)
    assert np.mean(charge * tracer.single_pe_mean() < 0.25) == pytest.approx(0.262, abs=0.015)
    assert charge.min() >= 0


def incidences(tracer: ModuleType, n: int, cosine: float = 0.5) -> object:
    """At sensor 1 of 3 and at 10 ns; direct, scattered and reflected by turns."""
    kind = np.arange(n) % 3
    constants = [np.full(n, 10.0), np.full(n, 400.0), np.full(n, cosine), 1 * (kind == 1), 1 * (kind == 2)]
    return tracer.Incidences(np.ones(n, int), np.arange(n), *constants)


def test_read_out(tracer: ModuleType) -> None:
    """Efficiency, acceptance and factors a category multiply; first times are smeared."""
    some, rng = incidences(tracer, 30_000), np.random.default_rng(25)
    readout = tracer.Readout([1.0, 0.4, 1.0], lambda c: (1 + c) / (2 * c), (1.0, 0.5, 0.0), dark_rate_khz=0.0)
    found = tracer.read_out(rng, some, 3, readout)
    np.testing.assert_array_equal(found.sensor, [1])
    mean, variance = 10_000 * 0.6 * 1.5, 10_000 * (0.6 * 0.4 + 0.3 * 0.7)
    assert abs(found.n_photoelectrons[0] - mean) < N_SIGMA * np.sqrt(variance)
    assert abs(found.charge[0] - mean) < N_SIGMA * np.sqrt(variance + mean)
    firsts = [tracer.read_out(rng, incidences(tracer, 1), 3, tracer.Readout(dark_rate_khz=0.0)) for _ in range(500)]
    assert_rms(np.concatenate([each.first_time_ns for each in firsts]) - 10.0, 2.2)


def test_an_incidence_may_make_two_photoelectrons(tracer: ModuleType) -> None:
    """A bulb seen from the side is larger than a disc."""
    some, n = incidences(tracer, 10_000, cosine=0.2), 10_000
    readout = tracer.Readout(acceptance=lambda c: (1 + c) / (2 * c), dark_rate_khz=0.0, window_ns=(0.0, 1000.0))
    found = tracer.read_out(np.random.default_rng(26), some, 3, readout)
    assert found.n_photoelectrons[0] == pytest.approx(3 * n, abs=1)  # (1 + 0.2) / 0.4, up to the cosine's rounding


def test_dark_counts(tracer: ModuleType) -> None:
    """4.2 kHz in 200 ns: 8.4e-4 a sensor."""
    readout = tracer.Readout(window_ns=(0.0, 200.0))
    found = tracer.read_out(np.random.default_rng(27), incidences(tracer, 0), 2_000_000, readout)
    assert abs(found.n_photoelectrons.sum() - 1680) < N_SIGMA * np.sqrt(1680)
    assert_mean(found.first_time_ns, 100.0)
    assert (np.diff(found.sensor) > 0).all()


def test_hits_of_a_muon(tracer: ModuleType) -> None:
    """In clear water each photon on a sensor is one photoelectron; the same seed gives the same event."""
    light, tank = tracer.Cherenkov(), tracer.super_kamiokande()
    muon = tracer.Particle(500.0, [1.0, 2.0, -3.0], [0.6, 0.0, 0.8])

    def event(seed: int) -> object:
        rng = np.random.default_rng(seed)
        photons = tracer.cherenkov_photons(rng, tracer.muon_path(rng, muon, light.highest_index), light)
        return tracer.hits(rng, photons, tank, tracer.Water(), tracer.Readout(dark_rate_khz=0.0))

    found, again = event(28), event(28)
    np.testing.assert_array_equal(found.charge, again.charge)
    assert 2500 < found.n_photoelectrons.sum() < 4500
    assert abs(found.charge.sum() - found.n_photoelectrons.sum()) < N_SIGMA * np.sqrt(found.n_photoelectrons.sum())
    assert np.median(found.first_time_ns) == pytest.approx(20 * 1.386 / 0.2998, abs=20)


def test_normals_must_point_inward(tracer: ModuleType) -> None:
    with pytest.raises(ValueError, match="normal must point inward"):
        tracer.Tank(tracer.Sphere(1.0), [[0, 0, 1]], [[0, 0, 1]], 0.1)
    with pytest.raises(ValueError, match="normal must be unit vectors"):
        tracer.Tank(tracer.Sphere(1.0), [[0, 0, 1]], [[0, 0, -2]], 0.1)
