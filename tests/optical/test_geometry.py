import jax
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


@pytest.mark.parametrize("tank", [TANK, Sphere(17.5)])
def test_the_wall_holds_sources_back_smoothly(tank):
    """Deep inside nothing is moved, beyond the wall all is within it and dark; slopes on the way are finite."""
    deep, out = jnp.array([[0.0, 0.0, 0.0], [3.0, -2.0, 6.0]]), jnp.array([[20.0, 0.0, 3.0], [0.0, 1.0, -25.0]])
    np.testing.assert_allclose(tank.held(deep).position_m, deep, atol=1e-12)
    np.testing.assert_allclose(tank.held(deep).share, 1.0, atol=1e-12)
    assert (np.asarray(tank.depth_m(tank.held(out).position_m)) > -1e-9).all()
    assert (np.asarray(tank.held(out).share) < 1e-10).all()
    way = jnp.linspace(15.0, 19.0, 401)[:, None] * jnp.array([0.6, 0.8, 0.0])
    share = tank.held(way).share
    assert (np.diff(share) <= 0).all()
    assert float(jnp.interp(0.5, share[::-1], jnp.linspace(15.0, 19.0, 401)[::-1])) == pytest.approx(
        tank.radius_m, abs=1e-3
    )
    slope = jax.vmap(jax.jacfwd(lambda x: jnp.append(tank.held(x).position_m, tank.held(x).share)))(way)
    assert np.isfinite(slope).all()
    assert np.isfinite(jax.jacrev(lambda x: tank.held(x).position_m)(jnp.zeros(3))).all()


@pytest.mark.parametrize("tank", [TANK, Sphere(17.5)])
def test_mean_chord_is_that_of_many_chords(tank):
    """From points of the wall, directions weighted by the cosine: 4e5 of them, whose mean is known to 0.1 %."""
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (400_000, 3)) * 18.1
    points = points[np.asarray(tank.depth_m(points)) > 0]
    direction = rng.normal(size=points.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    chord = np.asarray(tank.chord_m(points, direction) + tank.chord_m(points, -direction))
    within = 1 / np.mean(1 / chord)  # points within are met by chords in proportion to their lengths
    assert within == pytest.approx(tank.mean_chord_m, rel=0.01)
