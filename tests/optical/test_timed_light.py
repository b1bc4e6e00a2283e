"""Light in windows of time: its ways against hand calculations, and windows against photons one by one."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.beams import make_beams
from bayescal.optical.geometry import Cylinder, Sphere
from bayescal.optical.light_table import make_table, make_timed_table
from bayescal.optical.medium import SPEED_OF_LIGHT_M_PER_NS, Water, group_index, line
from bayescal.optical.rays import isotropic_rays
from bayescal.optical.timed_light import timed_light
from bayescal.optical.windows import Windows
from bayescal.optical.zones import make_zones
from bayescal.readers.optical_detector import read_optical_detector

NS_PER_M = float(group_index(400.0)) / SPEED_OF_LIGHT_M_PER_NS
MIDDLE = 24  # node of the table where both scales are one and the Mie scale is 0.5
REFLECTED = 1


def test_all_windows_together_hold_all_light():
    cut = make_zones(Cylinder(16.9, 36.2), n_azimuth=8, n_radial=2, n_axial=4, n_barrel=6, n_cap=2)
    source = isotropic_rays(jnp.array([3.0, -2.0, 6.0]))
    timed = make_timed_table([source], [400.0], cut, Windows(np.array([-1e3, 20.0, 1e5]), 2.0))
    whole = make_table([source], [line(400.0)], cut)
    np.testing.assert_allclose(timed.light.sum(axis=-1, keepdims=True), whole.light, rtol=1e-9)


def test_ways_of_reflected_light_in_a_sphere():
    """From the centre by the wall: the delay is a chord l of density l / (2 R^2), a beta distribution up to 2 R.

    Zones move the law by the square of a patch's size over its own scale, the diameter.
    """
    radius = 2.0
    cut = make_zones(Sphere(radius), n_azimuth=24, n_radial=3, n_axial=4, n_barrel=12, n_cap=3)
    edges = np.array([0.0, 9.0, 13.0, 100.0])
    table = make_timed_table([isotropic_rays(jnp.array([0.0, 0.0, 1e-6]))], [400.0], cut, Windows(edges, 1e-3))
    light = np.asarray(table.light[MIDDLE, REFLECTED]).sum(axis=0)
    expected = np.diff(np.minimum(edges / (2 * radius * NS_PER_M), 1.0) ** 2)
    size = np.sqrt(4 * np.pi * radius**2 / (cut.n_patches * cut.n_azimuth))
    np.testing.assert_allclose(light / light.sum(), expected, atol=2 * (size / (2 * radius)) ** 2)


@pytest.mark.validate
def test_windows_hold_the_photons_of_a_tracer(tracer):
    """Indirect light of an injector in each window: 3 % of all sensors, 6 % of walls, and three standard errors."""
    eos, n = read_optical_detector("eos"), 600_000
    place, axis, width = (1.9, 0.0, 0.0), (-1.0, 0.0, 0.1), np.deg2rad(10)
    windows = Windows([-4.0, 3.0, 10.0, 50.0], 0.7)
    beams = make_beams([place], [axis], width, eos.tank, eos.sensors)
    light = timed_light(eos, [], beams, [400.0], windows)
    seen = traced_windows(tracer, eos, beams, windows, n)
    expected = n * np.asarray(light.at_sensors(light.indirect(Water(), eos.reflectivity)))
    z = eos.sensors.position_m[:, 2]
    for part, tolerance in ((z == z, 0.03), (z > 1.49, 0.06), (z < -1.49, 0.06), (np.abs(z) < 1.49, 0.06)):
        counted = seen[part].sum(axis=0)
        off = expected[part].sum(axis=0) / counted - 1
        assert (np.abs(off) < tolerance + 3 / np.sqrt(counted)).all()


def traced_windows(tracer, eos, beams, windows, n):
    """Indirect photons of each sensor in each window."""
    place, kappa, sensors = beams.position_m[0], 1 / beams.width_rad[0] ** 2, eos.sensors

    def source(rng, number):
        cosine = 1 + np.log(rng.random(number) * (1 - np.exp(-2 * kappa)) + np.exp(-2 * kappa)) / kappa
        direction = tracer.around(rng, np.tile(beams.frame[0, 2][:, None], number), cosine)
        return tracer.Photons(np.tile(place, (number, 1)), direction.T, np.zeros(number), np.full(number, 400.0))

    walls = (eos.reflectivity, eos.reflectivity)
    tank = tracer.Tank(tracer.Cylinder(2.0, 3.0), sensors.position_m, sensors.normal, sensors.radius_m, *walls)
    rng = np.random.default_rng(1)
    found = tracer.trace_source(rng, source, n, tank, tracer.Water()).incidences
    flight = np.linalg.norm(sensors.position_m - place, axis=1) * NS_PER_M
    late = found.time_ns - flight[found.sensor] + windows.width_ns * rng.standard_normal(len(found))
    edges = [np.arange(sensors.n_sensors + 1) - 0.5, windows.edges_ns]
    indirect = found.category > 0
    return np.histogram2d(found.sensor[indirect], late[indirect], edges)[0]
