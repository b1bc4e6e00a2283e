"""How much the data have narrowed each parameter's prior, in numbers and in words.

The contraction is 1 - (sd / prior sd)^2 (M. Betancourt, arXiv:1803.08393, section 4): 0 where the data say nothing, 1
where they say all, negative where the posterior is wider than its prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayescal.diagnostics.contents import Component, group, members, scalars, spread, vectors
from bayescal.diagnostics.numbers import measured, pretty_unit
from bayescal.errors import InputError
from bayescal.inference.result import Result

WORDS = (
    (0.99, "set by the data"),  # the posterior is less than a tenth as wide as the prior
    (0.75, "mostly set by the data"),  # less than half as wide
    (0.2, "set by data and prior"),
    (-np.inf, "left to the prior"),
)
"""Least contraction, and what it means."""

WIDER = "wider than its prior: look for several modes and for a conflict of data and prior"
ERRORS = 3.0  # standard errors of the contraction, below which a posterior counts as wider than its prior

HEADERS = ("parameter", "unit", "prior sd", "posterior sd", "contraction", "it is")


@dataclass(frozen=True)
class Contraction:
    """One number of the posterior against its prior.

    Attributes:
        label: of the parameter, or of a member of a vector.
        unit: physical unit of both widths.
        prior_sd, posterior_sd: standard deviations.
        error: standard error of the contraction that the number of prior draws leaves.
    """

    label: str
    unit: str
    prior_sd: float
    posterior_sd: float
    error: float

    @property
    def value(self) -> float:
        """The contraction."""
        return 1.0 - (self.posterior_sd / self.prior_sd) ** 2

    @property
    def words(self) -> str:
        """What sets the parameter."""
        if self.value < -ERRORS * self.error:
            return WIDER
        return next(words for least, words in WORDS if self.value >= least)

    def cells(self) -> tuple[str, ...]:
        """A row for people, under `HEADERS`."""
        widths = (measured(sd, sd) for sd in (self.prior_sd, self.posterior_sd))
        return (self.label, pretty_unit(self.unit), *widths, f"{self.value:.1%}", self.words)


def contractions(result: Result) -> list[Contraction]:
    """The contraction of every number that has a prior, the least contracted first.

    Args:
        result: draws, or a mode with its curvature.

    Raises:
        InputError: the result holds no draws of the prior.
    """
    every = [*scalars(result), *(member for name in vectors(result) for member in members(result, name))]
    known = [component for component in every if _has_prior(component) and spread(component) > 0.0]
    if not known:
        raise InputError(no_prior(result))
    return sorted(map(_contraction, known), key=lambda found: found.value)


def no_prior(result: Result) -> str:
    """Why nothing can be compared with the prior."""
    if group(result, "prior").data_vars:
        return "no parameter of the result has a width to compare with its prior's; fit again with method nuts"
    return "the result holds no draws of the prior; fit again with this version"


def _has_prior(component: Component) -> bool:
    return component.prior.size > 1 and bool(np.ptp(component.prior) > 0)


def _contraction(component: Component) -> Contraction:
    """The standard error follows from the relative error (2 / (n - 1))^(1/2) of a normal sample's variance."""
    prior_sd, posterior_sd = float(component.prior.std(ddof=1)), spread(component)
    error = (posterior_sd / prior_sd) ** 2 * np.sqrt(2.0 / (component.prior.size - 1))
    return Contraction(component.label, component.unit, prior_sd, posterior_sd, float(error))
