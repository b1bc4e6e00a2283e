"""Pixel planes of a LArTPC: where the pixels are, and how far charge drifts to them."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from numpy.typing import NDArray


class PixelGeometry(eqx.Module):
    """Rectangular pixel planes perpendicular to the drift axis z, all with the same pixels.

    A pixel is named by `pixel = ix + n_x * (iy + n_y * plane)`, with `ix`, `iy` counted from the lower-left corner of
    the plane.

    Attributes:
        pitch_cm: side of the square pixels [cm].
        n_x, n_y: pixels along x and y.
        lower_cm: (x, y) of the outer corner of pixel (0, 0) [cm].
        anode_z_cm, cathode_z_cm: z of anode and cathode, one value a plane [cm].
    """

    pitch_cm: float = eqx.field(static=True)
    n_x: int = eqx.field(static=True)
    n_y: int = eqx.field(static=True)
    lower_cm: tuple[float, float] = eqx.field(static=True)
    anode_z_cm: tuple[float, ...] = eqx.field(static=True)
    cathode_z_cm: tuple[float, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        """Refuse planes without extent."""
        if self.pitch_cm <= 0 or self.n_x < 1 or self.n_y < 1:
            raise ValueError(
                f"a pixel plane needs a positive pitch and pixels, got {self.pitch_cm} cm, {self.n_x} x {self.n_y}"
            )
        if len(self.anode_z_cm) != len(self.cathode_z_cm) or not self.anode_z_cm:
            raise ValueError("anode_z_cm and cathode_z_cm need one value a plane each")

    @property
    def n_planes(self) -> int:
        """Number of anode planes."""
        return len(self.anode_z_cm)

    @property
    def n_pixels(self) -> int:
        """Number of pixels on all planes."""
        return self.n_planes * self.n_x * self.n_y

    @property
    def upper_cm(self) -> tuple[float, float]:
        """(x, y) of the outer corner of the last pixel [cm]."""
        return (self.lower_cm[0] + self.n_x * self.pitch_cm, self.lower_cm[1] + self.n_y * self.pitch_cm)

    def drift_range_cm(self, plane: int) -> tuple[float, float]:
        """Lower and upper z of the drift volume of a plane [cm]."""
        ends = (self.anode_z_cm[plane], self.cathode_z_cm[plane])
        return (min(ends), max(ends))

    def plane_of(self, position_cm: NDArray, margin_cm: float = 0.02) -> NDArray:
        """The first plane whose drift volume, widened by a margin, holds a position; -1 where none does.

        Args:
            position_cm: positions (x, y, z), shape (n, 3) [cm].
            margin_cm: widening of every border [cm].
        """
        x, y, z = np.asarray(position_cm).T
        inside = (x >= self.lower_cm[0] - margin_cm) & (x <= self.upper_cm[0] + margin_cm)
        inside &= (y >= self.lower_cm[1] - margin_cm) & (y <= self.upper_cm[1] + margin_cm)
        plane = np.full(x.shape, -1)
        for index in reversed(range(self.n_planes)):
            low, high = self.drift_range_cm(index)
            plane[inside & (z >= low - margin_cm) & (z <= high + margin_cm)] = index
        return plane

    def column_row(self, x_cm: NDArray, y_cm: NDArray) -> tuple[NDArray, NDArray]:
        """Pixel column and row (ix, iy) under a point; outside the plane they run on beyond its borders."""
        column = np.floor((np.asarray(x_cm) - self.lower_cm[0]) / self.pitch_cm).astype(int)
        row = np.floor((np.asarray(y_cm) - self.lower_cm[1]) / self.pitch_cm).astype(int)
        return column, row

    def pixel(self, column: NDArray, row: NDArray, plane: NDArray) -> NDArray:
        """Pixel number, -1 outside the plane."""
        column, row, plane = np.broadcast_arrays(column, row, plane)
        inside = (column >= 0) & (column < self.n_x) & (row >= 0) & (row < self.n_y) & (plane >= 0)
        return np.where(inside, column + self.n_x * (row + self.n_y * plane), -1)

    def unravel(self, pixel: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Column, row and plane of a pixel number."""
        pixel = np.asarray(pixel)
        return pixel % self.n_x, pixel // self.n_x % self.n_y, pixel // (self.n_x * self.n_y)

    def centre_cm(self, pixel: NDArray) -> tuple[NDArray, NDArray]:
        """(x, y) of a pixel's centre [cm]."""
        column, row, _ = self.unravel(pixel)
        return self.lower_cm[0] + (column + 0.5) * self.pitch_cm, self.lower_cm[1] + (row + 0.5) * self.pitch_cm
