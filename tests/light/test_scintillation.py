from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.charge.detector import ChargeConstants
from bayescal.charge.recombination import Birks, EllipsoidalBox
from bayescal.light.scintillation import QUANTA_PER_MEV, emission_points_cm, emitted_photons, photons_beside_electrons
from bayescal.segments import Segments, from_rows
from bayescal.testing import check_gradient


def steps(dedx: float = 2.1) -> Segments:
    """Two steps of 1 cm, one along the field (z), one across."""
    start = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    end = start + np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    return from_rows([0, 0], ([0, 0], [13, 13]), (start, end), ([dedx, dedx], [dedx, dedx], [0.0, 0.0]))


def test_photons_of_a_minimum_ionising_muon() -> None:
    """2.1 MeV at 0.5 kV/cm: 107,692 quanta, of which R = 0.69691690 of the ion pairs keep their electron."""
    electrons = 2.1 * 4.237e4 * 0.69691690023
    np.testing.assert_allclose(emitted_photons(ChargeConstants(), steps()), 2.1 / 19.5e-6 - electrons, rtol=1e-10)


def test_a_step_of_a_muon_makes_some_24000_photons_per_mev() -> None:
    """At 0.5 kV/cm, within 10 %, the number that siren-pfmatch uses."""
    assert emitted_photons(ChargeConstants(), steps())[0] / 2.1 == pytest.approx(24000, rel=0.1)


def test_electrons_and_photons_add_up_to_the_quanta() -> None:
    """Whatever the field: what one gains, the other loses."""
    for field in (0.1, 0.5, 1.0):
        survive = Birks()(jnp.array(2.1), field, 1.38, jnp.array(0.0))
        photons = emitted_photons(ChargeConstants(electric_field=field), steps())
        np.testing.assert_allclose(photons + 2.1 * 4.237e4 * survive, 2.1 * QUANTA_PER_MEV, rtol=1e-12)


def test_all_quanta_without_electrons() -> None:
    assert photons_beside_electrons(jnp.array(1.0), jnp.array(0.0)) == pytest.approx(51282.05128, rel=1e-9)


def test_the_angle_to_the_field_counts_where_recombination_knows_it() -> None:
    along, across = emitted_photons(ChargeConstants(recombination=EllipsoidalBox()), steps())
    assert along > 1.005 * across
    along, across = emitted_photons(ChargeConstants(), steps())
    assert along == across


def test_points_have_x_along_the_field() -> None:
    np.testing.assert_allclose(emission_points_cm(steps()), [[3.5, 2.0, 1.0], [6.0, 5.0, 4.5]])


def test_gradients() -> None:
    def total(x: jax.Array) -> jax.Array:
        constants = ChargeConstants(Birks(x[0], x[1]), electric_field=x[2], electrons_per_mev=1e4 * x[3])
        return emitted_photons(constants, steps(), 1e4 * x[4]).sum() / 1e5

    check_gradient(total, np.array([0.8, 0.0486, 0.5, 4.237, 5.128]), rtol=1e-7, step=1e-3)
