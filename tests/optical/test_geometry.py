import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.geometry import (
    Cylinder,
    Sphere,
    fibonacci_directions,
    find_faults,
    grid_on_cylinder,
    spiral_on_sphere,
)

TANK = Cylinder(16.9, 36.2)


def test_super_kamiokande_has_11146_sensors_that_do_not_overlap():
    position = grid_on_cylinder(TANK, 0.707, 150, 51, 0.254)
    on_cap = np.abs(position[:, 2]) > 18.0
    assert len(position) == 11146
    assert (on_cap & (position[:, 2] > 0)).sum() == (on_cap & (position[:, 2] < 0)).sum() == 1748
    assert find_faults(TANK, position, 0.254) == []


@pytest.mark.parametrize("tank", [TANK, Sphere(17.5)])
def test_a_chord_ends_on_the_wall(tank):
    position = jnp.array([[3.0, -2.0, 6.0], [0.0, 0.0, 0.0], [14.0, -3.0, -15.0 if tank is TANK else -5.0]])
    direction = jnp.asarray(fibonacci_directions(200))
    end = position[:, None] + tank.chord_m(position[:, None], direction)[..., None] * direction
    np.testing.assert_allclose(tank.depth_m(end), 0.0, atol=1e-11)


@pytest.mark.parametrize("tank", [TANK, Sphere(17.5)])
def test_normals_point_to_the_inside(tank):
    position = grid_on_cylinder(TANK, 0.707, 150, 51, 0.254) if tank is TANK else spiral_on_sphere(tank, 500)
    normal = tank.inward_normal(position)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(tank.depth_m(position + 0.01 * normal), 0.01, rtol=1e-9)


def test_numbers_that_contradict_each_other_are_reported():
    juno = spiral_on_sphere(Sphere(17.5), 15000)
    assert [fault.sentence for fault in find_faults(Sphere(17.5), juno, 0.25)] == [
        "14242 of 15000 sensors overlap another"
    ]
    off, crowded = find_faults(Sphere(17.5), 0.9 * juno[:5], 0.25), find_faults(Sphere(1.0), juno / 17.5, 0.25)
    assert off[0].sentence == "5 sensors are farther from the wall than their radius"
    assert off[0].sensors.tolist() == [0, 1, 2, 3, 4]
    assert crowded[-1].sentence == "sensors cover 234.38 of the wall, more than all of it"


@pytest.mark.parametrize("make", [lambda: Cylinder(0.0, 1.0), lambda: Cylinder(1.0, -1.0), lambda: Sphere(0.0)])
def test_tanks_have_an_extent(make):
    with pytest.raises(ValueError, match="must be positive"):
        make()
