"""What a result cost: gradients, time, effective draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayescal.diagnostics.contents import has_chains, scalars
from bayescal.diagnostics.summary import chain_figures
from bayescal.inference.result import Result


class Cost(NamedTuple):
    """What a result cost; None where it is not known.

    Attributes:
        gradients: of the log-density, in the whole fit.
        wall_time_s: from the start to the end of the fit [s].
        effective_draws: smallest bulk effective sample size of the scalar parameters, or that of importance weights.
        device: what it ran on.
    """

    gradients: int | None
    wall_time_s: float | None
    effective_draws: float | None
    device: str | None

    @property
    def gradients_per_draw(self) -> float | None:
        """Gradients for each effective draw."""
        return self.gradients / self.effective_draws if self.gradients and self.effective_draws else None


def cost(result: Result) -> Cost:
    """What a result cost, from its provenance and its draws."""
    facts = result.attrs
    return Cost(facts.get("gradients"), facts.get("wall_time_s"), effective_draws(result), facts.get("device"))


def effective_draws(result: Result) -> float | None:
    """The draws that the worst known scalar parameter is worth; None where nothing moves."""
    if not has_chains(result):
        return result.attrs.get("importance_ess")
    sizes = np.array([chain_figures(component)["ess_bulk"] for component in scalars(result)], dtype=float)
    known = sizes[np.isfinite(sizes)]
    return float(known.min()) if known.size else None
