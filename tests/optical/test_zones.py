import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.geometry import Cylinder, Sphere
from bayescal.optical.zones import make_zones

COARSE = {"n_azimuth": 12, "n_radial": 3, "n_axial": 6, "n_barrel": 8, "n_cap": 3}


@pytest.fixture(scope="module", params=[Cylinder(16.9, 36.2), Sphere(17.5)], ids=["cylinder", "sphere"])
def cut(request):
    return make_zones(request.param, **COARSE)


def test_zones_fill_the_tank(cut):
    tank = cut.tank
    volume = np.pi * tank.radius_m**2 * (tank.height_m if isinstance(tank, Cylinder) else 4 / 3 * tank.radius_m)
    assert cut.n_azimuth * cut.cell_m3.sum() == pytest.approx(volume, rel=1e-12)
    assert cut.n_azimuth * cut.patch_m2.sum() == pytest.approx(tank.area_m2, rel=1e-12)


def test_all_that_a_zone_sees_adds_up(cut):
    np.testing.assert_allclose(cut.cell_to_patch.weight.sum(axis=(1, 2)), 4 * np.pi, rtol=1e-12)
    np.testing.assert_allclose(cut.patch_to_patch.weight.sum(axis=(1, 2)), 1.0, rtol=1e-9)


def test_form_factors_are_reciprocal(cut):
    exchange = cut.patch_m2[:, None] * cut.patch_to_patch.weight.sum(axis=2)
    np.testing.assert_allclose(exchange, exchange.T, rtol=1e-9, atol=1e-12)


def test_on_a_sphere_every_patch_sees_every_other_alike():
    """Form factors are areas over that of the sphere, but for a patch itself, whose points do not see themselves."""
    cut = make_zones(Sphere(2.0), **COARSE)
    ratio = cut.patch_to_patch.weight * cut.tank.area_m2 / cut.patch_m2[None, :, None]
    ratio[np.arange(cut.n_patches), np.arange(cut.n_patches), 0] = 1.0
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-3)


def test_shares_keep_the_mean_place(cut):
    """Of points anywhere: shares add up to one; of points in a cylinder, they keep radius and z."""
    rng = np.random.default_rng(1)
    scale = np.array([0.6, 0.6, 0.9]) * 17.0
    inside = rng.uniform(-1, 1, (500, 3)) * scale
    inside = inside[np.asarray(cut.tank.contains(inside))]
    cells = cut.cells_around(inside)
    np.testing.assert_allclose(cells.share.sum(axis=1), 1.0, rtol=1e-12)
    assert (np.asarray(cells.ring) < cut.n_cells).all()
    assert (np.asarray(cells.azimuth) < cut.n_azimuth).all()
    if isinstance(cut.tank, Cylinder):
        z = np.tile(cut.axes[1], cut.axes[0].size)
        np.testing.assert_allclose((cells.share * z[cells.ring]).sum(axis=1), inside[:, 2], atol=1e-10)


def test_centres_of_patches_are_their_own(cut):
    along = np.asarray(cut.wall)
    assert (np.diff(along) > 0).all()
    tank = cut.tank
    if isinstance(tank, Sphere):
        place = tank.radius_m * np.stack([np.sin(along / tank.radius_m), 0 * along, np.cos(along / tank.radius_m)], 1)
        found = cut.patches_around(jnp.asarray(place))
        own = np.asarray(found.ring) == np.arange(cut.n_patches)[:, None]
        np.testing.assert_allclose((own * found.share).sum(axis=1), 1.0, rtol=1e-9)
