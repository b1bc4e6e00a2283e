"""The mode from far away."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.inference.optimise import find_mode, minimise, prior_scale
from bayescal.inference.potential import Potential


def quiet(number, stage, steps, value):
    del number, stage, steps, value


def test_gaussian_mode_in_few_gradients(gaussian_case, key):
    potential = Potential(*gaussian_case, key)
    scale = prior_scale(potential.sample_prior(key, 100))
    found = minimise(potential, scale.centre + scale.spread, scale, 500)
    assert found.converged
    np.testing.assert_allclose(found.x, gaussian_case.data, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.inv(found.hessian), gaussian_case.inputs["covariance"], rtol=1e-3, atol=1e-7)
    assert found.gradients < 150


def test_what_the_data_measure_leads_to_the_mode_in_fewer_gradients(gaussian_case, key):
    """A Gaussian's mean, measured with known widths: the first guess of the curvature is the curvature."""

    def measured(values, inputs):
        factor = jnp.linalg.cholesky(inputs["covariance"])
        return jax.scipy.linalg.solve_triangular(factor, values["mean"], lower=True), jnp.ones(10)

    guided = Potential(*gaussian_case, key, measured)
    np.testing.assert_allclose(
        guided.information(np.zeros(10)), np.linalg.inv(gaussian_case.inputs["covariance"]), rtol=1e-6, atol=1e-6
    )
    scale = prior_scale(guided.sample_prior(key, 100))
    found = minimise(guided, scale.centre + scale.spread, scale, 500)
    blind = minimise(Potential(*gaussian_case, key), scale.centre + scale.spread, scale, 500)
    assert found.converged
    assert found.value == pytest.approx(blind.value, abs=1e-3)
    assert found.gradients <= blind.gradients - 10


def test_every_prior_draw_leads_to_the_same_mode(sharp_case, key):
    potential = Potential(*sharp_case, key)
    draws = potential.sample_prior(key, 200)
    scale = prior_scale(draws)
    modes = [minimise(potential, start, scale, 500) for start in draws[:10]]
    assert all(mode.converged and mode.decrement < 1e-4 for mode in modes)
    assert np.ptp([mode.value for mode in modes]) < 1e-3
    assert np.median([mode.gradients for mode in modes]) < 120


def plateau(inputs, data=None):
    """A narrow peak on a plateau: far away nothing but the tempered problem shows where it is."""
    place = numpyro.sample("place", dist.Uniform(-10.0, 10.0).expand([2]).to_event(1))
    distance = jnp.sum((place - data) ** 2) / inputs["width"] ** 2
    numpyro.factor("likelihood", 30.0 * jnp.exp(-0.5 * distance))


def test_tempered_stages_find_what_the_plateau_hides(key):
    data = np.array([4.0, -3.0])
    potential = Potential(plateau, {"width": 0.3}, data, key)
    draws = potential.sample_prior(key, 200)
    start, scale = draws[:1], prior_scale(draws)

    def tempered(inputs, stage):
        widths = [8.0, 3.0, 1.0]
        return {**inputs, "width": widths[stage]} if stage < len(widths) else None

    straight = find_mode(potential, start, scale, None, 500, quiet)
    led = find_mode(potential, start, scale, tempered, 500, quiet)
    assert np.abs(potential.constrain(straight.x)["place"] - data).max() > 1.0
    np.testing.assert_allclose(potential.constrain(led.x)["place"], data, atol=0.01)


def lure(inputs, data=None):
    """A narrow peak where the data are, and a broad lower one elsewhere, which the tempered problem makes the mode."""
    place = numpyro.sample("place", dist.Uniform(-10.0, 10.0).expand([2]).to_event(1))
    numpyro.factor("peak", 30.0 * jnp.exp(-0.5 * jnp.sum((place - data) ** 2)))
    numpyro.factor("lure", inputs["lure"] * jnp.exp(-0.5 * jnp.sum((place + data) ** 2) / 9.0))


def test_tempered_stages_that_lead_astray_are_outdone(key):
    data = np.array([4.0, -3.0])
    potential = Potential(lure, {"lure": 10.0}, data, key)
    scale = prior_scale(potential.sample_prior(key, 200))
    start = [potential.unconstrain({"place": data + 0.5}, scale.centre)]
    led = minimise(potential.with_inputs({"lure": 1e4}), start[0], scale, 500)
    np.testing.assert_allclose(potential.constrain(led.x)["place"], -data, atol=0.1)
    found = find_mode(potential, start, scale, lambda inputs, stage: {"lure": 1e4} if stage == 0 else None, 500, quiet)
    np.testing.assert_allclose(potential.constrain(found.x)["place"], data, atol=0.1)


def test_a_cliff_of_non_finite_values_is_stepped_back_from(key):
    def cliff(inputs, data=None):
        x = numpyro.sample("x", dist.Normal(0.0, 10.0))
        numpyro.factor(
            "likelihood", jnp.where(x < 1.0, inputs["slope"] * x - 1e-3 * x**2, jnp.nan) + 3.0 * jnp.log1p(-x)
        )

    potential = Potential(cliff, {"slope": 20.0}, None, key)
    scale = prior_scale(potential.sample_prior(key, 100))
    found = minimise(potential, np.array([-8.0]), scale, 200)
    assert found.converged
    assert 0.8 < found.x[0] < 0.9


def test_giving_up_says_why_and_turns_to_the_next_start(sharp_case, key):
    potential = Potential(*sharp_case, key)
    draws = potential.sample_prior(key, 200)
    scale = prior_scale(draws)
    short = minimise(potential, draws[0], scale, 15)
    assert not short.converged
    assert "gradients were not enough" in short.reason
    lost = np.full(potential.size, np.nan)
    assert minimise(potential, lost, scale, 15).reason == "the log-density at the start is not finite"
    assert find_mode(potential, [lost, draws[0]], scale, None, 500, quiet).converged


@pytest.mark.parametrize("seed", range(3))
def test_curved_valley(banana_case, seed):
    potential = Potential(*banana_case, jax.random.key(seed))
    draws = potential.sample_prior(jax.random.key(seed), 100)
    found = minimise(potential, draws[0], prior_scale(draws), 300)
    assert found.converged
    np.testing.assert_allclose(found.x, 1.0, atol=1e-2)
