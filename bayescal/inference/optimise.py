"""The mode of a posterior: from several starts, through easier problems, by the search that suits the space's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from bayescal.inference import lbfgs, trust_region
from bayescal.inference.optimum import DECREMENT_LIMIT, ROUGH
from bayescal.inference.optimum import Optimum as Optimum
from bayescal.inference.optimum import Scale as Scale
from bayescal.inference.optimum import prior_scale as prior_scale
from bayescal.inference.potential import Potential

SAME = 1e-3  # potentials of one mode agree better than this [nats]
LARGEST_DENSE = 200  # parameters up to which the Hessian is taken whole: at 200, first roughly and then exactly, it
# costs 600 of the 1,500 gradients that a search may spend by default, and every parameter more three
STRAIGHT = "straight"  # name of the search without easier problems

Watch = Callable[[int, float], None]
Tempered = Callable[[Any, int], Any]


def minimise(
    potential: Potential,
    start: np.ndarray,
    scale: Scale,
    max_gradients: int,
    tolerance: float = DECREMENT_LIMIT,
    watch: Watch = lambda steps, value: None,
) -> Optimum:
    """Search the mode of one potential, with its whole Hessian where the space is small enough for one.

    Args:
        potential: minus the log-density.
        start: first point, unconstrained [d].
        scale: of the prior.
        max_gradients: the search gives up after about this many.
        tolerance: on the Newton decrement; a wider one than the default is judged by the search's own model of the
            curvature, not by the true one.
        watch: called with the number of trials and the potential after each.
    """
    search = trust_region.minimise if potential.size <= LARGEST_DENSE else lbfgs.minimise
    return search(potential, start, scale, max_gradients, tolerance, watch)


def find_mode(
    potential: Potential,
    starts: Sequence[np.ndarray],
    scale: Scale,
    tempered: Tempered | None,
    max_gradients: int,
    watch: Callable[[int, str, int, float], None],
) -> Optimum:
    """The mode from the first of several starts that leads to one: straight, and through easier problems.

    Neither way is safe by itself. From far, the true problem has modes of its own; from near, the mode of an easier
    problem may lie elsewhere. Both are gone roughly, and from the lower end the mode is found.

    Args:
        potential: minus the log-density.
        starts: points to start from, in turn, unconstrained; the later ones are used only when the earlier gave up.
        scale: of the prior.
        tempered: gives the inputs of an easier, broader problem by (inputs, stage), stage = 0 the easiest, and None
            where there is no such stage; none: only straight to the true problem.
        max_gradients: a search of one stage gives up after about this many.
        watch: called after each trial with the start's number, the stage's name, steps and the potential.

    Returns:
        The first mode, or, where every search gave up or one got lower before it did, the best point found.
    """
    found: list[Optimum] = []
    for number, start in enumerate(starts, start=1):
        told = partial(watch, number)
        if tempered is not None:
            start = _nearer(potential, start, scale, tempered, max_gradients, told)
        found.append(minimise(potential, start, scale, max_gradients, DECREMENT_LIMIT, partial(told, STRAIGHT)))
        if _best(found).converged:
            break
    return _best(found)


def _best(found: Sequence[Optimum]) -> Optimum:
    """The lowest point, or a mode that is as low."""
    lowest = min(found, key=lambda optimum: optimum.value)
    return next((each for each in found if each.converged and each.value < lowest.value + SAME), lowest)


def _nearer(
    potential: Potential,
    start: np.ndarray,
    scale: Scale,
    tempered: Tempered,
    max_gradients: int,
    watch: Callable[[str, int, float], None],
) -> np.ndarray:
    """The lower of two points near modes [d]: straight from the start, and through easier problems, easiest first."""
    straight = minimise(potential, start, scale, max_gradients, ROUGH, partial(watch, "straight, roughly"))
    number = 0
    while (inputs := tempered(potential.inputs, number)) is not None:
        stage = potential.with_inputs(inputs)
        start = minimise(stage, start, scale, max_gradients, ROUGH, partial(watch, f"tempered {number}")).x
        number += 1
    led = minimise(potential, start, scale, max_gradients, ROUGH, partial(watch, "tempered, roughly"))
    return min(straight, led, key=lambda optimum: optimum.value).x
