from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.charge.coverage import Resolution, cover
from bayescal.charge.detector import ChargeConstants, simulate
from bayescal.charge.induction import ParametrisedResponse, Pulse, TruncatedResponse
from bayescal.charge.signals import PixelSignals, request, request_size
from bayescal.testing import check_gradient

TICK_US = 0.1

run_simulation = jax.jit(simulate)


@pytest.fixture(scope="module")
def coverage(module0, tracks):
    return cover(tracks, module0.geometry)


@pytest.fixture(scope="module")
def signals(module0, coverage) -> PixelSignals:
    return run_simulation(ChargeConstants(), coverage, module0)


def everywhere(signals: PixelSignals, origin_us, time_us) -> np.ndarray:
    """Charge of all pixels at times after each pixel's origin."""
    n_pairs = signals.charge_e.size
    everyone = request(np.arange(n_pairs), np.asarray(signals.row), n_pairs - 1, n_pairs)
    origin = jnp.broadcast_to(jnp.asarray(origin_us, float), (signals.n_rows,))
    time = jnp.broadcast_to(time_us, (signals.n_rows, time_us.shape[-1]))
    return np.asarray(jax.jit(lambda s, t: s.collected(everyone, origin, t))(signals, time))


def middle_us(signals: PixelSignals) -> np.ndarray:
    """Mean end of the collection of each pixel [us]."""
    charge = np.asarray(signals.charge_e) + 1e-6
    late = np.bincount(signals.row, charge * np.asarray(signals.pulse.end_us), minlength=signals.n_rows)
    return late / np.maximum(np.bincount(signals.row, charge, minlength=signals.n_rows), 1e-6)


def test_total_is_the_sum_of_the_pairs(signals) -> None:
    expected = np.bincount(signals.row, signals.charge_e, minlength=signals.n_rows)
    np.testing.assert_allclose(signals.total_e(), expected, rtol=1e-12)


def test_everything_is_collected_in_the_end_and_nothing_at_the_start(signals) -> None:
    early, late = everywhere(signals, 0.0, jnp.asarray([-1e3, 1e3])).T
    np.testing.assert_allclose(early, 0.0, atol=1e-9)
    np.testing.assert_allclose(late, signals.total_e(), rtol=1e-12)


def test_waveform_is_what_is_collected_by_the_end_of_each_tick(signals) -> None:
    """In single precision, to 1e-5 of a pixel's charge."""
    first, n_ticks = -100, 2100
    waveform = np.asarray(signals.waveform(first, n_ticks, TICK_US))
    time = (first + 0.5 + np.arange(n_ticks)) * TICK_US
    scale = np.maximum(np.asarray(signals.total_e()), 1.0)[:, None]
    assert waveform.dtype == np.float32
    assert waveform.shape == (signals.n_rows, n_ticks)
    np.testing.assert_allclose(waveform / scale, everywhere(signals, 0.0, jnp.asarray(time)) / scale, atol=1e-5)


def test_single_and_double_precision_agree(signals) -> None:
    """Times counted from a pixel's own origin in float64, then rounded: 1e-5 of a pixel's charge."""
    origin, time = middle_us(signals), jnp.linspace(-8.0, 2.0, 101)
    double, single = (everywhere(signals, origin, time.astype(dtype)) for dtype in (jnp.float64, jnp.float32))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    scale = np.maximum(np.asarray(signals.total_e()), 1.0)[:, None]
    np.testing.assert_allclose(single / scale, double / scale, atol=1e-5)


def test_clock_does_not_matter(signals) -> None:
    origin = middle_us(signals)
    time = jnp.linspace(-8.0, 2.0, 11)
    moved = everywhere(signals, origin + 3.0, time - 3.0)
    np.testing.assert_allclose(everywhere(signals, origin, time), moved, atol=1e-7)


def test_waveform_never_falls(signals) -> None:
    """Beyond the rounding of its sums."""
    waveform = np.asarray(signals.waveform(-100, 2100, TICK_US))
    assert np.diff(waveform, axis=1).min() > -1e-6 * waveform.max()


def test_charge_before_tick_zero_is_in_the_window_before(module0, deposits) -> None:
    """Charge 0.3 cm from the anode is collected before the trigger; a window that starts there would lose it."""
    coverage = cover(deposits([5.0, 5.0, 30.28975]), module0.geometry)
    signals = run_simulation(ChargeConstants(), coverage, module0)
    chip = module0.electronics
    waveform = np.asarray(signals.waveform(chip.first_tick, chip.n_ticks, TICK_US)).sum(axis=0)
    total = float(signals.total_e().sum())
    assert waveform[0] < 0.01 * total
    assert waveform[-chip.first_tick - 1] > 0.5 * total
    assert waveform[-1] == pytest.approx(total, rel=1e-6)


def test_truncated_response_in_a_waveform(module0, coverage) -> None:
    """Its edges are whole ticks on any clock, so that the waveform agrees with double precision."""
    detector = dataclasses.replace(module0, response=TruncatedResponse())
    signals = run_simulation(ChargeConstants(), coverage, detector)
    waveform = np.asarray(signals.waveform(0, 2000, TICK_US))
    expected = everywhere(signals, 0.0, jnp.asarray((0.5 + np.arange(2000)) * TICK_US))
    scale = np.maximum(np.asarray(signals.total_e()), 1.0)[:, None]
    np.testing.assert_allclose(waveform / scale, expected / scale, atol=1e-5)


def test_smearing_widens_every_pulse(signals) -> None:
    """In quadrature; the total stays."""
    smeared = signals.smeared(2.0)
    np.testing.assert_allclose(smeared.pulse.width_us, np.hypot(signals.pulse.width_us, 2.0), rtol=1e-12)
    np.testing.assert_array_equal(smeared.total_e(), signals.total_e())
    np.testing.assert_allclose(signals.smeared(0.0).pulse.width_us, signals.pulse.width_us, rtol=1e-14)


@pytest.mark.parametrize(("n_entries", "size"), [(0, 0), (5, 5), (4096, 4096), (4097, 4098), (10_000, 10_002)])
def test_request_fills_whole_chunks(n_entries: int, size: int) -> None:
    assert request_size(n_entries) == size


def test_request_pads_with_an_idle_pair(signals) -> None:
    idle = signals.charge_e.size - 1
    padded = request(np.array([0, 1, 2]), np.array([0, 0, 1]), idle, 8)
    assert padded.pair.tolist() == [0, 1, 2, *[idle] * 5]
    assert padded.row.tolist() == [0, 0, *[1] * 6]
    plain = request(np.array([0, 1, 2]), np.array([0, 0, 1]), idle, 3)
    origin, time = jnp.asarray([40.0, 40.0]), jnp.linspace(-10.0, 100.0, 12)[None].repeat(2, axis=0)
    first, second = (np.asarray(signals.collected(r, origin, time)) for r in (plain, padded))
    np.testing.assert_allclose(first, second, rtol=1e-13)
    assert request(np.array([], int), np.array([], int), idle, 2).pair.tolist() == [idle, idle]


def test_many_pairs_go_through_in_chunks(module0, tracks) -> None:
    """The fine quadrature needs several chunks; the coarse one agrees with it to a few thousandths."""
    fine = cover(tracks, module0.geometry, resolution=Resolution(step_cm=0.02, cells=6))
    coarse = cover(tracks, module0.geometry)
    assert fine.pair_step.size > 4 * 4096
    time = jnp.asarray(np.arange(20.0, 200.0, 5.0))
    first, second = (
        everywhere(run_simulation(ChargeConstants(), coverage, module0), 0.0, time).sum(axis=0)
        for coverage in (coarse, fine)
    )
    np.testing.assert_allclose(first, second, rtol=3e-3, atol=1e-3 * second.max())


def test_gradients_of_what_is_collected() -> None:
    """By charge and by every number of a pulse, through the gather and the sums over pixels."""
    row = np.array([0, 0, 1, 2])
    wanted = request(np.array([0, 1, 2, 3]), row, 3, 4)
    time = jnp.linspace(-3.0, 1.0, 9)[None].repeat(3, axis=0)
    weight = jnp.cos(jnp.arange(27.0)).reshape(3, 9)

    def summed(x: jax.Array) -> jax.Array:
        charge, end, width, fraction, fast, slow = x.reshape(6, 4)
        pulse = Pulse(50.0 + end, width, fraction, fast, slow, 50.0 + end)
        charges = PixelSignals(charge, pulse, jnp.asarray(row), ParametrisedResponse(), 3)
        return (weight * charges.collected(wanted, jnp.full(3, 50.0), time)).sum()

    rows = [[3.0, 1.0, 2.0, 0.5], [0.0, 0.3, -0.5, 0.1], [0.2, 0.1, 0.3, 0.15], [0.9, 0.95, 0.8, 0.5]]
    rows += [[0.5, 0.6, 0.1, 0.3], [2.5, 2.0, 3.6, 2.9]]
    check_gradient(summed, np.array(rows).ravel(), rtol=1e-5)
