"""The Gaussian at the mode, and importance weights that say how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats
from blackjax.util import psis_weights
from jaxtyping import PRNGKeyArray

from bayescal.inference.optimise import Optimum
from bayescal.inference.potential import Potential, labels
from bayescal.inference.result import Moments
from bayescal.inference.settings import KHAT_LIMIT

DEGREES = 5.0  # of freedom of the proposal: heavier tails than the posterior's keep the weights bounded
DEGREES_PER_ROOT = (
    2.0  # times sqrt(d) in many dimensions, where so heavy a tail in each would itself spread the weights
)
TRUSTED_SHARE = 0.25  # effective share of the draws; 0.7 where the posterior is Gaussian, 0.07 in a curved valley


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Gaussian:
    """A normal distribution in the unconstrained space; compiled programs take it as an argument.

    Attributes:
        mode: centre [d].
        covariance: inverse Hessian of the potential at the mode [d, d].
        factor: lower Cholesky factor of the covariance: x = mode + factor y whitens.
    """

    mode: np.ndarray
    covariance: np.ndarray
    factor: np.ndarray

    def colour(self, y: Any) -> Any:
        """Unconstrained coordinates of whitened ones [..., d]."""
        return self.mode + (self.factor @ y[..., None])[..., 0]

    def whiten(self, x: np.ndarray) -> np.ndarray:
        """Whitened coordinates of unconstrained ones [..., d]."""
        return np.linalg.solve(self.factor, np.swapaxes(x - self.mode, -1, -2)).swapaxes(-1, -2)

    def log_volume(self) -> float:
        """Logarithm of the volume of a unit of whitened coordinates, log |det factor|."""
        return float(np.linalg.slogdet(self.factor)[1])

    def learnt(self, draws: np.ndarray) -> Gaussian:
        """Centre and factor that whiten draws, given in the whitened coordinates of this one [n, d].

        The draws' covariance is shrunk towards this Gaussian's, which few draws cannot replace.
        """
        n, d = draws.shape
        shrinkage = (d + 2.0) / (n + d + 2.0)
        spread = (1.0 - shrinkage) * np.atleast_2d(np.cov(draws.T)) + shrinkage * np.eye(d)
        factor = self.factor @ np.linalg.cholesky(spread)
        return Gaussian(self.colour(draws.mean(axis=0)), factor @ factor.T, factor)


@dataclass(frozen=True)
class Importance:
    """Draws of the Gaussian's heavy-tailed version with their smoothed weights.

    Attributes:
        x: draws, unconstrained [n, d].
        potential: minus the log-density of each [n].
        weights: normalised, Pareto-smoothed [n].
        khat: shape of the weights' tail: below 0.7 the weights can be used (A. Vehtari et al., JMLR 25 (2024) 72).
    """

    x: np.ndarray
    potential: np.ndarray
    weights: np.ndarray
    khat: float

    @property
    def ess(self) -> float:
        """Effective number of draws behind the weights."""
        return float(1.0 / np.sum(self.weights**2))

    @property
    def trusted(self) -> bool:
        """Whether the Gaussian can whiten the posterior.

        k-hat scatters by a few tenths at some hundred draws (0.3 to 1.0 on one posterior whose frozen metric gave 127
        effective draws per 1,000 gradients); a good share of effective draws is as strong a sign.
        """
        return self.khat < KHAT_LIMIT or self.ess > TRUSTED_SHARE * len(self.weights)

    def resample(self, key: PRNGKeyArray, n: int) -> np.ndarray:
        """Indices of n draws in random order, taken by weight with the least extra noise (systematic resampling)."""
        offset, order = jax.random.split(key)
        points = (np.arange(n) + float(jax.random.uniform(offset))) / n
        index = np.minimum(np.searchsorted(np.cumsum(self.weights), points), len(self.weights) - 1)
        return np.asarray(jax.random.permutation(order, index))


def gaussian(optimum: Optimum) -> Gaussian:
    """The Gaussian of an optimum; where its Hessian is not positive definite, |eigenvalues| stand in."""
    values, vectors = np.linalg.eigh(optimum.hessian)
    values = np.maximum(np.abs(values), 1e-14 * np.abs(values).max())
    covariance = (vectors / values) @ vectors.T
    return Gaussian(optimum.x, covariance, np.linalg.cholesky(covariance))


def importance(key: PRNGKeyArray, potential: Potential, approximation: Gaussian, n: int) -> Importance:
    """Weigh n draws of a Student t with the Gaussian's location and scale by the true density."""
    degrees = max(DEGREES, DEGREES_PER_ROOT * potential.size**0.5)
    draws = np.asarray(jax.random.t(key, degrees, (n, potential.size)))
    x = approximation.mode + draws @ approximation.factor.T
    values = np.array([potential.value(row) for row in x])
    proposal = scipy.stats.t.logpdf(draws, degrees).sum(axis=1)
    ratios = np.where(np.isfinite(values), -values, -np.inf) - proposal
    weights, khat = psis_weights(jnp.asarray(np.maximum(ratios, ratios.max() - 700.0)))
    return Importance(x, values, scipy.special.softmax(np.asarray(weights)), float(khat))


def unconstrained_moments(potential: Potential, approximation: Gaussian) -> Moments:
    """Mean and covariance in unconstrained coordinates."""
    return Moments(potential.labels, approximation.mode, approximation.covariance)


def physical_moments(potential: Potential, approximation: Gaussian) -> Moments:
    """The mode's physical values and their covariance, carried over to first order."""
    values = {name: value for name, value in potential.constrain(approximation.mode).items() if name in potential.names}
    names = tuple(label for name in potential.names for label in labels(name, values[name].shape))
    mean = np.concatenate([np.ravel(values[name]) for name in potential.names])
    slope = _slope(potential, approximation)
    return Moments(names, mean, slope @ approximation.covariance @ slope.T)


def _slope(potential: Potential, approximation: Gaussian) -> np.ndarray:
    """Derivative of the physical values by the unconstrained ones at the mode [p, d], by central differences."""
    step = 1e-3 * np.sqrt(np.diag(approximation.covariance))
    ahead, behind = (potential.constrain(approximation.mode + side * np.diag(step)) for side in (1.0, -1.0))
    rows = [(ahead[name] - behind[name]).reshape(potential.size, -1) for name in potential.names]
    return (np.concatenate(rows, axis=1) / (2.0 * step[:, None])).T
