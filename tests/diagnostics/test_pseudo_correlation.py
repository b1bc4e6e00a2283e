import json

import numpy as np
import pytest
import xarray as xr

from bayescal.diagnostics.pseudo_correlation import PseudoCorrelation, jackknife_error, partial_correlation

CORRELATION = np.array([[1.0, 0.9, 0.3], [0.9, 1.0, 0.1], [0.3, 0.1, 1.0]])
SD = np.array([1e-3, 50.0, 2.0])
LABELS = ("kb", "lifetime", "noise")


def posterior(labels=LABELS):
    return xr.DataArray(CORRELATION, {"parameter": list(labels), "parameter_2": list(labels)})


def of(*hessians):
    return PseudoCorrelation(LABELS, np.stack(hessians))


def inverse_covariance():
    return np.linalg.inv(CORRELATION * np.outer(SD, SD))


def test_the_pseudo_correlation_of_a_normal_likelihood_is_its_correlation():
    found = of(0.5 * inverse_covariance(), 1.5 * inverse_covariance())
    np.testing.assert_allclose(found.pseudo, CORRELATION, rtol=1e-9)
    np.testing.assert_allclose(found.pseudo_error, 0.0, atol=1e-9)
    assert found.sentence.startswith("The likelihood alone constrains every combination; Hessian averaged over 2 batch")


def test_the_partial_correlation_by_hand():
    """(r12 - r13 r23) / ((1 - r13^2)(1 - r23^2))^1/2, the textbook's."""
    found = partial_correlation(inverse_covariance())
    assert found[0, 1] == pytest.approx((0.9 - 0.3 * 0.1) / np.sqrt((1 - 0.3**2) * (1 - 0.1**2)))
    np.testing.assert_allclose(np.diag(found), 1.0)


def test_units_do_not_matter():
    scale = np.diag([7.0, 0.1, 1e4])
    one, other = of(inverse_covariance()), of(scale @ inverse_covariance() @ scale)
    np.testing.assert_allclose(one.pseudo, other.pseudo, rtol=1e-9)
    np.testing.assert_allclose(one.partial, other.partial, rtol=1e-9)


@pytest.mark.parametrize("extra", [0.0, 1e-9])
def test_an_open_direction_has_no_pseudo_correlation_and_is_named(extra):
    hessian = np.array([[1.0, 1.0, 0.0], [1.0, 1.0 + extra, 0.0], [0.0, 0.0, 1.0]])
    found = of(hessian)
    assert np.isnan(found.pseudo).all()
    assert found.partial[0, 1] == pytest.approx(-1.0)
    assert "leaves a combination of kb, lifetime open" in found.sentence
    assert found.table(posterior(), 1) == [("kb, lifetime", "0.90", "-", "-1.00")]
    assert "combination of noise open" in of(np.diag([1.0, 1.0, -0.1])).sentence


def test_error_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=(12, 2, 2))
    expected = values.std(axis=0, ddof=1) / np.sqrt(12)
    np.testing.assert_allclose(jackknife_error(lambda mean: mean, values), expected, rtol=1e-12)
    assert np.isnan(jackknife_error(lambda mean: mean, values[:1])).all()


def test_table_and_file():
    noisy = [inverse_covariance() @ np.diag(1.0 + 0.1 * np.eye(3)[number % 3]) for number in range(6)]
    found = of(*(0.5 * (each + each.T) for each in noisy))
    rows = found.table(posterior(("kb", "lifetime", "other")), 5)
    assert [row[0] for row in rows] == ["kb, lifetime"]  # the posterior's others are not of the likelihood
    assert rows[0][2].startswith(f"{found.pseudo[0, 1]:.2f} ± ")
    stored = json.loads(json.dumps(found.as_json()))
    np.testing.assert_allclose(stored["pseudo"], found.pseudo)
    assert (stored["parameters"], stored["batches"]) == (list(LABELS), 6)
    assert json.loads(json.dumps(of(np.zeros((3, 3))).as_json()))["pseudo"][0] == [None, None, None]
