"""What a search for the mode starts from and where it ends, whatever the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

DECREMENT_LIMIT = 1e-4  # g^T H^-1 g at the mode: the distance from it in standard deviations is below 0.01
ROUGH = 0.1  # the same where an easier problem only leads to the next one


class LowRankHessian(NamedTuple):
    """Second derivatives of a potential in few numbers: S^-1 (1 + V' (c - 1) V) S^-1.

    Attributes:
        scale: diagonal of S [d]; along it alone the potential curves by one.
        directions: orthonormal rows V, in units of the scale [r, d].
        curvatures: c, along the directions [r].
    """

    scale: np.ndarray
    directions: np.ndarray
    curvatures: np.ndarray


@dataclass(frozen=True)
class Scale:
    """Centre and spread of the prior, in unconstrained coordinates [d]."""

    centre: np.ndarray
    spread: np.ndarray


@dataclass
class Optimum:
    """Where a search ended.

    Attributes:
        x: the point, unconstrained [d].
        value, gradient, hessian: the potential and its derivatives there; the Hessian is the true one within 0.1
            standard deviations of a mode, in a large space as far as few directions tell.
        decrement: g^T H^-1 g, infinite while H is not positive definite.
        steps: trial steps; gradients: evaluations of the gradient.
        reason: empty if the point is a mode, otherwise why the search gave up.
    """

    x: np.ndarray
    value: float
    gradient: np.ndarray
    hessian: np.ndarray | LowRankHessian
    decrement: float
    steps: int
    gradients: int
    reason: str

    @property
    def converged(self) -> bool:
        """Whether the point is a mode."""
        return not self.reason


def as_arrays(optimum: Optimum) -> dict[str, Any]:
    """The fields by name as arrays, numbers and text; a Hessian in few numbers as one entry for each of its parts."""
    fields = vars(optimum)
    if not isinstance(optimum.hessian, LowRankHessian):
        return dict(fields)
    parts = {f"hessian_{name}": part for name, part in optimum.hessian._asdict().items()}
    return {name: value for name, value in fields.items() if name != "hessian"} | parts


def from_arrays(found: Mapping[str, Any]) -> Optimum:
    """The optimum that `as_arrays` took apart."""
    parts = {name: found[f"hessian_{name}"] for name in LowRankHessian._fields if f"hessian_{name}" in found}
    hessian = LowRankHessian(**parts) if parts else found["hessian"]
    others = {name: value for name, value in found.items() if not name.startswith("hessian")}
    return Optimum(hessian=hessian, **others)


def prior_scale(draws: np.ndarray) -> Scale:
    """Median and spread (half of the central 68 %) of prior draws [n, d]."""
    low, centre, high = np.quantile(draws, [0.16, 0.5, 0.84], axis=0)
    return Scale(centre, np.maximum(0.5 * (high - low), 1e-12))
