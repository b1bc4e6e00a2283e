"""A self-triggering pixel chip played tick by tick: the stochastic process whose density the likelihood is."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bayescal.charge.electronics import Electronics


class _State(NamedTuple):
    """Of each pixel: charge at the start of the integration and its offset [e-], first watched tick, hits so far."""

    base_e: Float[Array, " row"]
    offset_e: Float[Array, " row"]
    watch: Int[Array, " row"]
    n_hits: Int[Array, " row"]
    hits: Float[Array, "row slot 2"]


def play(
    key: Array,
    signal_e: Float[Array, "row tick"],
    threshold_e: Float[Array, " row"],
    outlier: Float[Array, ""],
    chip: Electronics,
) -> Float[Array, "row slot 2"]:
    """Draw the hits of pixels.

    Args:
        key: random key.
        signal_e: charge collected by the end of tick first_tick - 1 and of the `n_ticks + restart_ticks` ticks after
            it [e-].
        threshold_e: threshold of each pixel [e-].
        outlier: probability that an outlier fires at a tick.
        chip: constants of the chip; any noise may be zero.

    Returns:
        Firing tick and real-valued ADC [counts] of up to `max_hits` hits a pixel; NaN in empty slots.
    """
    n_rows = signal_e.shape[0]
    start_key, tick_key = jax.random.split(key)
    state = _State(
        base_e=signal_e[:, 0],
        offset_e=chip.reset_noise_e * jax.random.normal(start_key, (n_rows,), signal_e.dtype),
        watch=jnp.zeros(n_rows, int),
        n_hits=jnp.zeros(n_rows, int),
        hits=jnp.full((n_rows, chip.max_hits, 2), jnp.nan),
    )

    def tick(state: _State, now: tuple[Array, Array]) -> tuple[_State, None]:
        key, index = now
        keys = jax.random.split(key, 3)
        charge = jax.lax.dynamic_slice_in_dim(signal_e, index + 1, chip.restart_ticks, axis=1)
        charge = charge - state.base_e[:, None]
        signal, noise = _fires(keys[0], charge[:, 0] + state.offset_e, threshold_e, outlier, chip)
        watched = (index >= state.watch) & (state.n_hits < chip.max_hits)
        kept, adc = _digitise(keys[1], charge[:, chip.hold_ticks] + state.offset_e, threshold_e, chip, noise)
        fired = watched & (signal | noise)
        return _restart(keys[2], state, (fired, fired & kept), (index, adc, charge[:, -1]), chip), None

    ticks = (jax.random.split(tick_key, chip.n_ticks), jnp.arange(chip.n_ticks))
    return jax.lax.scan(tick, state, ticks)[0].hits


def _fires(
    key: Array,
    charge_e: Float[Array, " row"],
    threshold_e: Float[Array, " row"],
    outlier: Float[Array, ""],
    chip: Electronics,
) -> tuple[Bool[Array, " row"], Bool[Array, " row"]]:
    """Whether the signal fires the discriminator at a tick, and whether an outlier does where the signal does not."""
    watch_key, outlier_key = jax.random.split(key)
    noise = chip.watch_noise_e * jax.random.normal(watch_key, charge_e.shape, charge_e.dtype)
    signal = charge_e + noise >= threshold_e
    return signal, ~signal & (jax.random.uniform(outlier_key, charge_e.shape) < outlier)


def _digitise(
    key: Array,
    charge_e: Float[Array, " row"],
    threshold_e: Float[Array, " row"],
    chip: Electronics,
    outlier: Bool[Array, " row"],
) -> tuple[Bool[Array, " row"], Float[Array, " row"]]:
    """Whether a firing is kept, and its ADC value [counts]; an outlier is kept with a value uniform over the range."""
    noise_key, keep_key, outlier_key = jax.random.split(key, 3)
    charge = charge_e + chip.uncorrelated_noise_e * jax.random.normal(noise_key, charge_e.shape, charge_e.dtype)
    compared = charge + chip.discriminator_noise_e * jax.random.normal(keep_key, charge_e.shape, charge_e.dtype)
    anything = chip.adc_counts * jax.random.uniform(outlier_key, charge_e.shape)
    return outlier | (compared >= threshold_e), jnp.where(outlier, anything, chip.adc(charge))


def _restart(
    key: Array,
    state: _State,
    flags: tuple[Bool[Array, " row"], Bool[Array, " row"]],
    values: tuple[Int[Array, ""], Float[Array, " row"], Float[Array, " row"]],
    chip: Electronics,
) -> _State:
    """Record the hits that are kept, and restart the integration of the pixels that fired."""
    fired, kept = flags
    index, adc, lost_e = values
    slot = jnp.arange(state.hits.shape[1]) == state.n_hits[:, None]
    hit = jnp.stack([jnp.broadcast_to(index + chip.first_tick, adc.shape), adc], axis=-1)
    width = jnp.where(kept, chip.reset_noise_e, chip.discard_reset_noise_e)
    offset = (width * jax.random.normal(key, adc.shape)).astype(state.offset_e.dtype)
    watch = index + chip.restart_ticks + jnp.where(kept, chip.busy_ticks - 1, 0)
    return _State(
        base_e=jnp.where(fired, state.base_e + lost_e, state.base_e),
        offset_e=jnp.where(fired, offset, state.offset_e),
        watch=jnp.where(fired, watch, state.watch),
        n_hits=state.n_hits + kept,
        hits=jnp.where((slot & kept[:, None])[..., None], hit[:, None, :], state.hits),
    )
