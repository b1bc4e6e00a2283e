from __future__ import annotations

import jax
import numpy as np
import pytest

from bayescal.optical.efficiency import R3600, R12860, R14374, QuantumEfficiency


@pytest.mark.parametrize(
    ("curve", "wavelength_nm", "expected"),
    [
        (R3600, [280, 300, 360, 400, 500, 640, 660], [0.0, 0.0139, 0.203, 0.211, 0.116, 0.00158, 0.0]),
        (R12860, [280, 300, 400, 500, 660], [0.0, 0.0008, 0.3130, 0.1758, 0.0001]),
        (R14374, [300, 380, 400, 500, 700], [0.0787, 0.2695, 0.2676, 0.1777, 0.0084]),
    ],
)
def test_measured_points(curve: QuantumEfficiency, wavelength_nm: list[int], expected: list[float]) -> None:
    np.testing.assert_allclose(curve(np.array(wavelength_nm, float)), expected, rtol=1e-14)


def test_straight_lines_between() -> None:
    np.testing.assert_allclose(R3600(np.array([390.0, 395.0])), [0.2085, 0.20975], rtol=1e-12)
    assert jax.jit(jax.grad(R3600))(395.0) == pytest.approx((0.211 - 0.206) / 20, rel=1e-12)


def test_blind_outside() -> None:
    np.testing.assert_array_equal(R14374(np.array([299.9, 700.1])), 0.0)


def test_one_value_a_wavelength() -> None:
    with pytest.raises(ValueError, match=r"one entry a wavelength, shape \(3,\): it has shape \(2,\)"):
        QuantumEfficiency(np.array([300.0, 400.0, 500.0]), np.array([0.1, 0.2]))
