"""How a running fit tells what it is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """A look at a running fit, passed to the `progress` function between two pieces of work.

    Attributes:
        stage: "map", "laplace", "pathfinder", "svi", "warm-up" or "draws".
        done, total: steps or iterations of this stage so far, and at most.
        gradients: gradients of the log-density spent so far in the whole fit.
        divergences: divergent trajectories among the draws kept so far.
        step_size: of NUTS, mean over chains; nan before.
        message: one line for people.
    """

    stage: str
    done: int
    total: int
    gradients: int
    divergences: int = 0
    step_size: float = float("nan")
    message: str = ""


ProgressFunction = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Show nothing."""
    del progress
