from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light.timing import LightTiming, Pulse, TravelDelay
from bayescal.light.waveform import Deposits, WaveformLight, arrivals, detected
from bayescal.testing import check_gradient

N_NODES = 64 * 16
TIMING = LightTiming()


def at_node(node, charge=1.0, rows=1):
    return jnp.zeros((rows, N_NODES)).at[:, node].set(charge)


@pytest.mark.parametrize("node", [0, 5, 16, 31, 400])
def test_response_to_one_photoelectron_is_its_pulse_averaged_over_samples(node):
    waveform = WaveformLight(at_node(node), TIMING).expected()[0]
    ends = jnp.arange(65) * 16.0 - node
    expected = 5940.0 * np.diff(Pulse.of(TIMING).integral(ends)) / 16
    np.testing.assert_allclose(waveform, expected, atol=1e-11 * 50)
    assert 16 * waveform.sum() == pytest.approx(5940.0, rel=1e-4)  # what a window of 1 us holds


def test_a_photoelectron_of_module0_stands_far_above_the_noise():
    waveform = WaveformLight(at_node(0), TIMING).expected()[0]
    assert waveform.max() == pytest.approx(50.0, abs=1.0)


def test_expected_waveform_is_that_of_a_convolution_on_a_fine_grid():
    """Steps of 0.1 ns by midpoints; the nodes widen the light by at most 0.7 ns^2, a thousandth of the peak."""
    step, n = 0.1, 10_240
    t = (np.arange(n) + 0.5) * step

    def times(decay):
        return -np.diff(np.exp(-np.append(t - step / 2, n * step) / decay))

    def convolve(*parts):
        return np.fft.irfft(np.prod([np.fft.rfft(part, 4 * n) for part in parts], axis=0), 4 * n)[:n]

    centred = np.arange(-60, 61) * step
    spread = np.exp(-0.5 * centred**2) / np.exp(-0.5 * centred**2).sum()
    emitted = convolve(0.3 * times(6.0) + 0.7 * times(1530.0), times(10.0), spread)
    # two midpoints, and 60 steps of the spread before its centre
    origin = 100.0
    shift = int(origin / step) + 1 - 60
    light = np.concatenate([np.zeros(shift), emitted])[:n]
    pulse = np.asarray(Pulse.of(TIMING).response(jnp.asarray(t)))
    analogue = 5940.0 * np.fft.irfft(np.fft.rfft(light, 2 * n) * np.fft.rfft(pulse, 2 * n), 2 * n)[:n]
    expected = analogue[: 64 * 160].reshape(64, 160).mean(axis=1)
    found = detected(at_node(100), TIMING).expected()[0]
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.max())


NAMES = (
    "singlet_fraction",
    "singlet_ns",
    "triplet_ns",
    "shifter_ns",
    "transit_spread_ns",
    "response_decay_ns",
    "response_swing_ns",
    "gain",
)


def test_gradients_in_all_constants_are_those_of_differences():
    weight = jnp.sin(jnp.arange(64.0))
    light = at_node(33, 20.0)

    def total(x):
        timing = LightTiming(*x[:8])
        return detected(light, timing, replace(TravelDelay(), delay_ns=x[8])).expected()[0] @ weight

    nominal = np.array([getattr(TIMING, name) for name in NAMES] + [14.3])
    check_gradient(total, nominal, rtol=1e-5)
    check_gradient(total, nominal * np.array([1.5, 1 / 0.6, 0.7, 0.6, 0.5, 1.3, 0.8, 1.0, 1.0]), rtol=1e-5)


def test_gain_may_differ_between_sensors():
    light = detected(at_node(33, rows=2), LightTiming(gain=jnp.asarray([5.94, 54.6])))
    first, second = light.expected()
    np.testing.assert_allclose(second, first * 54.6 / 5.94, rtol=1e-12)


def test_light_is_positive_and_complete():
    light = detected(at_node(33, 20.0), replace(TIMING, triplet_ns=50.0), TravelDelay()).photoelectrons
    assert light.min() >= 0.0
    assert light.sum() == pytest.approx(20.0, rel=1e-6)


SENSORS = jnp.asarray([[0.0, 0.0, -30.0], [0.0, 0.0, 30.0]])


def visibility(position_cm):
    return jnp.stack([1e-3 + 1e-5 * position_cm[:, 2], 1e-3 - 1e-5 * position_cm[:, 2]], axis=-1)


def deposits(n):
    rng = np.random.default_rng(1)
    return Deposits(
        jnp.asarray(rng.uniform(-10.0, 10.0, (n, 3))),
        jnp.asarray(rng.uniform(5.0, 40.0, n)),
        jnp.asarray(rng.uniform(0.0, 1e4, n)),
    )


def test_arrivals_hold_the_light_at_its_times_of_flight():
    made = deposits(257)  # one more than a chunk
    light = jax.jit(lambda d: arrivals(d, visibility, SENSORS, 64))(made)
    seen = made.photons[:, None] * visibility(made.position_cm)
    time = made.time_ns[:, None] + 0.0746 * jnp.linalg.norm(made.position_cm[:, None] - SENSORS, axis=-1)
    np.testing.assert_allclose(light.sum(axis=-1), seen.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(light @ jnp.arange(64.0), (seen * time).sum(axis=0), rtol=1e-12)


def test_arrivals_outside_the_window_are_lost():
    made = replace(deposits(3), time_ns=jnp.asarray([-50.0, 10.0, 1e6]))
    light = arrivals(made, visibility, SENSORS, 64)
    np.testing.assert_allclose(light.sum(axis=-1), made.photons[1] * visibility(made.position_cm)[1], rtol=1e-12)


def test_gradient_in_place_and_time_is_that_of_differences():
    made = deposits(3)

    def mean_time(x):
        moved = replace(made, position_cm=made.position_cm + x[:3], time_ns=made.time_ns + x[3])
        light = arrivals(moved, visibility, SENSORS, 64)
        return (light @ jnp.arange(64.0)).sum()

    check_gradient(mean_time, np.array([0.1, -0.2, 0.3, 0.05]), rtol=1e-6)
