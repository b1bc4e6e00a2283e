"""When light is detected after it is emitted, and what a sensor's electronics makes of one photoelectron.

Distributions in time are probabilities on nodes one nanosecond apart: each density integrated in closed form against
the hat function of every node (one at the node, falling to zero at its neighbours). They are positive, add up to one,
have the mean of the density exactly and a variance larger by about 1/6 ns^2, never by more than 1/4; gradients are
smooth in every constant.
Stages that follow one another are convolved by multiplying their spectra.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from bayescal.special import normal_cdf, normal_pdf

Real = Float[Array, "..."]
Scalar = Float[Array, ""] | float

SLOWNESS_NS_PER_CM = 0.0746
"""Inverse group velocity of scintillation light; M. Babicz et al., JINST 15 (2020) P09009, arXiv:2002.09346."""

_SPREAD_NODES = 16  # reach of a normal distribution [ns], five times the widest transit spread of the sensors in use


class LightTiming(eqx.Module):
    """Time constants of the light and of its readout.

    The singlet time and the shifter's are those of the simulation goop, the triplet time contains the slow component
    of the wavelength shifter (1300 ns without it), the pulse and the singlet fraction are those of DUNE larnd-sim, the
    gain is that of Module-0's LCM tiles there.

    Attributes:
        singlet_fraction: share of the photons that come from the singlet state.
        singlet_ns, triplet_ns: life times of the two states [ns].
        shifter_ns: decay time of the wavelength shifter [ns].
        transit_spread_ns: standard deviation of the sensor's transit time, up to 3.2 [ns].
        response_decay_ns, response_swing_ns: tau and T of the pulse exp(-t/tau) sin(t/T) of a photoelectron; its period
            is 2 pi T [ns].
        gain: area of that pulse, one for all sensors or one each [ADC us].
    """

    singlet_fraction: Real | float = 0.30
    singlet_ns: Real | float = 6.0
    triplet_ns: Real | float = 1530.0
    shifter_ns: Real | float = 10.0
    transit_spread_ns: Real | float = 1.0
    response_decay_ns: Real | float = 55.0
    response_swing_ns: Real | float = 95.0
    gain: Real | float = 5.94

    def spectrum(self, n_nodes: int) -> Complex[Array, " frequency"]:
        """Spectrum of the detection time of a photon emitted at time 0, for `n_nodes` nodes and as many of padding.

        The few nodes before time 0 that the transit spread reaches stand at the end of the padding.
        """
        state = self.singlet_fraction * exponential(n_nodes, self.singlet_ns)
        state += (1.0 - self.singlet_fraction) * exponential(n_nodes, self.triplet_ns)
        stages = state, exponential(n_nodes, self.shifter_ns)
        spread = jnp.fft.rfft(normal(2 * n_nodes, self.transit_spread_ns))
        return jnp.fft.rfft(stages[0], 2 * n_nodes) * jnp.fft.rfft(stages[1], 2 * n_nodes) * spread


class TravelDelay(eqx.Module):
    """Delay of light on its way, beside its time of flight: one of two, each a constant and an exponential time.

    The constants as they come describe Module-0 tiles: with the time of flight, the quantiles of the time to a tile
    31.5 cm away lie within 4 ns of those of the photon library of the simulation sirentv.

    Attributes:
        share: of the photons with the first delay.
        delay_ns, delay_decay_ns: constants of the first delay [ns].
        other_delay_ns, other_decay_ns: those of the second [ns].
    """

    share: Real | float = 0.93
    delay_ns: Real | float = 14.0
    delay_decay_ns: Real | float = 10.5
    other_delay_ns: Real | float = 5.0
    other_decay_ns: Real | float = 4.0

    def spectrum(self, n_nodes: int) -> Complex[Array, " frequency"]:
        """Spectrum of the delays, as of `LightTiming.spectrum`."""
        delays = self.share * exponential(n_nodes, self.delay_decay_ns, self.delay_ns)
        delays += (1.0 - self.share) * exponential(n_nodes, self.other_decay_ns, self.other_delay_ns)
        return jnp.fft.rfft(delays, 2 * n_nodes)


def exponential(n_nodes: int, decay_ns: Scalar, delay_ns: Scalar = 0.0) -> Float[Array, " node"]:
    """Probabilities on nodes 0, 1, ... [ns] of a delay and an exponentially distributed time.

    Args:
        n_nodes: number of nodes; what comes later is lost.
        decay_ns: mean of the exponential distribution, above zero [ns].
        delay_ns: not below zero [ns].
    """
    since = jnp.arange(n_nodes) - delay_ns
    late = since >= 1.0
    tail = decay_ns * jnp.expm1(-1.0 / decay_ns) ** 2 * jnp.exp(-(jnp.where(late, since, 1.0) - 1.0) / decay_ns)
    onset = jnp.where(late, 0.0, since)
    head = _exponential_twice(onset + 1.0, decay_ns) - 2.0 * _exponential_twice(onset, decay_ns)
    return jnp.where(late, tail, head)


def _exponential_twice(time_ns: Real, decay_ns: Scalar) -> Real:
    """The exponential density integrated twice from time 0."""
    passed = jnp.maximum(time_ns, 0.0)
    return passed + decay_ns * jnp.expm1(-passed / decay_ns)


def normal(n_nodes: int, sigma_ns: Scalar) -> Float[Array, " node"]:
    """Probabilities of a centred normal distribution; nodes -1, -2, ... [ns] stand at the end."""
    node = jnp.arange(-_SPREAD_NODES, _SPREAD_NODES + 1)
    edge = jnp.arange(-_SPREAD_NODES - 1.0, _SPREAD_NODES + 2.0)
    twice = edge * normal_cdf(edge / sigma_ns) + sigma_ns * normal_pdf(edge / sigma_ns)
    return jnp.zeros(n_nodes).at[node].set(jnp.diff(twice, n=2))


class Pulse(eqx.Module):
    """Response to one photoelectron at time 0, of unit area: r(t) = c Im exp(-p t), p = 1/tau - i/T, c Im(1/p) = 1.

    Attributes:
        pole: p [1/ns].
        scale: c = (T^2 + tau^2)/(T tau^2) [1/ns].
    """

    pole: Complex[Array, ""]
    scale: Float[Array, ""]

    @staticmethod
    def of(timing: LightTiming) -> Pulse:
        """The pulse of these time constants."""
        decay, swing = (jnp.asarray(t, float) for t in (timing.response_decay_ns, timing.response_swing_ns))
        return Pulse(1.0 / decay - 1j / swing, (swing**2 + decay**2) / (swing * decay**2))

    def response(self, time_ns: Real) -> Real:
        """The pulse [1/ns]."""
        passed = jnp.maximum(time_ns, 0.0)
        return jnp.where(time_ns > 0, self.scale * jnp.imag(jnp.exp(-self.pole * passed)), 0.0)

    def integral(self, time_ns: Real) -> Real:
        """The pulse integrated up to a time."""
        passed = jnp.maximum(time_ns, 0.0)
        return self.scale * jnp.imag((1.0 - jnp.exp(-self.pole * passed)) / self.pole)
