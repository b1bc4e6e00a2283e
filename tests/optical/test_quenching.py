"""Energy loss of electrons against the tables of ESTAR, and Birks' law against integration."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.quenching import LAB, Material, electron_loss, visible_energy
from bayescal.testing import check_gradient

WATER = Material(0.5551, 75.0, 1.0)


@pytest.mark.parametrize(("kinetic_mev", "loss"), [(0.01, 22.56), (0.1, 4.115), (1.0, 1.849), (10.0, 1.968)])
def test_loss_in_water(kinetic_mev, loss):
    """Collision stopping power of liquid water, NIST's ESTAR."""
    assert float(electron_loss(kinetic_mev, WATER)) == pytest.approx(loss, rel=0.015)


@pytest.mark.parametrize("kinetic_mev", [0.1, 1.0, 8.0])
def test_visible_energy_is_the_integral_of_birks_law(kinetic_mev):
    """On a fine grid of the logarithm of the energy; what lies below a millionth of it is left out."""
    energy = np.geomspace(1e-6 * kinetic_mev, kinetic_mev, 4001)
    light = energy / (1 + 0.0125 * np.asarray(electron_loss(energy, LAB)))
    expected = np.trapezoid(light, np.log(energy))
    assert float(visible_energy(kinetic_mev, 0.0125)) == pytest.approx(expected, rel=1e-4)


def test_without_quenching_all_energy_is_visible():
    assert float(visible_energy(2.5, 0.0)) == pytest.approx(2.5, rel=1e-12)


def test_gradient_is_that_of_differences():
    check_gradient(lambda x: jnp.asarray(visible_energy(x[0], 0.01 * x[1])), np.array([2.0, 1.25]), rtol=1e-6)
