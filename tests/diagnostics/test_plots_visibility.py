from __future__ import annotations

import numpy as np

from bayescal.diagnostics.plots_visibility import bias_figure, learning_figure
from bayescal.diagnostics.visibility_bias import Bias


def test_bias_leaves_out_empty_bins() -> None:
    edges = np.array([1e-6, 1e-4, 1e-2, 1.0])
    biases = {
        "library": Bias(edges, np.array([0.4, 0.1, np.nan]), np.array([9, 5, 0])),
        "network": Bias(edges, np.array([0.05, 0.02, 0.03]), np.array([9, 5, 2])),
    }
    panel = bias_figure(biases).axes[0]
    assert [line.get_label() for line in panel.lines] == ["library", "network"]
    np.testing.assert_allclose(panel.lines[0].get_xdata(), [1e-5, 1e-3])
    np.testing.assert_allclose(panel.lines[1].get_ydata(), [5, 2, 3])


def test_learning_curve_is_averaged() -> None:
    """1,000 steps as 200 means of five; the last mean may have fewer."""
    line = learning_figure(np.arange(1, 1002.0)).axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata()[[0, -1]], [6, 1001])
    np.testing.assert_allclose(line.get_ydata()[0], 3.5)
    assert len(line.get_xdata()) <= 200
    np.testing.assert_allclose(learning_figure(np.array([4.0, 2.0])).axes[0].lines[0].get_ydata(), [4, 2])
