"""The mode of a posterior from a far start: trust-region quasi-Newton steps with saddle-free curvature.

Coordinates are the unconstrained ones in units of the prior's spread, so the mode is that of the density of these
coordinates (the Jacobian is included): it is inside the support also where the data say nothing. The quadratic model
uses |eigenvalues|, which leaves plateaus and saddles downhill (Y. Dauphin et al., NeurIPS 27 (2014) 2933), is bounded
by a trust region, and learns from every trial by the symmetric rank-one update (J. Nocedal and S. Wright, Numerical
Optimization, algorithm 6.2). Second derivatives are taken, roughly, at the start and where the model stops predicting,
and exactly at the end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayescal.inference.optimum import DECREMENT_LIMIT, Optimum, Scale
from bayescal.inference.potential import Potential, hessian, rough_hessian

EIGENVALUE_FLOOR = 1e-3  # curvatures below this, in units of the prior's spread, count as plateau
FIRST_RADIUS, LARGEST_RADIUS, SMALLEST_RADIUS = 0.5, 4.0, 1e-11  # of the trust region, in prior spreads
RENEWALS, SHARPER = 3, 9.0  # a Hessian that exceeds the model by this factor is taken again, at most so many times
NEAR = 0.1  # standard deviations that steps may lead away from where the Hessian was taken, for it to be the true one
BAD_STEPS = 2  # trials in a row that the model did not predict, after which the Hessian is taken anew
FLAT = 1e-3  # smaller predicted gains [nats] may drown in rounding: the mean slope along the step tells them then


def minimise(
    potential: Potential,
    start: np.ndarray,
    scale: Scale,
    max_gradients: int,
    tolerance: float,
    watch: Callable[[int, float], None],
) -> Optimum:
    """Search the mode of one potential.

    Args:
        potential: minus the log-density.
        start: first point, unconstrained [d].
        scale: of the prior.
        max_gradients: the search gives up after about this many.
        tolerance: on the Newton decrement; a wider one than the default is judged by the model, not the true Hessian.
        watch: called with the number of trials and the potential after each.
    """
    search = _Search(potential, start, scale, max_gradients, tolerance)
    while not search.finished():
        search.trial()
        watch(search.steps, search.value)
    return search.optimum()


class _Search:
    """State of one search, in units of the prior's spread: point z, model (gradient, curvature), radius.

    `moved` is how far trials led from where the true Hessian was taken, in standard deviations; infinite before it was.
    """

    def __init__(
        self, potential: Potential, start: np.ndarray, scale: Scale, max_gradients: int, tolerance: float
    ) -> None:
        self.potential, self.spread = potential, scale.spread
        self.max_gradients, self.tolerance = max_gradients, tolerance
        self.spent_before = potential.evaluations.gradients
        self.z = start / scale.spread
        self.value, self.gradient = self._evaluate(self.z)
        self.radius, self.steps, self.bad, self.moved = FIRST_RADIUS, 0, 0, np.inf
        self.reason = "" if np.isfinite(self.value) else "the log-density at the start is not finite"
        self.basis = 1e-3 * np.eye(len(start))
        self.fresh = False
        self.curvature = np.eye(len(start))
        if not self.reason:
            self._guess_curvature()

    @property
    def gradients(self) -> int:
        return self.potential.evaluations.gradients - self.spent_before

    def _evaluate(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.potential.value_and_grad(z * self.spread)
        finite = np.isfinite(value) and np.isfinite(gradient).all()
        return (value, gradient * self.spread) if finite else (np.inf, gradient)

    def _renew_curvature(self) -> None:
        """The true Hessian, by differences along the axes in which the model so far curves by one.

        Where it turns out much sharper than the model, the differences reached too far and are taken again.
        """
        for _ in range(RENEWALS):
            self.basis = _whitening(self.curvature)
            self._take(hessian(self.potential, self.z * self.spread, self.spread[:, None] * self.basis))
            if np.linalg.eigvalsh(self.basis.T @ self.curvature @ self.basis)[-1] < SHARPER:
                break
        self.basis, self.moved = _whitening(self.curvature), 0.0

    def _guess_curvature(self) -> None:
        """What the data tell, where the model says that, and the prior.

        Or the Hessian to first order in the differences: good enough on the way, at half of the price.
        """
        self.moved = np.inf
        known = self.potential.information(self.z * self.spread)
        if known is not None:
            self._take(known + np.diag(self.spread**-2.0))
            self.basis = _whitening(self.curvature)
            return
        gradient, basis = self.gradient / self.spread, self.spread[:, None] * self.basis
        self._take(rough_hessian(self.potential, self.z * self.spread, gradient, basis))
        self.basis = _whitening(self.curvature)

    def _take(self, found: np.ndarray) -> None:
        if np.isfinite(found).all():
            self.curvature = found * np.outer(self.spread, self.spread)
        self.fresh, self.bad = True, 0

    def finished(self) -> bool:
        """Whether the point is a mode or the search gives up; renews the curvature where that decides."""
        if self.reason:
            return True
        if self.gradients >= self.max_gradients:
            self.reason = f"{self.gradients} gradients were not enough"
        elif self.radius < SMALLEST_RADIUS:
            self.reason = "no step lowers the potential: it is not smooth here"
        elif _decrement(self.gradient, self.curvature) < self.tolerance:
            if self.moved < NEAR or self.tolerance > DECREMENT_LIMIT:
                return True
            self._renew_curvature()
            return self.finished()
        return bool(self.reason)

    def trial(self) -> None:
        """One step: accept it or shrink the region; learn the curvature from it in either case."""
        step, gain = _model_step(self.gradient, self.curvature, self.radius)
        value, gradient = self._evaluate(self.z + step)
        self.steps += 1
        length = float(np.linalg.norm(step))
        ratio = self._ratio(value, gradient, step, gain)
        if ratio < 0.25:
            self.radius = 0.25 * length
        elif ratio > 0.75 and length > 0.8 * self.radius:
            self.radius = min(2.5 * self.radius, LARGEST_RADIUS)
        self.bad = self.bad + 1 if ratio < 0.1 else 0
        if np.isfinite(value):
            self._learn(step, gradient - self.gradient)
        if ratio > 1e-4:
            self.z, self.value, self.gradient = self.z + step, value, gradient
        if self.bad >= BAD_STEPS and not self.fresh:
            self.basis = _whitening(self.curvature)
            self._guess_curvature()

    def _ratio(self, value: float, gradient: np.ndarray, step: np.ndarray, gain: float) -> float:
        """The gain found over the gain predicted."""
        if not np.isfinite(value):
            return -1.0
        if gain < FLAT:
            return float(-0.5 * (self.gradient + gradient) @ step / gain)
        return (self.value - value) / gain

    def _learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """Symmetric rank-one update."""
        self.moved += float(np.linalg.norm(np.linalg.solve(self.basis, step)))
        error = change - self.curvature @ step
        size = float(error @ step)
        if abs(size) > 1e-8 * np.linalg.norm(step) * np.linalg.norm(error):
            self.curvature = self.curvature + np.outer(error, error) / size
            self.fresh = False

    def optimum(self) -> Optimum:
        """The end of the search, in unconstrained coordinates."""
        return Optimum(
            x=self.z * self.spread,
            value=self.value,
            gradient=self.gradient / self.spread,
            hessian=self.curvature / np.outer(self.spread, self.spread),
            decrement=_decrement(self.gradient, self.curvature),
            steps=self.steps,
            gradients=self.gradients,
            reason=self.reason,
        )


def _decrement(gradient: np.ndarray, curvature: np.ndarray) -> float:
    """g^T H^-1 g, infinite where H is not positive definite."""
    values, vectors = np.linalg.eigh(curvature)
    return float(np.sum((vectors.T @ gradient) ** 2 / values)) if values[0] > 0.0 else np.inf


def _whitening(curvature: np.ndarray) -> np.ndarray:
    """Directions [d, d] along which the saddle-free model curves by one, none longer than the prior is wide."""
    values, vectors = np.linalg.eigh(curvature)
    return vectors / np.sqrt(np.maximum(np.abs(values), 1.0))


def _model_step(gradient: np.ndarray, curvature: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """The step that minimises g s + s |H| s / 2 within the radius, and the gain it predicts."""
    values, vectors = np.linalg.eigh(curvature)
    values = np.maximum(np.abs(values), EIGENVALUE_FLOOR)
    slope = vectors.T @ gradient
    shift = 0.0
    if np.linalg.norm(slope / values) > radius:
        low, high = 0.0, np.linalg.norm(slope) / radius
        for _ in range(60):
            shift = 0.5 * (low + high)
            low, high = (shift, high) if np.linalg.norm(slope / (values + shift)) > radius else (low, shift)
        shift = high
    step = -slope / (values + shift)
    return vectors @ step, float(-(slope @ step + 0.5 * step @ (values * step)))
