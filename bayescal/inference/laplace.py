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
from bayescal.inference.importance import weigh
from bayescal.inference.potential import CHUNK, Potential, labels
from bayescal.inference.result import Marginals, Moments, laplace_group, low_rank_group

DEGREES = 5.0  # of freedom of the proposal: heavier tails than the posterior's keep the weights bounded
DEGREES_PER_ROOT = (
    2.0  # times sqrt(d) in many dimensions, where so heavy a tail in each would itself spread the weights
)


def importance(key: PRNGKeyArray, potential: Potential, approximation: Approximation, n: int) -> Importance:
    """Weigh n draws of a Student t with the Gaussian's location and scale by the true density."""
    degrees = max(DEGREES, DEGREES_PER_ROOT * potential.size**0.5)
    draws = np.asarray(jax.random.t(key, degrees, (n, potential.size)))
    log_proposal = scipy.stats.t.logpdf(draws, degrees).sum(axis=1) - approximation.log_volume()
    return weigh(potential, approximation.colour(draws), log_proposal, scipy.stats.norm.logpdf(draws).sum(axis=1))


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
