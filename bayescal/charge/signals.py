"""The expectation of a charge simulator: what a pixel has collected by a given time, computed on request."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from bayescal.charge.induction import Pulse, Response

_CHUNK = 4096


class Request(eqx.Module):
    """Which charges contribute to which rows of times.

    Attributes:
        pair: charge of each entry; entries are sorted by row.
        row: row of times to which it contributes.
    """

    pair: Int[Array | NDArray, " entry"]
    row: Int[Array | NDArray, " entry"]


class PixelSignals(eqx.Module):
    """Charges on their way to pixels.

    Attributes:
        charge_e: charge of each pair of step and cell [e-].
        pulse: its time structure.
        row: pixel row that collects it.
        response: how induction spreads its collection in time.
        n_rows: number of pixel rows (static).
    """

    charge_e: Float[Array, " pair"]
    pulse: Pulse
    row: Int[Array, " pair"]
    response: Response
    n_rows: int = eqx.field(static=True)

    def total_e(self) -> Float[Array, " row"]:
        """Charge that each pixel collects in the end [e-]."""
        return jax.ops.segment_sum(self.charge_e, self.row, self.n_rows, indices_are_sorted=True)

    def smeared(self, width_us: Float[Array, ""] | float) -> PixelSignals:
        """The signals with a normal width added to every pulse in quadrature [us]."""
        return eqx.tree_at(lambda s: s.pulse.width_us, self, jnp.sqrt(self.pulse.width_us**2 + width_us**2))

    def waveform(self, first_tick: int, n_ticks: int, tick_us: float) -> Float[Array, "row tick"]:
        """Charge collected by the end of consecutive ticks, in single precision [e-].

        Tick k ends at (k + 1/2) `tick_us`: the ticks of the parametrised response are centred on their number.
        """
        weight = self.charge_e + 1e-6
        late = jax.ops.segment_sum(weight * self.pulse.end_us, self.row, self.n_rows, indices_are_sorted=True)
        total = jax.ops.segment_sum(weight, self.row, self.n_rows, indices_are_sorted=True)
        origin = tick_us * jnp.round(late / jnp.maximum(total, 1e-6) / tick_us)
        time = (first_tick + 0.5 + jnp.arange(n_ticks)) * tick_us - origin[:, None]
        n_pairs = self.charge_e.shape[0]
        missing = request_size(n_pairs) - n_pairs
        everyone = Request(
            pair=jnp.pad(jnp.arange(n_pairs), (0, missing), constant_values=n_pairs - 1),
            row=jnp.pad(self.row, (0, missing), constant_values=self.n_rows - 1),
        )
        return self.collected(everyone, origin, time.astype(jnp.float32))

    def collected(
        self,
        request: Request,
        origin_us: Float[Array | NDArray, " request_row"],
        time_us: Float[Array | NDArray, "request_row time"],
    ) -> Float[Array, "request_row time"]:
        """Charge collected since the start of time [e-].

        Args:
            request: the entries; padding entries name a row without charge.
            origin_us: origin of each row's clock [us]; float64.
            time_us: times on these clocks [us]; their precision is that of the result.
        """
        dtype = time_us.dtype
        # one gather of rows: its transpose, a scatter, costs per row
        table = jnp.stack([self.charge_e, *self.pulse.table()], axis=-1)[request.pair]
        charge = table[:, 0].astype(dtype)
        pulse = Pulse.from_table(table[:, 1:].T).on_clock(origin_us[request.row], dtype)

        @jax.checkpoint
        def add(collected: Array, chunk: tuple[Array, Pulse, Array]) -> tuple[Array, None]:
            charge, pulse, row = chunk
            part = self.response.charge(time_us[row], charge, pulse)
            return collected.at[row].add(part, indices_are_sorted=True), None

        return jax.lax.scan(add, jnp.zeros_like(time_us), _chunks((charge, pulse, jnp.asarray(request.row))))[0]


def _chunks(entries: tuple[Array, Pulse, Array]) -> tuple[Array, Pulse, Array]:
    """The entries in equal chunks, so that memory does not grow with the input."""
    n_chunks = -(-entries[0].shape[0] // _CHUNK)
    return jax.tree.map(lambda values: values.reshape(n_chunks, -1), entries)


def request_size(n_entries: int) -> int:
    """Number of entries that fills whole chunks."""
    n_chunks = max(1, -(-n_entries // _CHUNK))
    return -(-n_entries // n_chunks) * n_chunks


def request(
    pair: Int[Array | NDArray, " entry"], row: Int[Array | NDArray, " entry"], idle_pair: int, n_entries: int
) -> Request:
    """Pad entries with a pair that carries no charge.

    Args:
        pair: charge of each entry.
        row: row of times of each entry, not decreasing.
        idle_pair: a pair without charge.
        n_entries: wanted number of entries, at least those given; rounded up to whole chunks.
    """
    padding = request_size(n_entries) - pair.size
    return Request(
        pair=np.pad(pair, (0, padding), constant_values=idle_pair),
        row=np.pad(row, (0, padding), constant_values=row[-1] if row.size else 0),
    )
