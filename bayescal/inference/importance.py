"""Weights that turn draws of an approximation into draws of the posterior, and what they say of its bias.

Pareto-smoothed importance sampling after A. Vehtari et al., JMLR 25 (2024) 72, as BlackJAX has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from blackjax.util import psis_weights
from jaxtyping import PRNGKeyArray

from bayescal.inference.potential import Potential, labels
from bayescal.inference.settings import KHAT_LIMIT

TRUSTED_SHARE = 0.25  # effective share of the draws; 0.7 where the posterior is Gaussian, 0.07 in a curved valley
DEEPEST = 700.0  # log-ratios further below the largest count as this [nats]: exp would underflow


@dataclass(frozen=True)
class Importance:
    """Draws with the weights that make them draws of the posterior, and those that make them the approximation's.

    Attributes:
        x: draws of a proposal, unconstrained [n, d].
        potential: minus the log-density of each [n].
        weights: of the posterior, normalised, Pareto-smoothed [n].
        khat: shape of the weights' tail: below 0.7 the weights can be used (A. Vehtari et al., JMLR 25 (2024) 72).
        own: weights of the approximation itself, normalised [n]; equal where it is the proposal.
        log_proposal: log-density of the proposal at each [n].
    """

    x: np.ndarray
    potential: np.ndarray
    weights: np.ndarray
    khat: float
    own: np.ndarray
    log_proposal: np.ndarray

    @property
    def log_evidence(self) -> float:
        """Logarithm of the integral of the density [nats], as far as the proposal's log-density is normalised."""
        ratios = _ratios(self.potential, self.log_proposal)
        return float(scipy.special.logsumexp(ratios) - np.log(len(ratios)))

    @property
    def ess(self) -> float:
        """Effective number of draws behind the weights."""
        return float(1.0 / np.sum(self.weights**2))

    @property
    def usable(self) -> bool:
        """Whether the weights make the draws those of the posterior."""
        return self.khat < KHAT_LIMIT

    @property
    def trusted(self) -> bool:
        """Whether the Gaussian can whiten the posterior.

        k-hat scatters by a few tenths at some hundred draws (0.3 to 1.0 on one posterior whose frozen metric gave 127
        effective draws per 1,000 gradients); a good share of effective draws is as strong a sign.
        """
        return self.usable or self._share_is_good

    @property
    def sure(self) -> bool:
        """Whether the weights make the draws those of the posterior, beyond the scatter of k-hat.

        In many dimensions some hundred draws may all lie where the weights are small.
        """
        return self.usable and self._share_is_good

    @property
    def _share_is_good(self) -> bool:
        return self.ess > TRUSTED_SHARE * len(self.weights)

    def resample(self, key: PRNGKeyArray, n: int) -> np.ndarray:
        """Indices of n draws in random order, of the posterior or, where k-hat forbids that, of the approximation.

        They are taken by weight with the least extra noise (systematic resampling).
        """
        offset, order = jax.random.split(key)
        points = (np.arange(n) + float(jax.random.uniform(offset))) / n
        weights = self.weights if self.usable else self.own
        index = np.minimum(np.searchsorted(np.cumsum(weights), points), len(weights) - 1)
        return np.asarray(jax.random.permutation(order, index))


def weigh(potential: Potential, x: np.ndarray, log_proposal: np.ndarray, log_own: np.ndarray) -> Importance:
    """Weigh draws by the true density.

    Args:
        potential: minus the log-density; called once a draw.
        x: draws of a proposal, unconstrained [n, d].
        log_proposal: its log-density at each, up to a constant [n].
        log_own: that of the approximation, up to a constant [n].
    """
    values = np.array([potential.value(row) for row in x])
    own = scipy.special.softmax(log_own - log_proposal)
    ratios = _ratios(values, log_proposal)
    if not np.isfinite(ratios).any():
        return Importance(x, values, np.full(len(x), 1.0 / len(x)), np.inf, own, log_proposal)
    weights, khat = psis_weights(jnp.asarray(np.maximum(ratios, ratios.max() - DEEPEST)))
    return Importance(x, values, scipy.special.softmax(np.asarray(weights)), float(khat), own, log_proposal)


def _ratios(potential: np.ndarray, log_proposal: np.ndarray) -> np.ndarray:
    """Logarithms of the density over the proposal's; none where the density is not finite."""
    return np.where(np.isfinite(potential), -potential, -np.inf) - log_proposal


@dataclass(frozen=True)
class Bias:
    """How an approximation differs from its re-weighted draws, one figure a scalar parameter that varies [p].

    Attributes:
        labels: of the parameters.
        shift: of the mean, in re-weighted standard deviations.
        sd_ratio: of the standard deviation to the re-weighted one.
    """

    labels: tuple[str, ...]
    shift: np.ndarray
    sd_ratio: np.ndarray

    def sentence(self) -> str:
        """The worst figures in words."""
        far, narrow, wide = np.argmax(np.abs(self.shift)), np.argmin(self.sd_ratio), np.argmax(self.sd_ratio)
        return (
            f"its means are off by up to {abs(self.shift[far]):.2f} sd ({self.labels[far]}), "
            f"its widths {self.sd_ratio[narrow]:.2f} ({self.labels[narrow]}) "
            f"to {self.sd_ratio[wide]:.2f} ({self.labels[wide]}) of the re-weighted ones"
        )

    def facts(self) -> dict[str, float]:
        """The worst figures by name."""
        return {
            "largest_shift": float(np.abs(self.shift).max()),
            "smallest_sd_ratio": float(self.sd_ratio.min()),
            "largest_sd_ratio": float(self.sd_ratio.max()),
        }


def bias(weighed: Importance, draws: dict[str, np.ndarray]) -> Bias:
    """The bias of the approximation behind weighed draws, as far as the weights can tell.

    Args:
        weighed: the weights.
        draws: physical values of the same draws by name [n, ...].
    """
    names = [label for name, value in draws.items() for label in labels(name, value.shape[1:])]
    columns = np.concatenate([value.reshape(len(value), -1) for value in draws.values()], axis=1)
    varies = np.ptp(columns, axis=0) > 0.0
    (mean, sd), (own_mean, own_sd) = (_moments(columns[:, varies], w) for w in (weighed.weights, weighed.own))
    kept = tuple(name for name, here in zip(names, varies, strict=True) if here)
    return Bias(kept, (own_mean - mean) / sd, own_sd / sd)


def _moments(columns: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = weights @ columns
    return mean, np.sqrt(weights @ (columns - mean) ** 2)
