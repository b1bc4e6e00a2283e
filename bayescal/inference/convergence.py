"""When draws are good enough: rank-normalised split R-hat, bulk and tail effective sample size.

After A. Vehtari et al., Bayesian Analysis 16 (2021) 667.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from arviz_stats.base import array_stats

from bayescal.inference.potential import labels
from bayescal.inference.settings import Goal

TAILS = (0.05, 0.95)  # quantiles whose effective sample size is the tail's


@dataclass(frozen=True)
class Quality:
    """Convergence figures, one a scalar parameter [p]; parameters that do not vary are left out."""

    labels: tuple[str, ...]
    rhat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray

    def failures(self, goal: Goal) -> list[str]:
        """What keeps the draws from a goal, worst parameter first in each sentence; empty if nothing does."""
        found = []
        if goal.rhat is not None and not (self.rhat < goal.rhat).all():
            found.append(f"R-hat of {self._worst(-self.rhat, self.rhat, '.3f')} is not below {goal.rhat}")
        for name, ess in (("bulk", self.ess_bulk), ("tail", self.ess_tail)):
            if goal.ess is not None and not (ess > goal.ess).all():
                found.append(f"{name} ESS of {self._worst(ess, ess, '.0f')} is not above {goal.ess:.0f}")
        return found

    def _worst(self, order: np.ndarray, values: np.ndarray, form: str) -> str:
        index = int(np.argmin(np.where(np.isnan(order), -np.inf, order)))
        return f"{self.labels[index]} ({values[index]:{form}})"


def quality(draws: dict[str, np.ndarray]) -> Quality:
    """Judge draws by name [chain, draw, ...]."""
    names = tuple(label for name, value in draws.items() for label in labels(name, value.shape[2:]))
    columns = np.concatenate([value.reshape(*value.shape[:2], -1) for value in draws.values()], axis=2)
    varies = np.ptp(columns, axis=(0, 1)) != 0.0  # also where it is not a number
    columns = columns[..., varies]
    axes: Any = {"chain_axis": 0, "draw_axis": 1}
    with np.errstate(divide="ignore", invalid="ignore"):  # chains that stay where they are have no width: not good
        rhat = np.asarray(array_stats.rhat(columns, **axes))
        bulk = np.asarray(array_stats.ess(columns, method="bulk", **axes))
        tail = np.asarray(array_stats.ess(columns, method="tail", prob=TAILS, **axes))
    return Quality(tuple(name for name, kept in zip(names, varies, strict=True) if kept), rhat, bulk, tail)
