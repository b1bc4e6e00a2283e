"""What results say about one parameter, and whether they say the same.

Differences and width ratios are in units of a reference's standard deviation. Whether a constant is the same in
independent runs is judged by the sum of squared pulls from the weighted mean, whose p-value is that of a chi-square
distribution with one degree of freedom less than runs (Particle Data Group, PTEP 2022 (2022) 083C01, section 5.2.2). A
prior that the runs share pulls them together: a small p-value is a sign of change, a large one no proof of constancy
where the data say little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2, skew

from bayescal.diagnostics.contents import constant
from bayescal.diagnostics.plots import Curve

SYMMETRIC = 0.25
"""Skewness that 400 effective draws of a normal exceed in one of 25 cases (its standard error is sqrt(6 / 400))."""

FAR = 0.5
"""Distance of two centres in standard deviations beyond which it is worth a word."""

ALIKE = (0.8, 1.25)
"""Width ratios between these are not worth a word."""


class Estimate(NamedTuple):
    """A number and its standard deviation, 0 where the draws do not move."""

    value: float
    sd: float


class Constancy(NamedTuple):
    """Whether a constant is the same in all runs: weighted mean, its deviation, chi-square, degrees of freedom, p."""

    mean: float
    sd: float
    chi_square: float
    degrees: int
    p_value: float


@dataclass(frozen=True)
class Answer:
    """What one result says about one parameter.

    Attributes:
        name: of the result.
        value: its mode, or the mean of its draws.
        sd: standard deviation by the curvature at the mode, or of the draws; 0 where the draws do not move.
        difference: its value less the reference's, in the reference's standard deviations; None where that is 0.
        width_ratio: its standard deviation over the reference's; None likewise.
        skewness: of the draws, None for a mode and where the draws do not move.
    """

    name: str
    value: float
    sd: float
    difference: float | None
    width_ratio: float | None
    skewness: float | None

    @property
    def agrees(self) -> bool:
        """Whether centre and width are close to the reference's."""
        if self.difference is None or self.width_ratio is None:
            return False
        return abs(self.difference) <= FAR and ALIKE[0] < self.width_ratio < ALIKE[1]

    @property
    def comment(self) -> str:
        """What the numbers mean, in words."""
        words = ["does not move" if self.sd == 0 else skewness_in_words(self.skewness)]
        if self.difference is not None and abs(self.difference) > FAR:
            words.append(f"{abs(self.difference):.1f} sd {'higher' if self.difference > 0 else 'lower'}")
        if self.width_ratio and not ALIKE[0] < self.width_ratio < ALIKE[1]:
            words.append(f"{'wider' if self.width_ratio > 1 else 'narrower'} by {abs(self.width_ratio - 1):.0%}")
        return "; ".join(word for word in words if word)


@dataclass(frozen=True)
class Line:
    """One parameter in the results that have it; the last answer is the reference."""

    parameter: str
    unit: str
    answers: tuple[Answer, ...]

    @property
    def constancy(self) -> Constancy | None:
        """Whether independent results find the same value; None where one of them has no spread."""
        values = np.array([answer.value for answer in self.answers])
        sd = np.array([answer.sd for answer in self.answers])
        if not (sd > 0).all():
            return None
        mean = float(np.average(values, weights=sd**-2))
        chi_square, degrees = float(np.sum(((values - mean) / sd) ** 2)), len(values) - 1
        p_value = float(chi2.sf(chi_square, degrees))
        return Constancy(mean, float(np.sum(sd**-2) ** -0.5), chi_square, degrees, p_value)


def line(label: str, curves: Sequence[Curve]) -> Line:
    """A parameter of the last result in every result that has it."""
    shared = [each for each in curves if label in each.components]
    reference = estimate(shared[-1], label)
    return Line(label, shared[-1].components[label].unit, tuple(answer(each, label, reference) for each in shared))


def answer(curve: Curve, label: str, reference: Estimate) -> Answer:
    """What one result says about a parameter, beside a reference."""
    value, sd = estimate(curve, label)
    skewness = None if curve.from_mode or sd == 0 else float(skew(curve.components[label].draws.ravel()))
    if reference.sd == 0:
        return Answer(curve.name, value, sd, None, None, skewness)
    return Answer(curve.name, value, sd, (value - reference.value) / reference.sd, sd / reference.sd, skewness)


def estimate(curve: Curve, label: str) -> Estimate:
    """The mode and its deviation by the curvature, or mean and deviation of the draws."""
    component = curve.components[label]
    if curve.from_mode and component.mode is not None and component.mode_sd is not None:
        return Estimate(component.mode, component.mode_sd)
    mean = float(component.draws.mean())
    return Estimate(mean, 0.0 if constant(component) else float(component.draws.std(ddof=1)))


def skewness_in_words(skewness: float | None) -> str:
    """What a skewness means for a symmetric error bar."""
    if skewness is None:
        return ""
    if abs(skewness) < SYMMETRIC:
        return "symmetric"
    strength = "strongly skewed" if abs(skewness) > 1 else "skewed"
    return f"{strength}, longer tail to {'high' if skewness > 0 else 'low'} values"
