import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.geometry import Cylinder
from bayescal.optical.rays import footprint, isotropic_rays
from bayescal.optical.zones import make_zones
from bayescal.testing import check_gradient

TANK = Cylinder(16.9, 36.2)


@pytest.fixture(scope="module")
def cut():
    return make_zones(TANK, n_azimuth=12, n_radial=3, n_axial=6, n_barrel=8, n_cap=3)


def test_light_that_collides_and_light_that_arrives_are_all_of_it(cut):
    fate = footprint(isotropic_rays(jnp.array([3.0, -2.0, 6.0]), 2.0), cut).in_medium(0.02)
    collided = 0.02 * fate.path_m[..., 3:6].sum()
    assert float(fate.arrived.sum() + collided) == pytest.approx(2.0, rel=5e-3)


def test_losses_are_those_of_each_ray():
    """In fine zones, the mean distance of a zone stands for its own."""
    fine = make_zones(TANK, n_azimuth=24, n_radial=2, n_axial=2, n_barrel=24, n_cap=9)
    rays = isotropic_rays(jnp.array([3.0, -2.0, 6.0]), 1.0)
    exact = jnp.sum(rays.light * jnp.exp(-0.02 * TANK.chord_m(rays.origin_m, rays.direction)))
    assert float(footprint(rays, fine).in_medium(0.02).arrived.sum()) == pytest.approx(float(exact), rel=1e-3)


def test_moments_of_one_ray(cut):
    """A ray along x: its direction is radial in the cells on the axis's near and far side, with opposite signs."""
    rays = isotropic_rays(jnp.array([-10.0, 0.0, 0.0]), 1.0, 2)
    rays = type(rays)(rays.origin_m[:1], jnp.array([[1.0, 0.0, 0.0]]), jnp.ones(1))
    path = np.asarray(footprint(rays, cut).bare.path_m)
    assert path[..., 3:6].sum() == pytest.approx(26.9, rel=1e-9)
    assert (path[..., 0].sum(axis=0)[[0, 6]] * [1, -1] > 0).all()
    np.testing.assert_allclose(path[..., 2], 0.0, atol=1e-12)


def test_gradient_is_that_of_differences(cut):
    def dimmed(x):
        fate = footprint(isotropic_rays(x[:3], 1.0, 50), cut).in_medium(x[3])
        return jnp.sum(fate.arrived**2) + jnp.sum(fate.path_m**2)

    check_gradient(dimmed, np.array([3.0, -2.0, 6.0, 0.02]), rtol=1e-5, step=1e-6)
