from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from bayescal.light.timing import LightTiming, Pulse
from bayescal.light.waveform import WaveformLight, detected
from bayescal.likelihoods.waveforms import Waveforms
from bayescal.testing import check_density, check_gradient

TIMING = LightTiming()
NOISE = 2.6


def spread_light(n_samples, photoelectrons, rows=1):
    """Light over a whole window, more at its start."""
    shape = jnp.exp(-jnp.arange(n_samples * 16) / 40.0)
    return WaveformLight(jnp.tile(photoelectrons * shape / shape.sum(), (rows, 1)), TIMING)


@jax.jit
def log_prob(waveforms, value):
    return waveforms.log_prob(value)


@jax.jit
def draw(waveforms, key):
    return waveforms.sample(key)


def test_waveforms_without_light_are_white_noise():
    light = WaveformLight(jnp.zeros((3, 10 * 16)), TIMING)
    value = NOISE * np.random.default_rng(1).standard_normal((3, 10))
    expected = scipy.stats.norm.logpdf(value, scale=NOISE).sum(axis=1)
    np.testing.assert_allclose(log_prob(Waveforms(light, NOISE), value), expected, atol=1e-6)


def covariance(light, noise, charge_spread):
    """Of all samples, from the response to a photoelectron on every node."""
    n_nodes = light.photoelectrons.shape[-1]
    ends = jnp.arange(light.n_samples + 1) * 16.0 - jnp.arange(n_nodes)[:, None]
    response = 5940.0 * np.diff(Pulse.of(light.timing).integral(ends), axis=1) / 16
    seen = np.asarray(light.photoelectrons[0])[:, None] * response
    return (1 + charge_spread**2) * response.T @ seen + noise**2 * np.eye(light.n_samples)


def test_bright_light_is_normal_with_its_exact_covariance():
    light = spread_light(10, 2e5)
    rng = np.random.default_rng(3)
    normal = scipy.stats.multivariate_normal(np.asarray(light.expected()[0]), covariance(light, NOISE, 0.1))
    value = normal.rvs(3, random_state=rng)
    found = log_prob(Waveforms(replace(light, photoelectrons=jnp.tile(light.photoelectrons, (3, 1))), NOISE), value)
    np.testing.assert_allclose(found, normal.logpdf(value), rtol=1e-6)


@pytest.mark.parametrize("photoelectrons", [pytest.param(0.3, marks=pytest.mark.validate), 3.0])
def test_density_of_two_samples_integrates_to_one(photoelectrons):
    light = spread_light(2, photoelectrons)
    first, second = np.linspace(-20.0, 300.0, 400), np.linspace(-20.0, 1000.0, 1000)
    value = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(log_prob(Waveforms(light, NOISE), value)).reshape(400, 1000)
    mass = np.trapezoid(np.trapezoid(density, second, axis=1), first)
    assert mass == pytest.approx(1.0, abs=1e-3)


def test_one_sample_has_the_density_of_its_draws():
    light = spread_light(1, 1.5, rows=4000)
    drawn = np.asarray(draw(Waveforms(light, NOISE), jax.random.key(4)))[:, 0]
    waveforms = Waveforms(spread_light(1, 1.5), NOISE)
    # arrival inside the sample is taken as normal: bins of the width of its effect
    edges = np.array([-15.0, -2.0, 0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 150.0])
    check_density(lambda y: log_prob(waveforms, y[:, None]), drawn, edges, p_limit=0.0)
    assert drawn.mean() == pytest.approx(float(waveforms.mean[0, 0]), abs=5 * drawn.std() / 4000**0.5)
    variance = covariance(light, NOISE, 0.1)[0, 0]
    assert drawn.var() == pytest.approx(variance, rel=0.15)


def test_rail_is_an_outcome_of_its_own():
    waveforms = Waveforms(spread_light(1, 3.0), NOISE, rail=15.0)
    y = np.linspace(-60.0, 15.0 - 1e-9, 4001)  # "many" photoelectrons are normal, and reach below zero
    mass = np.trapezoid(np.exp(log_prob(waveforms, y[:, None])), y)
    at_rail = float(np.exp(log_prob(waveforms, jnp.asarray([[15.0]]))[0]))
    assert mass + at_rail == pytest.approx(1.0, abs=1e-5)
    assert 0.01 < at_rail < 0.9
    drawn = draw(Waveforms(spread_light(1, 3.0, rows=2000), NOISE, rail=15.0), jax.random.key(1))
    assert drawn.max() == 15.0


def test_rail_after_the_first_sample():
    """Both samples at the rail, one, or none: probabilities of draws."""
    waveforms = Waveforms(spread_light(2, 2e4), 100.0, rail=jnp.asarray(1.3e5))
    waveforms = Waveforms(waveforms.light, 100.0, rail=float(waveforms.mean[0, 1]))
    both = float(np.exp(log_prob(waveforms, jnp.full((1, 2), waveforms.rail))[0]))
    y = np.linspace(0.0, float(waveforms.rail) - 1e-6, 4001)
    second = np.exp(log_prob(waveforms, np.stack([y, np.full(4001, waveforms.rail)], axis=-1)))
    assert both + np.trapezoid(second, y) == pytest.approx(0.5, abs=0.01)


def test_draws_have_the_moments_of_the_light():
    light = spread_light(12, 30.0, rows=3000)
    drawn = np.asarray(draw(Waveforms(light, NOISE), jax.random.key(9)))
    expected = covariance(light, NOISE, 0.1)
    error = np.sqrt(np.diag(expected) / 3000)
    assert (abs(drawn.mean(axis=0) - np.asarray(light.expected()[0])) < 5 * error).all()
    np.testing.assert_allclose(drawn.var(axis=0), np.diag(expected), rtol=0.2)


def flash(timing, photoelectrons=5.0, n_samples=96):
    """A flash at 40 ns; the triplet time fits the window."""
    return detected(jnp.zeros((1, n_samples * 16)).at[0, 40].set(photoelectrons), timing)


SHORT = replace(TIMING, triplet_ns=400.0)


@pytest.fixture(scope="module")
def scores():
    """Slopes of the log density of 200 drawn waveforms of 5 p.e. in singlet fraction, triplet time and gain (logs)."""
    light = flash(SHORT)
    rows = replace(light, photoelectrons=jnp.tile(light.photoelectrons, (200, 1)))
    drawn = draw(Waveforms(rows, NOISE), jax.random.key(21))

    def of(x, waveform):
        share, triplet, gain = jnp.exp(x)
        timing = replace(SHORT, singlet_fraction=0.3 * share, triplet_ns=400.0 * triplet, gain=5.94 * gain)
        return Waveforms(flash(timing), NOISE).log_prob(waveform[None])[0]

    per_waveform = jax.jit(jax.vmap(jax.grad(of), in_axes=(None, 0)))
    return lambda x: np.asarray(per_waveform(jnp.asarray(x), drawn))


@pytest.mark.validate
def test_truth_is_where_the_slopes_vanish_on_average(scores):
    """In low light, too: chi-square of the mean slope, false alarm 1e-3."""
    slopes = scores(np.zeros(3))
    mean = slopes.mean(axis=0)
    chi_square = len(slopes) * mean @ np.linalg.solve(np.cov(slopes.T), mean)
    assert scipy.stats.chi2.sf(chi_square, 3) > 1e-3


@pytest.mark.validate
def test_curvature_is_the_variance_of_the_slopes(scores):
    """So that intervals cover: claimed over actual width within 20 % (a normal density fails by a factor of five)."""
    step = 0.02
    curvature = [(scores(-step * axis) - scores(step * axis)).mean(axis=0) / (2 * step) for axis in np.eye(3)]
    claimed = np.linalg.inv(0.5 * (np.array(curvature) + np.array(curvature).T))
    actual = claimed @ np.cov(scores(np.zeros(3)).T) @ claimed
    np.testing.assert_allclose(np.sqrt(np.diag(actual) / np.diag(claimed)), 1.0, atol=0.2)


def test_gradient_is_that_of_differences():
    value = jnp.asarray(draw(Waveforms(flash(TIMING, n_samples=16), NOISE), jax.random.key(2)))

    def total(x):
        light = flash(LightTiming(*x[:8]), x[8], n_samples=16)
        return Waveforms(light, x[9], charge_spread=x[10]).log_prob(value)[0]

    nominal = np.array([0.3, 6.0, 1530.0, 10.0, 1.0, 55.0, 95.0, 5.94, 5.0, 2.6, 0.1])
    check_gradient(total, nominal, rtol=1e-5)


def test_dead_sensors_say_nothing():
    live = jnp.asarray([True, False])
    light = spread_light(4, 5.0, rows=2)
    waveforms = Waveforms(light, NOISE, live=live)
    value = jnp.asarray([[1.0, 2.0, 0.0, -1.0], [jnp.nan] * 4])
    found = log_prob(waveforms, value)
    assert found[0] == pytest.approx(float(log_prob(Waveforms(light, NOISE), jnp.nan_to_num(value))[0]))
    assert found[1] == 0.0
    assert (draw(waveforms, jax.random.key(0))[1] == 0.0).all()


def test_shapes():
    light = WaveformLight(jnp.ones((2, 3, 64)), TIMING)
    waveforms = Waveforms(light, NOISE)
    assert waveforms.batch_shape == (2, 3)
    assert waveforms.event_shape == (4,)
    drawn = waveforms.sample(jax.random.key(0), (5,))
    assert drawn.shape == (5, 2, 3, 4)
    assert waveforms.log_prob(drawn).shape == (5, 2, 3)
