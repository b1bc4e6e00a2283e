from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from numpyro.distributions import Distribution

from bayescal.likelihoods.charge_spectrum import r3600_spectrum, r12860_spectrum
from bayescal.likelihoods.pmt import PMTReadout, hit_rows
from bayescal.likelihoods.recorded import FirstArrival, HitCharges, HitTimes
from bayescal.optical.arrivals import Arrivals, Delays
from bayescal.testing import assert_covers, check_counts, check_gradient

START, END = -30.0, 170.0
NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)
BRIGHTNESS = [(1e-3, 8e-4), (1e-3, 0.0), (0.3, 0.0), (4.0, 8e-4), (20.0, 0.0), (300.0, 8e-4), (3000.0, 0.0)]
CHARGES = HitCharges()
SHARP = HitCharges(r12860_spectrum(), 1.3, 0.35)
SCINTILLATION = Delays(0.0, np.array([0.7, 0.3]), np.array([4.6, 30.0]))
LATE = Delays(0.0, np.array([0.6, 0.4]), np.array([10.0, 20.0]), np.array([0.0, 4.0]))
AT_ONCE = Delays(1.0, np.zeros(2), np.array([4.6, 30.0]))


def arrivals(mean, dark=0.05, **changes) -> Arrivals:
    """85 % direct light."""
    light = jnp.asarray(mean) - dark
    given = {"direct": 0.85 * light, "indirect": 0.15 * light, "dark": dark, "time_ns": 20.0, "width_ns": 2.2}
    given |= {"window_start_ns": START, "window_end_ns": END, "indirect_delays": LATE}
    return Arrivals(**given | changes)


@jax.jit
def log_prob(readout, value):
    return readout.log_prob(value)


@jax.jit
def draw(readout, key):
    return readout.sample(key)


@jax.jit
def hit_probability(readout):
    return readout.hit_probability


@jax.jit
def one_photoelectron(readout, charge, time):
    return readout.recorded.spectrum.log_few(charge)[:, 0] + readout.arrivals.log_rate(time)


def pairs(charge, time):
    return jnp.stack(jnp.broadcast_arrays(jnp.asarray(charge), jnp.asarray(time)), axis=-1)


def silent(readout) -> float:
    return 1.0 - float(hit_probability(readout))


def rule(edges):
    """Nodes and weights of a Gauss-Legendre rule of 10 nodes in each piece."""
    edges = np.asarray(edges)
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half * (1.0 + NODES)).ravel(), (half * WEIGHTS).ravel()


def times(mean):
    """Pieces of the window, shorter where first photoelectrons are expected: earlier the more light there is."""
    first = 20.0 - 2.2 * np.sqrt(2 * np.log(1 + mean))
    near = [-12.0, -6.0, -3.0, -1.5, -0.7, 0.0, 0.7, 1.5, 3.0, 5.0, 8.0, 12.0, 18.0, 30.0]
    return np.sort(np.clip([*np.linspace(START, END, 9), *(first + np.array(near))], START, END))


def charges(recorded, mean):
    """Pieces of the charges from the threshold up to where 1e-8 of the density is left."""
    gain, threshold = recorded.gain, recorded.threshold
    spread = np.sqrt((1 + mean) * (1 + 1 / recorded.spectrum.shape_per_pe))
    middle = np.linspace(max(threshold, gain * (mean - 9 * spread)), gain * (1 + mean + 9 * spread), 30)
    ends = [threshold, gain * (1 + mean + 9 * spread + 35.0)]
    return np.sort([*ends, *middle, *np.linspace(threshold, 6.0, 12)])


@pytest.mark.parametrize("recorded", [CHARGES, SHARP])
@pytest.mark.parametrize(("mean", "dark"), BRIGHTNESS)
def test_charges_and_times_integrate_to_one(recorded, dark, mean):
    readout = PMTReadout(arrivals(mean, dark), recorded)
    (charge, charge_weight), (time, time_weight) = rule(charges(recorded, mean)), rule(times(mean))
    density = np.exp(np.asarray(log_prob(readout, pairs(charge[:, None], time))))
    total = charge_weight @ density @ time_weight + silent(readout)
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("recorded", [FirstArrival(), HitTimes(), HitTimes(r12860_spectrum(), 1.3, 0.35)])
@pytest.mark.parametrize(("mean", "dark"), BRIGHTNESS)
def test_times_integrate_to_one(recorded, dark, mean):
    readout = PMTReadout(arrivals(mean, dark), recorded)
    time, weight = rule(times(mean))
    total = np.exp(np.asarray(log_prob(readout, pairs(1.0, time)))) @ weight + silent(readout)
    assert total == pytest.approx(1.0, abs=1e-7)


def test_times_alone_are_charges_integrated():
    """At every time, and no hit is as likely; every photoelectron makes a hit where the threshold is zero."""
    (charge, weight), (time, _) = rule(charges(CHARGES, 4.0)), rule(times(4.0))
    both = np.exp(np.asarray(log_prob(PMTReadout(arrivals(4.0), CHARGES), pairs(charge[:, None], time))))
    alone = PMTReadout(arrivals(4.0), HitTimes())
    np.testing.assert_allclose(weight @ both, np.exp(log_prob(alone, pairs(1.0, time))), rtol=1e-5)
    assert silent(alone) == pytest.approx(silent(PMTReadout(arrivals(4.0))), rel=1e-14)
    every, first = (PMTReadout(arrivals(4.0), recorded) for recorded in (HitTimes(threshold=0.0), FirstArrival()))
    np.testing.assert_allclose(log_prob(every, pairs(1.0, time)), log_prob(first, pairs(1.0, time)), rtol=1e-12)


def test_first_arrival_by_hand():
    """1 - exp(-1.7) for any density; a single normal peak has mean g exp(-mean G)."""
    peak = PMTReadout(arrivals(1.7, 0.0, indirect=0.0, direct=1.7), FirstArrival())
    assert hit_probability(peak) == pytest.approx(0.8173164759, abs=1e-10)
    z = np.array([-2.0, 0.3, 4.0])
    expected = np.log(1.7) + scipy.stats.norm.logpdf(z) - np.log(2.2) - 1.7 * scipy.stats.norm.cdf(z)
    np.testing.assert_allclose(log_prob(peak, pairs(1.0, 20.0 + 2.2 * z)), expected, rtol=1e-12)


def test_one_photoelectron_by_hand():
    """At little light: rate times f_1, in units of the gain."""
    readout, charge = PMTReadout(arrivals(1e-9, 0.0), SHARP), jnp.asarray([0.5, 1.0, 1.9])
    expected = np.asarray(one_photoelectron(readout, charge, 22.0)) - np.log(1.3)
    np.testing.assert_allclose(log_prob(readout, pairs(1.3 * charge, 22.0)), expected, atol=1e-7)


def test_impossible_hits():
    """Charges below the threshold and times outside the window have no density; a NaN is not hidden."""
    readout = PMTReadout(arrivals(2.0))
    value = pairs([0.2, -1.0, 1.0, 1.0, np.nan, 1.0, 0.0], [20.0, 20.0, START - 1, END + 1, 20.0, np.nan, np.nan])
    log_p = np.asarray(log_prob(readout, value))
    assert np.isneginf(log_p[:4]).all()
    assert np.isnan(log_p[4:6]).all()
    assert log_p[6] == pytest.approx(np.log(silent(readout)), rel=1e-12)


def test_spread_is_a_mixture_of_two():
    """Of 0.7 and 1.3 times the direct light, for single values and for samples of all sensors."""
    light = jnp.asarray([0.3, 4.0, 300.0])
    spread = PMTReadout(arrivals(light), CHARGES, spread=0.3)
    seen = arrivals(light)
    either = [PMTReadout(dataclasses.replace(seen, direct=f * seen.direct), CHARGES) for f in (0.7, 1.3)]
    value = pairs([[0.0, 5.0, 280.0], [1.2, 0.0, 0.0]], [19.0, 21.0, 14.0])
    expected = np.logaddexp(*(log_prob(each, value) for each in either)) - np.log(2)
    np.testing.assert_allclose(log_prob(spread, value), expected, rtol=1e-12)
    np.testing.assert_allclose(log_prob(spread, value[0]), expected[0], rtol=1e-12)
    mean = (hit_probability(either[0]) + hit_probability(either[1])) / 2
    np.testing.assert_allclose(hit_probability(spread), mean, rtol=1e-12)


def many_draws(readout, key, n):
    """Draws of n sensors; three dead ones beside them are silent."""
    many = PMTReadout(readout.arrivals, readout.recorded, live=np.arange(n + 3) < n, spread=readout.spread)
    drawn = np.asarray(draw(many, key))
    np.testing.assert_array_equal(drawn[n:], 0.0)
    return drawn[:n]


def photons(rng, seen, n):
    """Times of photoelectrons one by one, and the trial each belongs to."""
    trials, arrived = [], []
    for delays, light in ((seen.direct_delays, seen.direct), (seen.indirect_delays, seen.indirect)):
        number = rng.poisson(float(light), n)
        total = number.sum()
        weight = np.append(np.asarray(delays.weight), delays.prompt)
        kind = rng.choice(weight.size, total, p=weight / weight.sum())
        late = rng.exponential(np.append(np.asarray(delays.constant_ns), 0.0)[kind])
        trials.append(np.repeat(np.arange(n), number))
        arrived.append(rng.normal(seen.time_ns, seen.width_ns, total) + late)
    number = rng.poisson(seen.dark, n)
    trials.append(np.repeat(np.arange(n), number))
    arrived.append(rng.uniform(START, END, number.sum()))
    trial, time = np.concatenate(trials), np.concatenate(arrived)
    inside = (time > START) & (time < END)
    return trial[inside], time[inside]


def played(rng, seen, recorded, n):
    """Charge and first time of each of n trials, photoelectron by photoelectron; 0 without a hit."""
    trial, time = photons(rng, seen, n)
    first = np.full(n, np.inf)
    np.minimum.at(first, trial, time)
    number = np.bincount(trial, minlength=n)
    cumulative = np.asarray(recorded.spectrum.cumulative)
    single = np.interp(rng.uniform(size=trial.size), cumulative, 0.005 * np.arange(cumulative.size))
    charge = recorded.gain * np.bincount(trial, single, n)
    hit = (number > 0) & (charge >= recorded.threshold)
    return np.stack([np.where(hit, charge, 0.0), np.where(hit, first, 0.0)], axis=-1)


def outcomes(readout, charge_edges, time_edges):
    """Probability of no hit, of charges in bins, and of times in bins."""
    (charge, charge_weight), (time, time_weight) = rule(charge_edges), rule(time_edges)
    density = np.exp(np.asarray(log_prob(readout, pairs(charge[:, None], time))))
    by_charge = (charge_weight * (density @ time_weight)).reshape(-1, NODES.size).sum(axis=1)
    by_time = (time_weight * (charge_weight @ density)).reshape(-1, NODES.size).sum(axis=1)
    return silent(readout), by_charge, by_time


@pytest.mark.validate
def test_draws_have_the_spread():
    """Hit fraction and charges of 30,000 sensors, half of them with 1.1 p.e., half with 4.3 p.e."""
    n, charge_edges = 30_000, np.concatenate([np.linspace(0.25, 10.0, 39), [12.0, 20.0, 60.0]])
    readout = PMTReadout(arrivals(3.0), CHARGES, spread=0.65)
    charge = many_draws(readout, jax.random.key(9), n)[:, 0]
    no_hit, by_charge, _ = outcomes(readout, charge_edges, times(3.0))
    assert_covers(int((charge == 0).sum()), n, no_hit)
    check_counts(np.histogram(charge[charge > 0], charge_edges)[0], by_charge / by_charge.sum())


@pytest.mark.parametrize("source", ["sample", "photons"])
@pytest.mark.parametrize(("mean", "direct"), [(0.4, AT_ONCE), (0.8, SCINTILLATION)])
def test_draws_have_the_density(source, mean, direct):
    """Hit fraction, charges and times of 30,000 sensors, drawn by the readout or played photon by photon.

    At 0.8 p.e. 0.14 % of the trials have more than the four photoelectrons of which charges are exact convolutions.
    """
    n = 30_000
    readout = PMTReadout(arrivals(mean, direct_delays=direct), CHARGES)
    if source == "sample":
        drawn = many_draws(readout, jax.random.key(int(10 * mean)), n)
    else:
        drawn = played(np.random.default_rng(4), readout.arrivals, CHARGES, n)
    charge, time = drawn[drawn[:, 0] > 0].T
    charge_edges = np.concatenate([np.linspace(0.25, 5.0, 39), np.linspace(6.0, 12.0, 7), [20.0, 60.0]])
    time_edges = np.concatenate([[START, -10.0, 5.0], np.linspace(10.0, 40.0, 41), [60.0, 80.0, 120.0, END]])
    no_hit, by_charge, by_time = outcomes(readout, charge_edges, time_edges)
    assert_covers(n - charge.size, n, no_hit)
    check_counts(np.histogram(charge, charge_edges)[0], by_charge / by_charge.sum())
    check_counts(np.histogram(time, time_edges)[0], by_time / by_time.sum())
    middle = np.median(time)
    early, late = (np.sort(charge[part]) for part in (time < middle, time >= middle))
    assert early.mean() > late.mean()  # early first photoelectrons have more behind them


def test_bright_draws_have_the_density():
    """500 p.e.: charges by the stretched sum, first times by extreme values; 30,000 sensors."""
    readout = PMTReadout(arrivals(500.0, direct_delays=AT_ONCE), CHARGES)
    drawn = many_draws(readout, jax.random.key(7), 30_000)
    charge_edges, time_edges = np.linspace(250.0, 800.0, 48), np.linspace(START, 25.0, 48)
    _, by_charge, by_time = outcomes(readout, charge_edges, time_edges)
    check_counts(np.histogram(drawn[:, 0], charge_edges)[0], by_charge)
    check_counts(np.histogram(drawn[:, 1], time_edges)[0], by_time)


VALUE = np.array([[0.0, 0.0], [0.6, 21.0], [7.3, 17.0], [2.2, 90.0], [160.0, 15.0], [0.0, 0.0]])
LIGHT = np.array([0.7, 0.4, 6.0, 3.0, 140.0, 25.0])


def test_gradient_in_all_parameters():
    """Of the light of each sensor and its spread, noise, times, delays, gain, threshold."""
    spectrum = r3600_spectrum()

    def total(x):
        indirect, dark, time, width, fraction, short, long, gain, threshold, spread = x[:10]
        delays = Delays(0.0, jnp.stack([fraction, 1 - fraction]), jnp.stack([short, long]), jnp.stack([0.0, long]))
        seen = Arrivals(x[10:], indirect * x[10:], dark, time, width, START, END, indirect_delays=delays)
        readout = PMTReadout(seen, HitCharges(spectrum, gain, threshold), spread=spread)
        log_p = readout.log_prob(jnp.asarray(VALUE))
        return log_p @ jnp.arange(1.0, 7.0)

    constants = [0.2, 0.02, 19.0, 2.4, 0.55, 11.0, 40.0, 0.93, 0.27, 0.3]
    check_gradient(total, np.concatenate([constants, LIGHT]), rtol=1e-5)


def test_scans_have_no_steps():
    """Third differences over fine steps of light, from an eighth to eight times the charge, and of time."""
    n = 8001

    def steps(light, early, charge, time):
        seen = arrivals(light, time_ns=jnp.broadcast_to(early, n))
        log_p = log_prob(PMTReadout(seen), jnp.broadcast_to(jnp.asarray([charge, time]), (n, 2)))
        return abs(np.diff(np.asarray(log_p), 3)).max()

    for charge, time in ((0.0, 0.0), (0.6, 21.0), (12.0, 18.0), (40.0, 16.0), (250.0, 14.0)):
        assert steps(max(charge, 1.0) * jnp.geomspace(1 / 8, 8.0, n), 20.0, charge, time) < 5e-6
    assert steps(jnp.full(n, 6.0), jnp.linspace(-20.0, 60.0, n), 5.0, 20.0) < 5e-6


def test_dead_sensors():
    """Density one and no gradient, even with NaN."""
    live = np.array([True, False, False])
    value = jnp.asarray([[1.0, 20.0], [np.nan, np.nan], [3.0, 20.0]])

    def total(light):
        readout = PMTReadout(arrivals(light), FirstArrival(), live=live)
        return readout.log_prob(value).sum(), readout.hit_probability

    slopes = jax.jit(jax.value_and_grad(total, has_aux=True))
    (log_p, probability), gradient = slopes(jnp.asarray([5.0, 5.0, 5.0]))
    assert log_p == pytest.approx(float(log_prob(PMTReadout(arrivals(5.0), FirstArrival()), value[0])))
    np.testing.assert_array_equal(np.asarray(gradient)[1:], 0.0)
    assert gradient[0] != 0.0
    alive = float(hit_probability(PMTReadout(arrivals(5.0), FirstArrival())))
    np.testing.assert_allclose(probability, [alive, 0.0, 0.0], rtol=1e-12)


@pytest.mark.parametrize("spread", [None, 0.2])
def test_hit_rows_change_nothing(spread):
    """Values and gradients of two events; a hit that is not in the rows is NaN."""
    recorded = HitCharges(gain=jnp.linspace(0.9, 1.1, 300))
    light = jnp.geomspace(0.06, 30.0, 600).reshape(2, 300)
    rng = np.random.default_rng(11)
    hit = rng.uniform(size=(2, 300)) < 0.6
    value = np.where(hit[..., None], rng.uniform([0.3, 15.0], [9.0, 60.0], (2, 300, 2)), 0.0)
    rows = hit_rows(value)
    assert rows.size == 256 * np.ceil(hit.sum() / 256)

    def total(light, rows):
        log_p = PMTReadout(arrivals(light), recorded, spread=spread, rows=rows).log_prob(value)
        return log_p.sum(), log_p

    @jax.jit
    def both(light, rows):
        return [jax.value_and_grad(total, has_aux=True)(light, index) for index in (rows, None)]

    ((_, log_p), slope), ((_, expected), expected_slope) = both(light, rows)
    np.testing.assert_allclose(log_p, expected, rtol=1e-12)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-10)
    missing = both(light, np.append(rows[1:], 600))[0][0][1]
    assert np.flatnonzero(np.isnan(np.ravel(missing))).tolist() == [rows[0]]


def test_shapes():
    readout = PMTReadout(arrivals(jnp.ones((3, 1))), HitTimes(gain=jnp.ones(4)), validate_args=True)
    assert isinstance(readout, Distribution)
    assert (readout.batch_shape, readout.event_shape) == ((3, 4), (2,))
    drawn = jax.eval_shape(lambda key: readout.sample(key, (2,)), jax.random.key(0))
    assert drawn.shape == (2, 3, 4, 2)
    assert jax.eval_shape(lambda: readout.log_prob(jnp.zeros(drawn.shape))).shape == (2, 3, 4)


def test_readouts_are_pytrees():
    mean, value = jnp.arange(1.0, 4.0), pairs(2.0, 21.0)
    many = jax.vmap(lambda mean: PMTReadout(arrivals(mean), FirstArrival()))(mean)
    expected = log_prob(PMTReadout(arrivals(mean), FirstArrival()), jnp.tile(value, (3, 1)))
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda r: r.log_prob(value)))(many), expected, rtol=1e-12)


def test_light_out_of_the_window():
    """A sensor whose light comes after the window is silent, up to dark noise, and its gradient is finite."""

    def total(time):
        seen = dataclasses.replace(arrivals(5.0, 0.1), time_ns=time)
        return PMTReadout(seen, FirstArrival()).log_prob(jnp.zeros(2))

    value, slope = jax.jit(jax.value_and_grad(total))(END + 300.0)
    assert value == pytest.approx(-0.1, abs=1e-12)
    assert slope == pytest.approx(0.0, abs=1e-12)
