"""Profiles: the best that likelihood and posterior can do at each value of one constant, all others fitted anew.

A marginal density integrates the others out, a profile maximises them: where the two differ, volume decides, or the
prior. The likelihood's profile gives the intervals of the frequentist's (S. S. Wilks, Ann. Math. Statist. 9 (1938) 60).
Densities are those of the physical parameters; the search runs in unconstrained coordinates, which stay inside the
prior's support, whitened by the curvature at the mode, and each point starts from its neighbour's fit, moved as that
curvature lets expect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from numpyro.infer.util import constrain_fn
from scipy.interpolate import CubicSpline

from bayescal.diagnostics.contents import Component, group, is_mode, scalars, spread
from bayescal.diagnostics.numbers import measured, pretty_unit
from bayescal.errors import InputError
from bayescal.fitting import rebuilt
from bayescal.inference import Result
from bayescal.inference.potential import Potential
from bayescal.inference.subsampling import every_row
from bayescal.inference.terms import prior_terms
from bayescal.study import Study

WIDTHS = 3.0  # posterior standard deviations on either side of the grid's centre
ENOUGH = 0.01  # largest slope at a fit's end, in whitened coordinates: the density is then right to some 1e-4
FAILED = 0.1  # a larger slope, where the search ended, means that it failed
STEPS = 40  # of a search at most
FINE = 1000  # points of the curve between those of the grid
DROP = 0.5  # of the logarithm, between the best value and the ends of an interval of 68 %
APART = 0.3  # ends of intervals differ by so many standard deviations before it is told

HEADERS = ("constant", "unit", "68 % of the posterior", "of its profile", "of the likelihood's profile")

Watch = Callable[[str, int, int], None]
Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Curve:
    """A profile on a grid.

    Attributes:
        value: of the constant [point].
        log_density: the largest there, all others free, its largest on the grid being 0; NaN where no fit was found
            [point].
    """

    value: np.ndarray
    log_density: np.ndarray

    def fine(self) -> tuple[np.ndarray, np.ndarray]:
        """Values [FINE] and the log-density between the points by a cubic spline, 0 at its best."""
        found = np.isfinite(self.log_density)
        if found.sum() < 2:
            return self.value, self.log_density
        x = np.linspace(self.value[found][0], self.value[found][-1], FINE)
        y = CubicSpline(self.value[found], self.log_density[found])(x)
        return x, y - y.max()

    @property
    def interval(self) -> Interval:
        """Where the log-density has fallen by DROP, None if it has not at both ends of the grid."""
        x, y = self.fine()
        inside = np.flatnonzero(y >= -DROP)
        if not inside.size or inside[0] == 0 or inside[-1] == len(x) - 1:
            return None
        return float(x[inside[0]]), float(x[inside[-1]])


@dataclass(frozen=True)
class Profile:
    """One constant.

    Attributes:
        label, unit: of the constant.
        likelihood, posterior: their profiles.
        marginal: the posterior's central interval of 68 %.
        sd: its standard deviation.
    """

    label: str
    unit: str
    likelihood: Curve
    posterior: Curve
    marginal: tuple[float, float]
    sd: float

    @property
    def differs(self) -> bool:
        """Whether an end of the posterior's interval is elsewhere in its profile, or the profile has none."""
        interval = self.posterior.interval
        return interval is None or bool(np.abs(np.subtract(interval, self.marginal)).max() > APART * self.sd)

    def cells(self) -> tuple[str, ...]:
        """A row for people, under `HEADERS`."""
        intervals = (self.marginal, self.posterior.interval, self.likelihood.interval)
        shown = ("wider than the grid" if each is None else interval_text(each, self.sd) for each in intervals)
        return (self.label, pretty_unit(self.unit), *shown)


class Profiles(NamedTuple):
    """All constants, and what they cost."""

    each: list[Profile]
    gradients: int

    @property
    def sentence(self) -> str:
        """Where marginals and profiles differ, and whether every fit was found."""
        curves = [curve for one in self.each for curve in (one.likelihood, one.posterior)]
        failed = sum(int(np.isnan(curve.log_density).sum()) for curve in curves)
        points = sum(len(curve.value) for curve in curves)
        apart = ", ".join(one.label for one in self.each if one.differs)
        agree = f"marginal and profile differ in {apart}: see the figure" if apart else "marginals and profiles agree"
        return f"{points - failed} of {points} fits were found with {self.gradients} gradients; {agree}."

    def as_json(self) -> str:
        """Every number, for a file."""
        content = [
            {
                **{key: value for key, value in asdict(one).items() if key not in ("likelihood", "posterior")},
                "value": one.likelihood.value.tolist(),
                **{
                    name: [float(value) if np.isfinite(value) else None for value in curve.log_density]
                    for name, curve in (("log_likelihood", one.likelihood), ("log_posterior", one.posterior))
                },
            }
            for one in self.each
        ]
        return json.dumps({"profiles": content, "gradients": self.gradients}, indent=1)


def interval_text(interval: tuple[float, float], sd: float) -> str:
    """Both ends, with the digits that the width allows."""
    return " … ".join(measured(end, sd) for end in interval)


def profiles(
    study: Study, result: Result, names: Sequence[str] = (), points: int = 13, watch: Watch = lambda *_: None
) -> Profiles:
    """Scan constants of a result.

    Args:
        study: that the result came from.
        result: draws, or a mode with its curvature.
        names: constants to scan; by default all free ones that have one value.
        points: of a grid.
        watch: told the constant, and the number of points done and to do.

    Raises:
        InputError: the study is not the result's, the result has no covariance at its mode, or an unknown constant.
    """
    model, inputs, data = rebuilt(study, result)
    scan = Scan(Potential(model.hook("model"), inputs, data, jax.random.key(0)), result)
    known = {component.label: component for component in scalars(result) if component.label in scan.potential.names}
    for name in names:
        if name not in known:
            raise InputError(f"the result has no constant {name!r} to scan; it has {', '.join(known)}")
    chosen = [known[name] for name in dict.fromkeys(names)] or list(known.values())
    return Profiles([scan.profile(one, points, partial(watch, one.label)) for one in chosen], scan.gradients)


class Scan:
    """Fits of all constants but one, by one compiled program.

    Args:
        potential: minus the log-density.
        result: its mode and curvature, and the widths of the grids.

    Attributes:
        gradients: spent so far.

    Raises:
        InputError: the result has no covariance at its mode, as in large spaces.
    """

    def __init__(self, potential: Potential, result: Result) -> None:
        stored = group(result, "laplace")
        if "unconstrained_covariance" not in stored:
            raise InputError("the result holds no covariance matrix at its mode, as in large spaces: fix parameters")
        self.potential, self.from_mode = potential, is_mode(result)
        self.mode = stored["unconstrained_mean"].values
        self.precision = np.linalg.inv(stored["unconstrained_covariance"].values)
        self._objective: Any = _compile(potential)
        self.gradients = 0

    def profile(self, component: Component, points: int, watch: Callable[[int, int], None]) -> Profile:
        """Scan one constant within its posterior and its prior."""
        centre, sd, marginal = _marginal(component, from_mode=self.from_mode)
        index = self.potential.labels.index(component.label)
        value = np.linspace(*_ends(component, centre, sd), points)
        place = np.array([self.potential.unconstrain({component.label: each}, self.mode)[index] for each in value])
        total = 2 * points
        likelihood = Curve(value, self._curve(index, place, 0.0, lambda done: watch(done, total)))
        posterior = Curve(value, self._curve(index, place, 1.0, lambda done: watch(points + done, total)))
        return Profile(component.label, component.unit, likelihood, posterior, marginal, sd)

    def _curve(self, index: int, place: np.ndarray, weight: float, told: Callable[[int], None]) -> np.ndarray:
        """The largest log-density at each place of one coordinate, from the mode outwards, 0 at the best [point]."""
        first = int(np.argmin(np.abs(place - self.mode[index])))
        found, done = np.full(len(place), np.nan), 0
        for order in (range(first, len(place)), range(first - 1, -1, -1)):
            near = self.mode
            for number in order:
                value, end = self._fit(index, self._moved(near, index, place[number]), weight)
                if np.isfinite(value):
                    found[number], near = value, end
                done += 1
                told(done)
        return found - np.max(found, initial=-np.inf, where=np.isfinite(found))

    def _moved(self, x: np.ndarray, index: int, place: float) -> np.ndarray:
        """A point with one coordinate at a new place, the others where the curvature at the mode expects them."""
        others = np.arange(len(x)) != index
        moved = x.copy()
        slope = np.linalg.solve(self.precision[np.ix_(others, others)], self.precision[others, index])
        moved[others] -= slope * (place - x[index])
        moved[index] = place
        return moved

    def _fit(self, index: int, start: np.ndarray, weight: float) -> tuple[float, np.ndarray]:
        """The largest log-density with one coordinate held, NaN where no end was found, and where that is [d]."""
        others = np.arange(len(start)) != index
        factor = np.linalg.cholesky(np.linalg.inv(self.precision[np.ix_(others, others)]))

        def loss(y: np.ndarray) -> tuple[float, np.ndarray]:
            x = start.copy()
            x[others] += factor @ y
            self.gradients += 1
            value, slope = self._objective(jnp.asarray(x), weight, self.potential.inputs, self.potential.data)
            return float(value), factor.T @ np.asarray(slope)[others]

        if not others.any():
            return -loss(np.empty(0))[0], start
        options = {"gtol": ENOUGH, "maxiter": STEPS}
        end: Any = scipy.optimize.minimize(loss, np.zeros(others.sum()), jac=True, method="BFGS", options=options)
        found = start.copy()
        found[others] += factor @ end.x
        return (-float(end.fun) if np.abs(end.jac).max() < FAILED else np.nan), found


def _marginal(component: Component, *, from_mode: bool) -> tuple[float, float, tuple[float, float]]:
    """Centre, standard deviation and central interval of 68 %, of the draws or by the curvature at the mode."""
    sd = spread(component)
    if from_mode and component.mode is not None:
        return component.mode, sd, (component.mode - sd, component.mode + sd)
    low, high = np.quantile(component.draws, (0.16, 0.84))
    return float(component.draws.mean()), sd, (float(low), float(high))


def _ends(component: Component, centre: float, sd: float) -> tuple[float, float]:
    """First and last value of the grid: within the posterior's widths and the draws of posterior and prior."""
    seen = np.concatenate([component.draws.ravel(), component.prior])
    return max(centre - WIDTHS * sd, float(seen.min())), min(centre + WIDTHS * sd, float(seen.max()))


def _compile(potential: Potential) -> Callable:
    """Value and gradient of minus (log-likelihood + weight * log-prior in physical units) at an unconstrained point."""
    model = every_row(potential.model, potential.plate)

    def objective(x, weight, inputs, data):
        values = constrain_fn(model, (inputs, data), {}, potential.unravel(x))
        terms = prior_terms(model, potential.names, values, (inputs, data))
        log_likelihood = -potential.programs.energy(x, inputs, data) - terms.total
        return -(log_likelihood + weight * sum(terms.log_prior.values()))

    return jax.jit(jax.value_and_grad(objective))
