import numpy as np
import pytest

from bayescal.optical.geometry import Cylinder
from bayescal.optical.indirect import coefficients, make_transport, reflection_orders, sum_orders
from bayescal.optical.light_table import make_table
from bayescal.optical.medium import Spectrum, Water, line
from bayescal.optical.rays import footprint, isotropic_rays
from bayescal.optical.zones import make_zones


@pytest.fixture(scope="module")
def cut():
    return make_zones(Cylinder(16.9, 36.2), n_azimuth=12, n_radial=3, n_axial=6, n_barrel=8, n_cap=3)


SOURCE = isotropic_rays(np.array([3.0, -2.0, 6.0]))


def by_transport(cut, water, wavelength_nm, reflectivity):
    medium = coefficients(water, wavelength_nm)
    fate = footprint(SOURCE, cut).in_medium(medium.attenuation)
    return np.asarray(sum_orders(reflection_orders(make_transport(cut, medium), fate), reflectivity)).ravel()


def test_table_is_transport(cut):
    """Within 0.2 % on every patch, for scales up to three widths of their prior off."""
    table = make_table([SOURCE, SOURCE], [line(337.0), Spectrum(np.array([400.0, 450.0]), np.array([0.7, 0.3]))], cut)
    rng = np.random.default_rng(1)
    for _ in range(3):
        log_absorption, log_rayleigh = rng.uniform(-0.9, 0.9, 2)
        water = Water(np.exp(log_absorption), np.exp(log_rayleigh), np.exp(0.3 * rng.normal()))
        reflectivity = rng.uniform(0.05, 0.3)
        light = np.asarray(table(water, reflectivity))
        np.testing.assert_allclose(light[:, 0], by_transport(cut, water, 337.0, reflectivity), rtol=2e-3)
        mixed = sum(
            weight * by_transport(cut, water, each, reflectivity) for each, weight in ((400.0, 0.7), (450.0, 0.3))
        )
        np.testing.assert_allclose(light[:, 1], mixed, rtol=2e-3)
