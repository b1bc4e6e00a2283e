"""Constants of a self-triggering pixel chip (LArPix) and its conversion between charge and ADC counts."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

Real = Float[Array, "..."]


class Electronics(eqx.Module):
    """What the chip does with the collected charge; the defaults are those of DUNE larnd-sim for Module-0.

    Attributes:
        threshold_e: discriminator threshold [e-].
        reset_noise_e: width of the charge offset left by a reset [e-].
        discard_reset_noise_e: the same after a discarded firing [e-].
        uncorrelated_noise_e: noise of the digitised charge [e-].
        discriminator_noise_e: noise of the threshold when the digitised charge is compared with it [e-].
        watch_noise_e: noise of charge and threshold together at each watched tick [e-]; in DUNE larnd-sim the two above
            added in quadrature.
        tick_us: clock period [us].
        hold_ticks: ticks between firing and digitisation.
        reset_ticks: ticks after digitisation whose charge the reset loses, beside the tick of the digitisation.
        busy_ticks: after a restart that follows a kept hit, the first tick that is watched, counted from 1 (1: none is
            skipped).
        first_tick: tick at which the integration of an event starts; negative: before the trigger.
        n_ticks: number of ticks in an event's window.
        max_hits: hits that a pixel can record in a window.
        gain_mv_per_e: gain [mV/e-].
        v_pedestal_mv, v_cm_mv, v_ref_mv: pedestal, common-mode and reference voltages [mV].
        adc_counts: number of ADC counts between v_cm and v_ref; the ADC saturates there.
    """

    threshold_e: float = 5000.0
    reset_noise_e: float = 900.0
    discard_reset_noise_e: float = 900.0
    uncorrelated_noise_e: float = 500.0
    discriminator_noise_e: float = 650.0
    watch_noise_e: float = 820.0609733428363
    tick_us: float = eqx.field(static=True, default=0.1)
    hold_ticks: int = eqx.field(static=True, default=18)
    reset_ticks: int = eqx.field(static=True, default=1)
    busy_ticks: int = eqx.field(static=True, default=9)
    first_tick: int = eqx.field(static=True, default=-100)
    n_ticks: int = eqx.field(static=True, default=2100)
    max_hits: int = eqx.field(static=True, default=10)
    gain_mv_per_e: float = eqx.field(static=True, default=4e-3)
    v_pedestal_mv: float = eqx.field(static=True, default=580.0)
    v_cm_mv: float = eqx.field(static=True, default=284.27734375)
    v_ref_mv: float = eqx.field(static=True, default=1282.71484375)
    adc_counts: int = eqx.field(static=True, default=256)

    @property
    def restart_ticks(self) -> int:
        """Ticks from a firing to the restart of the integration."""
        return self.hold_ticks + 1 + self.reset_ticks

    @property
    def end_tick(self) -> int:
        """First tick after the window."""
        return self.first_tick + self.n_ticks

    @property
    def charge_per_count_e(self) -> float:
        """Charge of one ADC count [e-]."""
        return (self.v_ref_mv - self.v_cm_mv) / self.adc_counts / self.gain_mv_per_e

    @property
    def pedestal_counts(self) -> float:
        """ADC value of no charge [counts]."""
        return (self.v_pedestal_mv - self.v_cm_mv) * self.adc_counts / (self.v_ref_mv - self.v_cm_mv)

    def noisier(self, factor: Float[Array, ""] | float) -> Electronics:
        """The same chip with every noise multiplied by a factor."""
        names = (
            "reset_noise_e",
            "discard_reset_noise_e",
            "uncorrelated_noise_e",
            "discriminator_noise_e",
            "watch_noise_e",
        )
        return dataclasses.replace(self, **{name: getattr(self, name) * factor for name in names})

    def adc(self, charge_e: Real) -> Real:
        """ADC value of a charge, real-valued and saturating [counts]."""
        return jnp.clip(self.pedestal_counts + charge_e / self.charge_per_count_e, 0.0, self.adc_counts)

    def charge(self, adc: Real) -> Real:
        """Charge of an ADC value inside its range [e-]."""
        return (adc - self.pedestal_counts) * self.charge_per_count_e


def larnd_sim_jax() -> Electronics:
    """The electronics of larnd-sim-jax: no noise at the discriminator, nothing skipped after a hit.

    Its charge offset after a discarded firing has the width of the uncorrelated noise.
    """
    return Electronics(
        discriminator_noise_e=0.0,
        watch_noise_e=0.0,
        discard_reset_noise_e=500.0,
        busy_ticks=1,
        first_tick=0,
        n_ticks=2000,
    )
