"""Calibration of the calibration: exact tests of ranks and coverage over many simulated data sets.

If parameters are drawn from the prior, data from the model, and the posterior is right, the rank of the true value
among independent posterior draws is uniform (S. Talts et al., arXiv:1804.06788), and central intervals cover at their
nominal rate. A chain's draws must be thinned to near independence before ranks are taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import root_scalar
from scipy.stats import binom, binomtest, chi2, poisson

MOST_CELLS = 100
"""Ranks are looked at in at most so many cells; more cost time and add no power."""


@dataclass(frozen=True)
class RanksTest:
    """Uniformity of ranks.

    Attributes:
        p_value: exact probability, for uniform ranks, of a largest deviation at least this improbable.
        statistic: the smallest two-sided binomial tail probability of the cumulative counts.
        n_replicas: number of ranks.
    """

    p_value: float
    statistic: float
    n_replicas: int


@dataclass(frozen=True)
class CoverageTest:
    """Coverage of an interval.

    Attributes:
        p_value: exact two-sided binomial probability.
        covered: intervals that held the truth, of `n_replicas`.
        n_replicas: number of intervals.
        nominal: probability at which a right interval covers.
    """

    p_value: float
    covered: int
    n_replicas: int
    nominal: float

    @property
    def rate(self) -> float:
        """Share of the intervals that held the truth."""
        return self.covered / self.n_replicas

    @property
    def rate_interval(self) -> tuple[float, float]:
        """Exact 95 % confidence interval of the rate (C. J. Clopper and E. S. Pearson, as in `coverage_test`)."""
        low, high = binomtest(self.covered, self.n_replicas).proportion_ci(0.95, method="exact")
        return float(low), float(high)


def ranks(truth: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Number of draws below the truth.

    Args:
        truth: the values that made the data [replica].
        draws: posterior draws, thinned to near independence [replica, draw].

    Returns:
        A whole number from 0 to the number of draws [replica].
    """
    return (np.asarray(draws) < np.asarray(truth)[:, None]).sum(axis=1)


def sbc_ranks_test(ranks: np.ndarray, n_draws: int) -> RanksTest:
    """Exact test that ranks are uniform, by their cumulative counts.

    The statistic is that of T. Säilynoja, P. Bürkner and A. Vehtari, Statistics and Computing 32 (2022) 32, section 2:
    the smallest two-sided tail probability of the binomial counts below each rank. Its p-value is exact: the chance
    that uniform ranks leave the band of counts that are less extreme, summed over all paths of the cumulative counts.

    Args:
        ranks: from 0 to n_draws [replica].
        n_draws: independent draws of each posterior.
    """
    values = _checked(ranks, n_draws)
    edges = _cell_edges(n_draws)
    shares = edges / (n_draws + 1)
    counts = np.searchsorted(np.sort(values), edges[1:-1], side="left")
    statistic = float(_tail(counts, values.size, shares[1:-1]).min())
    low, high = _band(values.size, shares[1:-1], statistic * (1 + 1e-9))
    return RanksTest(1 - _inside(values.size, shares, low, high), statistic, values.size)


def sbc_chi_square_test(ranks: np.ndarray, n_draws: int, n_bins: int = 10) -> float:
    """P-value of Pearson's chi-square of binned ranks (S. Talts et al., arXiv:1804.06788, section 4).

    Args:
        ranks: from 0 to n_draws [replica].
        n_draws: independent draws of each posterior.
        n_bins: bins; at least five ranks must be expected in each, as for the chi-square distribution to hold.
    """
    values = _checked(ranks, n_draws)
    edges = np.round(np.linspace(0, n_draws + 1, n_bins + 1)).astype(int)
    expected = values.size * np.diff(edges) / (n_draws + 1)
    if expected.min() < 5:
        raise ValueError(f"{n_bins} bins leave {expected.min():.1f} expected ranks in one, at least 5 are needed")
    observed = np.histogram(values, edges - 0.5)[0]
    return float(chi2.sf(((observed - expected) ** 2 / expected).sum(), n_bins - 1))


def central_coverage_test(ranks: np.ndarray, n_draws: int, level: float) -> CoverageTest:
    """Exact coverage test of the central interval of a level, from ranks.

    The interval is the set of ranks whose probability is nearest to the level; this probability is the nominal one.

    Args:
        ranks: from 0 to n_draws [replica].
        n_draws: independent draws of each posterior.
        level: nominal probability inside, for instance 0.68.
    """
    values = _checked(ranks, n_draws)
    outside = round((1 - level) * (n_draws + 1) / 2)
    covered = (values >= outside) & (values <= n_draws - outside)
    return coverage_test(covered, (n_draws + 1 - 2 * outside) / (n_draws + 1))


def coverage_test(covered: np.ndarray, level: float) -> CoverageTest:
    """Exact two-sided binomial test of a coverage (C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404).

    Args:
        covered: whether each interval held the truth [replica].
        level: probability at which a right interval covers.
    """
    flags = np.asarray(covered, dtype=bool)
    test = binomtest(int(flags.sum()), flags.size, level)
    return CoverageTest(float(test.pvalue), int(flags.sum()), flags.size, level)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values adjusted for their number: reject where below a level, with that level for the family of tests.

    S. Holm, Scandinavian Journal of Statistics 6 (1979) 65.
    """
    ordered = sorted(p_values, key=lambda name: p_values[name])
    factors = np.arange(len(ordered), 0, -1)
    adjusted = np.maximum.accumulate([p_values[name] * n for name, n in zip(ordered, factors, strict=True)])
    by_name = dict(zip(ordered, np.minimum(adjusted, 1.0).tolist(), strict=True))
    return {name: by_name[name] for name in p_values}


def ecdf_band(n: int, probability: float, cells: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The band in which the cumulative distribution of n uniform values lies everywhere with a probability.

    Args:
        n: number of values.
        probability: of lying inside at all points.
        cells: number of equal cells between whose edges the points lie; n or `MOST_CELLS` by default.

    Returns:
        Points between 0 and 1, and the lower and upper end of the band at each [point].
    """
    shares = np.linspace(0, 1, (min(n, MOST_CELLS) if cells is None else cells) + 1)

    def excess(log_tail: float) -> float:
        return _inside(n, shares, *_band(n, shares[1:-1], math.exp(log_tail))) - probability

    tail = math.exp(root_scalar(excess, bracket=(math.log(1e-12), 0.0), xtol=1e-3).root)
    low, high = _band(n, shares[1:-1], tail)
    return shares[1:-1], low / n, high / n


def _checked(ranks: np.ndarray, n_draws: int) -> np.ndarray:
    values = np.asarray(ranks)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"ranks must be one row of numbers, got shape {values.shape}")
    if values.min() < 0 or values.max() > n_draws:
        raise ValueError(f"ranks must lie between 0 and {n_draws}, got {values.min()} to {values.max()}")
    return values


def _cell_edges(n_draws: int) -> np.ndarray:
    """Edges of the cells of ranks: a cell holds the ranks from its lower edge to below its upper edge."""
    return np.unique(np.round(np.linspace(0, n_draws + 1, min(n_draws + 1, MOST_CELLS) + 1)).astype(int))


def _tail(counts: np.ndarray, n: int, shares: np.ndarray) -> np.ndarray:
    """Two-sided tail probability of cumulative counts at the given shares [share]."""
    return 2 * np.minimum(binom.cdf(counts, n, shares), binom.sf(counts - 1, n, shares))


def _band(n: int, shares: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest count at each share whose two-sided tail probability exceeds `tail` [share].

    Where no count does, the smallest is above the largest.
    """
    inside = _tail(np.arange(n + 1)[:, None], n, shares) > tail
    low = np.where(inside.any(axis=0), inside.argmax(axis=0), n + 1)
    return low, n - inside[::-1].argmax(axis=0)


def _inside(n: int, shares: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Probability that the cumulative counts of n uniform values stay in a band at all inner shares.

    The counts of cells are independent Poisson numbers given their sum (their means n times the cells' shares); the
    probability of every path is carried from cell to cell, and divided by that of the sum at the end.
    """
    if (low > high).any():
        return 0.0
    count = np.arange(n + 1)
    state = np.zeros(n + 1)
    state[0] = 1.0
    for width, lowest, highest in zip(np.diff(shares), [*low, n], [*high, n], strict=True):
        state = np.convolve(state, poisson.pmf(count, n * width))[: n + 1]
        state[(count < lowest) | (count > highest)] = 0.0
    return float(state[n] / poisson.pmf(n, n))
