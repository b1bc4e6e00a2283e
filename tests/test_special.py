from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from bayescal import special
from bayescal.testing import check_gradient

Z = np.concatenate([[0.0], np.geomspace(1e-6, 1e4, 20_001)])
X = np.linspace(-30.0, 30.0, 6_001)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 6e-7), (np.float64, 1e-14)])
def test_erfcx_has_the_precision_of_its_argument(dtype: type, rtol: float) -> None:
    z = Z.astype(dtype)
    found = special.erfcx_positive(jnp.asarray(z))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, scipy.special.erfcx(z.astype(float)), rtol=rtol)


def test_erfcx_limits() -> None:
    assert special.erfcx_positive(jnp.zeros(())) == pytest.approx(1.0, rel=1e-14)
    assert special.erfcx_positive(jnp.asarray(1e6)) == pytest.approx(1e-6 / np.sqrt(np.pi), rel=1e-11)


def test_normal_density_and_its_logarithm() -> None:
    assert special.normal_pdf(jnp.asarray(0.0)) == pytest.approx(0.3989422804014327, rel=1e-15)
    np.testing.assert_allclose(special.normal_pdf(jnp.asarray(X)), scipy.stats.norm.pdf(X), rtol=1e-13)
    found = special.log_normal_pdf(jnp.asarray(X), 0.7)
    np.testing.assert_allclose(found, scipy.stats.norm.logpdf(X, scale=0.7), rtol=1e-14)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 2e-5), (np.float64, 1e-12)])
def test_normal_cdf_is_relatively_precise_in_the_lower_tail(dtype: type, rtol: float) -> None:
    x = X[X > -12].astype(dtype)  # there float32 still has all its digits
    np.testing.assert_allclose(special.normal_cdf(jnp.asarray(x)), scipy.special.ndtr(x.astype(float)), rtol=rtol)


def test_normal_cdf_hand_values() -> None:
    x = jnp.asarray([-np.inf, -1.0, 0.0, 1.0, 40.0])
    np.testing.assert_allclose(special.normal_cdf(x)[1:], [0.15865525393145707, 0.5, 0.8413447460685429, 1.0])


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_log_normal_cdf(dtype: type, rtol: float) -> None:
    x = X.astype(dtype)
    expected = scipy.special.log_ndtr(x.astype(float))
    np.testing.assert_allclose(special.log_normal_cdf(jnp.asarray(x)), expected, rtol=rtol, atol=rtol)


def test_log_normal_cdf_far_below_zero() -> None:
    x = np.array([-1e2, -1e4, -1e6])
    expected = -0.5 * x**2 - np.log(-x * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(special.log_normal_cdf(jnp.asarray(x)), expected, rtol=2e-8)


@pytest.mark.parametrize("function", [special.normal_pdf, special.normal_cdf, special.log_normal_cdf])
def test_gradients(function) -> None:
    check_gradient(lambda x: function(x) @ jnp.arange(1.0, 10.0), np.linspace(-6.0, 6.0, 9), rtol=1e-7, step=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [special.normal_cdf, special.log_normal_cdf])
def test_gradients_stay_finite_far_out(function, dtype: type) -> None:
    slope = jax.grad(lambda x: function(x).sum())(jnp.asarray([-1e4, -50.0, 0.0, 50.0, 1e4], dtype))
    assert np.isfinite(slope).all()


def test_slope_of_the_log_normal_cdf_far_below_zero_is_the_distance() -> None:
    """d log Phi / dx -> -x - 1/x."""
    assert jax.grad(special.log_normal_cdf)(-1e3) == pytest.approx(1e3 + 1e-3, rel=1e-9)
