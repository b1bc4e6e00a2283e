"""Runs of samplers: warm-up, attempts, interrupts, checkpoints, the verdict."""

import signal

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

from bayescal.inference import FitSettings, fit
from bayescal.inference.blackjax_nuts import kernel
from bayescal.inference.checkpoint import Store
from bayescal.inference.gaussian import Gaussian
from bayescal.inference.kernels import KernelSampler
from bayescal.inference.machine import Machine
from bayescal.inference.mcmc import plan, sample
from bayescal.inference.potential import Potential
from bayescal.inference.runs import unsettled

CHAINS = ("blackjax_nuts", "mclmc", "hmcecs")


def quiet(*looks):
    del looks


def run_from(around, potential, settings, key, *, trusted):
    machine = Machine(KernelSampler(potential, kernel(10), settings), plan(settings, trusted=trusted))
    return sample(machine, lambda: machine.start(key, around), Store(), quiet)


def test_a_wrong_metric_is_learnt_from_all_chains(known_models, key):
    """Start with a tenth of the widths, without correlations: a trajectory takes over a hundred steps with these."""
    known = known_models.gaussian()
    widths = 0.1 * known.sd["mean"]
    around = Gaussian(known.data, np.diag(widths**2), np.diag(widths))
    run = run_from(around, Potential(*known.case, key), FitSettings(draws=100), key, trusted=False)
    assert run.attempts == 1
    assert run.stats["n_steps"].mean() < 16


def test_a_divergence_voids_the_frozen_metric(key):
    """Beyond a wall the density is zero: each metric meets it in turn, and the last attempt is kept with its fault."""

    def walled(inputs, data=None):
        place = numpyro.sample("place", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        numpyro.factor("wall", jnp.where(place[0] > inputs, -jnp.inf, 0.0))

    settings = FitSettings(draws=50, warmup=20)
    around = Gaussian(np.zeros(2), np.eye(2), np.eye(2))
    run = run_from(around, Potential(walled, 0.5, None, key), settings, key, trusted=True)
    assert run.attempts == 3
    assert run.draws["place"].shape == (4, 50, 2)
    assert "of 200 trajectories diverged" in run.failures(settings)[0]


class Interrupting:
    """Progress that interrupts the draws once; it keeps what it was told."""

    def __init__(self, done):
        self.done, self.lines = done, []

    def __call__(self, progress):
        self.lines.append(progress)
        if progress.stage == "draws" and progress.done == self.done:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("method", [*CHAINS[:2], pytest.param(CHAINS[2], marks=pytest.mark.validate)])
def test_an_interrupted_run_keeps_its_draws_and_goes_on_to_the_same(known_models, tmp_path, key, method):
    case = (known_models.gaussian_rows if method == "hmcecs" else known_models.gaussian)().case
    settings = FitSettings(method=method, draws=60, warmup=50, chains=2, checkpoint_seconds=0)
    whole = fit(*case, key=key, settings=settings)
    interrupt = Interrupting(30)
    half = fit(*case, key=key, settings=settings, progress=interrupt, checkpoint=tmp_path / "run")
    assert half.verdict.startswith("It was interrupted after 30 draws a chain")
    assert half.unfinished
    assert list(dict.fromkeys(line.stage for line in interrupt.lines)) == ["map", "laplace", "warm-up", "draws"]
    assert interrupt.lines[-1].gradients > interrupt.lines[0].gradients
    resumed = fit(*case, key=key, settings=settings, checkpoint=tmp_path / "run", unfinished="resume")
    for group in ("posterior", "sample_stats"):
        kept, expected = half.data[group].to_dataset(), whole.data[group].to_dataset()
        xr.testing.assert_equal(kept, expected.isel(draw=slice(30)))
        xr.testing.assert_equal(resumed.data[group].to_dataset(), expected)
    for fact in ("gradients", "values", "khat", "mean_acceptance", "attempts"):
        assert resumed.attrs[fact] == whole.attrs[fact]


def test_a_step_size_that_was_not_found_is_told():
    assert unsettled(0.3, 0.8) == ["the acceptance is 0.30 where the warm-up asked for 0.80: lengthen it"]
    assert unsettled(0.7, 0.8) == []
