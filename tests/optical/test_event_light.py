import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.cherenkov import water_radiator
from bayescal.optical.direct import seen_fraction, sight
from bayescal.optical.efficiency import R3600
from bayescal.optical.emission import ShowerCone, frame_about, point_emission
from bayescal.optical.event_light import (
    LEAST_PE,
    direct_of_event,
    emission_rays,
    indirect_delays,
    indirect_of_event,
    indirect_optics,
    lateness_of_event,
    make_passage,
)
from bayescal.optical.medium import SPEED_OF_LIGHT_M_PER_NS, Water, cherenkov_spectrum
from bayescal.optical.muon import BENDING_MODES, MuonLight, MuonTrack
from bayescal.optical.node_sums import node_sum, node_sum_in_single
from bayescal.testing import check_gradient

SPECTRUM = cherenkov_spectrum(R3600)
RADIATOR = water_radiator(R3600)
LIGHT = MuonLight(RADIATOR, ShowerCone(1 / RADIATOR.index), width_rad=0.005)
PASSAGE = make_passage(Water(), SPECTRUM, 50.0)


def muon(kinetic_mev=500.0, vertex_m=(-3.0, 2.0, -4.0)):
    frame = frame_about((1.0, 0.3, -0.2))
    return MuonTrack(jnp.asarray(vertex_m), jnp.zeros(2), jnp.asarray(kinetic_mev), jnp.asarray(5.0), frame)


def test_passage_is_that_of_all_wavelengths():
    distance = jnp.linspace(0.5, 49.0, 300)
    exact = np.exp(-np.asarray(distance)[:, None] * Water().attenuation(SPECTRUM.wavelength_nm)) @ SPECTRUM.weight
    np.testing.assert_allclose(PASSAGE.transmission(distance), exact, rtol=2e-5)
    assert float(PASSAGE.transmission(jnp.array(10.0))) == pytest.approx(0.8676, abs=3e-4)
    assert PASSAGE.delay_ns_per_m * SPEED_OF_LIGHT_M_PER_NS == pytest.approx(1.386, abs=1e-3)
    assert PASSAGE.spread_ns(jnp.array(1.0)) == pytest.approx(0.063, abs=3e-3)
    left = np.exp(-np.asarray(distance)[:, None] * Water().attenuation(SPECTRUM.wavelength_nm)) * SPECTRUM.weight
    time = np.asarray(distance)[:, None] * Water().group_index(SPECTRUM.wavelength_nm) / SPEED_OF_LIGHT_M_PER_NS
    variance = np.sum(left * time**2, axis=1) / exact - (np.sum(left * time, axis=1) / exact) ** 2
    np.testing.assert_allclose(PASSAGE.spread_ns(distance), np.sqrt(variance), rtol=5e-4)
    np.testing.assert_allclose(PASSAGE.flight_ns(distance), np.sum(left * time, axis=1) / exact, rtol=1e-5)


def test_light_of_a_point(super_kamiokande):
    place = jnp.array([3.0, -2.0, 6.0])
    found = direct_of_event(point_emission(place, 100.0, 7.0), super_kamiokande.sensors, PASSAGE)
    view = sight(place, super_kamiokande.sensors)
    alone = 100.0 * seen_fraction(view, super_kamiokande.sensors) * PASSAGE.transmission(view.distance_m)
    np.testing.assert_allclose(found.mean, alone, rtol=1e-6, atol=1.1 * LEAST_PE)
    np.testing.assert_allclose(found.time_ns, 7.0 + PASSAGE.flight_ns(view.distance_m), rtol=1e-9)
    np.testing.assert_allclose(found.variance_ns2, PASSAGE.spread_ns(view.distance_m) ** 2, rtol=2e-4)


@pytest.mark.validate
def test_nodes_suffice(super_kamiokande):
    """The change of a sensor's light from 64 to 128 nodes is below 1 % of its statistical error for 500 MeV."""
    few, many = (
        np.asarray(
            direct_of_event(
                MuonLight(RADIATOR, LIGHT.halo, width_rad=0.025, nodes=nodes).emit(muon()),
                super_kamiokande.sensors,
                PASSAGE,
            ).mean
        )
        for nodes in (64, 128)
    )
    assert np.max(np.abs(few - many) / np.sqrt(many + 0.01)) < 0.01


def test_light_in_single_precision_has_no_double_array_of_sensors(super_kamiokande):
    """Neither it nor its gradient; as many nodes at a time as the sum takes."""
    sensors, doubles = super_kamiokande.sensors, {}
    for total in (node_sum, node_sum_in_single):

        def light(kinetic_mev, total=total):
            return jnp.sum(direct_of_event(LIGHT.emit(muon(kinetic_mev)), sensors, PASSAGE, total).mean)

        doubles[total] = f"f64[8,{sensors.n_sensors}]" in str(jax.make_jaxpr(jax.grad(light))(500.0))
    assert doubles == {node_sum: True, node_sum_in_single: False}


def test_variance_of_times_is_good_in_single_precision(super_kamiokande):
    """Thirty roundings of squares of the 10 ns or less by which a sensor's light comes after that of the middle."""
    plain, single = (
        direct_of_event(LIGHT.emit(muon()), super_kamiokande.sensors, PASSAGE, total)
        for total in (node_sum, node_sum_in_single)
    )
    bright = np.asarray(plain.mean) > 0.01
    error = np.abs(np.asarray(single.variance_ns2 - plain.variance_ns2))[bright]
    assert bright.sum() > 1000
    assert error.max() < 30 * np.finfo(np.float32).eps * 100.0


def test_rays_carry_all_the_light():
    emission = LIGHT.emit(muon())
    rays = emission_rays(emission)
    assert float(rays.light.sum()) == pytest.approx(float(emission.weight.sum()), rel=1e-9)
    np.testing.assert_allclose(np.linalg.norm(rays.direction, axis=1), 1.0, rtol=1e-12)
    forward = rays.light @ (rays.direction @ emission.direction[0]) / rays.light.sum()
    density = emission.profile.density_per_sr(
        jnp.linspace(-1, 1, 20_001)[:, None], emission.cos_theta_c, emission.cone_width
    )
    cosine = np.linspace(-1, 1, 20_001)
    share = np.asarray(emission.weight / emission.weight.sum())
    mean = 2 * np.pi * np.trapezoid(cosine[:, None] * np.asarray(density), cosine, axis=0) @ share
    assert float(forward) == pytest.approx(mean, abs=0.01)


@pytest.mark.validate
def test_light_of_a_straight_muon_is_that_of_its_photons(tracer, super_kamiokande, zones):
    """Direct and indirect, in total to 1 % and 3 standard errors; barrel and caps to 2 %; times of both.

    Direct light beyond the cone of the start of the track is there by dispersion and the size of sensors alone.
    Photons of 100 muons without multiple scattering, one after another on the same track; no light of secondaries.
    """
    sensors = super_kamiokande.sensors
    shining = MuonLight(RADIATOR, LIGHT.halo, halo_fraction=0.0, width_rad=1e-4)
    emission = shining.emit(muon())
    of_colours = jnp.full_like(emission.cone_width, RADIATOR.angle_spread_rad)
    emission = eqx.tree_at(lambda e: e.cone_width, emission, of_colours)
    optics = indirect_optics(super_kamiokande, zones, Water(), cherenkov_spectrum(R3600, 6))
    direct, time_ns = map(np.asarray, direct_of_event(emission, sensors, PASSAGE)[:2])
    indirect = np.asarray(indirect_of_event(emission, optics).mean)
    rng = np.random.default_rng(3)
    light = tracer.Cherenkov(tracer.daimon_index)
    axis = np.asarray(muon().frame)[2]
    particle = tracer.Particle(500.0, np.array([-3.0, 2.0, -4.0]), axis, 5.0)
    path = tracer.muon_path(rng, particle, light.highest_index, bending=0.0)
    tank = tracer.Tank(tracer.Cylinder(16.9, 36.2), sensors.position_m, sensors.normal, 0.254, 0.2, 0.055)
    seen, n_muons, late = np.zeros((3, sensors.n_sensors)), 100, []
    for _ in range(n_muons):
        photons = tracer.cherenkov_photons(rng, path, light)
        found = tracer.trace(rng, photons, tank, tracer.Water()).incidences
        seen += tracer.counts(found, sensors.n_sensors)
        late.append(np.stack([found.category, found.sensor, found.time_ns - time_ns[found.sensor]]))

    def near(model, counted, tolerance):
        return abs(n_muons * model / counted - 1) < tolerance + 3 / np.sqrt(counted)

    z = sensors.position_m[:, 2]
    assert near(direct.sum(), seen[0].sum(), 0.005)
    assert near(direct.sum() + indirect.sum(), seen.sum(), 0.01)
    for part in (np.abs(z) < 18, z > 18, z < -18):
        assert near((direct + indirect)[part].sum(), seen[:, part].sum(), 0.02)
    category, sensor, later = np.concatenate(late, axis=1)
    sensor, away = sensor.astype(int), sensors.position_m - np.array([-3.0, 2.0, -4.0])
    angle = np.arccos(away @ axis / np.linalg.norm(away, axis=1))
    edge = (angle > np.arccos(emission.cos_theta_c[0])) & (direct > LEAST_PE)
    assert near(direct[edge].sum(), seen[0, edge].sum(), 0.05)
    for part, error_ns in ((edge, 0.1), (~edge, 0.01)):
        assert later[(category == 0) & part[sensor]].mean() == pytest.approx(0.0, abs=error_ns)
    found = lateness_of_event(emission, optics, PASSAGE.delay_ns_per_m)
    delays = indirect_delays(indirect_of_event(emission, optics), found, jnp.asarray(time_ns) - 5.0)
    weight, constant, start = map(np.asarray, (delays.weight, delays.constant_ns, delays.start_ns))
    lit = direct > 2e-3
    for kind, light in enumerate(indirect_of_event(emission, optics)):
        for part in (lit, ~lit):
            share, after = np.asarray(light)[part], np.asarray(found.mean_ns)[part, kind] + 5.0 - time_ns[part]
            mean = share @ after / share.sum()
            second = share @ (np.asarray(found.variance_ns2)[part, kind] + after**2) / share.sum()
            true = later[(category == kind + 1) & part[sensor]]
            assert mean == pytest.approx(true.mean(), rel=0.15)
            assert np.sqrt(second - mean**2) == pytest.approx(true.std(), rel=0.15)
            its = np.s_[part, 2 * kind : 2 * kind + 2]
            exponential = weight[its] @ np.ones(2)
            assert np.sum(weight[its] * (start[its] + constant[its])) / exponential.sum() == pytest.approx(mean)


def test_gradient_is_that_of_differences(super_kamiokande):
    sensors = super_kamiokande.sensors.some(np.arange(0, super_kamiokande.sensors.n_sensors, 40))
    frame = frame_about((1.0, 0.3, -0.2))
    light = MuonLight(RADIATOR, LIGHT.halo, width_rad=0.03, nodes=16)

    def logs(x):
        track = MuonTrack(x[:3], x[3:5], 500.0 * x[5], x[6], frame, x[7:].reshape(2, BENDING_MODES))
        found = direct_of_event(light.emit(track), sensors, PASSAGE)
        return jnp.mean(jnp.log(found.mean + 0.01)) + jnp.mean(found.time_ns) / 100

    at = np.concatenate([[-3.0, 2.0, -4.0, 0.1, -0.1, 1.1, 3.0], 0.3 * np.cos(np.arange(2 * BENDING_MODES))])
    check_gradient(logs, at, rtol=1e-5, step=1e-5)
