"""From a model to a result, by every method."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit
from bayescal.inference.convergence import quality
from bayescal.testing import assert_mean


def smallest_ess(result):
    return quality({name: result.data["posterior"][name].values for name in result.names}).ess_bulk.min()


@pytest.fixture(scope="module")
def gaussian_run(gaussian_case):
    lines = []
    result = fit(*gaussian_case, key=jax.random.key(1), units={"mean": "cm"}, progress=lines.append)
    return result, lines


def test_nuts_gives_the_known_mean_and_covariance(gaussian_run, gaussian_case):
    result, _ = gaussian_run
    assert result.converged, result.verdict
    draws, ess = result.draws("mean"), smallest_ess(result)
    expected = gaussian_case.inputs["covariance"]
    for index in range(draws.shape[1]):
        assert_mean(draws[:, index], gaussian_case.data[index], ess)
        square = (draws[:, index] - gaussian_case.data[index]) ** 2
        assert_mean(square, expected[index, index], 0.3 * ess)
    np.testing.assert_allclose(np.corrcoef(draws.T)[0, 1], 0.9, atol=0.03)


def test_few_gradients_an_effective_draw(gaussian_run):
    result, _ = gaussian_run
    assert 1000.0 * smallest_ess(result) / result.attrs["gradients"] > 50.0
    assert result.attrs["metric_trusted"]
    assert result.attrs["attempts"] == 1


def test_result_carries_what_a_reader_needs(gaussian_run):
    result, _ = gaussian_run
    stats = result.data["sample_stats"]
    for name in ("diverging", "lp", "energy", "acceptance_rate", "n_steps", "step_size"):
        assert stats[name].shape == (4, 500)
    assert result.units == {"mean": "cm"}
    assert result.data["prior"]["mean"].shape == (1, 500, 10)
    assert result.data["observed_data"]["data"].shape == (10,)
    assert result.data["laplace"]["covariance"].dims == ("parameter", "parameter_2")
    assert {"versions", "key", "wall_time_s", "gradients", "device", "settings"} <= set(result.attrs)


def test_progress_goes_through_the_stages(gaussian_run):
    _, lines = gaussian_run
    stages = list(dict.fromkeys(line.stage for line in lines))
    assert stages == ["map", "laplace", "warm-up", "draws"]
    assert lines[-1].done == lines[-1].total == 500
    assert lines[-1].gradients > lines[0].gradients
    assert all(line.message for line in lines)


def test_map_is_a_result_with_one_draw(gaussian_case, key):
    result = fit(*gaussian_case, key=key, method="map")
    assert result.converged
    assert result.verdict.startswith("The mode was found")
    np.testing.assert_allclose(result.draws("mean"), [gaussian_case.data], rtol=1e-3)
    np.testing.assert_allclose(result.data["laplace"]["mean"], gaussian_case.data, rtol=1e-3)


def test_laplace_of_a_gaussian(gaussian_case, key):
    settings = FitSettings(draws=400)
    result = fit(*gaussian_case, key=key, method="laplace", settings=settings)
    assert result.converged
    assert result.draws("mean").shape == (400, 10)
    assert_mean(result.draws("mean")[:, 0], gaussian_case.data[0], result.attrs["importance_ess"])


def test_auto_takes_laplace_where_its_weights_are_good(gaussian_case, known_models, key):
    quick = fit(*gaussian_case, key=key, method="auto")
    assert (quick.method, quick.converged) == ("laplace", True)
    assert quick.attrs["importance_ess"] > 400
    bent = fit(*known_models.banana().case, key=key, settings=FitSettings(method="auto", draws=50))
    assert bent.method == "nuts"
    assert bent.attrs["settings"]["method"] == "auto"


@pytest.mark.validate
def test_laplace_of_a_thousand_rates_with_many_counts(make_hierarchy, hierarchy_means, assert_means, key):
    case = make_hierarchy(1e4)
    result = fit(*case, key=key, method="laplace")
    assert result.converged, result.verdict
    draws = np.column_stack([result.draws("inverse"), result.draws("rate")])
    assert_means(draws, hierarchy_means(case), result.attrs["importance_ess"])
    assert result.attrs["gradients"] < 400
    assert "covariance" not in result.data["laplace"]
    assert result.data["laplace"]["sd"].shape == (1001,)


def test_laplace_of_a_thousand_rates_with_few_counts_is_no_posterior(make_hierarchy, key):
    result = fit(*make_hierarchy(3.0), key=key, method="laplace")
    assert not result.converged
    assert "not below 0.7: these are draws of the approximation alone" in result.verdict
    assert len(np.unique(result.draws("inverse"))) > 200


def test_sharp_posterior_and_stopping_by_ess(sharp_case, key):
    settings = FitSettings(draws=50, until="ess > 600 and rhat < 1.01", max_draws=2000)
    result = fit(*sharp_case, key=key, settings=settings)
    assert result.converged, result.verdict
    n_draws = result.data["posterior"].sizes["draw"]
    assert 50 < n_draws < 1000
    judged = quality({"share": result.data["posterior"]["share"].values})
    assert min(judged.ess_bulk.min(), judged.ess_tail.min()) > 600
    earlier = quality({"share": result.data["posterior"]["share"].values[:, : n_draws - settings.block]})
    assert earlier.failures(settings.stop)


def test_max_draws_ends_a_run_that_is_not_good_enough(gaussian_case, key):
    settings = FitSettings(draws=20, until="ess > 1e5", max_draws=45, warmup=20)
    result = fit(*gaussian_case, key=key, settings=settings)
    assert result.data["posterior"].sizes["draw"] == 45
    assert not result.converged
    assert "ESS of mean[" in result.verdict
    assert "is not above 100000" in result.verdict
    assert result.unfinished
    assert not result.interrupted


def test_banana_with_a_deterministic_site(banana_case, key):
    result = fit(*banana_case, key=key, settings=FitSettings(draws=300))
    assert result.names == ("gain", "product", "yield")
    np.testing.assert_allclose(result.draws("product"), result.draws("gain") * result.draws("yield"))
    assert_mean(result.draws("gain"), result.draws("yield").mean(), 0.5 * smallest_ess(result))


def test_interrupt_keeps_the_finished_blocks(gaussian_case, key):
    def interrupt(progress):
        if progress.stage == "draws" and progress.done == 30:
            signal.raise_signal(signal.SIGINT)

    result = fit(*gaussian_case, key=key, progress=interrupt)
    assert result.data["posterior"].sizes["draw"] == 30
    assert not result.converged
    assert result.verdict.startswith("It was interrupted after 30 draws a chain")
    assert result.interrupted
    assert result.unfinished


def test_no_finite_start_is_an_input_error(key):
    def broken(inputs, data=None):
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.factor("likelihood", jax.numpy.nan * x)

    with pytest.raises(InputError, match="not finite at any of 3 starts"):
        fit(broken, 1.0, None, key=key)


def test_methods_share_programs_and_trace_the_model_seldom(sharp_case, key):
    runs = []

    def counted(inputs, data=None):
        runs.append(1)
        return sharp_case.model(inputs, data)

    fit(counted, sharp_case.inputs, sharp_case.data, key=key, settings=FitSettings(draws=40, warmup=20))
    assert len(runs) <= 12


def test_vectorised_chains_agree_with_sequential_ones(gaussian_case, key):
    draws = {}
    for method in ("sequential", "vectorized"):
        settings = FitSettings(draws=10, warmup=10, chain_method=method)
        draws[method] = fit(*gaussian_case, key=key, settings=settings).draws("mean")
    np.testing.assert_allclose(draws["vectorized"], draws["sequential"], rtol=1e-5)


SCRIPT = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[2]))
import numpy as np
import numpyro
import numpyro.distributions as dist
from bayescal.inference import FitSettings, fit

def model(inputs, data=None):
    slope = numpyro.sample("slope", dist.Uniform(0.0, 3.0))
    numpyro.sample("y", dist.Normal(slope * inputs, 0.1), obs=data)

x = np.linspace(0.0, 1.0, 500)
for chain_method in ("parallel", "sequential"):
    settings = FitSettings(draws=50, chains=3, chain_method=chain_method)
    result = fit(model, x, 2.0 * x, key=jax.random.key(5), settings=settings)
    result.data["posterior"]["slope"].values.tofile(f"{sys.argv[1]}/{chain_method}")
print(len(jax.devices()))
"""


@pytest.mark.parametrize("devices", [pytest.param("1", marks=pytest.mark.validate), "2"])
def test_threads_and_devices_give_the_same_draws_as_one_after_the_other(tmp_path, devices):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), devices]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [devices]
    parallel, sequential = (np.fromfile(tmp_path / name) for name in ("parallel", "sequential"))
    assert parallel.size == 150
    np.testing.assert_array_equal(parallel, sequential)
