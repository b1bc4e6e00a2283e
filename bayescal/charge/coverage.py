"""Which steps can put charge on which pixels: index sets, found once per input with NumPy.

A pixel is divided into cells (quadrants by default), so that the landing place |dx|, |dy| is smooth inside each. A
*pair* is a step and a cell that it can reach, for any shift and transverse diffusion within the stated margins.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.special import ndtr

from bayescal.charge.geometry import PixelGeometry
from bayescal.charge.steps import Steps, cut
from bayescal.segments import Segments

NODES, WEIGHTS = (values.astype(float) for values in np.polynomial.legendre.leggauss(3))
WEIGHTS = WEIGHTS / 2
"""Gauss-Legendre rule along a step: places in units of its half length, weights that sum to one."""


class Margins(NamedTuple):
    """How far parameters may move charge before it leaves the pairs.

    Attributes:
        tran_diff: largest transverse diffusion constant [cm^2/us].
        drift_velocity: smallest drift velocity [cm/us].
        shift_cm: largest shift along x or y [cm].
        share: pairs that never hold more than this share of their step's charge are left out.
        charge_e: pixels that never collect more than this charge are left out [e-].
        electrons_per_mev: electrons after recombination that the last cut assumes [e-/MeV].
    """

    tran_diff: float = 1.5e-5
    drift_velocity: float = 0.14
    shift_cm: float = 0.0
    share: float = 1e-6
    charge_e: float = 100.0
    electrons_per_mev: float = 3.0e4


class Resolution(NamedTuple):
    """Fineness of the quadrature; the defaults are converged to 0.01 ADC counts a pixel.

    Attributes:
        step_cm: longest step [cm].
        cells: cells along a side of a pixel, even.
    """

    step_cm: float = 0.05
    cells: int = 2


_MARGINS = Margins()
_RESOLUTION = Resolution()


class Coverage(eqx.Module):
    """Steps, the cells around each, and the pairs of both, sorted by pixel.

    Slots are the cells along x or y that surround a step, counted from the first in reach.

    Attributes:
        steps: the steps, padded with steps without energy.
        first_edge_cm: coordinate of the lower edge of slot 0 along x and y [cm].
        slot_centre_cm: centre of the pixel of each slot [cm]; slot_sign: side of that centre on which the slot lies.
        pair_step, pair_x, pair_y, pair_row: step, slots and pixel row of each pair.
        pixel, event: number and event of each pixel row; -1 in rows that only pad.
        cell_cm: side of a cell [cm].
        lost_mev: energy of steps outside the drift volumes [MeV].
    """

    steps: Steps
    first_edge_cm: Float[NDArray, "step 2"]
    slot_centre_cm: Float[NDArray, "step 2 slot"]
    slot_sign: Float[NDArray, "step 2 slot"]
    pair_step: Int[NDArray, " pair"]
    pair_x: Int[NDArray, " pair"]
    pair_y: Int[NDArray, " pair"]
    pair_row: Int[NDArray, " pair"]
    pixel: Int[NDArray, " row"]
    event: Int[NDArray, " row"]
    cell_cm: float = eqx.field(static=True)
    lost_mev: Float[NDArray, ""]

    @property
    def n_rows(self) -> int:
        """Pixel rows, those that pad included."""
        return self.pixel.shape[0]


def padded_size(count: int) -> int:
    """Smallest m * 2^k >= count with m < 16: few sizes, so that few programs are compiled, and at most 1/8 waste."""
    unit = 1 << max(0, int(count).bit_length() - 4)
    return -(-int(count) // unit) * unit


def cover(
    segments: Segments,
    geometry: PixelGeometry,
    margins: Margins = _MARGINS,
    resolution: Resolution = _RESOLUTION,
) -> Coverage:
    """Find the pairs of steps and cells for all segments of an input.

    Args:
        segments: the ionisation.
        geometry: pixel planes and drift volumes.
        margins: how far parameters may move charge.
        resolution: fineness of the quadrature.
    """
    steps = cut(segments, geometry, resolution.step_cm)
    cell = geometry.pitch_cm / resolution.cells
    first, count = _slots_in_reach(steps, geometry, margins, cell)
    n_slots = int(count.max(initial=1))
    share = _largest_shares(steps, geometry, margins, (first, n_slots, cell))
    pair_step, pair_x, pair_y = np.nonzero(share[:, 0, :, None] * share[:, 1, None, :] > margins.share)
    column = (first[pair_step, 0] + pair_x) // resolution.cells
    row = (first[pair_step, 1] + pair_y) // resolution.cells
    pixel = geometry.pixel(column, row, steps.plane[pair_step])
    charge = steps.energy_mev[pair_step] * share[pair_step, 0, pair_x] * share[pair_step, 1, pair_y]
    charge *= margins.electrons_per_mev * (pixel >= 0)
    key, pair_row = _rows(steps.event[pair_step] * (geometry.n_pixels + 1) + pixel + 1, charge, margins.charge_e)
    order = np.argsort(pair_row, kind="stable")
    order = order[pair_row[order] >= 0]
    slot = first[:, :, None] + np.arange(n_slots)
    lower = np.asarray(geometry.lower_cm)
    return _padded(
        Coverage(
            steps=steps,
            first_edge_cm=lower + first * cell,
            slot_centre_cm=lower[:, None] + (slot // resolution.cells + 0.5) * geometry.pitch_cm,
            slot_sign=np.where(slot % resolution.cells < resolution.cells // 2, -1.0, 1.0),
            pair_step=pair_step[order],
            pair_x=pair_x[order],
            pair_y=pair_y[order],
            pair_row=pair_row[order],
            event=key // (geometry.n_pixels + 1),
            pixel=key % (geometry.n_pixels + 1) - 1,
            cell_cm=cell,
            lost_mev=np.asarray(np.sum(segments.energy_mev) - np.sum(steps.energy_mev)),
        )
    )


def _width_cm(steps: Steps, margins: Margins) -> Float[NDArray, " step"]:
    """Largest transverse width of a step's charge [cm]."""
    distance = np.abs(steps.anode_z_cm - steps.centre_cm[:, 2]) + np.abs(steps.half_cm[:, 2])
    return np.sqrt(2 * margins.tran_diff * distance / margins.drift_velocity)


def _slots_in_reach(
    steps: Steps, geometry: PixelGeometry, margins: Margins, cell_cm: float
) -> tuple[Int[NDArray, "step 2"], Int[NDArray, "step 2"]]:
    """First cell and number of cells along x and y within five widths of a step."""
    reach = np.abs(steps.half_cm[:, :2]) + 5 * _width_cm(steps, margins)[:, None] + margins.shift_cm
    place = steps.centre_cm[:, :2] - np.asarray(geometry.lower_cm)
    first = np.floor((place - reach) / cell_cm).astype(int)
    last = np.floor((place + reach) / cell_cm).astype(int)
    return first, last - first + 1


def _largest_shares(
    steps: Steps, geometry: PixelGeometry, margins: Margins, slots: tuple[NDArray, int, float]
) -> Float[NDArray, "step 2 slot"]:
    """Largest share of a step's charge in each slot along x and y, over shifts within the margin."""
    first, n_slots, cell = slots
    edge = np.asarray(geometry.lower_cm)[:, None] + (first[:, :, None] + np.arange(n_slots + 1)) * cell
    width = _width_cm(steps, margins)[:, None, None]
    largest = np.zeros((*first.shape, n_slots))
    for shift in {-margins.shift_cm, 0.0, margins.shift_cm}:
        share = sum(
            weight
            * np.diff(
                ndtr((edge - (steps.centre_cm[:, :2] + node * steps.half_cm[:, :2] - shift)[:, :, None]) / width),
                axis=2,
            )
            for node, weight in zip(NODES, WEIGHTS, strict=True)
        )
        largest = np.maximum(largest, share)
    return largest


def _rows(
    key: Int[NDArray, " pair"], charge_e: Float[NDArray, " pair"], least_e: float
) -> tuple[Int[NDArray, " row"], Int[NDArray, " pair"]]:
    """The keys that collect enough charge, sorted, and the row of each pair among them, -1 for the others."""
    unique, row = np.unique(key, return_inverse=True)
    enough = np.bincount(row, charge_e, minlength=unique.size) >= least_e
    return unique[enough], np.where(enough, np.cumsum(enough) - 1, -1)[row]


def _pad(values: NDArray, size: int, fill: float) -> NDArray:
    """Rows appended up to a size."""
    return np.concatenate([values, np.full((size - values.shape[0], *values.shape[1:]), fill, dtype=values.dtype)])


def _padded(coverage: Coverage) -> Coverage:
    """Pad steps, pairs and rows to a few sizes; the last step and the last row always pad."""
    n_steps = padded_size(coverage.first_edge_cm.shape[0] + 1)
    n_pairs = padded_size(coverage.pair_step.size + 1)
    n_rows = padded_size(coverage.pixel.size + 1)
    steps = {name: _pad(values, n_steps, 0) for name, values in vars(coverage.steps).items()}
    steps["direction"] = np.where(steps["direction"] == 0, 1.0, steps["direction"])
    steps["anode_z_cm"][coverage.first_edge_cm.shape[0] :] = 1.0
    return Coverage(
        steps=Steps(**steps),
        first_edge_cm=_pad(coverage.first_edge_cm, n_steps, 0),
        slot_centre_cm=_pad(coverage.slot_centre_cm, n_steps, 0),
        slot_sign=_pad(coverage.slot_sign, n_steps, 1),
        pair_step=_pad(coverage.pair_step, n_pairs, n_steps - 1),
        pair_x=_pad(coverage.pair_x, n_pairs, 0),
        pair_y=_pad(coverage.pair_y, n_pairs, 0),
        pair_row=_pad(coverage.pair_row, n_pairs, n_rows - 1),
        pixel=_pad(coverage.pixel, n_rows, -1),
        event=_pad(coverage.event, n_rows, -1),
        cell_cm=coverage.cell_cm,
        lost_mev=coverage.lost_mev,
    )
