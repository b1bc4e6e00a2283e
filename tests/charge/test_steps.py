from __future__ import annotations

import numpy as np

from bayescal.charge.steps import cut


def test_equal_steps_share_the_energy(module0, deposits) -> None:
    """One centimetre at 0.3 cm: four steps of 0.25 cm and 0.25 MeV."""
    steps = cut(deposits([5.0, 5.0, 5.0], [5.6, 5.0, 5.8]), module0.geometry, 0.3)
    np.testing.assert_allclose(steps.energy_mev, np.full(4, 0.25))
    np.testing.assert_allclose(steps.dedx_mev_per_cm, np.full(4, 2.1))
    np.testing.assert_allclose(steps.centre_cm[:, 0], [5.075, 5.225, 5.375, 5.525])
    np.testing.assert_allclose(steps.half_cm, np.tile([0.075, 0.0, 0.1], (4, 1)))
    np.testing.assert_allclose(steps.cos_phi, np.full(4, 0.8))


def test_a_length_that_divides_is_not_cut_once_more(module0, deposits) -> None:
    assert cut(deposits([5.0, 5.0, 5.0], [5.0, 5.3, 5.0]), module0.geometry, 0.1).energy_mev.size == 3


def test_a_point_is_one_step_at_right_angles_to_the_field(module0, deposits) -> None:
    steps = cut(deposits([5.0, 5.0, 5.0]), module0.geometry, 0.1)
    assert steps.energy_mev.tolist() == [1.0]
    assert steps.cos_phi.tolist() == [0.0]


def test_planes_and_directions_of_the_drift(module0, deposits) -> None:
    steps = cut(deposits([[0, 0, 10], [0, 0, -10]]), module0.geometry, 0.1)
    assert steps.plane.tolist() == [0, 1]
    assert steps.direction.tolist() == [1.0, -1.0]
    assert steps.anode_z_cm.tolist() == [30.58975, -30.58975]
    assert steps.event.tolist() == [0, 1]


def test_steps_outside_the_drift_volumes_are_left_out(module0, deposits) -> None:
    """A track through the cathode loses what lies between the volumes."""
    steps = cut(deposits([0.0, 0.0, -1.0], [0.0, 0.0, 1.0]), module0.geometry, 0.01)
    assert (np.abs(steps.centre_cm[:, 2]) > 0.13875).all()
    np.testing.assert_allclose(steps.energy_mev.sum(), 1 - 0.13875, atol=0.01)
    np.testing.assert_array_equal(steps.plane, (steps.centre_cm[:, 2] < 0).astype(int))
