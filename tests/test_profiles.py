"""Profiles whose form is known, and profiles against a search on a grid."""

import json

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

from bayescal.diagnostics.contents import scalars
from bayescal.diagnostics.plots_precision import profile_figure
from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit
from bayescal.inference.potential import Potential
from bayescal.profiles import HEADERS, Curve, Profile, Profiles, Scan

SETTINGS = FitSettings(method="map", prior_draws=500)


def line(inputs, data=None):
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    offset = numpyro.sample("offset", dist.Normal(0.0, 0.5))
    numpyro.sample("y", dist.Normal(slope * inputs["x"] + offset, 0.5), obs=data)


def product(inputs, data=None):
    """Only a product is measured, between bounds."""
    gain = numpyro.sample("gain", dist.Uniform(0.5, 2.0))
    recombination = numpyro.sample("recombination", dist.LogNormal(0.0, 0.2))
    numpyro.sample("y", dist.Normal(gain * recombination * inputs["x"], 0.3), obs=data)


def scanned(model, inputs, data, points):
    result = fit(model, inputs, data, key=jax.random.key(1), settings=SETTINGS)
    scan = Scan(Potential(model, inputs, data, jax.random.key(2)), result)
    return {c.label: scan.profile(c, points, lambda done, total: None) for c in scalars(result)}, scan, result


@pytest.fixture(scope="module")
def straight():
    x = np.linspace(1.0, 3.0, 6)
    data = 0.7 * x - 0.2 + 0.5 * np.random.default_rng(0).normal(size=6)
    return (x, data, *scanned(line, {"x": x}, data, 9))


def test_profiles_of_a_normal_model_are_parabolas(straight):
    """Likelihood: around the least squares, with the diagonal of the inverse information; posterior: with the prior."""
    x, data, found, _, _ = straight
    design = np.stack([np.ones(6), x])  # of offset and slope, in the order of the labels
    information = design @ design.T / 0.25
    prior = np.diag([0.5**-2, 1.0])
    for number, label in enumerate(("offset", "slope")):
        for curve, precision in ((found[label].likelihood, information), (found[label].posterior, information + prior)):
            centre = np.linalg.solve(precision, design @ data / 0.25)[number]
            expected = -0.5 * (curve.value - centre) ** 2 / np.linalg.inv(precision)[number, number]
            np.testing.assert_allclose(curve.log_density, expected - expected.max(), atol=2e-4)


def test_the_curvature_tells_where_the_next_fit_is(straight):
    """For the normal posterior the first try is right; the likelihood alone takes some steps more."""
    *_, scan, _ = straight
    assert scan.gradients <= 2 * 9 * (2 + 6)


def test_the_normal_posterior_is_its_own_profile(straight):
    found = straight[2]
    for one in found.values():
        np.testing.assert_allclose(one.posterior.interval, one.marginal, atol=0.01 * one.sd)
        assert not one.differs


def test_a_curved_valley_against_a_grid():
    x, data = np.array([1.0, 2.0]), np.array([1.2, 1.9])
    found, _, _ = scanned(product, {"x": x}, data, 7)
    one = found["gain"]
    gain, recombination = one.likelihood.value[:, None], np.geomspace(0.2, 4.0, 20_001)
    log_likelihood = norm.logpdf(data, (gain * recombination)[..., None] * x, 0.3).sum(axis=-1)
    log_prior = norm.logpdf(np.log(recombination), 0.0, 0.2) - np.log(recombination)
    for curve, expected in ((one.likelihood, log_likelihood), (one.posterior, log_likelihood + log_prior)):
        best = expected.max(axis=1)
        np.testing.assert_allclose(curve.log_density, best - best.max(), atol=1e-3)
    assert np.ptp(one.likelihood.log_density) < 1e-3  # the product can always be mended
    assert one.likelihood.interval is None
    assert "wider than the grid" in one.cells()
    assert one.likelihood.value.min() >= 0.5
    assert one.likelihood.value.max() <= 2.0


def test_a_single_parameter_has_nothing_to_fit():
    def only(inputs, data=None):
        numpyro.sample("y", dist.Normal(numpyro.sample("a", dist.Normal(0.0, 1.0)), 0.5), obs=data)

    found, scan, _ = scanned(only, None, np.array(1.0), 5)
    curve = found["a"].likelihood
    expected = -2.0 * (curve.value - 1.0) ** 2
    np.testing.assert_allclose(curve.log_density, expected - expected.max(), atol=1e-10)
    assert scan.gradients == 10


def test_interval_by_hand():
    x = np.linspace(-3.0, 3.0, 61)
    np.testing.assert_allclose(Curve(x, -0.5 * x**2).interval, (-1.0, 1.0), atol=6.0 / 999)
    few = np.linspace(-2.8, 3.1, 7)  # the best value lies between two points
    np.testing.assert_allclose(Curve(few, -0.5 * few**2).interval, (-1.0, 1.0), atol=6.0 / 999)
    assert Curve(x, 0.1 * x).interval is None
    lost = np.where(np.arange(61) == 5, np.nan, -0.5 * x**2)
    np.testing.assert_allclose(Curve(x, lost).interval, (-1.0, 1.0), atol=0.01)
    assert Curve(x, np.full(61, np.nan)).interval is None


def test_words_and_file():
    x = np.linspace(-3.0, 3.0, 7)
    lost = Curve(x, np.where(x < -2.0, np.nan, -0.5 * x**2))
    one = Profile("kb", "cm^2/us", lost, Curve(x, -0.5 * (x - 1.0) ** 2), (-1.0, 1.0), 1.0)
    outcome = Profiles([one], 99)
    assert outcome.sentence == (
        "13 of 14 fits were found with 99 gradients; marginal and profile differ in kb: see the figure."
    )
    assert dict(zip(HEADERS, one.cells(), strict=True))["68 % of the posterior"] == "-1.0 … 1.0"
    stored = json.loads(outcome.as_json())["profiles"][0]
    assert stored["log_likelihood"][0] is None
    assert stored["log_posterior"][4] == 0.0


def test_figure(straight):
    _, _, found, _, result = straight
    figure = profile_figure(list(found.values()), result)
    shown = {each.get_label() for each in figure.axes[0].lines}
    assert shown >= {"profile of the posterior", "profile of the likelihood"}


def test_large_spaces_are_refused(straight):
    *_, scan, result = straight
    data = result.data.copy()
    data["laplace"] = data["laplace"].to_dataset().drop_vars("unconstrained_covariance")
    with pytest.raises(InputError, match="no covariance matrix at its mode"):
        Scan(scan.potential, type(result)(data))
