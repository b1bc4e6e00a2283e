"""The mode of a posterior in a large space: L-BFGS, in coordinates that its own curvature makes round.

Each descent runs in the metric of a diagonal with few directions (`curvature`), taken where it starts; the Newton
decrement in the metric taken where it ends judges whether that is the mode, or a start for the next descent.
The quasi-Newton method is that of C. Zhu et al., ACM TOMS 23 (1997) 550, as SciPy has it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.optimize

from bayescal.inference.curvature import decrement, low_rank_hessian
from bayescal.inference.gaussian import LowRankGaussian
from bayescal.inference.optimum import LowRankHessian, Optimum, Scale
from bayescal.inference.potential import Potential

MEMORY = 20  # steps from which the curvature is modelled on the way
LONGEST = 100  # iterations in one metric
FLATTEST = 1e-3  # smaller curvatures of a direction, in units of the diagonal, count as this on the way
PATIENCE = 5  # iterations that together gain less than the tolerance end a descent
FIRST_GUESS = 1e-3  # of the distances over which the gradient changes, in units of the prior's spread


def minimise(
    potential: Potential,
    start: np.ndarray,
    scale: Scale,
    max_gradients: int,
    tolerance: float,
    watch: Callable[[int, float], None],
) -> Optimum:
    """Search the mode of one potential; see `optimise.minimise`."""
    search = _Search(potential, start, scale, max_gradients, watch)
    while not search.reason:
        search.look()
        if search.reason or search.decrement < tolerance:
            break
        search.descend(tolerance)
    return search.optimum()


class _Search:
    """State of one search: the lowest point so far with its derivatives, and the curvature that is known."""

    def __init__(
        self,
        potential: Potential,
        start: np.ndarray,
        scale: Scale,
        max_gradients: int,
        watch: Callable[[int, float], None],
    ) -> None:
        self.potential, self.max_gradients, self.watch = potential, max_gradients, watch
        self.spent_before = potential.evaluations.gradients
        self.x, self.value, self.gradient = start, np.inf, np.zeros(len(start))
        self.hessian = LowRankHessian(scale.spread, np.zeros((0, len(start))), np.zeros(0))
        self.guess, self.decrement = FIRST_GUESS * scale.spread, np.inf
        self.steps = 0
        self.reason = "" if np.isfinite(self._evaluate(start)[0]) else "the log-density at the start is not finite"

    @property
    def gradients(self) -> int:
        return self.potential.evaluations.gradients - self.spent_before

    def _evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.potential.value_and_grad(x)
        if np.isfinite(value) and np.isfinite(gradient).all():
            if value < self.value:
                self.x, self.value, self.gradient = x, value, gradient
            return value, gradient
        return np.inf, gradient

    def descend(self, tolerance: float) -> None:
        """Go down from the lowest point until some iterations together gain less than the tolerance [nats]."""
        scale, directions, curvatures = self.hessian
        metric = LowRankGaussian(self.x, scale, directions, 1.0 / np.maximum(np.abs(curvatures), FLATTEST))
        values = [self.value]

        def energy(y):
            value, gradient = self._evaluate(metric.colour(y))
            return (value, metric.slope(gradient)) if np.isfinite(value) else self._barrier(metric, y)

        def step(intermediate_result):
            self.steps += 1
            values.append(intermediate_result.fun)
            self.watch(self.steps, self.value)
            if self.gradients >= self.max_gradients:
                self.reason = f"{self.gradients} gradients were not enough"
            if self.reason or (len(values) > PATIENCE and values[-1 - PATIENCE] - values[-1] < tolerance):
                raise StopIteration

        options = {"maxcor": MEMORY, "ftol": 0.0, "gtol": 0.0, "maxiter": LONGEST}
        scipy.optimize.minimize(
            energy, np.zeros(len(self.x)), jac=True, method="L-BFGS-B", callback=step, options=options
        )
        if len(values) == 1:
            self.reason = "no step lowers the potential: it is not smooth here"

    def _barrier(self, metric: LowRankGaussian, y: np.ndarray) -> tuple[float, np.ndarray]:
        """A finite value and slope that send the line search back to the lowest point."""
        away = y - metric.whiten(self.x)
        steepness = np.linalg.norm(metric.slope(self.gradient)) + np.linalg.norm(away)
        return self.value + float(steepness * np.linalg.norm(away)), steepness * away / np.linalg.norm(away)

    def look(self) -> None:
        """Take the curvature at the lowest point, and judge by it how far the mode is."""
        try:
            self.hessian = low_rank_hessian(self.potential, self.x, self.guess)
        except FloatingPointError as error:
            self.reason = str(error)
            return
        self.guess, self.decrement = self.hessian.scale, decrement(self.hessian, self.gradient)

    def optimum(self) -> Optimum:
        """The end of the search."""
        return Optimum(
            x=self.x,
            value=self.value,
            gradient=self.gradient,
            hessian=self.hessian,
            decrement=self.decrement,
            steps=self.steps,
            gradients=self.gradients,
            reason=self.reason,
        )
