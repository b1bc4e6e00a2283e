"""What every method is given, and what it gives back: a function (key, problem, settings, progress) -> Outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from bayescal.inference.checkpoint import Store
from bayescal.inference.gaussian import Approximation
from bayescal.inference.optimum import Optimum
from bayescal.inference.potential import Potential


@dataclass(frozen=True)
class Problem:
    """A potential with its prior draws, unconstrained [n, d], its optimum and the Gaussian there.

    A method keeps what it has found in the store, stage by stage.
    """

    potential: Potential
    prior: np.ndarray
    optimum: Optimum
    approximation: Approximation
    store: Store = field(default_factory=Store)

    def stage(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What a stage found, as `Store.stage` keeps it, and, in the count of evaluations, what it spent."""
        evaluations = self.potential.evaluations
        found = self.store.stage(name, lambda: {**compute(), "counts": evaluations.counts()})
        evaluations.set(found.pop("counts"))
        return found


@dataclass(frozen=True)
class Outcome:
    """What a method found.

    Attributes:
        draws: physical values by name [chain, draw, ...].
        stats: figures of each draw by name [chain, draw].
        failures: what is wrong, in words; empty: nothing.
        success: why the draws can be used, where nothing is wrong.
        facts: for the provenance; JSON must be able to hold them.
        groups: further groups of the result by name.
    """

    draws: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    failures: list[str]
    success: str
    facts: dict[str, Any]
    groups: dict[str, xr.Dataset] = field(default_factory=dict)
