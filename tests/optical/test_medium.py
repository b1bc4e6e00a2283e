from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.efficiency import R3600, R12860, R14374, QuantumEfficiency
from bayescal.optical.medium import (
    SPEED_OF_LIGHT_M_PER_NS,
    Scintillator,
    Spectrum,
    Water,
    cherenkov_spectrum,
    gauss_rule,
    group_index,
    line,
    phase_index,
    scintillation_efficiency,
    scintillation_spectrum,
)
from bayescal.testing import check_gradient

# wavelength [nm], n, n_g, lengths of absorption, Rayleigh, Mie and total [m]; an independent evaluation
TABLE = np.array(
    [
        [300, 1.35921, 1.43584, 424, 42.0, 1716, 37.4],
        [350, 1.34948, 1.40115, 608, 91.3, 6481, 78.4],
        [375, 1.34619, 1.39010, 552, 128, 9368, 103],
        [400, 1.34356, 1.38151, 400, 176, 9886, 121],
        [425, 1.34140, 1.37468, 250, 235, 8664, 119],
        [450, 1.33961, 1.36917, 146, 308, 7252, 97.6],
        [475, 1.33809, 1.36465, 83, 397, 6153, 68.1],
        [500, 1.33680, 1.36090, 48, 504, 5370, 43.7],
        [550, 1.33468, 1.35509, 17.6, 781, 4424, 17.2],
        [600, 1.33302, 1.35089, 4.5, 1157, 3933, 4.5],
        [650, 1.33167, 1.34779, 2.8, 1652, 3673, 2.8],
        [700, 1.33052, 1.34547, 1.6, 2289, 3539, 1.6],
    ]
).T
DISTANCE_M = np.array([2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0])
attenuation = jax.jit(Water.attenuation)
n_of, n_g_of = jax.jit(phase_index), jax.jit(group_index)
WATERS = [Water(), Water(0.7, 1.0, 1.0), Water(1.5, 0.7, 2.0), Water(0.5, 1.5, 0.5)]


def transmission(water: Water, spectrum: Spectrum) -> np.ndarray:
    loss_per_m = np.asarray(attenuation(water, jnp.asarray(spectrum.wavelength_nm)))
    return np.exp(-np.outer(DISTANCE_M, loss_per_m)) @ np.asarray(spectrum.weight)


def whole_spectrum(efficiency: QuantumEfficiency) -> Spectrum:
    """Many wavelengths, by the definition of the spectrum."""
    wavelength = np.linspace(efficiency.wavelength_nm[0], efficiency.wavelength_nm[-1], 4001)
    share = np.asarray(efficiency(wavelength) * (1 - 1 / n_of(wavelength) ** 2)) / wavelength**2
    return Spectrum(wavelength, share / share.sum())


def test_indices() -> None:
    np.testing.assert_allclose(phase_index(TABLE[0]), TABLE[1], atol=0.6e-5)
    np.testing.assert_allclose(group_index(TABLE[0]), TABLE[2], atol=0.6e-5)


def test_another_fit_of_the_index() -> None:
    """X. Quan, E. S. Fry, Appl. Opt. 34 (1995) 3477, at 20 C, times the index of air."""
    x = np.linspace(400, 700, 31)
    other = 1.31405 - 2.02e-6 * 20**2 + (15.868 - 0.00423 * 20) / x - 4382 / x**2 + 1.1455e6 / x**3
    np.testing.assert_allclose(phase_index(x), 1.00027 * other, atol=6.5e-5)


def test_group_index_is_the_derivative() -> None:
    """n - lambda dn/dlambda, for scaled water too."""
    for water in (Water(), Water(index_scale=1.01)):
        for x in (300.0, 420.0, 650.0):
            index, slope = jax.jit(jax.value_and_grad(water.phase_index))(x)
            expected = float(index - x * slope)
            assert water.group_index(x) == pytest.approx(expected, rel=1e-12)


def test_flight_of_20_m() -> None:
    assert 20 * group_index(400.0) / SPEED_OF_LIGHT_M_PER_NS == pytest.approx(92.1644, abs=1e-3)


def test_lengths_in_water() -> None:
    """To the digits of the table."""
    water = Water()
    lengths = [1 / np.asarray(f(TABLE[0])) for f in (water.absorption, water.rayleigh, water.mie, water.attenuation)]
    np.testing.assert_allclose(lengths[0][:6], TABLE[3][:6], rtol=0.002)
    np.testing.assert_allclose(lengths[0][6:], TABLE[3][6:], rtol=0.012)
    np.testing.assert_allclose(lengths[1], TABLE[4], rtol=0.004)
    np.testing.assert_allclose(lengths[2], TABLE[5], atol=0.6)
    np.testing.assert_allclose(lengths[3], TABLE[6], rtol=0.013)


def test_rayleigh_is_steeper_than_the_fourth_power() -> None:
    assert Water().rayleigh(300.0) / Water().rayleigh(400.0) == pytest.approx(4.18, abs=0.005)


def test_scales() -> None:
    x, water = np.array([350.0, 500.0]), Water(1.3, 0.75, 2.0)
    np.testing.assert_allclose(water.absorption(x), 1.3 * Water().absorption(x), rtol=1e-14)
    np.testing.assert_allclose(water.rayleigh(x), 0.75 * Water().rayleigh(x), rtol=1e-14)
    np.testing.assert_allclose(water.mie(x), 2.0 * Water().mie(x), rtol=1e-14)
    np.testing.assert_allclose(water.attenuation(x), water.absorption(x) + water.rayleigh(x) + water.mie(x), rtol=1e-14)


def test_no_steps_where_measurements_join() -> None:
    """Steps of 0.02 nm change the absorption by less than 0.3 %."""
    absorption = np.asarray(jax.jit(Water.absorption)(Water(), np.arange(440.0, 690.0, 0.02)))
    assert np.abs(np.diff(np.log(absorption))).max() < 3e-3


def test_transmission_of_cherenkov_light() -> None:
    """The values of an integration over the spectrum, with straight lines in the measured absorption."""
    spectrum = cherenkov_spectrum(R3600)
    expected = [0.9707, 0.9297, 0.8676, 0.8114, 0.7603, 0.6700, 0.5929]
    np.testing.assert_allclose(transmission(Water(), spectrum), expected, atol=3e-4)
    absorbed = [0.9857, 0.9664, 0.9379, 0.9127, 0.8898, 0.8495, 0.8144]
    np.testing.assert_allclose(transmission(Water(1.0, 0.0, 0.0), spectrum), absorbed, atol=3e-4)
    assert transmission(Water(), spectrum)[2] == pytest.approx(0.8676, abs=6e-5)


@pytest.mark.parametrize(
    ("efficiency", "n", "tolerance"),
    [(R3600, 8, 8e-5), (R3600, 7, 4e-4), (R3600, 6, 4e-4), (R12860, 8, 8e-5), (R14374, 8, 4e-4)],
)
def test_few_wavelengths_do(efficiency: QuantumEfficiency, n: int, tolerance: float) -> None:
    few, whole = cherenkov_spectrum(efficiency, n), whole_spectrum(efficiency)
    assert few.weight.shape == (n,)
    assert np.sum(few.weight) == pytest.approx(1.0, abs=1e-14)
    for water in WATERS:
        np.testing.assert_allclose(transmission(water, few), transmission(water, whole), atol=tolerance)


def test_means_over_cherenkov_light() -> None:
    spectrum = cherenkov_spectrum(R3600)
    group = np.asarray(group_index(spectrum.wavelength_nm))
    assert spectrum.weight @ spectrum.wavelength_nm == pytest.approx(402, abs=1)
    assert spectrum.weight @ phase_index(spectrum.wavelength_nm) == pytest.approx(1.3448, abs=1e-4)
    assert spectrum.weight @ group == pytest.approx(1.3860, abs=1e-4)
    assert np.sqrt(spectrum.weight @ (group - spectrum.weight @ group) ** 2) == pytest.approx(0.019, abs=5e-4)


def test_gauss_rule_is_exact() -> None:
    """Moments 0 to 7 of a measure on points by four nodes."""
    x, weight = np.linspace(2.0, 5.0, 50), 1.0 + np.sin(np.arange(50)) ** 2
    nodes, share = gauss_rule(x, weight, 4)
    for power in range(8):
        assert share @ nodes**power == pytest.approx(weight @ x**power, rel=1e-12)


def test_one_line() -> None:
    assert line(405.0).wavelength_nm == jnp.array([405.0])
    assert line(405.0).weight == jnp.array([1.0])


def test_scintillator() -> None:
    oil = Scintillator()
    assert 1 / oil.attenuation(430.0) == pytest.approx(20.0, rel=1e-12)
    assert oil.rayleigh(860.0) == pytest.approx(1 / 30 / 16, rel=1e-12)
    np.testing.assert_array_equal(oil.mie(np.array([400.0, 430.0])), 0.0)
    np.testing.assert_allclose([oil.phase_index(430.0), oil.group_index(430.0)], [1.50, 1.54], rtol=1e-14)
    assert np.sum(oil.decay_weight) == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(
        oil.reemission(np.array([380.0, 420.0, 460.0])), np.array([0.8, 0.4, 0.0]) / 60, atol=1e-5
    )


def test_scintillation_spectrum() -> None:
    """Mean and width of the emission, seen by sensors of one efficiency at all wavelengths: a gamma density."""
    flat = QuantumEfficiency(np.array([300.0, 700.0]), np.array([0.2, 0.2]))
    spectrum = scintillation_spectrum(flat)
    mean = spectrum.weight @ spectrum.wavelength_nm
    assert mean == pytest.approx(380 + 6 * 10, abs=0.01)
    assert spectrum.weight @ (spectrum.wavelength_nm - mean) ** 2 == pytest.approx(6 * 100, rel=1e-3)
    assert spectrum.wavelength_nm[0] > 380
    # of the emission, 1.5e-6 lies above 600 nm
    assert scintillation_efficiency(flat) == pytest.approx(0.2, rel=1e-4)


def test_gradients() -> None:
    """In the scales and the wavelength, on both sides of the joint and near a bend."""

    def total(x: jax.Array) -> jax.Array:
        water = Water(x[0], x[1], x[2], x[3])
        return jnp.log(water.attenuation(x[4])) + water.group_index(x[4]) * water.phase_index(x[4])

    for wavelength in (420.0, 463.0, 510.1):
        check_gradient(total, np.array([1.1, 0.9, 1.3, 1.01, wavelength]), rtol=1e-5, step=1e-4)


def test_gradients_of_the_scintillator() -> None:
    def total(x: jax.Array) -> jax.Array:
        oil = Scintillator(10 * x[0], 10 * x[1], index_of_group=x[2])
        return jnp.log(oil.attenuation(100 * x[3])) + oil.group_index(100 * x[3])

    check_gradient(total, np.array([6.0, 2.7, 1.54, 4.1]), rtol=1e-7)
