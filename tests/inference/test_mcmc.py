"""Warm-up, and what happens where the mode's curvature misleads."""

import math
from functools import partial

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.inference.checkpoint import Store
from bayescal.inference.laplace import Gaussian
from bayescal.inference.machine import Machine
from bayescal.inference.mcmc import HELD_STEP, held, held_step, plan, sample
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import TRAJECTORY, Sampler
from bayescal.inference.settings import FitSettings
from bayescal.testing import assert_mean


def around(mode, widths):
    return Gaussian(mode, np.diag(widths**2), np.diag(widths))


def sampled(key, potential, approximation, attempts, settings):
    machine = Machine(Sampler(potential, settings), attempts)
    return sample(machine, lambda: machine.start(key, approximation), Store(), lambda *looks: None)


def test_a_wrong_metric_is_learnt_from_all_chains(gaussian_case, key):
    """Start with a tenth of the widths and no correlations."""
    potential = Potential(*gaussian_case, key)
    widths = np.sqrt(np.diag(gaussian_case.inputs["covariance"]))
    settings = FitSettings(draws=300)
    run = sampled(key, potential, around(gaussian_case.data, 0.1 * widths), plan(settings, trusted=False), settings)
    assert not run.failures(settings)
    assert run.attempts == 1
    assert run.stats["n_steps"][:, -100:].mean() < 16
    draws = run.draws["mean"][..., 0]
    assert_mean(draws, gaussian_case.data[0], run.quality.ess_bulk[0])
    assert_mean((draws - gaussian_case.data[0]) ** 2, widths[0] ** 2, 0.3 * run.quality.ess_bulk[0])


def test_a_divergence_voids_the_frozen_metric(key):
    """Neal's funnel: the neck diverges with the metric of the mode, and smaller steps are tried."""

    def funnel(inputs, data=None):
        scale = numpyro.sample("scale", dist.Normal(0.0, inputs))
        numpyro.sample("x", dist.Normal(0.0, jax.numpy.exp(scale)).expand([4]).to_event(1))

    potential = Potential(funnel, 3.0, None, key)
    settings = FitSettings(draws=100, warmup=40)
    run = sampled(key, potential, around(np.zeros(5), np.ones(5)), plan(settings, trusted=True), settings)
    assert run.attempts == 3
    assert any("diverged" in sentence or "R-hat" in sentence for sentence in run.failures(settings))


@pytest.mark.parametrize(("trusted", "lengths"), [(True, [50]), (False, [20, 40, 90, 50])])
def test_plan_of_the_first_attempt(trusted, lengths):
    attempts = plan(FitSettings(), trusted=trusted)
    assert [phase.iterations for phase in attempts[0].phases] == lengths
    assert [attempt.target_accept for attempt in attempts] == ([0.8] if trusted else []) + [0.9, 0.98]
    assert [attempt.last for attempt in attempts] == [False] * (len(attempts) - 1) + [True]


def test_a_step_is_held_while_it_is_accepted(gaussian_case, key):
    """On the metric of the posterior trees turn after three steps; one four times too wide gets a step that adapts."""
    potential = Potential(*gaussian_case, key)
    covariance, settings = gaussian_case.inputs["covariance"], FitSettings(draws=100)
    for width, attempts in ((1.0, 1), (4.0, 2)):
        factor = width * np.linalg.cholesky(covariance)
        machine = Machine(Sampler(potential, settings, HELD_STEP), [held(settings), *plan(settings, trusted=True)])
        start = partial(machine.start, key, Gaussian(gaussian_case.data, width**2 * covariance, factor))
        run = sample(machine, start, Store(), lambda *looks: None)
        assert run.attempts == attempts
        assert np.allclose(run.stats["step_size"], HELD_STEP) == (attempts == 1)
        assert (run.stats["n_steps"].mean() < 3.1) == (attempts == 1)
        assert run.stats["acceptance_rate"].mean() > 0.6


@pytest.mark.parametrize(
    ("size", "trusted", "settings"),
    [
        (6, False, {}),
        (33, True, {}),
        (6, True, {"target_accept": 0.9}),
        (6, False, {"method": "hmc"}),
        (6, True, {"method": "hmc", "leaps": 2}),
    ],
)
def test_step_is_adapted_elsewhere(size, trusted, settings):
    assert held_step(FitSettings(**settings), size, trusted=trusted) is None


@pytest.mark.parametrize(("size", "leaps"), [(2, 2), (6, 2), (30, 3), (200, 4)])
def test_held_leaps_end_after_a_quarter_of_a_period(size, leaps):
    """The momentum makes all of the new place but a tenth: one turn is the matrix of a leapfrog step on x²/2."""
    held = held_step(FitSettings(method="hmc"), size, trusted=True)
    assert math.ceil(TRAJECTORY / held) == leaps
    step = TRAJECTORY / leaps
    turn = np.array([[1 - step**2 / 2, step], [-step * (1 - step**2 / 4), 1 - step**2 / 2]])
    assert abs(np.linalg.matrix_power(turn, leaps)[0, 0]) < 0.1
