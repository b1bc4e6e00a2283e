"""The Gaussian at the mode: draws around it with importance weights, and its moments in physical coordinates."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
import scipy.stats
import xarray as xr
from jaxtyping import PRNGKeyArray

from bayescal.inference.gaussian import Approximation, LowRankGaussian
from bayescal.inference.gaussian import Gaussian as Gaussian
from bayescal.inference.gaussian import gaussian as gaussian
from bayescal.inference.importance import Importance as Importance
from bayescal.inference.importance import weigh, weigh_known
from bayescal.inference.potential import CHUNK, Potential, labels
from bayescal.inference.result import Marginals, Moments, laplace_group, low_rank_group

DEGREES = 5.0  # of freedom of the proposal: heavier tails than the posterior's keep the weights bounded
DEGREES_PER_ROOT = (
    2.0  # times sqrt(d) in many dimensions, where so heavy a tail in each would itself spread the weights
)


def importance(key: PRNGKeyArray, potential: Potential, approximation: Approximation, n: int) -> Importance:
    """Weigh n draws of a Student t with the Gaussian's location and scale by the true density."""
    x = approximation.colour(_heavy_draws(key, potential.size, n))
    log_own = scipy.stats.norm.logpdf(approximation.whiten(x)).sum(axis=1) - approximation.log_volume()
    return weigh(potential, x, _log_heavy(approximation, x), log_own)


def _heavy_draws(key: PRNGKeyArray, size: int, n: int) -> np.ndarray:
    """Independent Student t in whitened coordinates [n, size]."""
    return np.asarray(jax.random.t(key, _degrees(size), (n, size)))


def _log_heavy(approximation: Approximation, x: np.ndarray) -> np.ndarray:
    """Log-density at unconstrained coordinates x [n, d] of such draws, coloured by an approximation."""
    y = approximation.whiten(x)
    return scipy.stats.t.logpdf(y, _degrees(y.shape[-1])).sum(axis=1) - approximation.log_volume()


def _degrees(size: int) -> float:
    return max(DEGREES, DEGREES_PER_ROOT * size**0.5)


def adapted(
    key: PRNGKeyArray, potential: Potential, approximation: Gaussian, weighed: Importance, n: int
) -> Importance:
    """Weigh n more draws, around the mean and with the covariance that weighed ones have, and all by what both make.

    The covariance is shrunk towards the approximation's, which few effective draws cannot replace. All draws count as
    those of the mixture of both proposals (A. Owen, Y. Zhou, J. Am. Stat. Assoc. 95 (2000) 135).

    Args:
        key: used once.
        potential: called n times more.
        approximation: which the weighed draws are of, by `importance`.
        weighed: its draws.
        n: further draws.
    """
    y, size = approximation.whiten(weighed.x), potential.size
    mean = weighed.weights @ y
    trust = weighed.ess / (weighed.ess + size + 2.0)
    spread = trust * np.cov(y.T, aweights=weighed.weights, ddof=0) + (1.0 - trust) * np.eye(size)
    factor = approximation.factor @ np.linalg.cholesky(spread)
    centre = approximation.colour(mean)
    proposals = (approximation, Gaussian(centre, factor @ factor.T, factor))
    x = np.concatenate([weighed.x, proposals[1].colour(_heavy_draws(key, size, n))])
    logs = np.stack([_log_heavy(proposal, x) for proposal in proposals])
    shares = np.log([len(weighed.x) / len(x), n / len(x)])
    log_proposal = np.logaddexp(*(logs + shares[:, None]))
    log_own = scipy.stats.norm.logpdf(approximation.whiten(x)).sum(axis=1) - approximation.log_volume()
    values = np.concatenate([weighed.potential, [potential.value(row) for row in x[len(weighed.x) :]]])
    return weigh_known(values, x, log_proposal, log_own)


def moments(potential: Potential, approximation: Approximation, attributes: Mapping[str, float]) -> xr.Dataset:
    """The Gaussian as the result's group `laplace` keeps it: as a matrix, or in few numbers where it is such."""
    if isinstance(approximation, LowRankGaussian):
        physical = Marginals(*_physical_mode(potential, approximation), _carried_sd(potential, approximation))
        return low_rank_group(physical, approximation, potential.labels, attributes)
    whole = approximation.dense()
    return laplace_group(physical_moments(potential, whole), unconstrained_moments(potential, whole), attributes)


def unconstrained_moments(potential: Potential, approximation: Gaussian) -> Moments:
    """Mean and covariance in unconstrained coordinates."""
    return Moments(potential.labels, approximation.mode, approximation.covariance)


def physical_moments(potential: Potential, approximation: Gaussian) -> Moments:
    """The mode's physical values and their covariance, carried over to first order."""
    names, mean = _physical_mode(potential, approximation)
    slope = _slope(potential, approximation, np.arange(potential.size))
    return Moments(names, mean, slope @ approximation.covariance @ slope.T)


def _physical_mode(potential: Potential, approximation: Approximation) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels and physical values [p] of the free parameters at the mode."""
    values = potential.constrain(approximation.mode)
    names = tuple(label for name in potential.names for label in labels(name, values[name].shape))
    return names, np.concatenate([np.ravel(values[name]) for name in potential.names])


def _carried_sd(potential: Potential, approximation: LowRankGaussian) -> np.ndarray:
    """Standard deviations of the physical values to first order [p], some columns of the derivative at a time."""
    square, along = 0.0, 0.0
    for first in range(0, potential.size, CHUNK):
        columns = np.arange(first, min(first + CHUNK, potential.size))
        slope = _slope(potential, approximation, columns) * approximation.scale[columns]
        square += np.sum(slope**2, axis=1)
        along += slope @ approximation.directions[:, columns].T
    return np.sqrt(square + along**2 @ (approximation.variances - 1.0))


def _slope(potential: Potential, approximation: Approximation, columns: np.ndarray) -> np.ndarray:
    """Derivative of the physical values by some unconstrained ones at the mode [p, c], by central differences."""
    step = 1e-3 * approximation.sd[columns]
    steps = np.zeros((len(columns), potential.size))
    steps[np.arange(len(columns)), columns] = step
    ahead, behind = (potential.constrain(approximation.mode + side * steps) for side in (1.0, -1.0))
    rows = [(ahead[name] - behind[name]).reshape(len(columns), -1) for name in potential.names]
    return (np.concatenate(rows, axis=1) / (2.0 * step[:, None])).T
