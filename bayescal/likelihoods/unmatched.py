"""What has no partner: flashes of activity that left no cluster, and clusters without a recorded flash."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from bayescal.likelihoods.limits import Limits
from bayescal.likelihoods.negative_binomial import log_probability

_LIMIT_NODES = 200  # of the sum over the light of sensors at the end of their range


class Background(eqx.Module):
    """Flashes of activity that left no cluster: log-uniform total, Dirichlet-multinomial pattern.

    Attributes:
        rate: expected number of them in an event. Where flash times constrain the shifts, the number per cm of shift,
            that per us over the drift velocity.
        lowest_pe, highest_pe: limits of the total [p.e.]; totals beyond have the probability of the nearest limit.
        concentration: of the pattern, one a sensor; 0.5 each where all patterns are about equally likely.
    """

    rate: float
    lowest_pe: float = eqx.field(static=True)
    highest_pe: float = eqx.field(static=True)
    concentration: Float[np.ndarray, " sensor"]

    def log_density(
        self, counts: Float[NDArray, "flash sensor"], limits: Limits | None = None
    ) -> Float[NDArray, " flash"]:
        """Logarithm of the rate times the probability of counts; NaN where a sensor is absent.

        P(N) = 1 / (N H) for whole totals, H their sum of 1 / N; the pattern: Mosimann, Biometrika 49 (1962) 65. Sensors
        at the end of their range are taken together: their sum is at least the sum of what they recorded.

        Args:
            counts: light [p.e.], NaN where a sensor is absent or at the end of its range.
            limits: the sensors at the end of their range.
        """
        if limits is None:
            return self._log_density(counts, self.concentration)
        sensor, least_pe = np.asarray(limits.sensor), np.asarray(limits.least_pe)
        limited = (sensor >= 0).any(axis=-1)
        density = np.zeros(len(counts))
        density[~limited] = self._log_density(counts[~limited], self.concentration)
        for flash in np.flatnonzero(limited):
            density[flash] = self._with_limits(counts[flash], sensor[flash], least_pe[flash])
        return density

    def _log_density(self, counts: NDArray, concentration: NDArray) -> NDArray:
        """`log_density` with all light known."""
        present = np.isfinite(counts)
        seen, alpha = np.where(present, counts, 0.0), np.where(present, concentration, 0.0)
        total, strength = seen.sum(axis=1), alpha.sum(axis=1)
        alpha = np.where(present, alpha, 1.0)
        each = gammaln(seen + alpha) - gammaln(alpha) - gammaln(seen + 1)
        pattern = gammaln(total + 1) + gammaln(strength) - gammaln(total + strength)
        pattern += np.where(present, each, 0.0).sum(axis=1)
        size = np.log(np.clip(total, self.lowest_pe, self.highest_pe))
        norm = np.log(digamma(self.highest_pe + 1) - digamma(self.lowest_pe))
        return np.log(self.rate) - size - norm + pattern

    def _with_limits(self, counts: NDArray, sensor: NDArray, least_pe: NDArray) -> float:
        """`log_density` of a flash: the sum over the light of its sensors at the end of their range.

        Groups of categories of a Dirichlet-multinomial distribution are one too. The sum is done on numbers in
        geometric progression, each for those up to the next.
        """
        ended = sensor[sensor >= 0]
        least = least_pe[sensor >= 0].sum()
        edge = np.unique(np.round(np.geomspace(least, max(self.highest_pe, 2 * least), _LIMIT_NODES)))
        middle = (edge[:-1] + edge[1:] - 1) / 2
        rows = np.column_stack([np.tile(counts, (middle.size, 1)), middle])
        concentration = np.append(self.concentration, self.concentration[ended].sum())
        return np.logaddexp.reduce(self._log_density(rows, concentration) + np.log(np.diff(edge)))


class Trigger(eqx.Module):
    """When a cluster has no recorded flash.

    Attributes:
        threshold_pe: flashes whose total is below are not recorded [p.e.]; a whole number.
        missed: probability that a flash above the threshold is not recorded either, above zero.
    """

    threshold_pe: int = eqx.field(static=True)
    missed: float

    def log_unrecorded(self, total_pe: Float[Array, "*node"], variance: Float[Array, "*node"]) -> Float[Array, "*node"]:
        """Log-probability that light of an expected total, and of a variance [p.e.^2], makes no recorded flash.

        The total is taken as negative binomial.
        """
        total = total_pe[..., None]
        overdispersion = jnp.maximum(variance[..., None] / total - 1.0, 0.0)
        counts = jnp.arange(self.threshold_pe, dtype=float)
        log_below = jax.nn.logsumexp(log_probability(counts, total, overdispersion), axis=-1)
        return jnp.log(self.missed + (1.0 - self.missed) * jnp.exp(log_below))
