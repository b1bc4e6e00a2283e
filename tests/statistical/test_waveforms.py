"""Intervals of the six constants of light waveforms cover, for waveforms made photoelectron by photoelectron."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from bayescal.light.timing import LightTiming, Pulse
from bayescal.light.waveform import detected
from bayescal.likelihoods.waveforms import Waveforms

NAMES = ("singlet_fraction", "singlet_ns", "triplet_ns", "response_decay_ns", "response_swing_ns", "gain")
NOMINAL = jnp.asarray([getattr(LightTiming(), name) for name in NAMES])
REPLICAS, SENSORS, SAMPLES, START_NS = 100, 48, 400, 80
NOISE, CHARGE_SPREAD = 2.6, 0.1
STEP = 0.01


def made(rng, photoelectrons):
    """Waveforms of one replica: every photoelectron with its own continuous time and charge [sensor, sample]."""
    timing = LightTiming()
    ends = 16.0 * np.arange(SAMPLES + 1)
    waveform = NOISE * rng.standard_normal((SENSORS, SAMPLES))
    pulse = Pulse.of(timing)
    for row in waveform:
        n = rng.poisson(photoelectrons)
        slow = rng.random(n) > timing.singlet_fraction
        time = START_NS + rng.exponential(np.where(slow, timing.triplet_ns, timing.singlet_ns))
        time += rng.exponential(timing.shifter_ns, n) + timing.transit_spread_ns * rng.standard_normal(n)
        passed = np.maximum(ends - time[:, None], 0.0)
        pole, scale = complex(pulse.pole), float(pulse.scale)
        collected = scale * np.imag((1.0 - np.exp(-pole * passed)) / pole)
        charge = 1.0 + CHARGE_SPREAD * rng.standard_normal(n)
        row += 1000.0 * timing.gain / 16.0 * (charge @ np.diff(collected, axis=1))
    return waveform


@jax.jit
def gradient(x, waveform, photoelectrons):
    """Slope of each replica's log density in the logarithms of the constants over their nominal values."""

    def total(x, waveform):
        timing = LightTiming(**dict(zip(NAMES, NOMINAL * jnp.exp(x), strict=True)))
        light = detected(jnp.zeros((1, SAMPLES * 16)).at[0, START_NS].set(photoelectrons), timing)
        return Waveforms(light, NOISE, charge_spread=CHARGE_SPREAD).log_prob(waveform).sum()

    return jax.lax.map(lambda row: jax.grad(total)(*row), (x, waveform))


def fitted(waveform, photoelectrons):
    """Modes and covariances of the replicas' posteriors with flat priors in the logarithms, by Newton's method."""
    x = jnp.zeros((REPLICAS, len(NAMES)))
    for _ in range(3):
        columns = [
            gradient(x + STEP * axis, waveform, photoelectrons) - gradient(x - STEP * axis, waveform, photoelectrons)
            for axis in jnp.eye(len(NAMES))
        ]
        curvature = -np.stack(columns, axis=1) / (2 * STEP)
        curvature = 0.5 * (curvature + curvature.transpose(0, 2, 1))
        step = np.linalg.solve(curvature, np.asarray(gradient(x, waveform, photoelectrons))[..., None])[..., 0]
        x = x + np.clip(step, -0.3, 0.3)
    assert abs(step).max() < 0.05
    return np.asarray(x), np.linalg.inv(curvature)


@pytest.mark.validate
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("photoelectrons", [5.0, 40.0])
def test_intervals_of_six_constants_cover(photoelectrons):
    """Exact binomial tests at 68 % and 95 %, false alarm 1 % together (Holm)."""
    rng = np.random.default_rng(6)
    waveform = jnp.asarray(np.stack([made(rng, photoelectrons) for _ in range(REPLICAS)]))
    mode, covariance = fitted(waveform, photoelectrons)
    pull = abs(mode) / np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    p_values = [
        scipy.stats.binomtest(int(covered), REPLICAS, level).pvalue
        for level in (0.68, 0.95)
        for covered in (pull < scipy.stats.norm.ppf(0.5 + level / 2)).sum(axis=0)
    ]
    holm = np.sort(p_values) * np.arange(len(p_values), 0, -1)
    assert holm.min() > 0.01, f"covered {(pull < 1).mean(axis=0)}, p-values {np.round(p_values, 4)}"
