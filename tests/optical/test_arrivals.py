from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from bayescal.optical.arrivals import LAB_EMISSION, Arrivals, Delays, delays_of_moments, log_delayed
from bayescal.testing import check_gradient

WINDOW = {"window_start_ns": -50.0, "window_end_ns": 250.0}
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def arrivals(**changes) -> Arrivals:
    late = Delays(0.0, np.array([0.6, 0.4]), np.array([12.0, 55.0]), np.array([0.0, 9.0]))
    given = {"direct": 1.2, "indirect": 0.45, "dark": 0.05, "time_ns": 20.0, "width_ns": 2.3, **WINDOW}
    return Arrivals(**given | {"indirect_delays": late} | changes)


def integral(function, start, end, pieces=200) -> float:
    """Gauss-Legendre rule of 40 nodes in each piece."""
    edges = np.linspace(start, end, pieces + 1)
    half = 0.5 * np.diff(edges)[:, None]
    nodes = edges[:-1, None] + half * (1.0 + NODES)
    return float((np.asarray(function(jnp.asarray(nodes))) * half * WEIGHTS).sum())


delayed = jax.jit(log_delayed)


@jax.jit
def both(seen, times):
    return seen.before(times), seen.after(times)


@jax.jit
def log_density(seen, times):
    return seen.log_density(times)


@pytest.mark.parametrize(("width", "constant"), [(2.2, 15.0), (2.2, 1.5), (1.1, 397.0), (0.6, 60.0)])
def test_delayed_density_is_that_of_scipy(width, constant):
    late = np.linspace(-15 * width, 10 * constant, 200)
    expected = scipy.stats.exponnorm(constant / width, scale=width)
    ours = np.asarray(delayed(jnp.asarray(late), width, constant))
    np.testing.assert_allclose(ours, expected.logpdf(late), rtol=1e-9, atol=1e-9)
    delays = Delays(0.0, np.ones(1), np.array([constant]))
    one = Arrivals(1.0, 0.0, 0.0, 0.0, width, -100.0 * width, 1e3 * constant, direct_delays=delays)
    before, after = both(one, jnp.asarray(late))
    np.testing.assert_allclose(before, expected.cdf(late), atol=1e-14)
    np.testing.assert_allclose(after, expected.sf(late), rtol=1e-9)


def test_tails_of_delayed_density():
    """Far below zero -x^2/(2 s^2) dominates, far above -x/tau; a short delay is none."""
    assert float(delayed(-2000.0, 2.0, 10.0)) == pytest.approx(-500_000, rel=1e-4)
    slope = jax.jit(jax.grad(log_delayed))(5000.0, 2.0, 10.0)
    assert slope == pytest.approx(-0.1, rel=1e-12)
    late = jnp.linspace(-10.0, 10.0, 11)
    normal = scipy.stats.norm.logpdf(late - 1e-3, scale=2.0)
    np.testing.assert_allclose(delayed(late, 2.0, 1e-3), normal, atol=2e-6)


def test_mean_and_spread_of_delays():
    """Mean T + sum of w tau; second moment about T s^2 + 2 sum of w tau^2."""
    one = Arrivals(1.0, 0.0, 0.0, 10.0, 2.0, -100.0, 10_000.0, direct_delays=LAB_EMISSION)
    share, constant = np.asarray(LAB_EMISSION.weight) / 1.01, np.asarray(LAB_EMISSION.constant_ns)

    def moment(power):
        return integral(lambda t: (t - 10.0) ** power * jnp.exp(log_density(one, t)), -100.0, 10_000.0, 1000)

    assert moment(0) == pytest.approx(1.0, abs=1e-9)
    assert moment(1) == pytest.approx(share @ constant, rel=1e-8)
    assert moment(2) == pytest.approx(4.0 + 2 * share @ constant**2, rel=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{}, {"dark": 0.0}, {"direct": 0.0}, {"time_ns": -53.0}, {"time_ns": 249.0}, {"direct_delays": LAB_EMISSION}],
)
def test_density_lives_on_the_window(changes):
    """It integrates to one there, wherever the light is; the mean is what is left of the light and the dark noise."""
    seen = arrivals(**changes)
    assert integral(lambda t: jnp.exp(log_density(seen, t)), -50.0, 250.0) == pytest.approx(1.0, abs=1e-9)
    assert integral(lambda t: jnp.exp(log_density(seen, t)), -50.0, 31.0) == pytest.approx(
        float(seen.cumulative(31.0)), abs=1e-9
    )
    times = jnp.linspace(-50.0, 250.0, 31)
    before, after = map(np.asarray, both(seen, times))
    np.testing.assert_allclose(before + after, seen.mean, rtol=1e-12)
    assert after[0] == pytest.approx(float(seen.mean), rel=1e-12)
    assert after[-1] == pytest.approx(0.0, abs=1e-15)
    assert seen.mean <= seen.direct + seen.indirect + seen.dark


def test_light_out_of_the_window_is_missed():
    """Half of the light of a normal density that is centred at an end; none when it is far away."""
    edge = Arrivals(2.0, 0.0, 0.0, jnp.asarray([250.0, 400.0]), 2.2, **WINDOW)
    np.testing.assert_allclose(jax.jit(lambda seen: seen.mean)(edge), [1.0, 0.0], atol=1e-14)


def test_forms_of_logarithms_agree():
    seen, times = arrivals(), jnp.linspace(12.0, 200.0, 11)

    @jax.jit
    def forms(seen, times):
        logs = seen.log_cumulative(times), seen.log_survival(times), seen.log_rate(times) - seen.log_density(times)
        return (*logs, seen.cumulative(times), seen.mean)

    log_cumulative, log_survival, log_mean, cumulative, mean = map(np.asarray, forms(seen, times))
    np.testing.assert_allclose(np.exp(log_cumulative), cumulative, rtol=1e-13)
    np.testing.assert_allclose(np.exp(log_survival), 1.0 - cumulative, rtol=1e-11)
    np.testing.assert_allclose(np.exp(log_mean), mean, rtol=1e-12)


def test_time_at_inverts_before():
    seen = arrivals(direct=jnp.asarray([0.3, 50.0]), time_ns=jnp.asarray([20.0, 40.0]))
    expected = jnp.asarray([[0.01], [0.2], [0.9]]) * seen.mean
    np.testing.assert_allclose(jax.jit(lambda e: seen.before(seen.time_at(e)))(expected), expected, rtol=1e-10)


def test_gradient():
    """Rate, light before and light after at three times, and the mean; of all constants."""
    times, factors = jnp.asarray([13.0, 21.5, 140.0]), jnp.asarray([1.0, 0.7, -0.4])

    def total(x):
        direct, indirect, dark, time, width, fraction, short, long, start, end = x
        two = Delays(
            0.0, jnp.stack([fraction, 1 - fraction]), jnp.stack([short, long]), jnp.stack([0.1 * short, 0.2 * long])
        )
        seen = Arrivals(direct, indirect, dark, time, width, start, end, LAB_EMISSION, two)
        logs = seen.log_rate(times), jnp.log(seen.before(times)), jnp.log(seen.after(times))
        return sum(log @ factors for log in logs) - jnp.log(seen.mean)

    check_gradient(total, np.array([1.2, 0.45, 0.05, 20.0, 2.3, 0.6, 12.0, 55.0, -50.0, 250.0]), rtol=1e-6)


def test_gradient_far_from_the_light():
    """A time 200 widths early: finite without dark noise, and the slope is -x/s^2; dark noise takes over."""

    def log_rate(time, dark):
        return Arrivals(1.0, 0.1, dark, time, 2.0, -500.0, 500.0).log_rate(jnp.asarray(0.0))

    with_slopes = jax.jit(jax.value_and_grad(log_rate, argnums=(0, 1)))
    value, (slope, by_dark) = with_slopes(400.0, 0.0)
    assert value == pytest.approx(-0.5 * 200.0**2, abs=10.0)
    assert slope == pytest.approx(-100.0, rel=1e-3)
    assert np.isfinite(by_dark)
    value, (slope, _) = with_slopes(400.0, 1e-3)
    assert value == pytest.approx(np.log(1e-6), abs=1e-12)
    assert slope == 0.0


def test_gradient_at_no_light():
    """The slope in dark or indirect light at zero is their density over that of the direct light."""
    seen = arrivals(indirect=0.0, dark=0.0)
    slope = jax.jit(jax.grad(lambda dark: dataclasses.replace(seen, dark=dark).log_rate(jnp.asarray(20.0))))(0.0)
    assert slope == pytest.approx(1 / 300 / (1.2 * scipy.stats.norm.pdf(0, scale=2.3)), rel=1e-12)


def test_rows_are_those_sensors():
    time = jnp.linspace(0.0, 50.0, 6).reshape(2, 3)
    seen = arrivals(time_ns=time, direct=jnp.asarray([1.0, 2.0, 3.0]))
    assert seen.shape == (2, 3)
    some = seen.rows((2, 3), jnp.asarray([4, 1]))
    assert some.shape == (2,)
    before = [np.ravel(both(a, 30.0)[0]) for a in (some, seen)]
    np.testing.assert_allclose(before[0], before[1][[4, 1]], rtol=1e-14)


def test_rows_have_their_own_delays():
    mean, variance = jnp.asarray([5.0, 20.0, 40.0]), jnp.asarray([100.0, 300.0, 1600.0])
    seen = arrivals(direct=jnp.ones(3), indirect_delays=delays_of_moments(mean, variance))
    some, alone = seen.rows((3,), jnp.asarray([1])), delays_of_moments(mean[1], variance[1])
    times = [
        float(np.squeeze(each.before(jnp.asarray(45.0))))
        for each in (some, arrivals(direct=1.0, indirect_delays=alone))
    ]
    assert times[0] == pytest.approx(times[1], rel=1e-14)
    assert times[0] == pytest.approx(float(seen.before(jnp.asarray(45.0))[1]), rel=1e-14)


def test_delays_of_moments():
    """Mean and variance; late where it spreads less than its mean, never early."""
    mean, sd = np.array([12.0, 45.0, 100.0, 30.0]), np.array([24.0, 41.0, 60.0, 30.0])
    delays = delays_of_moments(mean, sd**2)
    share, constant, start = map(np.asarray, (delays.shares()[1], delays.constant_ns, delays.start_ns))
    np.testing.assert_allclose((share * (start + constant)).sum(axis=1), mean, rtol=1e-12)
    second = (share * (start**2 + 2 * start * constant + 2 * constant**2)).sum(axis=1)
    np.testing.assert_allclose(second - mean**2, sd**2, rtol=1e-12)
    np.testing.assert_allclose(start[:, 0], np.maximum(mean - sd, 0.0), atol=1e-12)
    longer = delays.stretched(1.5)
    np.testing.assert_allclose(longer.start_ns, 1.5 * start)
    np.testing.assert_allclose(longer.constant_ns, 1.5 * constant)
    spread = delays_of_moments(mean, sd**2, 0.1, 0.5)
    share, constant, start = map(np.asarray, (spread.shares()[1], spread.constant_ns, spread.start_ns))
    np.testing.assert_allclose((share * (start + constant)).sum(axis=1), mean, rtol=1e-12)
    second = (share * (start**2 + spread.spread_ns**2 + 2 * start * constant + 2 * constant**2)).sum(axis=1)
    np.testing.assert_allclose(second - mean**2, sd**2, rtol=1e-12)
    np.testing.assert_allclose(spread.spread_ns, 0.5 * start)
    assert (start >= 0.1 * mean[:, None] - 1e-12).all()


def test_weights_and_constants_belong_together():
    with pytest.raises(
        ValueError, match=r"weight and constant_ns need one shape \(\*sensor, component\), they have \(2,\) and"
    ):
        Delays(0.0, np.ones(2), np.ones(3))
