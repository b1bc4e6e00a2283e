"""Tempered sequential Monte Carlo."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit
from bayescal.testing import assert_mean


@pytest.fixture(scope="module")
def run(known_models):
    known = known_models.gaussian()
    lines = []
    result = fit(*known.case, key=jax.random.key(13), method="smc", progress=lines.append)
    return result, known, lines


def test_known_posterior_and_evidence(run, known_models):
    """The prior is flat: the evidence is its density at the data. False alarm 1e-3 (Student t, three degrees)."""
    result, known, _ = run
    assert result.converged, result.verdict
    assert result.attrs["base"] == "gaussian"
    assert result.data["posterior"]["mean"].shape == (4, 500, 10)
    known_models.check(result, known)
    evidence = np.array(result.attrs["log_evidence"])
    expected = -10.0 * np.log(1e4 * np.sqrt(2.0 * np.pi)) - 0.5 * np.sum(known.data**2) / 1e8
    assert abs(evidence.mean() - expected) < 12.9 * evidence.std(ddof=1) / np.sqrt(len(evidence))


def test_log_density_and_progress(run):
    result, known, lines = run
    pull = np.linalg.solve(np.linalg.cholesky(known.inputs["covariance"]), (result.draws("mean") - known.data).T)
    difference = result.data["sample_stats"]["lp"].values.ravel() + 0.5 * np.sum(pull**2, axis=0)
    np.testing.assert_allclose(difference, difference[0], atol=1e-5)
    stages = [line for line in lines if line.stage.startswith("run 4")]
    assert [line.done for line in stages] == sorted(line.done for line in stages)
    assert stages[-1].done == 100
    assert "temperature 1, acceptance" in stages[-1].message


def two_peaks(inputs, data=None):
    x = numpyro.sample("x", dist.Uniform(-10.0, 10.0).expand([2]).to_event(1))
    peaks = jnp.stack([jnp.sum((x - centre) ** 2) for centre in (-4.0, 4.0)])
    numpyro.factor("likelihood", jax.nn.logsumexp(-0.5 * peaks / inputs**2 + jnp.log(jnp.array([0.3, 0.7]))))


@pytest.mark.validate
def test_two_peaks_keep_their_weights(key):
    result = fit(two_peaks, 0.3, None, key=key, settings=FitSettings(method="smc", smc_batch=200))
    assert result.attrs["base"] == "prior"
    left = (result.data["posterior"]["x"].values < 0.0).all(axis=-1).mean(axis=1)
    error = left.std(ddof=1) / np.sqrt(len(left))
    assert abs(left.mean() - 0.3) < 12.9 * error  # false alarm 1e-3
    assert error < 0.05
    right = result.draws("x")[result.draws("x")[:, 0] > 0.0][:, 0]
    assert_mean(right, 4.0, 0.2 * len(right))


def test_an_interrupt_keeps_finished_runs_and_a_resume_repeats_only_the_unfinished(known_models, tmp_path, key):
    case, lines = known_models.gaussian().case, []
    settings = FitSettings(method="smc", particles=60, chains=3, smc_moves=1)

    def interrupt(progress):
        if progress.stage == "run 3 of 3" and progress.done > 0:
            signal.raise_signal(signal.SIGINT)

    whole = fit(*case, key=key, settings=settings)
    half = fit(*case, key=key, settings=settings, progress=interrupt, checkpoint=tmp_path / "run")
    assert half.data["posterior"].sizes["chain"] == 2
    assert half.verdict.startswith("It was interrupted after 2 of 3 runs")
    assert half.unfinished
    resumed = fit(
        *case, key=key, settings=settings, progress=lines.append, checkpoint=tmp_path / "run", unfinished="resume"
    )
    assert {line.stage for line in lines if line.stage.startswith("run")} == {"run 3 of 3"}
    for group in ("posterior", "sample_stats"):
        xr.testing.assert_equal(resumed.data[group].to_dataset(), whole.data[group].to_dataset())
    for fact in ("gradients", "values", "temperatures", "log_evidence"):
        assert resumed.attrs[fact] == whole.attrs[fact]


def test_an_interrupt_of_the_first_run_leaves_nothing(known_models, key):
    def interrupt(progress):
        if progress.stage.startswith("run 1"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(*known_models.gaussian().case, key=key, method="smc", progress=interrupt)


def test_a_prior_where_nothing_is_possible_is_refused(key):
    def narrow(inputs, data=None):
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.factor("likelihood", jnp.where(x > inputs, -0.5 * (x - inputs) ** 2, -jnp.inf))

    with pytest.raises(InputError, match=r"at 2.% of the prior's draws only, too few for smc"):
        fit(narrow, 0.7, None, key=key, start={"x": 1.0}, settings=FitSettings(method="smc", particles=50))
