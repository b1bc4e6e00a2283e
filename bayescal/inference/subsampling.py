"""Models that look at a part of their data at a time: a `numpyro.plate` with a `subsample_size` below its size.

Their log-density is exact here, whatever the method: it is summed over all rows, a subsample's worth at a time, so that
a gradient takes the memory of one part. `hmcecs` is the method that looks at one part a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from numpyro import handlers
from numpyro.primitives import Messenger

from bayescal.errors import InputError

Model = Callable[[Any, Any], Any]

_KEPT = ("type", "name", "args", "cond_indep_stack", "is_observed")  # of a site of a trace; none of it is traced


class Plate(NamedTuple):
    """A subsampled plate: its name, its rows, how many a model looks at in one go, the observed sites inside."""

    name: str
    size: int
    part: int
    observed: tuple[str, ...]


class rows(Messenger):
    """Runs a model with these rows of a plate as its subsample; none: with all of them."""

    def __init__(self, model: Model, plate: str, index: Array | None = None) -> None:
        self.plate, self.index = plate, index
        super().__init__(model)

    def process_message(self, msg: Any) -> None:
        """Hand the plate its indices; it scales the log-density by their number."""
        if msg["type"] == "plate" and msg["name"] == self.plate:
            size = msg["args"][0]
            index = jnp.arange(size) if self.index is None else self.index
            msg["args"], msg["value"] = (size, index.shape[0]), index


def find_plate(model: Model, inputs: Any, data: Any, key: PRNGKeyArray) -> Plate | None:
    """The subsampled plate of a model, None where there is none.

    Raises:
        InputError: several such plates, or free parameters inside one.
    """
    found: list[dict[str, Any]] = []

    def run(inputs: Any, data: Any) -> None:
        trace = handlers.trace(handlers.seed(model, key)).get_trace(inputs, data)
        found.extend({name: site[name] for name in _KEPT if name in site} for site in trace.values())

    jax.eval_shape(run, inputs, data)
    plates = [
        site for site in found if site["type"] == "plate" and (site["args"][1] or site["args"][0]) < site["args"][0]
    ]
    if not plates:
        return None
    if len(plates) > 1:
        names = ", ".join(site["name"] for site in plates)
        raise InputError(f"the model has several subsampled plates ({names}): put all observed rows into one")
    name, (size, part) = plates[0]["name"], plates[0]["args"]
    inside = [site for site in found if any(frame.name == name for frame in site.get("cond_indep_stack", ()))]
    free = [site["name"] for site in inside if site["type"] == "sample" and not site["is_observed"]]
    if free:
        raise InputError(
            f"the parameters {', '.join(free)} are drawn inside the subsampled plate {name}: draw them outside it for "
            "all rows and take those of the subsample"
        )
    return Plate(name, size, part, tuple(site["name"] for site in inside if site["type"] == "sample"))


def every_row(model: Model, plate: Plate | None) -> Model:
    """The model with all rows of its plate at once."""
    return model if plate is None else rows(model, plate.name)


def summed(energy: Callable[[Model], Any], model: Model, plate: Plate | None) -> Any:
    """A potential over all rows, part by part.

    Each part's potential is P - (N / m) L for the prior's share P and the log-likelihood L of its m of N rows, so that
    the sum over parts of (m / N) times it is that of all rows. The backward pass computes each part again instead of
    remembering it.

    Args:
        energy: the potential of a model.
        model: the model.
        plate: its subsampled plate, if it has one.
    """
    if plate is None:
        return energy(model)

    @jax.checkpoint
    def part(index: Array) -> Array:
        return index.shape[0] / plate.size * energy(rows(model, plate.name, index))

    whole = plate.size // plate.part
    index = jnp.arange(plate.size)
    total = jax.lax.map(part, index[: whole * plate.part].reshape(whole, plate.part)).sum()
    rest = index[whole * plate.part :]
    return total + part(rest) if rest.size else total


def without_rows(model: Model, plate: Plate) -> Model:
    """The model without the observed sites of its plate: priors and what else it observes."""
    return handlers.block(every_row(model, plate), hide=list(plate.observed))
