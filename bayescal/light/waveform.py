"""Waveforms expected from light: photoelectrons in time, then the mean of the electronics' response in each sample.

Time runs on nodes one nanosecond apart. Deposits are put on the nodes with their time of flight to each sensor,
`detected` adds the delays of emission and travel, and `WaveformLight` holds the result: photoelectrons expected on each
node. The pulse of a photoelectron is a decaying oscillation, so that its response beyond a sample follows from one
complex amplitude; no response is cut off.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from bayescal.light.timing import LightTiming, Pulse, TravelTime

SAMPLE_NS = 16
"""Sampling period of the light readout of DUNE's 2x2 [ns]."""

_CHUNK_DEPOSITS = 256
_CHUNK_ROWS = 64


class SampledPulse(eqx.Module):
    """The pulse of a photoelectron in its own sample and in the later ones.

    Attributes:
        within: for a photoelectron on each node of a sample, the mean of its pulse over the sample [1/ns] and real and
            imaginary part of its amplitude z at the end of the sample.
        decay: factor on z from the end of one sample to the end of the next.
        observed: the mean of the pulse over the following sample is the imaginary part of this times z [1/ns].
    """

    within: Float[Array, "node 3"]
    decay: Complex[Array, ""]
    observed: Complex[Array, ""]

    @staticmethod
    def of(timing: LightTiming, sample_ns: int) -> SampledPulse:
        """The pulse of these constants, averaged over samples of a length [ns]."""
        pulse = Pulse.of(timing)
        left = sample_ns - jnp.arange(sample_ns)
        amplitude = jnp.exp(-pulse.pole * left)
        within = jnp.stack([pulse.integral(left) / sample_ns, amplitude.real, amplitude.imag], axis=-1)
        decay = jnp.exp(-pulse.pole * sample_ns)
        return SampledPulse(within, decay, pulse.scale * (1.0 - decay) / (pulse.pole * sample_ns))


class WaveformLight(eqx.Module):
    """Light that sensors see in a window.

    Attributes:
        photoelectrons: expected on each node, 1 ns apart, from the start of the window [p.e.].
        timing: constants of the pulse, its gain one for all rows or one a row.
        sample_ns: sampling period [ns]; the number of nodes is a multiple of it.
    """

    photoelectrons: Float[Array, "*row node"]
    timing: LightTiming
    sample_ns: int = eqx.field(static=True, default=SAMPLE_NS)

    @property
    def n_samples(self) -> int:
        """Samples in the window."""
        return self.photoelectrons.shape[-1] // self.sample_ns

    def in_samples(self, photoelectrons: Float[Array, "*row node"]) -> Float[Array, "*row sample node"]:
        """Values on nodes, by sample."""
        return photoelectrons.reshape(*photoelectrons.shape[:-1], self.n_samples, self.sample_ns)

    def expected(self) -> Float[Array, "*row sample"]:
        """Expected waveforms [ADC]."""
        return self.response(self.photoelectrons)

    def response(self, charge: Float[Array, "*row node"]) -> Float[Array, "*row sample"]:
        """Noise-free waveforms of charges on the nodes [p.e.]: pulses averaged over each sample [ADC]."""
        pulse = SampledPulse.of(self.timing, self.sample_ns)
        direct, real, imaginary = jnp.moveaxis(self.in_samples(charge) @ pulse.within, -1, 0)
        n = self.n_samples
        kernel = jnp.exp(jnp.log(pulse.decay) * jnp.arange(n))
        amplitude = jnp.fft.ifft(jnp.fft.fft(real + 1j * imaginary, 2 * n) * jnp.fft.fft(kernel, 2 * n))
        before = jnp.concatenate([jnp.zeros_like(amplitude[..., :1]), amplitude[..., : n - 1]], axis=-1)
        return self.adc_per_pulse[..., None] * (direct + jnp.imag(pulse.observed * before))

    @property
    def adc_per_pulse(self) -> Float[Array, "..."]:
        """Area of the pulse of a photoelectron [ADC ns]."""
        return 1000.0 * jnp.asarray(self.timing.gain, float)


def detected(
    arrivals: Float[Array, "*row node"],
    timing: LightTiming,
    travel: TravelTime | None = None,
    sample_ns: int = SAMPLE_NS,
) -> WaveformLight:
    """Light on sensors, from the photoelectrons that would be detected without any delay.

    Args:
        arrivals: expected photoelectrons on the nodes of the window, times of flight included [p.e.].
        timing: constants of emission and readout.
        travel: further delays on the way; none where absent.
        sample_ns: sampling period [ns].
    """
    n_nodes = arrivals.shape[-1]
    spectrum = timing.spectrum(n_nodes)
    if travel is not None:
        spectrum = spectrum * travel.spectrum(n_nodes)

    def delayed(row: Float[Array, " node"]) -> Float[Array, " node"]:
        return jnp.fft.irfft(jnp.fft.rfft(row, 2 * n_nodes) * spectrum, 2 * n_nodes)[:n_nodes]

    rows = arrivals.reshape(-1, n_nodes)
    light = jax.lax.map(delayed, rows, batch_size=min(_CHUNK_ROWS, len(rows)))
    # rounding of the transform leaves values of either sign where there is no light
    return WaveformLight(jnp.maximum(light, 0.0).reshape(arrivals.shape), timing, sample_ns)


class Deposits(eqx.Module):
    """Photons emitted in one event.

    Attributes:
        position_cm: where [cm].
        time_ns: when, after the start of the window [ns].
        photons: how many, times the photoelectrons per detected photon where that is not one.
    """

    position_cm: Float[Array, "deposit 3"]
    time_ns: Float[Array, " deposit"]
    photons: Float[Array, " deposit"]


def arrivals(
    deposits: Deposits,
    visibility: Callable[[Float[Array, "deposit 3"]], Float[Array, "deposit sensor"]],
    sensor_cm: Float[Array, "sensor 3"],
    n_nodes: int,
    slowness_ns_per_cm: Float[Array, ""] | float = TravelTime().slowness_ns_per_cm,
) -> Float[Array, "sensor node"]:
    """Photoelectrons on the nodes of each sensor, with the time of flight at a fixed speed and no other delay.

    A deposit is shared between the two nodes around its arrival, so that the mean time is exact. Deposits are taken in
    chunks; memory is that of a chunk times the sensors and of the result. Light outside the window is lost.

    Args:
        deposits: emitted photons.
        visibility: probability that a photon from a place is detected by each sensor.
        sensor_cm: position of the sensors [cm].
        n_nodes: length of the window [ns].
        slowness_ns_per_cm: inverse of the group velocity [ns/cm].
    """
    n_deposits, n_sensors = len(deposits.photons), len(sensor_cm)
    missing = -n_deposits % min(_CHUNK_DEPOSITS, max(n_deposits, 1))
    padded = jax.tree.map(lambda a: jnp.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1), mode="edge"), deposits)
    real = jnp.arange(n_deposits + missing) < n_deposits
    photons = jnp.where(real, padded.photons, 0.0)
    size = min(_CHUNK_DEPOSITS, max(n_deposits, 1))
    chunks = jax.tree.map(
        lambda a: a.reshape(-1, size, *a.shape[1:]), Deposits(padded.position_cm, padded.time_ns, photons)
    )
    sensor = jnp.arange(n_sensors)

    @jax.checkpoint
    def add(light: Float[Array, "sensor node"], chunk: Deposits) -> tuple[Float[Array, "sensor node"], None]:
        distance = jnp.linalg.norm(chunk.position_cm[:, None] - sensor_cm, axis=-1)
        time = chunk.time_ns[:, None] + slowness_ns_per_cm * distance
        detected = chunk.photons[:, None] * visibility(chunk.position_cm)
        node = jnp.floor(time)
        later = time - node
        for shift, share in ((0, 1.0 - later), (1, later)):
            place = node.astype(int) + shift
            inside = (place >= 0) & (place < n_nodes)
            light = light.at[sensor, jnp.where(inside, place, n_nodes)].add(detected * share, mode="drop")
        return light, None

    return jax.lax.scan(add, jnp.zeros((n_sensors, n_nodes)), chunks)[0]
