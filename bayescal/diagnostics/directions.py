"""Combinations of parameters that the data do not constrain, though each parameter by itself may look constrained.

Generalised eigenvectors of the posterior's covariance C against the prior's P: C v = share P v. They are the same in
all linear coordinates. Along the direction P v in the space of the parameters the share of the prior's variance
remains, and the combinations v of the parameters are uncorrelated in prior and posterior alike (the likelihood-informed
subspace of T. Cui et al., Inverse Problems 30 (2014) 114015, section 2, with covariances for inverse Hessians).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from bayescal.diagnostics.contents import Component, scalars
from bayescal.diagnostics.contraction import no_prior
from bayescal.diagnostics.correlation import covariance_of
from bayescal.diagnostics.numbers import rounded
from bayescal.errors import InputError
from bayescal.inference.result import Result

NAMED = 0.25  # in a table a parameter is named where it moves by this part of the one that moves most
SPOKEN = 0.1  # the same in a sentence
FREE = 0.5  # directions with more of the prior's variance left are not constrained by the data
DRAWS_PER_PARAMETER = 10  # of the prior, that its covariance can be inverted: it is then known to a third or better

HEADERS = ("prior variance left", "contraction", "direction, in prior widths")


@dataclass(frozen=True)
class Direction:
    """A direction in the space of the parameters.

    Attributes:
        labels: of the parameters.
        steps: how far each moves along it, in its prior standard deviations, one step of the prior in all [parameter].
        share: of the prior's variance along it that remains in the posterior.
    """

    labels: tuple[str, ...]
    steps: np.ndarray
    share: float

    @property
    def constrained(self) -> bool:
        """Whether the data say more than half of what is known along it."""
        return self.share < FREE

    def moves(self, least: float) -> list[str]:
        """The parameters that move along it, most first: `Ab up by 0.80`, `kb down by 0.60`.

        Args:
            least: steps below this part of the largest are left out.
        """
        order = np.argsort(-np.abs(self.steps))
        large = [index for index in order if abs(self.steps[index]) >= least * abs(self.steps[order[0]])]
        return [f"{self.labels[i]} {'up' if self.steps[i] > 0 else 'down'} by {abs(self.steps[i]):.2f}" for i in large]

    @property
    def sentence(self) -> str:
        """The direction and what is known along it, in words."""
        first, *others = self.moves(SPOKEN)
        together = f" while {' and '.join(others)}" if others else ""
        known = "set by the data" if self.constrained else "left to the prior"
        return f"{first} of its prior width{together}: contraction {1.0 - self.share:.0%}, {known}"

    def cells(self) -> tuple[str, ...]:
        """A row for people, under `HEADERS`."""
        return (f"{self.share:.2g}", rounded(1.0 - self.share, 3), ", ".join(self.moves(NAMED)))


def directions(result: Result) -> list[Direction]:
    """All directions of the scalar parameters, the least constrained first.

    Args:
        result: draws, or a mode with its curvature.

    Raises:
        InputError: no scalar parameter has a prior, there are too few draws of the prior, or the posterior has no
            covariance.
    """
    components = [c for c in scalars(result) if c.prior.size > 1 and np.ptp(c.prior) > 0]
    if not components:
        raise InputError(no_prior(result))
    posterior = covariance_of(result, components)
    labels = tuple(posterior["parameter"].values.tolist())
    prior = _prior_covariance([c for c in components if c.label in labels])
    width = np.sqrt(np.diag(prior))
    return directions_of(labels, posterior.values / np.outer(width, width), prior / np.outer(width, width))


def directions_of(labels: tuple[str, ...], posterior: np.ndarray, prior: np.ndarray) -> list[Direction]:
    """Directions of two covariances [parameter, parameter], both in units of the prior's standard deviations."""
    shares, vectors = scipy.linalg.eigh(posterior, prior)
    steps = (prior @ vectors).T
    signs = np.sign(np.take_along_axis(steps, np.abs(steps).argmax(axis=1)[:, None], axis=1))
    pairs = zip(shares[::-1], (signs * steps)[::-1], strict=True)
    return [Direction(labels, step, float(max(share, 0.0))) for share, step in pairs]


def _prior_covariance(components: list[Component]) -> np.ndarray:
    draws = min(component.prior.size for component in components)
    needed = DRAWS_PER_PARAMETER * len(components)
    if draws < needed:
        raise InputError(
            f"the result holds {draws} draws of the prior, too few for the covariance of {len(components)} parameters: "
            f"fit again with prior_draws = {needed} or more in the study's [sampler]"
        )
    return np.atleast_2d(np.cov(np.array([component.prior for component in components])))
