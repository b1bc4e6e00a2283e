from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from bayescal.likelihoods.charge_spectrum import normal_spectrum, r3600_spectrum, r12860_spectrum
from bayescal.testing import check_density, check_gradient

STEP_PE = 0.002
SPECTRA = [r3600_spectrum(), r12860_spectrum()]


@jax.jit
def log_few(spectrum, charge):
    return spectrum.log_few(charge)


@jax.jit
def below(spectrum, charge):
    return spectrum.probability_below(charge)


@jax.jit
def log_density(spectrum, charge, later):
    return spectrum.log_density(charge, later)


@jax.jit
def draw(spectrum, key, number):
    return spectrum.draw(key, number)


def r3600(charge):
    """The fitted mixture, not normalised to mean one."""
    normal = scipy.stats.truncnorm(-1.145 / 0.595, np.inf, 1.145, 0.595).pdf(charge)
    exponentials = [w / mean * np.exp(-charge / mean) for w, mean in ((0.275, 0.168), (0.125, 1.91))]
    return sum(exponentials) + 0.6 * normal


def by_fourier(density, mean, number):
    """n-fold convolution on a grid of half steps, of the density in units of its mean, and where it is."""
    charge = STEP_PE * (np.arange(20_000) + 0.5)
    spectrum = np.fft.rfft(STEP_PE * mean * density(mean * charge), 2 * charge.size)
    return np.fft.irfft(spectrum**number)[: charge.size] / STEP_PE, charge + 0.5 * (number - 1) * STEP_PE


def test_few_photoelectrons_of_an_r3600_are_convolutions():
    """Mean 0.995 and spread 0.981 of the mixture; the grid of the check leaves 1e-4 of the densities."""
    grid = STEP_PE * (np.arange(40_000) + 0.5)
    weight = STEP_PE * r3600(grid)
    mean = weight @ grid
    assert mean == pytest.approx(0.995, abs=5e-4)
    assert np.sqrt(weight @ grid**2 - mean**2) == pytest.approx(0.981, abs=5e-4)
    spectrum = r3600_spectrum()
    assert spectrum.shape_per_pe == pytest.approx(mean**2 / (weight @ grid**2 - mean**2), rel=1e-4)
    for number in (1, 2, 3, 4):
        expected, charge = by_fourier(r3600, mean, number)
        seen = (charge > 0.1) & (charge < 20.0)
        ours = np.exp(np.asarray(log_few(spectrum, jnp.asarray(charge[seen])))[:, number - 1])
        np.testing.assert_allclose(ours, expected[seen], rtol=1e-3, atol=1e-9)


def test_cumulative_of_an_r3600_is_that_of_its_table():
    """The table of charges that the mixture was fitted to, within 0.010 from 0.25 p.e. on (in its own unit)."""
    charge = np.array([0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4])
    table = np.array([0.323, 0.395, 0.467, 0.556, 0.648, 0.737, 0.811, 0.868, 0.907, 0.950])
    ours = below(r3600_spectrum(), jnp.asarray(charge / 0.994934))[:, 0]
    np.testing.assert_allclose(ours, table, atol=0.0102)
    assert below(r3600_spectrum(), jnp.asarray(0.25 / 0.994934))[0] == pytest.approx(0.262, abs=0.011)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_densities_are_normalised_with_their_cumulatives(spectrum):
    """Midpoint rule of 4e4 steps of 1e-3 p.e."""
    charge = 1e-3 * (np.arange(40_000) + 0.5)
    density = np.exp(np.asarray(log_few(spectrum, jnp.asarray(charge))))
    np.testing.assert_allclose(1e-3 * density.sum(axis=0), 1.0, atol=2e-6)
    np.testing.assert_allclose(1e-3 * charge @ density, [1, 2, 3, 4], rtol=2e-6)
    for end in (250, 1000, 2500):
        ours = np.asarray(below(spectrum, jnp.asarray(1e-3 * end)))
        np.testing.assert_allclose(ours[:4], 1e-3 * density[:end].sum(axis=0), rtol=2e-5)
        gamma = scipy.stats.gamma(spectrum.shape_per_pe * np.arange(5, 17), scale=1 / spectrum.shape_per_pe)
        np.testing.assert_allclose(ours[4:], gamma.cdf(1e-3 * end), rtol=1e-6)
    np.testing.assert_array_equal(below(spectrum, jnp.asarray(0.0)), 0.0)


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("later", [0.0, 1e-4, 0.3, 5.0, 16.0, 40.0, 300.0, 3000.0])
def test_charge_of_a_poisson_number_is_normalised(spectrum, later):
    """Mean 1 + M, variance (1 + M)/v + M."""
    spread = np.sqrt((1 + later) / spectrum.shape_per_pe + later)
    start, end = max(0.0, 1 + later - 12 * spread), 1 + later + 12 * spread + 30.0
    step = (end - start) / 40_000
    charge = start + step * (np.arange(40_000) + 0.5)
    density = step * np.exp(np.asarray(log_density(spectrum, jnp.asarray(charge), jnp.asarray(later))))
    assert density.sum() == pytest.approx(1.0, abs=4e-6)
    assert density @ charge == pytest.approx(1 + later, rel=5e-6)
    assert np.sqrt(density @ (charge - 1 - later) ** 2) == pytest.approx(spread, rel=1e-4)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_tabulated_sum_is_the_sum_over_all_numbers(spectrum):
    """Up to 60,000, for charges from a fiftieth of the expected one to ten times as much.

    Cubics with steps h leave h^4/384 of the fourth derivative by ln c: (1 + a)^4 times the fourth cumulant of the
    number, which is 1/8 at most between two numbers, where the sum begins. 1e-9 is for the rounding of the sum of all.
    """
    many, shape = np.arange(5, 60_000), spectrum.shape_per_pe
    bound = 0.01**4 / 384 / 8 * (1 + shape) ** 4
    for later in (1e-3, 0.1, 3.0, 14.0, 60.0, 500.0, 5000.0):
        charge = (1 + later) * np.array([0.02, 0.1, 0.5, 0.9, 1.0, 1.2, 2.0, 6.0])
        few = np.asarray(log_few(spectrum, jnp.asarray(charge)))
        log_gamma = scipy.stats.gamma.logpdf(charge[:, None], shape * many, scale=1 / shape)
        terms = np.concatenate([few, log_gamma], axis=1)
        terms += scipy.stats.poisson.logpmf(np.append(np.arange(4), many - 1), later)
        expected = scipy.special.logsumexp(terms, axis=1)
        ours = log_density(spectrum, jnp.asarray(charge), jnp.asarray(later))
        np.testing.assert_allclose(ours, expected, rtol=0.0, atol=bound + 1e-9)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_scans_have_no_steps(spectrum):
    """Third differences over 20,000 steps of 7e-4 in ln q or ln M, also from one cubic to the next."""
    scan = jnp.geomspace(3e-4, 300.0, 20_001)
    for fixed in (0.02, 2.0, 30.0):
        by_later = log_density(spectrum, jnp.full_like(scan, 4 * fixed), scan)
        by_charge = log_density(spectrum, scan, jnp.full_like(scan, fixed))
        assert abs(np.diff(np.asarray(by_later), 3)).max() < 5e-6
        assert abs(np.diff(np.asarray(by_charge), 3)).max() < 5e-6


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_gradient(spectrum):
    later = jnp.asarray([1e-3, 0.7, 6.0, 25.0, 400.0])
    charge = np.array([0.61, 2.3, 8.1, 19.0, 430.0])
    point = np.concatenate([charge, later])
    check_gradient(lambda x: spectrum.log_density(x[:5], x[5:]) @ jnp.arange(1.0, 6.0), point, rtol=1e-6)
    check_gradient(lambda x: jnp.log(spectrum.probability_below(x[0])) @ jnp.arange(1.0, 17.0), np.array([0.31]), 1e-6)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_no_later_light(spectrum):
    """The density of one photoelectron; its slope in M is f_2/f_1 - 1."""
    charge = jnp.asarray(1.3)
    value, slope = jax.jit(jax.value_and_grad(lambda later: spectrum.log_density(charge, later)))(0.0)
    few = np.asarray(log_few(spectrum, charge))
    assert value == pytest.approx(few[0], rel=1e-12)
    assert slope == pytest.approx(np.exp(few[1] - few[0]) - 1.0, rel=1e-9)


def test_far_charges_are_finite():
    """A thousand photoelectrons where none are expected, and one where a thousand are.

    Far above, the exponential tail of the few wins over the gamma densities of the many: ln f_1 = -q/1.91 and less.
    """
    charge, later = jnp.asarray([1000.0, 1.0, 1e-6]), jnp.asarray([1e-6, 1000.0, 0.1])
    value, slope = jax.jit(jax.value_and_grad(lambda q: r3600_spectrum().log_density(q, later).sum()))(charge)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert slope[0] == pytest.approx(-0.995 / 1.91, abs=0.01)


@pytest.mark.parametrize("number", [1, 3, 4, 5, 12])
def test_draws_have_their_density(number):
    spectrum, n = r3600_spectrum(), 20_000
    draws = draw(spectrum, jax.random.key(number), jnp.full(n, float(number)))
    shape = spectrum.shape_per_pe

    def log_prob(charge):
        if number > 4:
            return scipy.stats.gamma.logpdf(charge, shape * number, scale=1 / shape)
        return np.asarray(log_few(spectrum, jnp.asarray(charge)))[:, number - 1]

    edges = np.concatenate([np.linspace(0.0, number + 6.0, 60), [number + 10.0, number + 20.0, 60.0]])
    check_density(log_prob, np.asarray(draws), edges, mass_tolerance=1e-5)


def test_spectra_are_made_once():
    assert r3600_spectrum() is r3600_spectrum()
    assert 1 / normal_spectrum(0.2).shape_per_pe == pytest.approx(0.04, rel=1e-3)
