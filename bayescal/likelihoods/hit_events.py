"""What models of the hits of one event share: its file, its sizes, and what the hits tell of light and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from bayescal.errors import InputError
from bayescal.optical.arrivals import Arrivals
from bayescal.optical.detector import OpticalDetector
from bayescal.readers.pmt_hits import from_dense, read_pmt_hits, write_pmt_hits

Hits = Float[Array, "sensor 2"]
Inputs = TypeVar("Inputs", bound=Any)


def read_event(path: Path | str, n_sensors: int, event: int) -> Hits:
    """Charge [p.e.] and time [ns] of every sensor in one event of a file, 0 without a hit.

    Args:
        path: file to read.
        n_sensors: number of sensors of the detector.
        event: its number, from 0.

    Raises:
        InputError: the file cannot be used, or has no such event.
    """
    found = read_pmt_hits(path, n_sensors)
    if event >= found.n_events:
        raise InputError(f"{path}: no event {event}, it holds {found.n_events}; change event in [inputs]")
    return jnp.asarray(found.events(event, event + 1).dense()[0])


def write_event(
    path: Path | str,
    data: Hits,
    detector: OpticalDetector,
    window_ns: tuple[float, float],
    *,
    truth: Mapping[str, ArrayLike],
    units: Mapping[str, str],
) -> None:
    """Write the hits of one event.

    Args:
        path: file to write.
        data: charge [p.e.] and time [ns] of every sensor.
        detector: whose sensors they are.
        window_ns: in which these looked [ns].
        truth: parameters that the hits were drawn with, by name.
        units: of these, by name.
    """
    recorded = from_dense(np.asarray(data)[None], window_ns, detector.sensors.live)
    write_pmt_hits(path, recorded, attributes={"detector": detector.name}, truth=truth, units=units)


def event_sizes(detector: OpticalDetector, data: Hits | None) -> dict[str, object]:
    """Faults of the detector's geometry and sizes of an event, by name."""
    sizes: dict[str, object] = {"faults of the geometry": "; ".join(detector.faults)} if detector.faults else {}
    if data is not None:
        charge = jnp.asarray(data)[:, 0]
        sizes |= {"hits": int((charge > 0).sum()), "photoelectrons": round(float(charge.sum()))}
    return sizes


def recorded_hits(data: Hits, live: Bool[Array | np.ndarray, " sensor"]) -> dict[str, Float[Array, " sensor"]]:
    """Charge [p.e.] of each sensor and time [ns] of its hit, NaN where there is none."""
    charge, time = jnp.asarray(data).T
    return {"charge": jnp.where(live, charge, jnp.nan), "time": jnp.where(live & (charge > 0), time, jnp.nan)}


def told_by_hits(
    arrivals: Arrivals, spread: Float[Array, " sensor"] | float = 0.0
) -> tuple[Float[Array, " number"], Float[Array, " number"]]:
    """Logarithms of the light of sensors, then times of their direct light, and what a hit tells of each.

    The charge of few photoelectrons counts them; that of many scatters by as much again as their number. A hit tells
    the time of direct light if it is of that. The second part is the inverse variance of each of these numbers.

    Args:
        arrivals: expected photoelectrons and times.
        spread: relative standard deviation of the direct light of each sensor.
    """
    mean = arrivals.direct + arrivals.indirect + arrivals.dark
    light = 1 / (2 / (mean * (1 + jnp.exp(-mean))) + (spread * arrivals.direct / mean) ** 2)
    time = -jnp.expm1(-mean) * arrivals.direct / mean / arrivals.width_ns**2
    return jnp.concatenate([jnp.log(mean), jnp.asarray(arrivals.time_ns)]), jnp.concatenate([light, time])


def with_common_rows(batch: Sequence[Inputs]) -> list[Inputs]:
    """Inputs of models of several events, their hits (`rows`, see `hit_rows`) padded to one length."""
    longest = max(each.rows.size for each in batch)
    beyond = batch[0].detector.sensors.n_sensors
    padded = [jnp.pad(each.rows, (0, longest - each.rows.size), constant_values=beyond) for each in batch]
    return [eqx.tree_at(lambda i: i.rows, each, rows) for each, rows in zip(batch, padded, strict=True)]
