"""Checks of draws, coverage, gradients and densities, for our tests and those of users' models.

Each raises AssertionError. Statistical ones state their false-alarm rate and take their tolerance from the sample.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float

SMALLEST_ESS = 100.0  # below, the standard error itself is not known
NODES = 20  # of the Gauss-Legendre rule in each bin of a density
SMALLEST_COUNT = 5.0  # expected in a bin, for the chi-square distribution to hold


def assert_mean(draws: np.ndarray, truth: float, ess: float, n_sigma: float = 5.0) -> None:
    """The mean of draws is the truth within n_sigma standard errors; false alarm 6e-7 at five.

    Args:
        draws: of one parameter, any shape.
        truth: expected mean.
        ess: effective number of draws.
        n_sigma: tolerance in standard errors.
    """
    assert ess > SMALLEST_ESS, f"the chain did not mix: ESS {ess:.0f}"
    error = np.std(draws, ddof=1) / np.sqrt(ess)
    pull = abs(np.mean(draws) - truth) / error
    assert pull < n_sigma, f"mean {np.mean(draws):.6g} +- {error:.2g} is {pull:.1f} standard errors from {truth:.6g}"


def assert_covers(covered: int, trials: int, level: float, p_limit: float = 1e-3) -> None:
    """Intervals of a level hold the truth as often as they should; false alarm p_limit (exact binomial test).

    Args:
        covered: replicas whose interval held the truth.
        trials: replicas.
        level: probability content of the interval, for example 0.68.
        p_limit: p-value below which the check fails.
    """
    p = scipy.stats.binomtest(covered, trials, level).pvalue
    assert p > p_limit, f"{covered} of {trials} intervals of {level:.0%} cover the truth: p = {p:.1e}"


def check_gradient(
    function: Callable[[Float[Array, " d"]], Float[Array, ""]], x: np.ndarray, rtol: float = 1e-4, step: float = 1e-4
) -> None:
    """The reverse-mode gradient equals central differences in float64.

    Two steps, extrapolated, cancel the cubic term. The tolerance is relative to the gradient's component, but not
    finer than what the rounding of the function's value allows.

    Args:
        function: scalar function of a vector.
        x: where [d].
        rtol: relative tolerance of every component.
        step: of the differences, relative to |x| where that is above one.
    """
    compiled, x = jax.jit(function), np.asarray(x, np.float64)
    value, gradient = jax.jit(jax.value_and_grad(function))(jnp.asarray(x))
    for index, slope in enumerate(np.asarray(gradient)):
        width = step * max(1.0, abs(x[index]))
        fine, coarse = (_difference(compiled, x, index, size) for size in (0.5 * width, width))
        expected = (4.0 * fine - coarse) / 3.0
        rounding = 20.0 * np.finfo(np.float64).eps * max(1.0, abs(float(value))) / width
        assert abs(slope - expected) <= rtol * abs(expected) + rounding, (
            f"component {index}: gradient {slope:.10g}, central difference {expected:.10g}"
        )


def _difference(function: Callable, x: np.ndarray, index: int, width: float) -> float:
    ahead, behind = x.copy(), x.copy()
    ahead[index] += width
    behind[index] -= width
    return float(function(jnp.asarray(ahead)) - function(jnp.asarray(behind))) / (2.0 * width)


def check_density(
    log_prob: Callable[[np.ndarray], np.ndarray],
    draws: np.ndarray,
    edges: np.ndarray,
    mass_tolerance: float = 1e-3,
    p_limit: float = 1e-3,
) -> None:
    """A density on the line integrates to one and is that of the draws; false alarm p_limit (chi-square test).

    Args:
        log_prob: log-density of a vector of values [n].
        draws: independent draws [n].
        edges: of bins that hold practically all of the mass, and at the density's kinks [bins + 1].
        mass_tolerance: on the integral.
        p_limit: p-value below which the check fails.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    density = np.exp(np.asarray(log_prob((middle[:, None] + half[:, None] * nodes).ravel()))).reshape(-1, NODES)
    mass = half * (density @ weights)
    assert abs(mass.sum() - 1.0) < mass_tolerance, f"the density integrates to {mass.sum():.6g}"
    counts = np.histogram(draws, edges)[0]
    assert counts.sum() == len(draws), f"{len(draws) - counts.sum()} draws lie outside the bins"
    check_counts(counts, mass / mass.sum(), p_limit)


def check_counts(counts: np.ndarray, probabilities: np.ndarray, p_limit: float = 1e-3) -> None:
    """Counts of independent draws follow the probabilities; false alarm p_limit (chi-square test).

    Args:
        counts: draws of each outcome.
        probabilities: of the outcomes, adding up to one; outcomes that are rarely expected are put together.
        p_limit: p-value below which the check fails.
    """
    expected = counts.sum() * np.asarray(probabilities)
    often = expected >= SMALLEST_COUNT
    seen, wanted = (np.append(a[often], a[~often].sum()) for a in (np.asarray(counts), expected))
    if wanted[-1] < SMALLEST_COUNT:
        seen, wanted = (np.append(a[:-2], a[-2] + a[-1]) for a in (seen, wanted))
    p = scipy.stats.chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue
    assert p > p_limit, f"chi-square of {len(seen)} outcomes: p = {p:.1e}"
