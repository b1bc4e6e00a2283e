import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from bayescal.likelihoods.efficiency_counts import EfficiencyCounts, dark_limit
from bayescal.testing import check_gradient

MEAN = np.array([[5.0, 1.5, 9.0], [0.8, 2.0, 0.4]])
DARK = np.array([0.4, 0.1, 0.3])
SHAPE, RATE = 25.0, np.array([25.0, 20.0])
COUNT = np.array([[6, 2, 7], [0, 3, 1]])


def integrand(efficiency, sensor, count):
    prior = stats.gamma.pdf(efficiency, SHAPE, scale=1 / RATE[sensor])
    return prior * stats.poisson.pmf(count[sensor], efficiency * MEAN[sensor] + DARK).prod()


def with_dark(**options):
    return EfficiencyCounts(MEAN, SHAPE, RATE, dark=DARK, n_dark=dark_limit(DARK), **options)


def test_known_value():
    """One run, K = 7, M = 5.5, shape = rate = 25."""
    log_p = EfficiencyCounts(np.array([[5.5]]), 25.0, 25.0).log_prob(np.array([[7]]))
    assert float(log_p[0]) == pytest.approx(-2.1797888141, abs=1e-9)


@pytest.mark.parametrize("count", [COUNT, 0 * COUNT, 2 * COUNT + 4])
def test_probability_is_the_integral_over_efficiencies(count):
    log_p = with_dark().log_prob(count)
    for sensor in range(2):
        exact = integrate.quad(integrand, 0, 10, (sensor, count), epsabs=0, epsrel=1e-11, limit=200)[0]
        assert float(log_p[sensor]) == pytest.approx(np.log(exact), abs=1e-8)


def test_probabilities_add_up_to_one():
    """Of two runs of one sensor, counts up to 60: what is beyond is below 1e-9."""
    first, second = (each.ravel() for each in np.meshgrid(np.arange(60), np.arange(60)))
    grid = np.stack([first, second], axis=1)
    many = EfficiencyCounts(np.tile([5.0, 1.5], (3600, 1)), SHAPE, 25.0, dark=DARK[:2], n_dark=dark_limit(DARK[:2]))
    assert float(jnp.exp(many.log_prob(grid)).sum()) == pytest.approx(1.0, abs=1e-8)


def test_draws_have_the_moments_of_the_mixture():
    """Means and covariances of counts within 5 standard errors."""
    draws = np.asarray(with_dark().sample(jax.random.key(1), (40_000,)), float)
    efficiency = SHAPE / RATE
    mean = efficiency[:, None] * MEAN + DARK
    covariance = (SHAPE / RATE**2)[:, None, None] * MEAN[:, :, None] * MEAN[:, None, :]
    covariance += np.eye(3) * mean[:, None, :]
    error = np.sqrt(np.einsum("sii->si", covariance) / 40_000)
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * error).all()
    deviation = draws - mean
    products = np.einsum("nsi,nsj->nsij", deviation, deviation)
    assert (np.abs(products.mean(axis=0) - covariance) < 5 * products.std(axis=0) / 200).all()


def test_drawn_efficiencies_follow_their_posterior():
    """Kolmogorov and Smirnov's test against the normalised integrand; false alarm 1e-3 a sensor."""
    keys = jax.random.split(jax.random.key(2), 4000)
    draws = np.asarray(jax.vmap(lambda key: with_dark().draw_efficiency(key, COUNT))(keys))
    grid = np.linspace(1e-3, 4, 4001)
    for sensor in range(2):
        density = np.array([integrand(each, sensor, COUNT) for each in grid])
        cumulative = integrate.cumulative_simpson(density, x=grid, initial=0)
        result = stats.kstest(draws[:, sensor], lambda x, c=cumulative: np.interp(x, grid, c / c[-1]))
        assert result.pvalue > 1e-3


def test_absent_entries_have_no_weight():
    live = np.array([[True, False, True], [False, False, False]])
    log_p = with_dark(live=live).log_prob(np.where(live, COUNT, -1))
    two = EfficiencyCounts(MEAN[:1, [0, 2]], SHAPE, RATE[0], dark=DARK[[0, 2]], n_dark=dark_limit(DARK))
    np.testing.assert_allclose(log_p, [float(two.log_prob(COUNT[:1, [0, 2]])[0]), 0.0], atol=1e-10)
    assert (np.asarray(with_dark(live=live).sample(jax.random.key(0)))[~live] == 0).all()


def test_intensities_and_efficiencies_are_degenerate():
    """All light times a factor, all efficiencies over it."""
    scaled = EfficiencyCounts(1.7 * MEAN, SHAPE, 1.7 * RATE, dark=DARK, n_dark=dark_limit(DARK))
    np.testing.assert_allclose(scaled.log_prob(COUNT), with_dark().log_prob(COUNT), rtol=1e-12)


def test_gradient_is_that_of_differences():
    def total(x):
        counts = EfficiencyCounts(MEAN * x[:3], x[3], x[3] * jnp.ones(2), dark=DARK * x[4], n_dark=dark_limit(DARK))
        return counts.log_prob(COUNT).sum()

    check_gradient(total, np.array([1.1, 0.9, 1.3, 25.0, 1.2]), rtol=1e-6)


def test_dark_limit():
    assert dark_limit(0.0) == 0
    assert stats.poisson.sf(dark_limit(DARK), DARK.sum()) < 1e-12
