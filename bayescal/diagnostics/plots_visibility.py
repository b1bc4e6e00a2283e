"""Training of a visibility network: its learning curve, and its bias against visibility."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayescal.diagnostics.figures import POSTERIOR, Drawing, arrange, palette
from bayescal.diagnostics.visibility_bias import Bias

SIZE = (4.2, 2.8)
POINTS = 200
"""Means that a learning curve is drawn with, at most."""


def bias_figure(biases: Mapping[str, Bias]) -> Figure:
    """Mean relative difference against visibility, both logarithmic, one line for each network or library by name."""
    return arrange({"bias": partial(_draw_biases, biases=biases)}, size=SIZE)


def learning_figure(curve: np.ndarray) -> Figure:
    """Loss against steps, both logarithmic: means of as many steps that lie close together.

    Args:
        curve: loss of every step.
    """
    draw: Drawing = partial(_draw_curve, curve=curve)
    return arrange({"learning": draw}, size=SIZE, header=0.0)


def _draw_biases(panel: Axes, biases: Mapping[str, Bias]) -> None:
    for (name, bias), color in zip(biases.items(), palette(len(biases)), strict=True):
        shown = bias.entries > 0
        low, high = bias.edges[:-1][shown], bias.edges[1:][shown]
        panel.plot(np.sqrt(low * high), 100 * bias.mean[shown], "o-", color=color, ms=4, lw=1.4, label=name)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("visibility")
    panel.set_ylabel("2 |a - b| / (a + b) [%]")
    panel.grid(visible=True)


def _draw_curve(panel: Axes, curve: np.ndarray) -> None:
    length = -(-len(curve) // POINTS)
    parts = np.split(curve, range(length, len(curve), length))
    steps = np.cumsum([len(part) for part in parts])
    panel.plot(steps, [part.mean() for part in parts], color=POSTERIOR, lw=1.4)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("step")
    panel.set_ylabel("loss")
    panel.grid(visible=True)
