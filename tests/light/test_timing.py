from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from bayescal.light.timing import SLOWNESS_NS_PER_CM, LightTiming, Pulse, TravelDelay, exponential, normal
from bayescal.testing import check_counts, check_gradient

NODE = np.arange(4000)


def hat(density, node):
    """Integral of a density on (0, inf) against the hat function of a node."""
    halves = [(node - 1, node), (node, node + 1)]
    return sum(
        scipy.integrate.quad(lambda t: density(t) * (1 - abs(t - node)), max(a, 0.0), b, points=None)[0]
        for a, b in halves
        if b > 0
    )


@pytest.mark.parametrize("decay", [0.2, 6.0, 300.0])
def test_exponential_is_its_density_on_the_hat_functions(decay):
    found = np.asarray(exponential(4000, decay))
    for node in (0, 1, 2, 9):
        expected = hat(lambda t: np.exp(-t / decay) / decay, node)
        assert found[node] == pytest.approx(expected, rel=1e-7, abs=1e-14)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1.0, abs=3e-6)  # exp(-4000/300)
    assert NODE @ found == pytest.approx(decay, abs=0.03 if decay > 100 else 1e-9)


def test_delay_moves_the_mean_by_as_much():
    for delay in (0.0, 0.3, 14.0, 14.7):
        found = np.asarray(exponential(200, 4.0, delay))
        assert found.sum() == pytest.approx(1.0, rel=1e-12)
        assert NODE[:200] @ found == pytest.approx(4.0 + delay, rel=1e-12)
        variance = (NODE[:200] - 4.0 - delay) ** 2 @ found
        assert 16.0 <= variance <= 16.0 + 1 / 4
    check_gradient(lambda x: exponential(40, x[0], x[1]) @ jnp.sin(jnp.arange(40.0)), np.array([4.0, 14.3]), rtol=1e-7)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.0])
def test_normal_has_mean_zero_and_its_variance(sigma):
    found = np.asarray(normal(100, sigma))
    node = np.where(np.arange(100) < 50, np.arange(100), np.arange(100) - 100)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1.0, abs=1e-6)
    assert node @ found == pytest.approx(0.0, abs=1e-12)
    assert node**2 @ found == pytest.approx(sigma**2 + 1 / 6, rel=2e-2 if sigma < 1 else 1e-4)


def test_spectrum_is_that_of_times_drawn_one_by_one():
    timing, n = LightTiming(triplet_ns=300.0), 4000
    rng = np.random.default_rng(2)
    time = np.where(rng.random(n) < 0.3, rng.exponential(6.0, n), rng.exponential(300.0, n))
    time += rng.exponential(10.0, n) + rng.normal(0.0, 1.0, n)
    probability = np.fft.irfft(np.asarray(timing.spectrum(n)), 2 * n)
    assert probability.sum() == pytest.approx(1.0, abs=1e-5)
    before = probability[n:].sum()
    assert 0 < before < 0.01
    # a node stands for the time around it
    edges = np.array([-0.5, 4.5, 9.5, 19.5, 39.5, 99.5, 199.5, 399.5, 799.5, n])
    counts = np.histogram(np.maximum(time, 0.0), edges)[0]
    expected = np.diff(np.append(0.0, before + np.cumsum(probability[:n])[(edges[1:] - 0.5).astype(int)]))
    check_counts(counts, expected / expected.sum())


def test_pulse_has_unit_area_and_its_hand_values():
    """Peak at T atan(tau/T) = 49.87 ns; zero at pi T: T is not the period."""
    pulse = Pulse.of(LightTiming())
    area = scipy.integrate.quad(lambda t: float(pulse.response(jnp.asarray(t))), 0.0, 1200.0, limit=200, epsabs=1e-10)[
        0
    ]
    assert area == pytest.approx(1.0, abs=1e-8)
    assert pulse.integral(jnp.asarray(1200.0)) == pytest.approx(1.0, abs=1e-8)
    peak = 95.0 * np.arctan(55.0 / 95.0)
    c = (95.0**2 + 55.0**2) / (95.0 * 55.0**2)
    expected = c * np.exp(-peak / 55.0) * np.sin(peak / 95.0)
    assert expected == pytest.approx(0.0085, abs=1e-4)
    times = jnp.asarray([-1.0, 0.0, peak, np.pi * 95.0])
    np.testing.assert_allclose(pulse.response(times), [0.0, 0.0, expected, 0.0], atol=1e-15)
    slope = jax.vmap(jax.grad(pulse.integral))(jnp.asarray([-1.0, 3.0, peak, 400.0]))
    np.testing.assert_allclose(slope[0], 0.0)
    np.testing.assert_allclose(slope[1:], pulse.response(jnp.asarray([3.0, peak, 400.0])), rtol=1e-12)


LEVELS = np.array([1, 5, 10, 25, 50, 75, 90, 95, 99]) / 100


def arrival_quantiles(distance_cm):
    probability = np.fft.irfft(np.asarray(TravelDelay().spectrum(200)), 400)[:200]
    return np.interp(LEVELS, np.cumsum(probability), np.arange(200) + 0.5) + SLOWNESS_NS_PER_CM * distance_cm


def test_quantiles_of_the_travel_time():
    printed = [8, 12, 17, 19, 23, 30, 40, 47, 64]
    np.testing.assert_allclose(arrival_quantiles(31.5), printed, atol=1.0)


@pytest.mark.peer
def test_travel_time_is_near_that_of_a_photon_library(peer_data):
    """Light from the centre of a Module-0 TPC."""
    file = np.load(peer_data / "light/lightLUT_Mod0_06052024_32.1.16_time_dist_cdf.npz")
    per_tick = np.diff(file["cdf"].astype(float), prepend=0.0).reshape(file["output_shape"]).sum(axis=0)
    cumulative = np.cumsum(per_tick) / per_tick.sum()
    found = np.interp(LEVELS, cumulative, np.arange(cumulative.size) + 1.0)
    np.testing.assert_allclose(arrival_quantiles(31.5), found, atol=4.5)
