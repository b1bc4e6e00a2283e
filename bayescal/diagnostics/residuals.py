"""Residuals of what each readout recorded against data made with the posterior: the worst readouts, and where they are.

The pull of a readout is (observed - mean) / sd of the made values that are recorded; its PIT is the share of made data
with a smaller value, with ties at random and nothing recorded as the smallest, and is uniform where the model is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.stats import binom, kstest, norm

from bayescal.diagnostics.contents import group
from bayescal.diagnostics.figures import LOOK, MUTED, POSTERIOR, panel_grid
from bayescal.errors import InputError
from bayescal.inference.result import Result

FEWEST_RECORDED = 10
"""Made data sets with a record below which mean and spread of a readout cannot be told."""

FALSE_ALARM = 0.01
"""Probability that any readout is suspected when all pulls are normal."""

REACH = 5.0
"""Pull at which the colours of a map end."""

PLACE = ("x_cm", "y_cm")
Cells = tuple[str, ...]


@dataclass(frozen=True)
class Residuals:
    """The residuals of a result; the arrays of `data` are by (quantity, readout), see `bayescal.pointwise`.

    Attributes:
        data: observed, mean, sd, share, pit; coordinates say which readout it is.
    """

    data: xr.Dataset

    @property
    def quantities(self) -> tuple[str, ...]:
        """What was recorded."""
        return tuple(str(name) for name in self.data["quantity"].values)

    @property
    def pulls(self) -> np.ndarray:
        """Pulls [quantity, readout]; not a number where nothing was recorded or too few made data sets record."""
        told = self.data["share"].values * self.data.attrs["n_replicas"] >= FEWEST_RECORDED
        residual, sd = (self.data["observed"] - self.data["mean"]).values, self.data["sd"].values
        return np.divide(residual, sd, out=np.full(sd.shape, np.nan), where=told & (sd > 0))

    @property
    def uniform(self) -> dict[str, float]:
        """P-value of the uniformity of the PITs of each quantity (A. N. Kolmogorov and N. V. Smirnov).

        Readouts count as independent although they share the posterior: the smaller the number of constants beside
        that of readouts, the better.
        """
        return {
            name: float(kstest(pit, "uniform").pvalue) for name, pit in zip(self.quantities, self._pit, strict=True)
        }

    @property
    def limit(self) -> float:
        """Size of a pull beyond which a readout is suspected."""
        return float(-norm.ppf(0.5 * FALSE_ALARM / max(1, np.isfinite(self.pulls).sum())))

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        beyond = int((np.abs(self.pulls) > self.limit).sum())
        uniform = ", ".join(f"{name} {p:.3f}" for name, p in self.uniform.items())
        return (
            f"{beyond} pulls of {self.data.sizes['readout']} readouts are beyond {self.limit:.1f}; p-value of the "
            f"uniformity of their PITs: {uniform}."
        )

    @property
    def headers(self) -> Cells:
        """Columns of the table."""
        return ("quantity", *self._places, "observed", "expected", "pull", "PIT")

    def table(self, count: int = 10) -> list[Cells]:
        """Rows for people on the readouts with the largest pulls: which, where, observed, expected, pull, PIT."""
        size = np.nan_to_num(np.abs(self.pulls), nan=-1.0)
        order = np.argsort(-size, axis=None)[:count]
        places = zip(*np.unravel_index(order, size.shape), strict=True)
        return [self._cells(int(q), int(r)) for q, r in places if size[q, r] >= 0]

    def _cells(self, quantity: int, readout: int) -> Cells:
        fact = {str(name): float(values.values[quantity, readout]) for name, values in self.data.data_vars.items()}
        return (
            self.quantities[quantity],
            *(f"{self.data[name].values[readout]:.6g}" for name in self._places),
            f"{fact['observed']:.5g}",
            f"{fact['mean']:.5g} +- {fact['sd']:.2g}",
            f"{self.pulls[quantity, readout]:+.1f}",
            f"{fact['pit']:.3f}",
        )

    @property
    def _places(self) -> Cells:
        return tuple(str(name) for name in self.data.coords if name != "quantity")

    @property
    def _pit(self) -> np.ndarray:
        return self.data["pit"].values


def residuals(result: Result) -> Residuals:
    """The residuals that a result holds.

    Raises:
        InputError: it holds none.
    """
    stored = group(result, "residuals")
    if "pit" not in stored:
        raise InputError(
            "the result holds no residuals of readouts: fit again with nuts or laplace, and with a model that has the "
            "hooks 'readouts' and 'recorded'"
        )
    return Residuals(stored)


@LOOK
def pit_figure(found: Residuals) -> Figure:
    """Histogram of the PITs of each quantity over the central 99 % of what uniform ones would show, bin by bin."""
    figure, panels = panel_grid(len(found.quantities), width=3.4)
    edges = np.linspace(0.0, 1.0, 21)
    for panel, name, pit in zip(panels, found.quantities, found.data["pit"].values, strict=True):
        low, high = _central_counts(pit.size, edges.size - 1)
        panel.axhspan(low, high, color=MUTED, alpha=0.2, lw=0)
        panel.stairs(np.histogram(pit, edges)[0], edges, color=POSTERIOR, lw=1.4)
        panel.set_title(f"{name}   p = {found.uniform[name]:.3f}")
        panel.set_xlabel("PIT")
        panel.set_ylabel("readouts")
        panel.set_ylim(bottom=0)
    return figure


@LOOK
def residual_map(found: Residuals) -> Figure:
    """Where the pulls are, one panel a quantity and plane; the largest are drawn on top.

    Raises:
        InputError: the readouts have no places.
    """
    if not set(PLACE) <= set(found.data.coords):
        raise InputError("the readouts have no places: give the hook 'readouts' the columns x_cm and y_cm")
    readouts = found.data.sizes["readout"]
    plane = found.data["plane"].values if "plane" in found.data.coords else np.zeros(readouts, int)
    planes = np.unique(plane)
    figure, panels = panel_grid(found.pulls.shape[0] * planes.size, columns=planes.size, width=3.8, height=3.2)
    shown = [
        (name, pulls, number) for name, pulls in zip(found.quantities, found.pulls, strict=True) for number in planes
    ]
    x, y = (found.data[name].values for name in PLACE)
    for panel, (name, pulls, number) in zip(panels, shown, strict=True):
        mine = np.flatnonzero((plane == number) & np.isfinite(pulls))
        mine = mine[np.argsort(np.abs(pulls[mine]))]
        dots = panel.scatter(x[mine], y[mine], c=pulls[mine], s=9, cmap="RdBu_r", vmin=-REACH, vmax=REACH, lw=0)
        panel.set_aspect("equal", adjustable="datalim")
        panel.set_title(f"{name}, plane {number}" if planes.size > 1 else name)
        panel.set_xlabel("x [cm]")
        panel.set_ylabel("y [cm]")
        figure.colorbar(dots, ax=panel, label="pull", shrink=0.8)
    return figure


def _central_counts(n: int, bins: int) -> tuple[float, float]:
    return float(binom.ppf(0.005, n, 1 / bins)), float(binom.ppf(0.995, n, 1 / bins))
