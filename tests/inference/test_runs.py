"""Runs of samplers: warm-up, attempts, interrupts, the verdict."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.inference import FitSettings, fit
from bayescal.inference.blackjax_nuts import kernel
from bayescal.inference.kernels import KernelSampler
from bayescal.inference.laplace import Gaussian
from bayescal.inference.mcmc import plan
from bayescal.inference.potential import Potential
from bayescal.inference.runs import sample, unsettled


def quiet(*looks):
    del looks


def test_a_wrong_metric_is_learnt_from_all_chains(known_models, key):
    """Start with a tenth of the widths and no correlations."""
    known = known_models.gaussian()
    widths = 0.1 * known.sd["mean"]
    settings = FitSettings(draws=100)
    around = Gaussian(known.data, np.diag(widths**2), np.diag(widths))
    sampler = KernelSampler(Potential(*known.case, key), kernel(10), around, settings)
    run = sample(key, sampler, plan(settings, trusted=False), quiet)
    assert run.attempts == 1
    assert run.trace.n_steps.mean() < 16
    learnt = np.sqrt(np.diag(sampler.whitening.covariance)) / known.sd["mean"]
    assert (np.abs(learnt - 1.0) < 0.5).all()


def test_a_divergence_voids_the_frozen_metric(key):
    """Neal's funnel: the neck diverges with the metric of the mode, and smaller steps are tried."""

    def funnel(inputs, data=None):
        scale = numpyro.sample("scale", dist.Normal(0.0, inputs))
        numpyro.sample("x", dist.Normal(0.0, jax.numpy.exp(scale)).expand([4]).to_event(1))

    settings = FitSettings(draws=100, warmup=40)
    around = Gaussian(np.zeros(5), np.eye(5), np.eye(5))
    sampler = KernelSampler(Potential(funnel, 6.0, None, key), kernel(10), around, settings)
    run = sample(key, sampler, plan(settings, trusted=True), quiet)
    assert run.attempts == 3
    assert any("diverged" in sentence or "R-hat" in sentence for sentence in run.failures(settings))


def test_interrupt_keeps_the_finished_blocks_and_progress_goes_through_the_stages(known_models, key):
    lines = []

    def interrupt(progress):
        lines.append(progress)
        if progress.stage == "draws" and progress.done == 30:
            raise KeyboardInterrupt

    result = fit(*known_models.gaussian().case, key=key, method="blackjax_nuts", progress=interrupt)
    assert result.data["posterior"].sizes["draw"] == 30
    assert not result.converged
    assert result.verdict.startswith("It was interrupted")
    assert list(dict.fromkeys(line.stage for line in lines)) == ["map", "laplace", "warm-up", "draws"]
    assert lines[-1].gradients > lines[0].gradients


def test_a_step_size_that_was_not_found_is_told():
    assert unsettled(0.3, 0.8) == ["the acceptance is 0.30 where the warm-up asked for 0.80: lengthen it"]
    assert unsettled(0.7, 0.8) == []
