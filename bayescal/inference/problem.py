"""What every method is given, and what it gives back: a function (key, problem, settings, progress) -> Outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescal.inference import laplace, optimise
from bayescal.inference.potential import Potential


@dataclass(frozen=True)
class Problem:
    """A potential with its prior draws, unconstrained [n, d], its optimum and the Gaussian there."""

    potential: Potential
    prior: np.ndarray
    optimum: optimise.Optimum
    approximation: laplace.Gaussian


@dataclass(frozen=True)
class Outcome:
    """What a method found: draws [chain, draw, ...], figures of each, what is wrong (empty: nothing), and facts."""

    draws: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    failures: list[str]
    success: str
    facts: dict[str, Any]
