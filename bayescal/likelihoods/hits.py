"""SelfTriggeredReadout: what self-triggering pixels record of their expected signals, as a normalised distribution.

The process, per pixel (DUNE larnd-sim's electronics; `Electronics` holds its constants): an integration starts with a
random offset; at every watched tick the collected charge plus noise is compared with the threshold; `hold_ticks` after
a firing the charge is digitised and compared again: kept, it is a hit, otherwise discarded; the integration restarts.
`chip.play` draws from this process, `intervals` holds its density. Recorded hits cut a pixel's time into intervals with
a fresh offset each, so that the likelihood is a product over intervals, without matching hits and without a sum over
histories between kept hits.
"""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import constraints

from bayescal.charge.electronics import Electronics
from bayescal.charge.signals import PixelSignals
from bayescal.likelihoods.chip import play
from bayescal.likelihoods.intervals import Charges, Hit, IntegerADC, RealADC, follow, log_hit, log_silence
from bayescal.likelihoods.plan import HitPlan, Intervals

_CHUNK_ELEMENTS = 1 << 18
_REAL = RealADC()


class SelfTriggeredReadout(dist.Distribution):
    """Hits of self-triggering pixels.

    Batch shape (row,): the pixels of all events. Event shape (slot, 2): firing tick and ADC value [counts] of up to
    `electronics.max_hits` hits in order of time, NaN in empty slots. Real-valued ADC values have a density per count,
    ADC codes a probability.

    Args:
        signals: expected signals.
        electronics: constants of the chip.
        threshold_e: threshold, one for all or one a pixel row [e-]; the chip's where absent.
        outlier_rate: rate of firings that have nothing to do with the signal, per pixel [1/us].
        live: False for dead pixels, which record nothing, and for rows that pad; all where absent.
        adc: `RealADC()` or `IntegerADC()`.
        plan: from `plan_hits` for the hits whose density is asked for; `sample` needs none.
    """

    # NumPyro declares these otherwise than its own distributions define them
    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    support = constraints.independent(constraints.real, 2)  # pyright: ignore
    pytree_data_fields = ("signals", "electronics", "threshold_e", "outlier_rate", "live", "adc", "plan")

    def __init__(  # noqa: PLR0913 a distribution and all of its options
        self,
        signals: PixelSignals,
        electronics: Electronics,
        *,
        threshold_e: ArrayLike | None = None,
        outlier_rate: ArrayLike = 0.0,
        live: ArrayLike | None = None,
        adc: RealADC | IntegerADC = _REAL,
        plan: HitPlan | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.signals = signals
        self.electronics = electronics
        threshold = electronics.threshold_e if threshold_e is None else threshold_e
        self.threshold_e = jnp.broadcast_to(jnp.asarray(threshold, jnp.float64), (signals.n_rows,))
        self.outlier_rate = jnp.asarray(outlier_rate, jnp.float64)
        self.live = jnp.ones(signals.n_rows, bool) if live is None else jnp.asarray(live)
        self.adc = adc
        self.plan = plan
        super().__init__(
            batch_shape=(signals.n_rows,), event_shape=(electronics.max_hits, 2), validate_args=validate_args
        )

    @property
    def outlier(self) -> Float[Array, ""]:
        """Probability of an outlier at a tick."""
        return self.outlier_rate * self.electronics.tick_us

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Float[Array, "*sample row slot 2"]:
        """Play the chip, `sample_shape` times."""
        chip = self.electronics
        first = chip.first_tick - 1
        signal = self.signals.waveform(first, chip.n_ticks + chip.restart_ticks + 1, chip.tick_us)

        def draw(key: Array) -> Float[Array, "row slot 2"]:
            hits = play(key, signal, self.threshold_e.astype(signal.dtype), self.outlier, chip)
            hits = hits.at[..., 1].set(self.adc.record(hits[..., 1], chip))
            return jnp.where(self.live[:, None, None], hits, jnp.nan)

        size = 1
        for length in sample_shape:
            size *= length
        drawn = jax.lax.map(draw, jax.random.split(key, size)) if sample_shape else draw(key)
        return drawn.reshape(self.shape(sample_shape))

    def log_prob(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, value: Float[Array, "row slot 2"]
    ) -> Float[Array, " row"]:
        """Log density of hits at the firing ticks for which the plan was made; -inf for other ticks."""
        if self.plan is None:
            raise ValueError(
                "log_prob needs the plan of the observed hits: SelfTriggeredReadout(..., plan=plan_hits(...))"
            )
        total = jnp.zeros(self.signals.n_rows)
        for group in jax.tree.map(jnp.asarray, self.plan.groups):
            total = total.at[group.row].add(self._group_log_prob(group, value, jnp.dtype(self.plan.dtype)))
        planned = jnp.asarray(self.plan.tick)
        same = (value[..., 0] == planned) | (jnp.isnan(value[..., 0]) & jnp.isnan(planned))
        return jnp.where(self.live & same.all(axis=-1), total, jnp.where(self.live, -jnp.inf, 0.0))

    def _group_log_prob(
        self, group: Intervals, value: Float[Array, "row slot 2"], dtype: jnp.dtype
    ) -> Float[Array, " interval"]:
        """Log density of each interval of a group, in chunks that bound the memory."""
        collected = self.signals.collected(group.request, group.origin_us, group.time_us.astype(dtype))
        n_stretches = group.stretches.start.shape[1]
        collected = collected - collected[:, -3, None]
        charges = Charges(
            watched=collected[:, :n_stretches],
            digitised=collected[:, n_stretches : 2 * n_stretches],
            restart=collected[:, 2 * n_stretches : 3 * n_stretches],
            fired=collected[:, -2],
            held=collected[:, -1],
        )
        adc = jnp.where(group.ends_in_hit, value[group.row, group.slot, 1], self.electronics.adc_counts / 2)
        hit = Hit(adc, self.threshold_e[group.row])
        rows = (charges, group.stretches, hit, group.ends_in_hit, group.real)
        n_chunks = _n_chunks(group.row.size, n_stretches * max(n_stretches, group.grid.size))
        chunked = jax.tree.map(lambda values: values.reshape(n_chunks, -1, *values.shape[1:]), rows)

        def density(chunk: tuple) -> Float[Array, " interval"]:
            charges, stretches, hit, ends_in_hit, real = chunk
            offsets = follow(
                charges, stretches, hit.threshold_e, self.electronics, self.outlier, group.grid, group.discards
            )
            recorded = log_hit(offsets, charges, hit, self.electronics, self.outlier, group.grid, self.adc)
            return jnp.where(real, jnp.where(ends_in_hit, recorded, log_silence(offsets)), 0.0)

        if n_chunks > 1:  # what a gradient needs of many chunks is computed again rather than kept
            density = jax.checkpoint(density)
        return jax.lax.map(density, chunked).reshape(-1)


def _n_chunks(n_rows: int, elements_per_row: int) -> int:
    """Number of equal chunks, by repeated halving, of about `_CHUNK_ELEMENTS` array elements."""
    n_chunks = 1
    while n_rows % (2 * n_chunks) == 0 and n_rows // n_chunks * elements_per_row > _CHUNK_ELEMENTS:
        n_chunks *= 2
    return n_chunks
