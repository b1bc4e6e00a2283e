from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.constants import ELECTRON_MASS_MEV, MUON_MASS_MEV, PROTON_MASS_MEV
from bayescal.optical.cherenkov import (
    Radiator,
    photoelectrons_per_m,
    photons_per_m,
    sin2_cherenkov,
    threshold_kinetic_mev,
    threshold_momentum_mev,
    water_radiator,
)
from bayescal.optical.efficiency import R3600, QuantumEfficiency
from bayescal.testing import check_gradient

PION_MASS_MEV = 139.57039


def constant_index(wavelength_nm: jax.Array) -> jax.Array:
    return jnp.full_like(wavelength_nm, 1.34)


@pytest.mark.parametrize(
    ("band_nm", "constant", "water"),
    [
        ((300.0, 600.0), 338.6, 341.3),
        ((300.0, 650.0), 364.6, 367.0),
        ((300.0, 700.0), 386.96, 388.96),
        ((400.0, 700.0), 217.7, 216.3),
    ],
)
def test_photons_per_cm(band_nm: tuple[float, float], constant: float, water: float) -> None:
    assert photons_per_m(1.0, band_nm, constant_index) / 100 == pytest.approx(constant, abs=0.06)
    assert photons_per_m(1.0, band_nm) / 100 == pytest.approx(water, abs=0.06)


def test_photons_by_hand() -> None:
    """2 pi alpha (1 - 1/(n beta)^2) (1/first - 1/last)."""
    expected = 0.0458506 * (1 - 1 / (1.34 * 0.9) ** 2) * (1 / 300e-9 - 1 / 700e-9)
    assert photons_per_m(0.9, (300.0, 700.0), constant_index) == pytest.approx(expected, rel=1e-12)


def test_photoelectrons_per_cm() -> None:
    assert photoelectrons_per_m(R3600) / 100 == pytest.approx(46.58, abs=0.006)


def test_an_efficiency_of_one_keeps_all() -> None:
    everything = QuantumEfficiency(np.array([300.0, 450.0, 700.0]), np.ones(3))
    expected = float(photons_per_m(0.95, (300.0, 700.0)))
    assert photoelectrons_per_m(everything, 0.95) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("mass_mev", "kinetic_mev", "momentum_mev"),
    [
        (ELECTRON_MASS_MEV, 0.257, 0.573),
        (MUON_MASS_MEV, 53.0725, 118.456),
        (PION_MASS_MEV, 70.11, 156.48),
        (PROTON_MASS_MEV, 471.3, 1051.9),
    ],
)
def test_thresholds(mass_mev: float, kinetic_mev: float, momentum_mev: float) -> None:
    assert threshold_kinetic_mev(mass_mev, 1.34) == pytest.approx(kinetic_mev, rel=2e-3 if mass_mev < 1 else 7e-5)
    assert threshold_momentum_mev(mass_mev, 1.34) == pytest.approx(momentum_mev, rel=2e-3 if mass_mev < 1 else 3e-5)


def test_threshold_of_the_muon_in_lower_index() -> None:
    assert threshold_kinetic_mev(MUON_MASS_MEV, 1.33) == pytest.approx(54.60, abs=0.006)
    assert threshold_momentum_mev(MUON_MASS_MEV, 1.33) == pytest.approx(120.50, abs=0.006)


def test_dark_below_the_threshold() -> None:
    kinetic = np.array([0.99, 1.01]) * float(threshold_kinetic_mev(MUON_MASS_MEV, 1.34))
    beta = np.sqrt(1 - 1 / (1 + kinetic / MUON_MASS_MEV) ** 2)
    below, above = sin2_cherenkov(beta, 1.34)
    assert below == 0.0
    assert 0.0 < above < 0.02


@pytest.mark.parametrize(("index", "degrees"), [(1.33, 41.25), (1.34, 41.73), (1.34356, 41.90)])
def test_angle(index: float, degrees: float) -> None:
    assert np.degrees(np.arcsin(np.sqrt(sin2_cherenkov(1.0, index)))) == pytest.approx(degrees, abs=0.006)


def test_water_as_seen_by_20_inch_tubes() -> None:
    water = water_radiator(R3600)
    assert water.index == pytest.approx(1.3448, abs=1e-4)
    assert water.light_per_m == pytest.approx(4658, abs=0.6)
    assert sin2_cherenkov(1.0, water.index) == pytest.approx(0.447, abs=5e-4)
    assert np.degrees(np.arccos(water.cos_cherenkov(1.0))) == pytest.approx(41.96, abs=0.01)
    assert np.degrees(water.angle_spread_rad) == pytest.approx(0.27, abs=0.005)


def test_one_index_stands_for_the_spectrum() -> None:
    """Light at lower speeds, in units of the light at beta 1, to 0.1 % of that."""
    water = water_radiator(R3600)
    for beta in (0.8, 0.9, 0.97):
        exact = float(photoelectrons_per_m(R3600, beta) / photoelectrons_per_m(R3600))
        assert water.emission_per_m(beta) / water.light_per_m == pytest.approx(exact, abs=1e-3)


def test_gradients() -> None:
    """Speed, index, light at beta 1."""

    def light(x: jax.Array) -> jax.Array:
        water = Radiator(x[1], 1000 * x[2])
        return water.emission_per_m(x[0]) * water.cos_cherenkov(x[0]) + photons_per_m(x[0], (300.0, 700.0))

    check_gradient(light, np.array([0.85, 1.3448, 4.658]), rtol=1e-7)
