"""Energy-conserving subsampling."""

import jax
import pytest

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit


@pytest.fixture(scope="module")
def run(known_models):
    """2003 rows, 100 at a time: the last part is a short one."""
    known = known_models.gaussian_rows()
    settings = FitSettings(method="hmcecs", draws=1000)
    return fit(*known.case, key=jax.random.key(14), settings=settings), known


def test_known_posterior(run, known_models):
    result, known = run
    assert result.converged, result.verdict
    assert "100 of 2003 rows a gradient" in result.verdict
    known_models.check(result, known)


def test_fewer_gradients_than_steps(run):
    result, _ = run
    steps = result.data["sample_stats"]["n_steps"].values.sum()
    assert result.attrs["chain_gradients"] < 0.1 * steps
    assert result.data["sample_stats"]["row_acceptance"].shape == (4, 1000)
    assert (result.attrs["rows"], result.attrs["rows_a_gradient"]) == (2003, 100)


def test_no_log_likelihood_is_kept_where_it_is_an_estimate(run):
    result, _ = run
    assert "log_likelihood" not in result.data["sample_stats"]
    assert result.data["log_prior"]["mean"].shape == (4, 1000)


def test_a_model_without_parts_is_refused(known_models, key):
    with pytest.raises(InputError, match=r'numpyro.plate\("rows", N, subsample_size=m\) as row'):
        fit(*known_models.gaussian().case, key=key, method="hmcecs")
