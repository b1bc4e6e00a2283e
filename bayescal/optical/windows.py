"""Windows of time after the flight from a source to a sensor, and how much light each of them holds.

Direct light comes at zero, smeared by the width of the pulse and of the transit time. Indirect light is later, by a
delay for which a beta distribution of the same mean, variance and skewness stands, smeared alike.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray
from scipy.special import betainc, gammainc

from bayescal.errors import InputError
from bayescal.special import normal_cdf

_LEAST_NS = 0.1  # mean delay and its standard deviation, where zones leave less
_SMEAR_NODES = 3
_LARGEST_SUM = 1e3  # of the parameters of a beta distribution; beyond, it is a gamma distribution


class Windows(eqx.Module):
    """Adjacent windows.

    Attributes:
        edges_ns: of the windows, increasing, after the time of flight [ns].
        width_ns: standard deviation of recorded times [ns].
    """

    edges_ns: Float[np.ndarray, " edge"] = eqx.field(converter=lambda edges: np.asarray(edges, float))
    width_ns: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.edges_ns.size < 2 or not (np.diff(self.edges_ns) > 0).all():
            raise InputError(
                f"window_edges_ns: {self.edges_ns.tolist()} must be two or more increasing times; mend them"
            )

    @property
    def count(self) -> int:
        """Number of windows."""
        return self.edges_ns.size - 1

    @property
    def length_ns(self) -> Float[np.ndarray, " window"]:
        """Of each window [ns]."""
        return np.diff(self.edges_ns)

    @property
    def of_direct(self) -> Float[Array, " window"]:
        """Shares of direct light."""
        return jnp.diff(normal_cdf(jnp.asarray(self.edges_ns) / self.width_ns))

    def of_delayed(self, cumulants_ns: NDArray) -> NDArray:
        """Shares of light by the first three cumulants of its delay, shape (..., window); what comes later is in none.

        Args:
            cumulants_ns: mean, variance and third central moment of the delay, shape (3, ...) [ns, ns^2, ns^3].
        """
        node, weight = np.polynomial.hermite_e.hermegauss(_SMEAR_NODES)
        law = _delay_law(*cumulants_ns)
        before = sum(
            part * law(np.maximum(self.edges_ns - self.width_ns * late, 0.0))
            for late, part in zip(node, weight / weight.sum(), strict=True)
        )
        return np.diff(before, axis=-1)


def _delay_law(mean: NDArray, variance: NDArray, third: NDArray) -> Callable[[NDArray], NDArray]:
    """Cumulative distribution of delays from zero on, shape (..., time), with three cumulants.

    A beta distribution from 0 to a largest delay, of Pearson's type I, whose parameters follow from the ratios of
    moments E[x^(k+1)] / E[x^k] = largest (a + k) / (a + b + k). Delays at least as skew as a gamma distribution, where
    there is no largest one, have the gamma distribution of their mean and variance.
    """
    mean, variance = np.maximum(mean, _LEAST_NS), np.maximum(variance, _LEAST_NS**2)
    one = variance / mean + mean
    two = (third + 3 * variance * mean + mean**3) / (mean * one)
    rise, bend = two - one, 2 * one - mean - two
    bounded = (rise > 0) & (2 * rise < _LARGEST_SUM * bend)
    total = 2 * rise[bounded] / bend[bounded]
    largest = one[bounded] + total * (one - mean)[bounded]
    first = total * mean[bounded] / largest
    shape, rate = (mean**2 / variance)[~bounded], (mean / variance)[~bounded]

    def law(time_ns: NDArray) -> NDArray:
        found = np.empty((*mean.shape, time_ns.size))
        part = np.minimum(time_ns / largest[:, None], 1.0)
        found[bounded] = betainc(first[:, None], (total - first)[:, None], part)
        found[~bounded] = gammainc(shape[:, None], rate[:, None] * time_ns)
        return found

    return law
