from __future__ import annotations

import numpy as np
import pytest

from bayescal.diagnostics.visibility_bias import bias_against_visibility, mean_bias, relative_difference


def test_relative_difference() -> None:
    np.testing.assert_allclose(
        relative_difference(np.array([3.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 2.0, 0.0])), [1, 0, 2, 0]
    )


def test_bins_by_reference() -> None:
    """Lower edges belong to their bins; entries outside do not count; an empty bin has no mean."""
    reference = np.array([[1e-4, 5e-4], [1e-3, 1.0], [1e-9, 2e-4]])
    predicted = reference * np.array([[3.0, 1.0], [1 / 3, 9.0], [9.0, 1.0]])
    found = bias_against_visibility(predicted, reference, (1e-4, 1e-3, 1e-2, 1e-1))
    np.testing.assert_array_equal(found.entries, [3, 1, 0])
    np.testing.assert_allclose(found.mean, [1 / 3, 1.0, np.nan])


def test_mean_above() -> None:
    assert mean_bias(np.array([3e-3, 1e-5]), np.array([1e-3, 3e-5])) == pytest.approx(1.0)
    assert np.isnan(mean_bias(np.array([1.0]), np.array([1e-6])))
