"""The yardstick itself, and NUTS in a valley that no frozen metric fits."""

import jax
import numpy as np
import pytest

from bayescal.inference import FitSettings, fit
from bayescal.inference.potential import Potential


def test_known_moments_of_the_banana_by_a_grid(known_models, key):
    """The density of gain and recombination, summed over a grid, has the moments that are called known."""
    known = known_models.banana()
    potential = Potential(*known.case, key)
    assert potential.names == ("gain", "others", "recombination")
    gain, recombination = np.meshgrid(np.linspace(0.05, 2.5, 400), np.linspace(0.05, 2.5, 400), indexing="ij")
    x = np.zeros((gain.size, 6))
    x[:, 0], x[:, 5] = gain.ravel(), recombination.ravel()
    energy = jax.vmap(lambda row: potential.programs.energy(row, potential.inputs, potential.data))(x)
    weight = np.exp(-(energy - energy.min()))
    weight = weight / weight.sum()
    for name, values in (("gain", x[:, 0]), ("recombination", x[:, 5])):
        mean = weight @ values
        np.testing.assert_allclose(mean, known.mean[name], rtol=1e-3)
        sd = np.sqrt(weight @ (values - mean) ** 2)
        np.testing.assert_allclose(sd, known.sd[name], rtol=2e-3)
        np.testing.assert_allclose(weight @ ((values - mean) / sd) ** 4, known.kurtosis[name], rtol=1e-2)


@pytest.mark.validate
def test_nuts_in_a_curved_valley_has_no_divergences(known_models):
    known = known_models.banana()
    settings = FitSettings(draws=1000, until="ess > 400", max_draws=4000)
    result = fit(*known.case, key=jax.random.key(3), settings=settings)
    assert result.converged, result.verdict
    assert not result.data["sample_stats"]["diverging"].values.any()
    assert result.attrs["attempts"] > 1
    known_models.check(result, known)


def test_check_finds_a_shift_and_a_width(known_models, key):
    known = known_models.gaussian()
    result = fit(*known.case, key=key, method="laplace", settings=FitSettings(draws=1000))
    known_models.check(result, known)
    shifted = known._replace(mean={"mean": known.mean["mean"] + 0.3 * known.sd["mean"]})
    with pytest.raises(AssertionError, match="standard errors from"):
        known_models.check(result, shifted)
    wider = known._replace(sd={"mean": 1.2 * known.sd["mean"]})
    with pytest.raises(AssertionError, match=r"sd .* known"):
        known_models.check(result, wider)
