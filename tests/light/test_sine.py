from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light.sine import PI_PARTS, cosine, sine
from bayescal.testing import check_gradient


@pytest.mark.parametrize("largest", [1.0, 50.0, 1000.0])
def test_error_in_single_precision(largest) -> None:
    """Two units in the last place of a number near one."""
    x = np.random.default_rng(0).uniform(-largest, largest, 20_000).astype(np.float32)
    np.testing.assert_allclose(sine(x), np.sin(x.astype(float)), atol=2 * np.finfo(np.float32).eps)
    np.testing.assert_allclose(cosine(x), np.cos(x.astype(float)), atol=2 * np.finfo(np.float32).eps)


def test_huge_arguments_stay_bounded() -> None:
    x = jnp.array([1e6, -1e12, 1e30, -3e38], jnp.float32)
    assert (abs(sine(x)) <= 1.001).all()
    assert (abs(cosine(x)) <= 1.001).all()


def test_parts_of_pi() -> None:
    np.testing.assert_allclose(sum(PI_PARTS), np.pi, rtol=0, atol=1e-13)


def test_first_and_second_derivative() -> None:
    x = np.linspace(-9.0, 9.0, 7)
    for value, dtype, tolerance in ((sine, np.float64, 1e-14), (sine, np.float32, 3e-7)):
        slope, curvature = jax.grad(value), jax.grad(jax.grad(value))
        given = jnp.asarray(x, dtype)
        np.testing.assert_allclose(jax.vmap(slope)(given), np.cos(x), atol=tolerance)
        np.testing.assert_allclose(jax.vmap(curvature)(given), -np.sin(x), atol=tolerance)
    check_gradient(lambda x: (sine(x) * cosine(2 * x)).sum(), x, rtol=1e-7)
