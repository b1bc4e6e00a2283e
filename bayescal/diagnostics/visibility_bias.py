"""How far one visibility is from another: the measure that slar prints, in bins of visibility."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

Entries = Float[np.ndarray | Array, "..."]

SLAR_THRESHOLD = 4.5e-5
"""Visibility above which slar takes the mean bias."""
EDGES = tuple(10.0**power for power in (-7, -6, -5, -4, -3, -2, 0))
"""A bin a decade."""


class Bias(NamedTuple):
    """Mean of 2 |a - b| / (a + b) in bins of the reference.

    Attributes:
        edges: of the bins.
        mean: of each bin, NaN where it is empty.
        entries: how many fall into each bin.
    """

    edges: Float[np.ndarray, " edge"]
    mean: Float[np.ndarray, " bin"]
    entries: Int[np.ndarray, " bin"]


def relative_difference(predicted: Entries, reference: Entries) -> Float[np.ndarray, ...]:
    """2 |a - b| / (a + b), from 0 to 2; 0 where both are zero."""
    a, b = np.asarray(predicted, np.float64), np.asarray(reference, np.float64)
    total = a + b
    return 2 * np.abs(a - b) / np.where(total > 0, total, 1.0)


def mean_bias(predicted: Entries, reference: Entries, above: float = SLAR_THRESHOLD) -> float:
    """Mean relative difference where the reference is above a visibility; NaN where it nowhere is."""
    return float(bias_against_visibility(predicted, reference, (above, np.inf)).mean[0])


def bias_against_visibility(
    predicted: Entries, reference: Entries, edges: Float[np.ndarray, " edge"] | tuple[float, ...] = EDGES
) -> Bias:
    """Mean relative difference in bins of the reference, a library or the truth.

    Args:
        predicted: visibilities, any shape.
        reference: visibilities at the same positions and sensors.
        edges: rising edges of the bins; entries outside them do not count.
    """
    edges, reference = np.asarray(edges, np.float64), np.asarray(reference, np.float64).ravel()
    place = np.searchsorted(edges, reference, side="right") - 1
    inside = (place >= 0) & (place < len(edges) - 1)
    difference = relative_difference(np.ravel(predicted), reference)[inside]
    count = np.bincount(place[inside], minlength=len(edges) - 1)
    total = np.bincount(place[inside], difference, minlength=len(edges) - 1)
    return Bias(edges, np.where(count > 0, total / np.maximum(count, 1), np.nan), count)
