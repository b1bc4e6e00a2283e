"""Variational fits of posteriors whose answer is known, and of one that the guide cannot describe."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit
from bayescal.inference.gaussian import LowRankGaussian
from bayescal.inference.optimum import Optimum
from bayescal.inference.potential import Potential
from bayescal.inference.problem import Problem
from bayescal.inference.settings import Guide
from bayescal.inference.svi import Run, make_guide, svi

CORRELATION = 0.4


def quiet(progress):
    del progress


def pair(inputs, data=None):
    """Two standard normal parameters, correlated."""
    numpyro.sample("pair", dist.MultivariateNormal(jnp.zeros(2), inputs))


@pytest.fixture
def unwhitened(key):
    """The pair, in coordinates that leave its correlation in place."""
    potential = Potential(pair, np.array([[1.0, CORRELATION], [CORRELATION, 1.0]]), None, key)
    zeros = np.zeros(2)
    metric = LowRankGaussian(zeros, np.ones(2), np.zeros((0, 2)), np.zeros(0))
    optimum = Optimum(zeros, potential.value(zeros), zeros, np.eye(2), 0.0, 0, 0, "")
    return Problem(potential, potential.sample_prior(key, 20), optimum, metric)


def test_mean_field_states_how_much_too_narrow_it_is(unwhitened, key):
    """Its best width is sqrt(1 - r^2) of the truth (D. Blei et al., JASA 112 (2017) 859, section 2.4).

    The tail index of its weights is r, so that they can be used and know the ratio to 1 / sqrt(2 ESS).
    """
    careful = {
        "svi_steps": 800,
        "svi_particles": 32,
        "learning_rate": 0.003,
    }  # the guide's own noise stays below the weights'
    settings = FitSettings(guide="AutoNormal", draws=6000, importance_draws=6000, **careful)
    outcome = svi(key, unwhitened, settings, quiet)
    assert not outcome.failures
    ratio = outcome.groups["approximation"]["sd_ratio"].values
    ess = outcome.facts["importance_ess"]
    np.testing.assert_allclose(ratio, np.sqrt(1.0 - CORRELATION**2), rtol=5.0 / np.sqrt(2.0 * ess))
    assert (ratio < 1.0 - 2.0 / np.sqrt(2.0 * ess)).all()
    assert f"{outcome.facts['smallest_sd_ratio']:.2f} (pair[" in outcome.success
    np.testing.assert_allclose(np.cov(outcome.draws["pair"][0].T)[0, 1], CORRELATION, atol=5.0 / np.sqrt(ess))


@pytest.mark.validate
@pytest.mark.parametrize(
    "guide", ["AutoLowRankMultivariateNormal", pytest.param("AutoIAFNormal", marks=pytest.mark.validate)]
)
def test_means_of_a_skewed_posterior(skewed_case, key, assert_means, guide):
    lines = []
    settings = FitSettings(method="svi", guide=guide, svi_steps=600, draws=1000)
    result = fit(*skewed_case, key=key, settings=settings, progress=lines.append)
    assert result.converged, result.verdict
    draws = np.stack([result.draws(name) for name in ("lifetime", "rate", "share")], axis=1)
    assert_means(draws, np.array([3.0, 0.5, 0.3]), result.attrs["importance_ess"])
    trace = result.data["approximation"]["elbo"]
    assert trace.sizes == {"step": result.attrs["svi_steps"]}
    assert -0.2 < trace.values[-100:].mean() < 5.0 * trace.values[-100:].std() / 10.0  # the log-evidence is 0
    shown = [line for line in lines if line.stage == "svi"]
    assert shown[-1].done == result.attrs["svi_steps"]
    assert result.attrs["gradients"] == result.attrs["mode"]["gradients"] + 8 * result.attrs["svi_steps"]


@pytest.mark.parametrize("name", get_args(Guide))
def test_every_guide_starts_near_the_standard_normal(name):
    guide = make_guide(name, 3)
    trace = handlers.trace(handlers.seed(guide, jax.random.key(1))).get_trace()
    assert trace["y"]["value"].shape == (3,)
    assert np.abs(trace["y"]["value"]).max() < 5.0


def test_interrupt_keeps_the_guide_as_it_is(unwhitened, key):
    def interrupt(progress):
        if progress.done == 20:
            raise KeyboardInterrupt

    outcome = svi(key, unwhitened, FitSettings(guide="AutoMultivariateNormal", draws=200), interrupt)
    assert outcome.facts["svi_steps"] == 20
    assert outcome.failures[0] == "it was interrupted"
    assert outcome.draws["pair"].shape == (1, 200, 2)


def test_a_guide_that_cannot_describe_the_posterior_says_so(key):
    """Two peaks fifteen widths apart: the mode's guide misses one, or lies between them."""

    def peaks(inputs, data=None):
        x = numpyro.sample("x", dist.Normal(0.0, 100.0))
        numpyro.factor("likelihood", jnp.logaddexp(-0.5 * x**2 * inputs, -0.5 * (x / 15.0) ** 2))

    settings = FitSettings(method="svi", guide="AutoNormal", svi_steps=40, draws=1000)
    result = fit(peaks, 1.0, None, key=key, settings=settings)
    assert not result.converged
    assert "not below 0.7: these are draws of the approximation alone, use nuts" in result.verdict
    assert len(np.unique(result.draws("x"))) == 1000


def test_a_flow_needs_two_parameters():
    with pytest.raises(InputError, match="guide AutoIAFNormal needs at least two free parameters: choose AutoNormal"):
        make_guide("AutoIAFNormal", 1)


def test_inputs_and_data_are_arguments_of_the_compiled_steps(key):
    """A thousand numbers of data appear in no program as constants."""

    def line(inputs, data=None):
        slope = numpyro.sample("slope", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        numpyro.sample("y", dist.Normal(slope.sum() * inputs, 1.0), obs=data)

    potential = Potential(line, np.arange(1000.0), np.ones(1000), key)
    zeros = np.zeros(2)
    metric = LowRankGaussian(zeros, np.ones(2), np.zeros((0, 2)), np.zeros(0))
    optimum = Optimum(zeros, 0.0, zeros, np.eye(2), 0.0, 0, 0, "")
    run = Run(key, Problem(potential, np.zeros((1, 2)), optimum, metric), FitSettings(guide="AutoNormal"))
    program = jax.make_jaxpr(run._take)(run._state, 2, run._arguments)
    assert all(np.size(constant) < 1000 for constant in program.consts)
