"""What a photomultiplier records of the photoelectrons of a window: a first time, and perhaps a charge.

The electronics adds up the charge of all photoelectrons in the window and makes a hit of it where it is at or above a
threshold. `FirstArrival` has no threshold; `HitTimes` and `HitCharges` differ in whether the charge is used.
"""

from __future__ import annotations

from typing import Protocol

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayescal.likelihoods.charge_spectrum import N_BELOW, ChargeSpectrum, r3600_spectrum
from bayescal.optical.arrivals import take_rows

Real = Float[Array, "..."]

THRESHOLD_PE = 0.25
"""Threshold of Super-Kamiokande's electronics, as in WCSim (2024-10) [p.e.]."""


class Recorded(Protocol):
    """What a sensor records of its photoelectrons. Numbers that belong to sensors broadcast to their shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the constants of sensors."""
        ...

    def log_silent(self, mean: Real) -> Real:
        """Log probability of no hit where so many photoelectrons are expected."""
        ...

    def log_recorded(self, charge: Real, later: Real) -> Real:
        """Log density of what is recorded of a first photoelectron and a Poisson number of later ones."""
        ...

    def draw(self, key: Array, number: Real) -> Real:
        """Recorded charges of numbers of photoelectrons, at least one; 0 below the threshold."""
        ...

    def rows(self, shape: tuple[int, ...], index: Int[Array, " row"]) -> Recorded:
        """The same of some rows of the flattened shape of all sensors."""
        ...


class FirstArrival(eqx.Module):
    """Every photoelectron makes a hit, and its charge is not used."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Nothing belongs to single sensors."""
        return ()

    def log_silent(self, mean: Real) -> Real:
        """No photoelectron."""
        return -mean

    def log_recorded(self, charge: Real, later: Real) -> Real:
        """Certain."""
        del charge
        return jnp.zeros_like(later)

    def draw(self, key: Array, number: Real) -> Real:
        """1 for every hit."""
        del key
        return jnp.ones_like(number)

    def rows(self, shape: tuple[int, ...], index: Int[Array, " row"]) -> FirstArrival:
        """The same for all sensors."""
        del shape, index
        return self


class HitTimes(eqx.Module):
    """A hit needs a charge above the threshold, and its charge is not used.

    Attributes:
        spectrum: charge of photoelectrons.
        gain: recorded charge of one photoelectron, mean.
        threshold: recorded charge that a hit needs, from 0 to 2.5 times the gain.
    """

    spectrum: ChargeSpectrum = eqx.field(default_factory=r3600_spectrum)
    gain: Real | float = 1.0
    threshold: Real | float = THRESHOLD_PE

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of gain and threshold."""
        return jnp.broadcast_shapes(jnp.shape(self.gain), jnp.shape(self.threshold))

    def log_silent(self, mean: Real) -> Real:
        """No photoelectron, or all of them together below the threshold."""
        return _log_silent(self._below(), mean)

    def log_recorded(self, charge: Real, later: Real) -> Real:
        """Log probability of a charge above the threshold."""
        del charge
        below = self._below()
        total = jnp.zeros_like(later)
        for number in range(N_BELOW, 0, -1):
            total = below[..., number - 1] + later / number * total
        return jnp.log1p(-jnp.exp(-later) * total)

    def draw(self, key: Array, number: Real) -> Real:
        """1 for charges above the threshold."""
        return jnp.where(self.gain * self.spectrum.draw(key, number) >= self.threshold, 1.0, 0.0)

    def rows(self, shape: tuple[int, ...], index: Int[Array, " row"]) -> HitTimes:
        """Gain and threshold of some sensors."""
        return HitTimes(self.spectrum, take_rows(self.gain, shape, index), take_rows(self.threshold, shape, index))

    def _below(self) -> Float[Array, "*sensor number"]:
        return self.spectrum.probability_below(jnp.asarray(self.threshold / self.gain))


class HitCharges(eqx.Module):
    """A hit needs a charge above the threshold, which is recorded.

    Attributes:
        spectrum: charge of photoelectrons.
        gain: recorded charge of one photoelectron, mean.
        threshold: recorded charge that a hit needs, from 0 to 2.5 times the gain.
    """

    spectrum: ChargeSpectrum = eqx.field(default_factory=r3600_spectrum)
    gain: Real | float = 1.0
    threshold: Real | float = THRESHOLD_PE

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of gain and threshold."""
        return jnp.broadcast_shapes(jnp.shape(self.gain), jnp.shape(self.threshold))

    def log_silent(self, mean: Real) -> Real:
        """No photoelectron, or all of them together below the threshold."""
        return _log_silent(self.spectrum.probability_below(jnp.asarray(self.threshold / self.gain)), mean)

    def log_recorded(self, charge: Real, later: Real) -> Real:
        """Log density of a recorded charge; no charge is recorded below the threshold."""
        below = charge < self.threshold
        charge_pe = jnp.where(below, 1.0, charge / self.gain)
        log_density = self.spectrum.log_density(charge_pe, later) - jnp.log(jnp.asarray(self.gain))
        return jnp.where(below, -jnp.inf, log_density)

    def draw(self, key: Array, number: Real) -> Real:
        """Recorded charges."""
        charge = self.gain * self.spectrum.draw(key, number)
        return jnp.where(charge >= self.threshold, charge, 0.0)

    def rows(self, shape: tuple[int, ...], index: Int[Array, " row"]) -> HitCharges:
        """Gain and threshold of some sensors."""
        return HitCharges(self.spectrum, take_rows(self.gain, shape, index), take_rows(self.threshold, shape, index))


def _log_silent(below: Float[Array, "*sensor number"], mean: Real) -> Real:
    """-m + ln(1 + sum of m^k F_k / k!), k = 1, ..., 16, in the precision of the mean."""
    total, below = jnp.zeros_like(mean), below.astype(mean.dtype)
    for number in range(N_BELOW, 0, -1):
        total = mean / number * (below[..., number - 1] + total)
    return jnp.log1p(total) - mean
