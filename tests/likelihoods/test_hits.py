from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.likelihoods.intervals import IntegerADC, RealADC
from bayescal.likelihoods.plan import Tolerance
from bayescal.testing import check_counts, check_gradient

SILENCE = {  # charge [e-] and width [us]: probability of no hit, exact
    (3000.0, 0.7): 0.951688,
    (4000.0, 0.7): 0.796016,
    (5000.0, 0.7): 0.501303,
    (6000.0, 1.5): 0.259269,
    (7000.0, 0.7): 0.050621,
    (12000.0, 2.0): 0.000240,
}
EXACT = Tolerance(charge_e=0.0)
SHORT = {"n_ticks": 120, "max_hits": 1}
"""A window in which every tick can be a case of its own, and nothing follows the first hit."""


def test_probability_of_silence_is_that_of_the_tables(pixels):
    charge, width = np.array(list(SILENCE)).T
    made = pixels(charge, width)
    probability = np.exp(made.log_prob(made.hits()))
    printed = np.array(list(SILENCE.values()))
    np.testing.assert_allclose(probability[:-1], printed[:-1], rtol=1e-3)
    np.testing.assert_allclose(probability[-1], printed[-1], atol=0.5e-6)  # printed with three digits


@pytest.mark.parametrize(("charge", "width"), SILENCE)
def test_probability_of_silence_is_that_of_an_account_tick_by_tick(pixels, account, charge, width):
    walk, _ = account
    made = pixels(charge, width)
    expected = walk(made).silence
    np.testing.assert_allclose(np.exp(made.log_prob(made.hits())), expected, rtol=1e-3)
    np.testing.assert_allclose(
        np.exp(made.log_prob(made.hits(), Tolerance(), "float32")), expected, rtol=1.5e-3
    )  # stretches of 120 e-


def test_density_of_a_first_hit_is_that_of_an_account_tick_by_tick(pixels, account):
    walk, first_hit = account
    adc, rate = np.array([80.0, 81.5, 83.0, 86.0]), 0.02
    for charge, width in ((5000.0, 0.7), (7000.0, 0.7), (12000.0, 2.0)):
        one = pixels(charge, width, max_hits=1)
        for outlier in (0.0, rate):
            walked = walk(one, outlier * 0.1)
            for tick in (70, 85, 110):
                made = pixels(np.full(adc.size, charge), width, max_hits=1)
                value = made.hits(*([(tick, counts)] for counts in adc))
                expected = first_hit(walked, one.chip, tick, adc, outlier * 0.1)
                density = np.exp(made.log_prob(value, outlier_rate=outlier))
                np.testing.assert_allclose(density, expected, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize(("charge", "expected"), [(5000.0, 0.05217), (7000.0, 0.10444)])
def test_probability_of_a_first_hit_at_a_tick(pixels, charge, expected):
    codes = np.arange(75, 95)
    made = pixels(np.full(codes.size, charge), max_hits=1)
    value = made.hits(*([(85, code)] for code in codes))
    total = np.exp(made.log_prob(value, adc=IntegerADC())).sum()
    np.testing.assert_allclose(total, expected, rtol=1e-3)


def outcomes(pixels, charge, codes, before=(), **options):
    """Probability of each tick and code of the next hit [tick, code], after hits before it, and of no further one."""
    width = options.pop("width_us", 0.7)
    chip = {**SHORT, "max_hits": len(before) + 1}
    first = before[-1][0] + 28 if before else 0
    ticks = np.arange(first, chip["n_ticks"])
    made = pixels(np.full((ticks.size + 1, np.size(charge)), charge), width, options.pop("arrival_us", 6.0), **chip)
    plan = made.plan(made.hits(*([*before, (tick, 0.0)] for tick in ticks), before)[..., 0])

    @jax.jit
    def probability(adc):
        value = made.hits(*([*before, (tick, 1.0)] for tick in ticks), before)
        value = jnp.asarray(value).at[:-2, len(before), 1].set(adc)
        return jnp.exp(made.readout(plan, **options).log_prob(value))

    table = np.asarray(jax.lax.map(probability, jnp.asarray(codes, float)))[:, :-1]
    return table[:, :-1].T, table[0, -1]


NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
ADC = 75.0 + 20.0 * (NODES + 1)
"""Nodes of the integral over real ADC values from 75 to 115 counts; weights 20 WEIGHTS."""


SLOW = pytest.mark.validate


@pytest.mark.validate
@pytest.mark.parametrize(
    ("charge", "rate"),
    [
        pytest.param(4000.0, 0.0, marks=SLOW),
        pytest.param(7000.0, 0.0, marks=SLOW),
        pytest.param(12000.0, 0.0, marks=SLOW),
        (5000.0, 0.01),
    ],
)
def test_real_densities_of_all_first_hits_and_silence_add_up_to_one(pixels, charge, rate):
    density, silence = outcomes(pixels, charge, ADC, outlier_rate=rate)
    outlying = np.zeros(len(density)) if not rate else outside(pixels, charge, rate)
    assert abs((density @ (20.0 * WEIGHTS)).sum() + outlying.sum() + silence - 1.0) < 1e-3


def outside(pixels, charge, rate):
    """Probability of outliers with an ADC value outside 75 to 115 counts, where their density is flat [tick]."""
    density, _ = outcomes(pixels, charge, [200.0], outlier_rate=rate)
    return density[:, 0] * (256.0 - 40.0)


@pytest.mark.validate
@pytest.mark.parametrize(("charge", "rate"), [(5000.0, 0.0), (9000.0, 0.02)])
def test_probabilities_of_all_first_codes_and_silence_add_up_to_one(pixels, charge, rate):
    codes = np.arange(256)
    table, silence = outcomes(pixels, charge, codes, adc=IntegerADC(), outlier_rate=rate)
    assert abs(table.sum() + silence - 1.0) < 1e-3


def test_densities_of_all_second_hits_and_no_second_add_up_to_the_first(pixels):
    pulses, arrival = np.array([6500.0, 6500.0]), np.array([2.0, 7.0])
    codes = np.arange(72, 100)
    first = (22.0, 82.0)
    table, silence = outcomes(
        pixels, pulses, codes, [first], adc=IntegerADC(), width_us=np.array([0.5, 0.7]), arrival_us=arrival
    )
    alone = pixels(pulses[None], np.array([0.5, 0.7]), arrival, **SHORT)
    density = np.exp(alone.log_prob(alone.hits([first]), adc=IntegerADC()))[0]
    assert density > 0.01
    assert abs((table.sum() + silence) / density - 1.0) < 1e-3
    assert table.sum() > 0.5 * density


@pytest.mark.parametrize(
    ("charge", "rate", "seed"), [(7000.0, 0.005, 12), pytest.param(5500.0, 0.0, 11, marks=pytest.mark.validate)]
)
def test_drawn_hits_follow_the_density(pixels, charge, rate, seed):
    """Chi-square of tick and code of the first hit and of silence: false alarm 1e-3 for each of two pixels."""
    codes = np.arange(70, 90)
    table, silence = outcomes(pixels, charge, codes, adc=IntegerADC(), outlier_rate=rate)
    many = pixels(np.full(20_000, charge), 0.7, 6.0, **SHORT)
    drawn = many.draw(jax.random.key(seed), adc=IntegerADC(), outlier_rate=rate)[:-1, 0]
    expected = np.append(binned(table), [silence, 1 - table.sum() - silence])
    hit = drawn[np.isfinite(drawn[:, 0])]
    inside = hit[np.isin(hit[:, 1], codes)].astype(int)
    counts = np.zeros_like(table)
    np.add.at(counts, (inside[:, 0], inside[:, 1] - codes[0]), 1)
    check_counts(np.append(binned(counts), [len(drawn) - len(hit), len(hit) - len(inside)]), np.abs(expected))


def binned(table):
    """Sums over three ticks [bins of ticks x codes]."""
    return table.reshape(-1, 3, table.shape[1]).sum(axis=1).ravel()


@pytest.mark.parametrize(
    ("adc", "rate", "tolerance"),
    [
        pytest.param(RealADC(), 0.0, Tolerance(), marks=SLOW),
        pytest.param(IntegerADC(), 0.0, Tolerance(), marks=SLOW),
        pytest.param(RealADC(), 0.01, Tolerance(), marks=SLOW),
    ],
    ids=["real", "integer", "outliers"],
)
def test_density_ratio_averages_to_one_over_drawn_hits(pixels, adc, rate, tolerance):
    """E[p(x | 1.06 q)/p(x | q)] = 1 over x of p(x | q): within four standard errors, false alarm 6e-5 a pixel."""
    n = 3000
    charge, width = np.repeat([4000.0, 5000.0, 6000.0, 12000.0], n), np.repeat([0.7, 0.7, 1.5, 2.0], n)
    made, more = pixels(charge, width), pixels(1.06 * charge, width)
    options = {"adc": adc, "outlier_rate": rate}
    value = made.draw(jax.random.key(5), **options)
    assert np.isfinite(value[:, 1, 0]).sum() > 300  # second hits are among them
    ratio = np.exp(
        more.log_prob(value, tolerance, "float32", **options) - made.log_prob(value, tolerance, "float32", **options)
    ).reshape(4, n)
    error = ratio.std(axis=1, ddof=1) / np.sqrt(n)
    assert (error < 0.05).all()
    assert (np.abs(ratio.mean(axis=1) - 1.0) < 4 * error).all()


@pytest.mark.validate
def test_stretches_agree_with_single_ticks(pixels):
    """The default plan in float32 against single ticks in float64: 0.01 at worst in a pixel, 0.0005 in the mean."""
    rng = np.random.default_rng(3)
    charge = rng.uniform(0.0, 30e3, 60)
    made = pixels(charge, rng.uniform(0.2, 2.0, 60), rng.uniform(3.0, 15.0, 60), n_ticks=120)
    value = made.draw(jax.random.key(9))
    difference = made.log_prob(value, Tolerance(), "float32") - made.log_prob(value)
    assert np.abs(difference).max() < 0.01
    assert abs(difference.mean()) < 5e-4


@pytest.mark.validate
def test_single_precision_agrees_with_double(pixels):
    made = pixels(np.linspace(1000.0, 20_000.0, 40))
    value = made.draw(jax.random.key(4))
    np.testing.assert_allclose(
        made.log_prob(value, Tolerance(), "float32"), made.log_prob(value, Tolerance(), "float64"), atol=2e-4
    )


def test_saturation_is_an_upper_tail(pixels):
    """A charge near the top of the ADC: the density below 256 counts and the probability of 256 add up."""
    made = pixels(np.full(66, 176_000.0), 0.2, max_hits=1)
    adc = 246.0 + 5.0 * (NODES + 1)
    value = made.hits(*([(77, counts)] for counts in [*adc, 256.0, 255.0]))
    density = np.exp(made.log_prob(value))
    codes = np.exp(made.log_prob(made.hits(*([(77, 255.0 - n)] for n in range(66))), adc=IntegerADC()))
    assert density[64] > 0.1 * codes.sum()
    np.testing.assert_allclose(5.0 * density[:64] @ WEIGHTS + density[64], codes.sum(), rtol=1e-3)


def test_integer_codes_are_integrals_of_the_real_density(pixels):
    nodes, weights = np.polynomial.legendre.leggauss(8)
    code = 83
    made = pixels(np.full(9, 7000.0), max_hits=1)
    value = made.hits(*([(84, code + 0.5 * (1 + node))] for node in nodes), [(84, code)])
    density = np.exp(made.log_prob(value))[:8]
    np.testing.assert_allclose(
        np.exp(made.log_prob(value.round() * 0 + value, adc=IntegerADC()))[8], 0.5 * density @ weights, rtol=1e-6
    )


def test_threshold_may_differ_between_pixels(pixels):
    thresholds = np.array([4000.0, 5000.0, 6500.0])
    made = pixels(np.full(3, 6000.0))
    value = made.hits([(83, 83.0)])
    together = made.log_prob(value, threshold_e=np.append(thresholds, 5000.0))
    for row, threshold in enumerate(thresholds):
        alone = pixels([6000.0], threshold_e=threshold)
        lists = [[(83, 83.0)]] if row == 0 else []
        np.testing.assert_allclose(together[row], alone.log_prob(alone.hits(*lists))[0], rtol=1e-10)


def test_dead_pixels_record_nothing(pixels):
    made = pixels([20_000.0, 20_000.0])
    live = np.array([True, False, False])
    drawn = made.draw(jax.random.key(1), live=live)
    assert np.isfinite(drawn[0, 0]).all()
    assert np.isnan(drawn[1:]).all()
    assert made.log_prob(made.hits(), live=live)[1] == 0.0
    assert made.log_prob(made.hits(), live=live)[0] < -10.0


def test_other_ticks_than_the_planned_have_no_density(pixels):
    made = pixels([7000.0, 7000.0])
    planned = made.hits([(84, 83.0)])
    readout = made.readout(made.plan(planned[..., 0]))
    other = made.hits([(85, 83.0)])
    assert np.isneginf(readout.log_prob(jnp.asarray(other))[0])
    assert np.isneginf(readout.log_prob(jnp.asarray(made.hits()))[0])
    assert np.isfinite(readout.log_prob(jnp.asarray(other))[1])


def test_log_prob_without_a_plan_says_what_is_missing(pixels):
    made = pixels([7000.0])
    with pytest.raises(ValueError, match="log_prob needs the plan"):
        made.readout().log_prob(jnp.asarray(made.hits()))


@pytest.mark.parametrize("tick", [28 + 84 - 1, 90, 200, -3])
def test_hits_in_the_dead_time_or_outside_the_window_are_refused(pixels, tick):
    made = pixels([7000.0])
    value = made.hits([(84, 83.0), (tick, 83.0)]) if tick > 84 else made.hits([(tick, 83.0)])
    with pytest.raises(InputError, match="outside the window or within the dead time"):
        made.log_prob(value)


def test_shapes_of_draws(pixels):
    made = pixels([7000.0, 3000.0])
    drawn = made.readout().sample(jax.random.key(0), (2, 3))
    assert drawn.shape == (2, 3, 3, 10, 2)
    assert np.isfinite(drawn[:, :, 0, 0, 0]).any()


def test_gradient_is_that_of_differences(pixels):
    """Derivatives of the log density of hits and silence with respect to the charges, float64."""
    made = pixels([3500.0, 6000.0, 15_000.0, 9000.0])
    value = made.draw(jax.random.key(8))
    plan = made.plan(value[..., 0], Tolerance(), "float64")

    def total(charge):
        signals = replace(made.signals, charge_e=jnp.append(charge, 0.0))
        readout = made.readout(plan)
        readout.signals = signals
        return readout.log_prob(jnp.asarray(value)).sum()

    check_gradient(total, made.charge_e[:, 0], rtol=1e-6)
