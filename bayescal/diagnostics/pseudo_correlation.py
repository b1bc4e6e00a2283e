"""The "pseudo-correlation" by which the field judges a loss, beside the correlation of the posterior.

For H, the Hessian of minus the log-likelihood by parameters in any units, averaged over batches of whole events:
- pseudo-correlation of i and j: (H^-1)_ij / ((H^-1)_ii (H^-1)_jj)^1/2, their correlation by the likelihood alone, all
  other parameters free (larnd-sim-jax reports it of its losses);
- partial correlation: -H_ij / (H_ii H_jj)^1/2, all other parameters held; the normalised Hessian with its sign turned.
Neither knows a prior, and both are taken at one point. Where the data leave a direction open H has no inverse, and the
first does not exist. Errors are those of the jackknife over the batches (B. Efron, The Jackknife (1982), chapter 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from bayescal.diagnostics.correlation import strongest
from bayescal.diagnostics.numbers import rounded

HEADERS = ("pair", "posterior\ncorrelation", "pseudo-\ncorrelation", "partial\ncorrelation")
NAMED = 0.25  # a parameter is named where it moves by this part of the one that moves most
OPEN = 1e-4  # eigenvalues of the normalised Hessian from which its differences, good to some 1e-3, can tell a direction


@dataclass(frozen=True)
class PseudoCorrelation:
    """Correlations by the likelihood alone, at one point.

    Attributes:
        labels: of the parameters.
        hessians: of minus the log-likelihood, one a batch, in physical units [batch, p, p].
    """

    labels: tuple[str, ...]
    hessians: np.ndarray

    @property
    def pseudo(self) -> np.ndarray:
        """The pseudo-correlation [p, p]; NaN where H is not positive definite."""
        return pseudo_correlation(self.hessians.mean(axis=0))

    @property
    def partial(self) -> np.ndarray:
        """The partial correlation [p, p], one on the diagonal."""
        return partial_correlation(self.hessians.mean(axis=0))

    @property
    def pseudo_error(self) -> np.ndarray:
        """Standard error of the pseudo-correlation [p, p]; NaN for one batch."""
        return jackknife_error(pseudo_correlation, self.hessians)

    @property
    def partial_error(self) -> np.ndarray:
        """Standard error of the partial correlation [p, p]; NaN for one batch."""
        return jackknife_error(partial_correlation, self.hessians)

    @property
    def sentence(self) -> str:
        """Whether the likelihood by itself has correlations, and how the numbers came about."""
        batches = f"{len(self.hessians)} batch{'es' * (len(self.hessians) > 1)} of whole events, at the mode"
        lowest, direction = _lowest(self.hessians.mean(axis=0))
        if lowest > OPEN:
            return f"The likelihood alone constrains every combination; Hessian averaged over {batches}."
        large = np.flatnonzero(np.abs(direction) >= NAMED * np.abs(direction).max())
        open_ = ", ".join(self.labels[index] for index in large)
        return (
            f"The likelihood alone leaves a combination of {open_} open: its Hessian ({batches}) has no meaningful "
            "inverse and there is no pseudo-correlation; the posterior's correlation holds."
        )

    def table(self, posterior: xr.DataArray, most: int) -> list[tuple[str, ...]]:
        """Rows for people under `HEADERS`, the strongest posterior correlations first.

        Args:
            posterior: correlations [parameter, parameter_2] of at least the parameters here that are to be shown.
            most: rows at most.
        """
        columns = ((self.pseudo, self.pseudo_error), (self.partial, self.partial_error))
        pairs = [pair for pair in strongest(posterior) if {*pair[:2]} <= {*self.labels}]
        rows = []
        for first, second, value in pairs[:most]:
            place = self.labels.index(first), self.labels.index(second)
            cells = (with_error(number[place], error[place]) for number, error in columns)
            rows.append((f"{first}, {second}", rounded(value, 2), *cells))
        return rows

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file; what does not exist is None."""
        names = ("pseudo", "pseudo_error", "partial", "partial_error")
        return {
            "parameters": list(self.labels),
            **{name: finite_or_none(getattr(self, name)) for name in names},
            "hessian": self.hessians.mean(axis=0).tolist(),
            "batches": len(self.hessians),
            "sentence": self.sentence,
        }


def pseudo_correlation(hessian: np.ndarray) -> np.ndarray:
    """The inverse normalised by its diagonal [p, p]; NaN where the Hessian leaves a direction open."""
    if _lowest(hessian)[0] <= OPEN:
        return np.full(hessian.shape, np.nan)
    return _normalised(np.linalg.inv(_normalised(hessian)))


def partial_correlation(hessian: np.ndarray) -> np.ndarray:
    """The Hessian normalised by its diagonal, with its sign turned off the diagonal [p, p]."""
    normalised = _normalised(hessian)
    return 2.0 * np.diag(np.diag(normalised)) - normalised


def jackknife_error(function: Any, hessians: np.ndarray) -> np.ndarray:
    """Standard error of a function of the mean over batches [batch, p, p], by leaving out each in turn."""
    n = len(hessians)
    if n < 2:
        return np.full(hessians.shape[1:], np.nan)
    without = np.stack([function(np.delete(hessians, one, axis=0).mean(axis=0)) for one in range(n)])
    return np.sqrt((n - 1) * without.var(axis=0))


def with_error(value: float, error: float) -> str:
    """A correlation and its error; a dash for what does not exist."""
    return rounded(value, 2) + (f" ± {error:.2f}" if np.isfinite(value) and np.isfinite(error) else "")


def finite_or_none(values: np.ndarray) -> list[list[float | None]]:
    """Rows of a matrix with None for what is not finite, as JSON can hold it."""
    return [[float(value) if np.isfinite(value) else None for value in row] for row in values]


def _normalised(matrix: np.ndarray) -> np.ndarray:
    """A matrix with ones on its diagonal; NaN where the diagonal is not positive."""
    diagonal = np.diag(matrix)
    width = np.sqrt(np.where(diagonal > 0, diagonal, np.nan))
    return matrix / np.outer(width, width)


def _lowest(hessian: np.ndarray) -> tuple[float, np.ndarray]:
    """Lowest eigenvalue of the normalised Hessian, its eigenvector [p]; -inf and the parameters without curvature."""
    flat = ~(np.diag(hessian) > 0)
    if flat.any():
        return -np.inf, flat.astype(float)
    values, vectors = np.linalg.eigh(_normalised(hessian))
    return float(values[0]), vectors[:, 0]
