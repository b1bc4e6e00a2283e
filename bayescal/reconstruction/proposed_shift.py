"""Posterior of a drift shift by weighted draws from a network's guess: light is looked up where the shift may be, only.

The network's density of the shift, times what a measured time says and with a small even density added to it, is where
shifts are drawn from; each is weighted by likelihood over proposal. With the even share e a weight is at most 1/e times
what it would be for draws from the whole range, however wrong the network is: it costs effective draws, and changes
nothing else. Draws are stratified, one in each of as many parts of equal probability, so that sums over them vary no
more than over independent ones (W. G. Cochran, Sampling Techniques, 3rd ed., section 5.6).

The light is that of the visibility at every draw, where a grid (`t0.py`) interpolates it between coarse nodes, and the
number of draws does not grow with the drift. Nodes serve all flashes of a cluster at once, and are fewer than draws
where the drift is short; draws are for a flash that is known to be the cluster's.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.util import psis_weights
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.inference.importance import DEEPEST
from bayescal.light.shift_network import ShiftDensity, ShiftNetwork
from bayescal.reconstruction.clusters import ClusterBatch
from bayescal.reconstruction.t0 import Flash, Grid, Light, chunk_size, light_of_shift, log_likelihood


class Proposal(eqx.Module):
    """Where shifts are drawn.

    Attributes:
        network: trained for the detector.
        n_draws: places where the light of a cluster is looked up; k-hat needs 25 or more.
        even_share: of an even density over the whole range, above zero and at most one.
    """

    network: ShiftNetwork
    n_draws: int = eqx.field(static=True, default=64)
    even_share: float = eqx.field(static=True, default=0.1)

    def __check_init__(self) -> None:
        """Refuse a share without which weights have no bound."""
        if not 0 < self.even_share <= 1:
            raise ValueError(f"even_share must be above zero and at most one, it is {self.even_share}")


class WeightedShifts(eqx.Module):
    """Draws of a shift with the weights that make them draws of its posterior.

    Attributes:
        shift_cm: draws, increasing.
        weight: of each; they add up to one. They are bounded, so that nothing is gained by smoothing them.
        khat: shape of the weights' tail (A. Vehtari et al., JMLR 25 (2024) 72); above 0.7 few draws have all the
            weight, and more of them are needed. Infinite where it cannot be told.
        log_evidence: logarithm of the mean of likelihood (and constraint, [1/cm]) over the allowed range.
    """

    shift_cm: Float[Array, "*cluster draw"]
    weight: Float[Array, "*cluster draw"]
    khat: Float[Array, "*cluster"]
    log_evidence: Float[Array, "*cluster"]

    @property
    def ess(self) -> Float[Array, "*cluster"]:
        """Effective number of draws."""
        return 1 / (self.weight**2).sum(axis=-1)

    @property
    def mean_cm(self) -> Float[Array, "*cluster"]:
        """Mean shift [cm]."""
        return (self.weight * self.shift_cm).sum(axis=-1)

    @property
    def sd_cm(self) -> Float[Array, "*cluster"]:
        """Standard deviation [cm]."""
        return jnp.sqrt((self.weight * self._away_cm**2).sum(axis=-1))

    @property
    def mean_error_cm(self) -> Float[Array, "*cluster"]:
        """Monte-Carlo error of the mean [cm]."""
        return _error_of_sum(self.weight * self._away_cm)

    @property
    def log_evidence_error(self) -> Float[Array, "*cluster"]:
        """Monte-Carlo error of the log-evidence."""
        return _error_of_sum(self.weight)

    @property
    def _away_cm(self) -> Float[Array, "*cluster draw"]:
        return self.shift_cm - self.mean_cm[..., None]

    def quantile(self, share: float) -> Float[Array, "*cluster"]:
        """Shift below which this share of the probability lies [cm], between draws by interpolation."""
        below = jnp.cumsum(self.weight, axis=-1) - self.weight / 2
        return jnp.vectorize(jnp.interp, signature="(),(n),(n)->()")(share, below, self.shift_cm)


def _error_of_sum(terms: Float[Array, "*cluster draw"]) -> Float[Array, "*cluster"]:
    """Error of the sum of a term for each of the stratified draws, from the differences of neighbours.

    They have the variance of both strata, and in addition the difference of their means.
    """
    return jnp.sqrt((jnp.diff(terms, axis=-1) ** 2).sum(axis=-1) / 2)


def proposed_posteriors(
    key: PRNGKeyArray, batch: ClusterBatch, flashes: Flash, light: Light, proposal: Proposal
) -> WeightedShifts:
    """Posterior of the shift of each cluster of a batch from the flash that it made, by weighted draws.

    Args:
        key: random key.
        batch: the clusters.
        flashes: that of each cluster, as of `flashes_of`.
        light: expected light and its readout.
        proposal: where shifts are drawn.
    """
    return _proposed_posteriors(jax.random.split(key, batch.n_clusters), (batch, flashes), light, proposal)


@eqx.filter_jit
def _proposed_posteriors(
    keys: PRNGKeyArray, rows: tuple[ClusterBatch, Flash], light: Light, proposal: Proposal
) -> WeightedShifts:
    """`proposed_posteriors`, with a key for each cluster."""

    def one(row: tuple[PRNGKeyArray, ClusterBatch, Flash]) -> WeightedShifts:
        key, cluster, flash = row
        density = proposed_density(cluster, flash, proposal)
        return _weighted(key, cluster, flash, light, (density, proposal.n_draws))

    size = chunk_size(rows[0], rows[1].counts.shape[-1], Grid(proposal.n_draws, proposal.n_draws))
    return jax.lax.map(one, (keys, *jax.tree.map(jnp.asarray, rows)), batch_size=size)


def _weighted(
    key: PRNGKeyArray, cluster: ClusterBatch, flash: Flash, light: Light, drawn_from: tuple[ShiftDensity, int]
) -> WeightedShifts:
    """So many weighted draws from a density for one cluster."""
    shift, log_proposed = stratified_draws(key, *drawn_from)
    mean_pe = jax.vmap(light_of_shift(cluster, light))(shift)
    # relative to the even density
    log_proposed += jnp.log(cluster.highest_cm - cluster.lowest_cm)
    log_ratio = log_likelihood(mean_pe, shift, flash, light.readout) - log_proposed
    _, khat = psis_weights(jnp.maximum(log_ratio, log_ratio.max() - DEEPEST))
    khat = jnp.where(jnp.isnan(khat), jnp.inf, khat)
    return WeightedShifts(shift, jax.nn.softmax(log_ratio), khat, logsumexp(log_ratio) - jnp.log(shift.size))


def stratified_draws(
    key: PRNGKeyArray, density: ShiftDensity, n_draws: int
) -> tuple[Float[Array, " draw"], Float[Array, " draw"]]:
    """Increasing shifts from the density of one cluster [cm], one in each of so many parts of equal probability.

    Args:
        key: random key.
        density: of one cluster.
        n_draws: number of draws.

    Returns:
        The shifts [cm] and the logarithm of the density there [1/cm].
    """
    cumulative = jnp.concatenate([jnp.zeros(1), jnp.cumsum(density.mass)])
    share = (jnp.arange(n_draws) + jax.random.uniform(key, (n_draws,))) / n_draws
    bins = jnp.clip(jnp.searchsorted(cumulative, share, side="right") - 1, 0, density.mass.size - 1)
    shift = jnp.interp(share, cumulative, density.edge_cm)
    return shift, jnp.log(density.mass[bins] * density.mass.size / (density.highest_cm - density.lowest_cm))


def proposed_density(cluster: ClusterBatch, flash: Flash, proposal: Proposal) -> ShiftDensity:
    """Density that the shifts of one cluster (a batch without its axis) are drawn from."""
    guess = guessed_density(proposal.network, cluster, jnp.asarray(flash.counts))
    known = jax.nn.softmax(jnp.log(guess.mass) + flash.constraint.log_density(guess.centre_cm))
    mass = (1 - proposal.even_share) * known + proposal.even_share / known.size
    return ShiftDensity(guess.lowest_cm, guess.highest_cm, mass)


@eqx.filter_jit
def guessed_densities(
    network: ShiftNetwork, batch: ClusterBatch, counts: Float[Array | np.ndarray, "cluster sensor"]
) -> ShiftDensity:
    """The network's own densities of the shifts of a batch.

    Args:
        network: trained for the detector.
        batch: the clusters.
        counts: light of each cluster's flash [p.e.], NaN where a sensor is absent.
    """
    rows = jax.tree.map(jnp.asarray, (batch, counts))
    return jax.vmap(lambda cluster, counts: guessed_density(network, cluster, counts))(*rows)


def guessed_density(network: ShiftNetwork, cluster: ClusterBatch, counts: Float[Array, " sensor"]) -> ShiftDensity:
    """The network's own density of the shift of one cluster (a batch without its axis).

    Args:
        network: trained for the detector.
        cluster: the cluster.
        counts: light of its flash [p.e.], NaN where a sensor is absent.
    """
    mass = jnp.exp(log_masses(network, cluster, counts).astype(float))
    return ShiftDensity(jnp.asarray(cluster.lowest_cm), jnp.asarray(cluster.highest_cm), mass / mass.sum())


def log_masses(network: ShiftNetwork, cluster: ClusterBatch, counts: Float[Array, " sensor"]) -> Float[Array, " bin"]:
    """What the network says of one cluster (a batch without its axis)."""
    lowest_cm, highest_cm = jnp.asarray(cluster.lowest_cm), jnp.asarray(cluster.highest_cm)
    position_cm = jnp.asarray(cluster.position_cm).at[:, 0].add(lowest_cm * jnp.asarray(cluster.sense))
    return network(position_cm, jnp.asarray(cluster.photons), highest_cm - lowest_cm, counts)
