"""Energy-conserving subsampling."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit
from bayescal.testing import assert_mean


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
    assert result.attrs["sampler_gradients"] < 0.1 * steps
    assert (result.attrs["rows"], result.attrs["rows_a_gradient"]) == (2003, 100)


def test_rows_that_are_not_normal(key):
    """A logistic regression, whose rows are no quadratic forms, against the same data all at once by NUTS."""
    generator = np.random.default_rng(5)
    x = generator.normal(size=(1500, 2))
    y = (generator.random(1500) < 1.0 / (1.0 + np.exp(-x @ [1.0, -0.5]))).astype(float)

    def model(inputs, data=None):
        weight = numpyro.sample("weight", dist.Normal(0.0, 5.0).expand([2]).to_event(1))
        with numpyro.plate("rows", 1500, subsample_size=300) as row:
            numpyro.sample("y", dist.Bernoulli(logits=inputs[row] @ weight), obs=None if data is None else data[row])

    settings = FitSettings(draws=500)
    found, reference = (fit(model, x, y, key=key, method=method, settings=settings) for method in ("hmcecs", "nuts"))
    assert found.converged, found.verdict
    assert 0.5 < found.attrs["row_acceptance"] < 1.0
    for index in range(2):
        draws, expected = found.draws("weight")[:, index], reference.draws("weight")[:, index]
        assert_mean(draws, expected.mean(), 400.0)
        np.testing.assert_allclose(draws.std(), expected.std(), rtol=5.0 / np.sqrt(2.0 * 400.0))


def test_a_model_without_parts_is_refused(known_models, key):
    with pytest.raises(InputError, match=r'numpyro.plate\("rows", N, subsample_size=m\) as row'):
        fit(*known_models.gaussian().case, key=key, method="hmcecs")
