"""What every method is given, and what it gives back: a function (key, problem, settings, progress) -> Outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayescal.inference import laplace, optimise
from bayescal.inference.checkpoint import Store
from bayescal.inference.potential import Potential


@dataclass(frozen=True)
class Problem:
    """A potential with its prior draws, unconstrained [n, d], its optimum and the Gaussian there.

    A method keeps what it has found in the store, stage by stage: `store.stage(name, compute)`.
    """

    potential: Potential
    prior: np.ndarray
    optimum: optimise.Optimum
    approximation: laplace.Gaussian
    store: Store = field(default_factory=Store)


@dataclass(frozen=True)
class Outcome:
    """What a method found: draws [chain, draw, ...], figures of each, what is wrong (empty: nothing), and facts."""

    draws: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    failures: list[str]
    success: str
    facts: dict[str, Any]
