"""Normal distributions with their covariance as a matrix, or in few numbers."""

import jax
import numpy as np
import pytest

from bayescal.inference.gaussian import Gaussian, LowRankGaussian, gaussian
from bayescal.inference.optimum import LowRankHessian, Optimum

SIZE = 7


def few_numbers() -> LowRankGaussian:
    random = np.random.default_rng(3)
    directions = np.linalg.qr(random.normal(size=(SIZE, 2)))[0].T
    return LowRankGaussian(
        random.normal(size=SIZE), 10.0 ** random.uniform(-2, 2, SIZE), directions, np.array([0.1, 6.0])
    )


def covariance(approximation: LowRankGaussian) -> np.ndarray:
    """By its definition."""
    middle = np.eye(SIZE) + approximation.directions.T @ np.diag(approximation.variances - 1) @ approximation.directions
    return middle * np.outer(approximation.scale, approximation.scale)


@pytest.mark.parametrize("approximation", [few_numbers(), few_numbers().dense()], ids=["few", "matrix"])
def test_operations_are_those_of_the_covariance(approximation):
    expected = covariance(few_numbers())
    factor = (approximation.colour(np.eye(SIZE)) - approximation.mode).T
    np.testing.assert_allclose(factor @ factor.T, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(approximation.sd, np.sqrt(np.diag(expected)))
    np.testing.assert_allclose(approximation.log_volume(), 0.5 * np.linalg.slogdet(expected)[1])
    np.testing.assert_allclose(approximation.dense().covariance, expected, rtol=1e-9, atol=1e-12)
    y = np.random.default_rng(0).normal(size=(3, 2, SIZE))
    np.testing.assert_allclose(approximation.whiten(approximation.colour(y)), y, rtol=1e-6, atol=1e-9)


def test_slope_is_that_by_whitened_coordinates():
    approximation, gradient = few_numbers(), np.arange(1.0, SIZE + 1.0)
    factor = (approximation.colour(np.eye(SIZE)) - approximation.mode).T
    np.testing.assert_allclose(approximation.slope(gradient), factor.T @ gradient)


@pytest.mark.parametrize("approximation", [few_numbers(), few_numbers().dense()], ids=["few", "matrix"])
def test_compiled_programs_take_them_as_arguments(approximation):
    y = np.arange(SIZE) / SIZE
    np.testing.assert_allclose(jax.jit(lambda a, y: a.colour(y))(approximation, y), approximation.colour(y))


def test_gaussian_of_an_optimum_inverts_its_hessian():
    hessian = LowRankHessian(np.array([0.1, 2.0]), np.array([[0.6, 0.8]]), np.array([4.0]))
    middle = np.eye(2) + 3.0 * np.outer(hessian.directions, hessian.directions)
    whole = middle / np.outer(hessian.scale, hessian.scale)
    for one in (hessian, whole):
        found = gaussian(Optimum(np.zeros(2), 0.0, np.zeros(2), one, 0.0, 0, 0, ""))
        np.testing.assert_allclose(found.dense().covariance, np.linalg.inv(whole))


def test_negative_curvature_counts_by_its_size():
    found = gaussian(Optimum(np.zeros(2), 0.0, np.zeros(2), np.diag([4.0, -0.25]), np.inf, 0, 0, "saddle"))
    assert isinstance(found, Gaussian)
    np.testing.assert_allclose(found.sd, [0.5, 2.0])
    few = LowRankHessian(np.ones(2), np.array([[0.0, 1.0]]), np.array([-0.25]))
    np.testing.assert_allclose(gaussian(Optimum(np.zeros(2), 0.0, np.zeros(2), few, np.inf, 0, 0, "saddle")).sd, [1, 2])
