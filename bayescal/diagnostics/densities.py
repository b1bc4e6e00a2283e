"""Smooth densities of draws: one parameter on its range, two parameters as contours of probability."""

from __future__ import annotations

import numpy as np
from arviz_stats.base import array_stats
from scipy.ndimage import gaussian_filter

Density = tuple[np.ndarray, np.ndarray]


def density(draws: np.ndarray) -> Density:
    """Kernel density estimate that does not leak over the ends of the draws' range.

    Args:
        draws: any shape, in the parameter's unit.

    Returns:
        The grid [512] and the density on it, in inverse units.
    """
    grid, values, _ = array_stats.kde(np.ravel(draws))
    return grid, values


def contour_levels(mass: np.ndarray, probabilities: tuple[float, ...]) -> np.ndarray:
    """Heights whose contours hold the given probabilities, ascending.

    Args:
        mass: probability a cell [nx, ny].
        probabilities: inside each contour, for instance (0.68, 0.95).
    """
    ordered = np.sort(mass, axis=None)[::-1]
    inside = np.cumsum(ordered) / ordered.sum()
    indices = [min(int(np.searchsorted(inside, p)), inside.size - 1) for p in probabilities]
    return np.unique(ordered[indices])


def joint_density(x: np.ndarray, y: np.ndarray, n_cells: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smoothed histogram of two parameters.

    The width of the smoothing follows D. Scott's rule in two dimensions, n^(-1/6) standard deviations.

    Returns:
        Cell centres in x [n_cells] and y [n_cells], and the mass in each cell [n_cells, n_cells].
    """
    x, y = np.ravel(x), np.ravel(y)
    ranges = [(values.min() - 0.1 * np.ptp(values), values.max() + 0.1 * np.ptp(values)) for values in (x, y)]
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=n_cells, range=ranges)
    shape = x.size ** (-1 / 6)
    widths = [shape * values.std() / (edges[1] - edges[0]) for values, edges in ((x, x_edges), (y, y_edges))]
    mass = gaussian_filter(counts / x.size, np.minimum(widths, n_cells / 8), mode="constant")
    return (x_edges[1:] + x_edges[:-1]) / 2, (y_edges[1:] + y_edges[:-1]) / 2, mass
