"""Pathfinder on posteriors whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blackjax.vi.pathfinder import PathfinderState
from scipy.stats import multivariate_normal

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit
from bayescal.inference import pathfinder as module
from bayescal.inference.laplace import gaussian
from bayescal.inference.optimise import minimise, prior_scale
from bayescal.inference.pathfinder import pathfinder
from bayescal.inference.potential import Potential
from bayescal.inference.problem import Problem

SETTINGS = FitSettings(method="pathfinder", paths=2, draws=1000)


def problem_of(case, key, max_gradients=500):
    potential = Potential(*case, key)
    prior = potential.sample_prior(key, 200)
    scale = prior_scale(prior)
    optimum = minimise(potential, scale.centre, scale, max_gradients)
    return Problem(potential, prior, optimum, gaussian(optimum))


def quiet(progress):
    del progress


def test_gaussian_posterior_and_its_evidence(gaussian_case, key, assert_means):
    lines = []
    result = fit(*gaussian_case, key=key, settings=SETTINGS, progress=lines.append)
    assert result.converged, result.verdict
    assert result.attrs["khat"] < 0.5
    assert_means(result.draws("mean"), gaussian_case.data, result.attrs["importance_ess"])
    prior_predictive = gaussian_case.inputs["covariance"] + 1e8 * np.eye(10)
    evidence = multivariate_normal.logpdf(gaussian_case.data, np.zeros(10), prior_predictive)
    np.testing.assert_allclose(result.attrs["elbo"], evidence, atol=0.01)
    shown = [line for line in lines if line.stage == "pathfinder"]
    assert [line.done for line in shown] == [1, 2]
    assert shown[-1].gradients == result.attrs["gradients"]


@pytest.mark.validate
def test_skewed_posterior_is_re_weighted(skewed_case, key, assert_means):
    result = fit(*skewed_case, key=key, settings=SETTINGS)
    assert result.converged, result.verdict
    draws = np.stack([result.draws(name) for name in ("lifetime", "rate", "share")], axis=1)
    assert_means(draws, np.array([3.0, 0.5, 0.3]), result.attrs["importance_ess"])
    assert result.attrs["largest_shift"] > 0.05
    assert f"{result.attrs['largest_shift']:.2f} sd" in result.verdict


def test_without_a_mode_the_paths_start_from_the_prior(skewed_case, key):
    """The search gave up where it began; the paths still lead to the posterior."""
    problem = problem_of(skewed_case, key, max_gradients=1)
    assert not problem.optimum.converged
    outcome = pathfinder(key, problem, SETTINGS, quiet)
    assert not outcome.failures
    error = outcome.draws["share"].std() / np.sqrt(outcome.facts["importance_ess"])
    assert abs(outcome.draws["share"].mean() - 0.3) < 5.0 * error


def test_interrupt_keeps_the_finished_paths(skewed_case, key):
    def interrupt(progress):
        assert progress.done == 1
        raise KeyboardInterrupt

    outcome = pathfinder(key, problem_of(skewed_case, key), SETTINGS, interrupt)
    assert outcome.failures == ["it was interrupted"]
    assert outcome.draws["share"].shape == (1, 1000)


def test_values_are_taken_one_at_a_time():
    """A program that maps over draws has no array of all of them at once."""
    function = module._one_at_a_time(lambda y, a: jnp.sum(jnp.sin(y) * a))
    y, a = jnp.arange(6.0).reshape(3, 2), 2.0
    np.testing.assert_allclose(jax.vmap(lambda row: function(row, a))(y), 2.0 * np.sin(y).sum(axis=1))
    np.testing.assert_allclose(jax.grad(function)(y[1], a), 2.0 * np.cos(y[1]))
    program = jax.make_jaxpr(jax.vmap(lambda row: function(row, a)))(y)
    assert "sin" in str(program)
    assert "f64[3,2] = sin" not in str(program)


def test_no_finite_path_is_an_input_error(skewed_case, key, monkeypatch):
    def nowhere(energy, settings):
        return lambda *arguments: (PathfinderState(np.array(-np.inf), *[None] * 5), 0)

    monkeypatch.setattr(module, "_program", nowhere)
    with pytest.raises(InputError, match="none of 2 paths met a finite log-density"):
        pathfinder(key, problem_of(skewed_case, key), SETTINGS, quiet)
