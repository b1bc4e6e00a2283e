"""Normal distributions with their covariance as a matrix, or in few numbers."""

import jax
import numpy as np
import pytest

from bayescal.inference.gaussian import Gaussian, LowRankGaussian, gaussian, learnt
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


def test_learnt_coordinates_whiten_the_draws():
    """Ten thousand draws: a shrinkage of 4e-4 of a variance of one, which is 1 % of the smaller of theirs, 0.04."""
    factor = np.array([[2.0, 0.0], [-1.0, 0.5]])
    old = Gaussian(np.array([3.0, -4.0]), factor @ factor.T, factor)
    draws = np.random.default_rng(1).normal(size=(10_000, 2)) @ np.array([[3.0, 1.0], [0.0, 0.2]]) + 1.0
    change, fresh = learnt(old, draws)
    again = fresh.whiten(old.colour(draws))
    np.testing.assert_allclose(change.place(draws), again, atol=1e-9)
    np.testing.assert_allclose(again.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(np.cov(again.T), np.eye(2), atol=0.015)
    np.testing.assert_allclose(fresh.covariance, fresh.factor @ fresh.factor.T)
    slope = np.array([[0.3, -2.0]])
    np.testing.assert_allclose(change.slope(slope) @ np.linalg.inv(fresh.factor), slope @ np.linalg.inv(factor))
