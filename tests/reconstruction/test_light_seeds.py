import numpy as np
import pytest

from bayescal.optical.geometry import Cylinder, Sphere, grid_on_cylinder, spiral_on_sphere
from bayescal.reconstruction.light_seeds import bright_sensors, seed_event

TANKS = {
    "cylinder": (Cylinder(16.9, 36.2), grid_on_cylinder(Cylinder(16.9, 36.2), 2.0, 50, 17, 0.254)),
    "sphere": (Sphere(17.5), spiral_on_sphere(Sphere(17.5), 1500)),
}


@pytest.mark.parametrize("kind", TANKS)
def test_a_flash_is_found_where_it_was(kind):
    """A point that flashes, 2 ns spread and a fifth of the hits late by 30 ns on average."""
    tank, sensors = TANKS[kind]
    rng = np.random.default_rng(1)
    place, start = np.array([4.0, -6.0, 8.0]), 12.0
    time = start + 4.62 * np.linalg.norm(sensors - place, axis=1) + rng.normal(0, 2.0, len(sensors))
    time += rng.exponential(30.0, len(sensors)) * (rng.uniform(size=len(sensors)) < 0.2)
    distance = np.linalg.norm(sensors - place, axis=1)
    toward = (sensors - place) @ [0.0, 0.6, 0.8] / distance
    opening = -np.sum((sensors - place) * tank.inward_normal(sensors), axis=1) / distance**3
    seed = seed_event(sensors, np.where(toward > 0.7, 1.0, 1e-3) * opening, time, tank, 4.62)
    assert np.linalg.norm(seed.position_m - place) < 0.6
    assert abs(seed.time_ns - start) < 3.0
    assert seed.direction @ [0.0, 0.6, 0.8] > np.cos(0.15)


def test_the_brightest_hits_tell_the_flash_from_its_reflection():
    """A flash that shines at the wall near by: few sensors see it, many see the spot where it is reflected."""
    tank, sensors = Cylinder(16.9, 36.2), grid_on_cylinder(Cylinder(16.9, 36.2), 0.71, 150, 51, 0.254)
    rng = np.random.default_rng(2)
    place, spot, start = np.array([-12.0, 0.0, 0.0]), np.array([-16.8, 0.0, 0.0]), 12.0
    from_place, from_spot = (np.linalg.norm(sensors - each, axis=1) for each in (place, spot))
    direct = (sensors - place) @ [-1.0, 0.0, 0.0] > 0.7 * from_place
    seen = direct | (rng.uniform(size=len(sensors)) < 0.1)
    time = start + 4.62 * np.where(direct, from_place, np.linalg.norm(spot - place) + from_spot)
    hits = (sensors[seen], np.where(direct, 10.0, 1.0)[seen], (time + rng.normal(0, 1.0, len(sensors)))[seen])
    few, many = (seed_event(*hits, tank, 4.62, brightest=number) for number in (100, 1000))
    assert np.linalg.norm(few.position_m - place) < 0.6
    assert few.direction[0] < 0.0
    assert np.linalg.norm(many.position_m - spot) < 0.6


def test_a_tank_smaller_than_the_steps_is_its_middle():
    sensors = spiral_on_sphere(Sphere(0.4), 50)
    seed = seed_event(sensors, np.ones(50), np.full(50, 3.0), Sphere(0.4), 4.6)
    assert np.linalg.norm(seed.position_m) < 1.5


def test_bright_sensors_come_in_tenths():
    light = np.random.default_rng(1).uniform(size=95)
    found = bright_sensors(light, 0.5)
    assert found.size % 10 == 0
    assert set(np.flatnonzero(light > 0.5)) <= set(found)
    assert light[found].min() > np.delete(light, found).max()
    assert (np.diff(found) > 0).all()
    assert bright_sensors(light, 1.0).size == 10
    assert bright_sensors(light, 1e-9).size == 95
