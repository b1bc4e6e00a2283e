from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from bayescal.likelihoods.counts import AnalogueCharge, PhotonCounts
from bayescal.likelihoods.negative_binomial import log_ratio, log_tails
from bayescal.testing import assert_covers, check_counts, check_density, check_gradient

MEAN = np.array([0.02, 0.3, 2.6, 10.0, 39.6])
MANY = np.arange(400)


@jax.jit
def log_prob(counts, value):
    return counts.log_prob(value)


@jax.jit
def thousand(counts, key):
    return counts.sample(key, (1000,))


def concentration(mean, excess_noise, model_error):
    return mean / (excess_noise - 1.0 + model_error**2 * mean)


@pytest.mark.parametrize(("excess_noise", "model_error"), [(1.3, 0.0), (1.0, 0.1), (1.2, 0.3), (3.0, 0.1)])
def test_probability_is_that_of_a_negative_binomial_of_the_stated_moments(excess_noise, model_error):
    counts = PhotonCounts(MEAN, excess_noise=excess_noise, model_error=model_error)
    k = concentration(MEAN, excess_noise, model_error)
    log_p = np.asarray(log_prob(counts, MANY[:, None]))
    np.testing.assert_allclose(log_p, scipy.stats.nbinom.logpmf(MANY[:, None], k, k / (k + MEAN)), rtol=1e-9)
    p = np.exp(log_p)
    np.testing.assert_allclose(p.sum(axis=0), 1.0, rtol=1e-9)
    np.testing.assert_allclose(MANY @ p, MEAN, rtol=1e-7)
    variance = excess_noise * MEAN + (model_error * MEAN) ** 2
    np.testing.assert_allclose(((MANY[:, None] - MEAN) ** 2 * p).sum(axis=0), variance, rtol=1e-6)
    np.testing.assert_allclose(counts.variance, variance, rtol=1e-12)


def test_poisson_distribution_is_the_limit():
    """Value, slope in the mean n/m - 1, and slope in F ((n - m)^2 - n)/(2 m), at F = 1 and s = 0 and next to it."""
    mean, n = np.array([0.01, 2.6, 39.6, 1e3, 1e5]), np.array([3.0, 2.0, 60.0, 1040.0, 99_500.0])

    def total(mean, excess_noise, model_error):
        return PhotonCounts(mean, excess_noise=excess_noise, model_error=model_error).log_prob(n).sum()

    @jax.jit
    def at(excess_noise):
        value = PhotonCounts(mean, excess_noise=excess_noise).log_prob(n)
        ones = jnp.ones(mean.size)
        return value, jax.grad(total, argnums=(0, 1, 2))(jnp.asarray(mean), excess_noise * ones, 0.0 * ones)

    expected = scipy.stats.poisson.logpmf(n, mean)
    value, slopes = at(1.0)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    np.testing.assert_allclose(slopes[0], n / mean - 1.0, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slopes[1], ((n - mean) ** 2 - n) / (2 * mean), rtol=1e-9)
    np.testing.assert_array_equal(slopes[2], 0.0)
    near, near_slopes = at(1.0 + 1e-10)
    np.testing.assert_allclose(near, expected + 1e-10 * slopes[1], rtol=1e-9)
    np.testing.assert_allclose(near_slopes[1], slopes[1], rtol=1e-5)


def test_few_counts_where_much_is_expected():
    """Probabilities far below the smallest number: no term of the overdispersion's high powers is left behind."""
    mean, n = np.geomspace(1e3, 1e7, 50)[:, None], np.arange(24)
    k = concentration(mean, 1.0, 0.1)
    value, slope = jax.jit(jax.vmap(jax.vmap(jax.value_and_grad(_far), (None, 0)), (0, None)))(mean[:, 0], 1.0 * n)
    np.testing.assert_allclose(value, scipy.stats.nbinom.logpmf(n, k, k / (k + mean)), rtol=1e-9)
    u = 0.01 * mean
    by_mean = sum(np.where(n > i, 1 / (mean + i * u) * (1 + 0.01 * i), 0.0) for i in range(24)) - 0.01 * n / (1 + u)
    np.testing.assert_allclose(slope, by_mean - 1 / (1 + u), rtol=1e-9, atol=1e-15)


def _far(mean, n):
    return PhotonCounts(mean, model_error=0.1).log_prob(n)


def test_no_light():
    """log P(0) = -m log(1 + phi)/phi; P(n) of others is zero; slopes are right at a mean of exactly zero."""

    def silent(mean, excess_noise, limit):
        return PhotonCounts(mean, excess_noise=excess_noise, threshold=limit).log_prob(0)

    for excess_noise, slope in ((1.0, -1.0), (1.3, -np.log(1.3) / 0.3)):
        for limit in (None, 1.0):
            value, gradient = jax.jit(jax.value_and_grad(silent), static_argnums=2)(0.0, excess_noise, limit)
            assert abs(value) < 1e-50
            assert gradient == pytest.approx(slope, rel=1e-10)
    assert np.isneginf(log_prob(PhotonCounts(0.0), 1))
    assert log_prob(PhotonCounts(0.0, saturation=5), 7) < -600
    assert log_prob(PhotonCounts(0.0, dark=0.2), 1) == pytest.approx(np.log(0.2) - 0.2)


def test_log_ratio_is_smooth_where_its_series_takes_over():
    u = np.array([-0.5, -0.0501, -0.0499, 1e-12, 0.0499, 0.0501, 3.0])
    np.testing.assert_allclose(log_ratio(jnp.asarray(u)), np.log1p(u) / u, rtol=1e-14)
    check_gradient(lambda u: log_ratio(u).sum(), u, rtol=1e-9, step=1e-3)
    curvature = np.asarray(jax.vmap(jax.grad(jax.grad(log_ratio)))(jnp.asarray([-0.0499, -0.0501, 0.0])))
    assert curvature[0] == pytest.approx(curvature[1], rel=1e-3)
    assert curvature[2] == pytest.approx(2 / 3, rel=1e-14)


def test_tails_are_incomplete_beta_functions():
    rng = np.random.default_rng(5)
    mean, overdispersion = 10 ** rng.uniform(-2, 4, 1000), 10 ** rng.uniform(-3, 1, 1000)
    limit = np.maximum(np.floor(mean * 10 ** rng.uniform(-0.5, 0.5, 1000)), 1)
    k, x = mean / overdispersion, overdispersion / (1 + overdispersion)
    tails = jax.jit(log_tails)(limit, mean, overdispersion)
    above, below = scipy.special.betainc(limit, k, x), scipy.special.betainc(k, limit, 1 - x)
    safe = (k > 1) & (k < 1e4)  # beyond, the reference loses digits
    assert safe.sum() > 500
    for found, expected in ((tails.above, above), (tails.below, below)):
        kept = safe & (expected > 1e-250)
        np.testing.assert_allclose(np.exp(found)[kept], expected[kept], rtol=2e-10)
    poisson = log_tails(limit, mean, np.zeros(1000))
    expected = scipy.stats.poisson.logsf(limit - 1, mean)
    kept = expected > -500
    np.testing.assert_allclose(poisson.above[kept], expected[kept], rtol=1e-9, atol=1e-10)


def test_outcomes_with_saturation_and_threshold_add_up_to_one():
    counts = PhotonCounts(MEAN, excess_noise=1.3, model_error=0.1, dark=0.05, saturation=30, threshold=3)
    p = np.exp(log_prob(counts, MANY[:31, None]))
    np.testing.assert_allclose(p.sum(axis=0), 1.0, rtol=1e-10)
    np.testing.assert_array_equal(p[1:3], 0.0)
    assert log_prob(counts, 45.0)[4] == log_prob(counts, 30.0)[4]
    whole = np.exp(log_prob(PhotonCounts(MEAN, excess_noise=1.3, model_error=0.1, dark=0.05), MANY[:, None]))
    np.testing.assert_allclose(p[0], whole[:3].sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(p[30], whole[30:].sum(axis=0), rtol=1e-9)


def test_draws_follow_the_probabilities():
    for options in ({}, {"excess_noise": 1.4, "model_error": 0.2, "saturation": 25, "threshold": 2}):
        counts = PhotonCounts(jnp.repeat(jnp.asarray([0.3, 12.0]), 20), dark=0.1, **options)
        drawn = np.asarray(thousand(counts, jax.random.key(3))).reshape(-1, 2, 20)
        outcomes = MANY[: options.get("saturation", 99) + 1]
        p = np.exp(log_prob(counts, outcomes[:, None]))
        for row in (0, 1):
            check_counts(np.bincount(drawn[:, row].ravel(), minlength=len(outcomes)), p[:, 20 * row])


def test_gradients_are_those_of_differences():
    """In mean, F, s and dark counts: ordinary, saturated, suppressed and large counts."""
    light = jnp.asarray([0.4, 4.0, 40.0, 28.0, 3.0, 36.0, 2e4])
    value = jnp.asarray([0.0, 9.0, 60.0, 60.0, 0.0, 0.0, 1.8e4])
    saturation = jnp.asarray([60.0] * 6 + [1e6])

    def total(x):
        scale, excess_noise, model_error, dark = x
        counts = PhotonCounts(
            scale * light,
            excess_noise=excess_noise,
            model_error=model_error,
            dark=dark,
            saturation=saturation,
            threshold=2,
        )
        return counts.log_prob(value) @ jnp.arange(1.0, 8.0)

    # gammaln(1.8e4) rounds to 1e-11, seven times, over the step
    check_gradient(total, np.array([1.1, 1.25, 0.15, 0.3]), rtol=1e-7, step=3e-3)


def test_derivatives_by_one_mean_a_sensor_are_sums_over_its_counts():
    """Gradient by reverse mode, slope by forward mode, and second derivatives."""
    value = jnp.asarray(np.random.default_rng(4).poisson(MEAN, (6, 5)), float)

    def total(mean):
        return PhotonCounts(mean, excess_noise=1.3, model_error=0.1, dark=0.1).log_prob(value).sum()

    @jax.jit
    def derivatives(mean):
        slope = jax.jvp(total, (mean,), (jnp.ones_like(mean),))[1]
        return jax.grad(total)(mean), slope, jax.jacfwd(jax.grad(total))(mean)

    gradient, slope, second = derivatives(jnp.asarray(MEAN))
    of_each, slope_of_each, second_of_each = derivatives(jnp.tile(MEAN, (6, 1)))
    np.testing.assert_allclose(gradient, of_each.sum(axis=0), rtol=1e-12)
    assert slope == pytest.approx(float(slope_of_each), rel=1e-12)
    np.testing.assert_allclose(second, np.einsum("tjsk->jk", second_of_each), rtol=1e-12)


def test_dead_sensors_say_nothing():
    live = jnp.asarray([True, False, False])

    def total(mean):
        counts = PhotonCounts(mean, excess_noise=1.2, saturation=50, threshold=1, live=live)
        return counts.log_prob(jnp.asarray([3.0, jnp.nan, 4.0])).sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(jnp.asarray([2.0, 5.0, 0.0]))
    assert value == pytest.approx(float(log_prob(PhotonCounts(2.0, excess_noise=1.2), 3)))
    np.testing.assert_array_equal(np.asarray(gradient)[1:], 0.0)
    drawn = thousand(PhotonCounts(1e3, live=live), jax.random.key(0))
    assert drawn[:, 0].min() > 800
    assert drawn[:, 1:].max() == 0


def test_batch_shapes_and_pytrees():
    counts = PhotonCounts(np.ones((3, 1)), excess_noise=np.full(4, 1.2), validate_args=True)
    assert counts.batch_shape == (3, 4)
    assert counts.sample(jax.random.key(0), (2,)).shape == (2, 3, 4)
    assert jnp.issubdtype(counts.sample(jax.random.key(0)).dtype, jnp.integer)
    many = jax.vmap(lambda mean: PhotonCounts(mean, model_error=0.1))(jnp.arange(1.0, 4.0))
    np.testing.assert_allclose(
        jax.vmap(log_prob, (0, None))(many, 2), log_prob(PhotonCounts(np.arange(1.0, 4.0), model_error=0.1), 2)
    )


def minimum(loss, mean):
    """Where the expectation of a loss over Poisson-distributed counts has its minimum."""
    n = np.arange(300)
    weight = scipy.stats.poisson.pmf(n, mean)
    return scipy.optimize.minimize_scalar(
        lambda m: weight @ loss(n, m), bounds=(0.3 * mean, 3 * mean + 2), method="bounded", options={"xatol": 1e-6}
    ).x


@pytest.mark.parametrize("mean", [2.6, 10.0, 25.0, 100.0])
def test_losses_without_normalisation_are_biased_and_ours_is_not(mean):
    """(n - m)^2/(m + 25) has its minimum too high by m/(2 (m + 25)), (n - m)^2/(m^2 + 25) by up to 1."""
    chi_square = minimum(lambda n, m: (n - m) ** 2 / (m + 25.0), mean)
    assert chi_square - mean == pytest.approx(mean / (2 * (mean + 25)), rel=0.02)
    squares = minimum(lambda n, m: (n - m) ** 2 / (m**2 + 25.0), mean)
    printed = {2.6: 0.23, 10.0: 0.8, 25.0: 0.96, 100.0: 1.0}[mean]
    assert squares - mean == pytest.approx(printed, abs=0.02)
    ours = minimum(lambda n, m: -np.asarray(log_prob(PhotonCounts(m), n)), mean)
    assert ours == pytest.approx(mean, rel=1e-5)


def covered(model_error, replicas=300):
    """Replicas whose 68 % and 95 % intervals of a common yield hold the truth, with gains that are wrong by 10 %."""
    rng = np.random.default_rng(11)
    light = np.geomspace(2.0, 200.0, 24)
    data = rng.poisson(light * (1 + 0.1 * rng.standard_normal((replicas, 24))))
    yields = np.linspace(0.7, 1.3, 122)
    log_posterior = log_prob(PhotonCounts(yields[:, None, None] * light, model_error=model_error), data).sum(axis=-1)
    posterior = np.asarray(jax.nn.softmax(log_posterior, axis=0))
    below = posterior[yields < 1.0].sum(axis=0)
    return [(level, int((abs(below - 0.5) < level / 2).sum()), replicas) for level in (0.68, 0.95)]


def test_model_error_makes_intervals_cover():
    for level, hits, replicas in covered(0.1):
        assert_covers(hits, replicas, level)
    for level, hits, replicas in covered(0.0):
        with pytest.raises(AssertionError, match="cover the truth"):
            assert_covers(hits, replicas, level)


def test_pit_is_uniform_where_the_model_is_right():
    options = {"excess_noise": 1.3, "dark": 0.1, "saturation": 30, "threshold": 2}
    truth = PhotonCounts(jnp.asarray([0.5, 5.0, 25.0, 28.0]), model_error=0.4, **options)
    drawn = thousand(truth, jax.random.key(7))
    pit = jax.jit(lambda counts, value: counts.pit(jax.random.key(8), value))
    assert scipy.stats.kstest(np.ravel(pit(truth, drawn)), "uniform").pvalue > 1e-3
    narrow = PhotonCounts(truth.expected - 0.1, **options)
    assert scipy.stats.kstest(np.ravel(pit(narrow, drawn)), "uniform").pvalue < 1e-6
    assert np.isnan(pit(PhotonCounts(3.0, live=False), 2))


CHARGE = {"excess_noise": 1.2, "model_error": 0.1, "dark": 0.1}


@pytest.mark.parametrize(("mean", "noise"), [(0.4, 0.15), (3.0, 0.7), (120.0, 5.0)])
def test_analogue_charge_has_the_density_of_its_draws(mean, noise):
    charge = AnalogueCharge(jnp.full(10, mean), noise, **CHARGE)
    draws = np.ravel(thousand(charge, jax.random.key(1)))
    step = min(4 * noise, 2.0) / 2
    edges = np.arange(-8 * noise, mean + 16 * np.sqrt(mean + 1) + 8 * noise + 0.2 * mean, step)
    one = AnalogueCharge(mean, noise, **CHARGE)
    check_density(lambda q: log_prob(one, q), draws, edges, mass_tolerance=1e-6)
    error = float(one.variance) ** 0.5 / 100
    assert abs(draws.mean() - mean - 0.1) < 5 * error


def test_saturated_charges():
    """Density below the rail and probability of the rail add up to one; the gradient is that of differences."""
    charge = AnalogueCharge(10.0, 1.5, saturation=14.0, **CHARGE)
    q = np.linspace(-15.0, 14.0 - 1e-9, 4001)
    mass = np.trapezoid(np.exp(log_prob(charge, q)), q) + np.exp(log_prob(charge, 14.0))
    assert mass == pytest.approx(1.0, abs=1e-6)
    assert log_prob(charge, 20.0) == log_prob(charge, 14.0)
    drawn = thousand(charge, jax.random.key(2))
    at_rail = int((drawn == 14.0).sum())
    assert_covers(at_rail, 1000, float(np.exp(log_prob(charge, 14.0))))

    def total(x):
        mean, noise, excess_noise, model_error, dark = x
        options = {"excess_noise": excess_noise, "model_error": model_error, "dark": dark, "saturation": 14.0}
        return AnalogueCharge(mean, noise, **options).log_prob(jnp.asarray([0.4, 9.3, 15.0])) @ jnp.arange(1.0, 4.0)

    check_gradient(total, np.array([10.0, 1.5, 1.2, 0.1, 0.3]), rtol=1e-7)


def test_dark_sensor_without_light_has_the_density_of_the_noise():
    value, gradient = jax.jit(jax.value_and_grad(lambda mean: AnalogueCharge(mean, 0.3).log_prob(0.1)))(0.0)
    assert value == pytest.approx(scipy.stats.norm.logpdf(0.1, scale=0.3), rel=1e-12)
    ratio = np.exp(scipy.stats.norm.logpdf(0.9, scale=0.3) - scipy.stats.norm.logpdf(0.1, scale=0.3))
    assert gradient == pytest.approx(ratio - 1.0, rel=1e-9)  # d log[P(0) N(0.1) + P(1) N(-0.9)] / dm
    assert AnalogueCharge(3.0, 0.3, live=False).log_prob(jnp.nan) == 0.0
