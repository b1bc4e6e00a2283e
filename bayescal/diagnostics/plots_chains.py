"""Figures of the chains: traces, ranks and energies, by which a reader sees whether chains agree and move well."""

from __future__ import annotations

from functools import partial

import arviz_stats
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata

from bayescal.diagnostics.calibration import ecdf_band
from bayescal.diagnostics.contents import Component, group, scalars
from bayescal.diagnostics.densities import density
from bayescal.diagnostics.figures import (
    CHAINS,
    INK,
    MUTED,
    PRIOR,
    Drawing,
    arrange,
    hide_values,
    name_axis,
    thinned,
)
from bayescal.errors import InputError
from bayescal.inference.result import Result


def trace_figure(result: Result) -> Figure:
    """Every scalar parameter against the number of the draw, one colour a chain."""
    return arrange(trace_drawings(result), columns=2, size=(4.5, 1.6), header=0.0)


def trace_drawings(result: Result) -> dict[str, Drawing]:
    """How to draw the traces, by parameter."""
    return {component.label: partial(_draw_traces, component=component) for component in scalars(result)}


def rank_figure(result: Result) -> Figure:
    """Distribution of each chain's ranks among all draws, less the uniform one, with its 99 % band.

    Chains that agree have uniform ranks (T. Säilynoja et al., Statistics and Computing 32 (2022) 32). The draws of a
    chain are thinned to their effective number, because the band holds for independent draws.
    """
    return arrange(rank_drawings(result), header=0.0)


def rank_drawings(result: Result) -> dict[str, Drawing]:
    """How to draw the ranks, by parameter."""
    return {component.label: partial(_draw_ranks, component=component) for component in scalars(result)}


def energy_figure(result: Result) -> Figure:
    """Energies of the sampler and the changes between draws: alike where the sampler reaches the tails.

    After M. Betancourt, arXiv:1701.02434, section 6.1. Beside it the step size of each chain.

    Raises:
        InputError: the result has no energies.
    """
    return arrange(energy_drawings(result), columns=2, size=(4.5, 1.9))


def energy_drawings(result: Result) -> dict[str, Drawing]:
    """How to draw the energies and the step sizes, by name.

    Raises:
        InputError: the result has no energies.
    """
    stats = group(result, "sample_stats")
    if "energy" not in stats:
        raise InputError(f"the result holds no energies of a sampler; method {result.method} has none, nuts has")
    drawings: dict[str, Drawing] = {"energy": partial(_draw_energy, energy=stats["energy"].values)}
    if "step_size" in stats:
        drawings["step size"] = partial(_draw_steps, steps=stats["step_size"].values[:, -1])
    return drawings


def _draw_traces(panel: Axes, component: Component) -> None:
    numbers = thinned(np.arange(component.draws.shape[1]), 1000)
    for chain, values in enumerate(thinned(component.draws, 1000)):
        panel.plot(numbers, values, color=_chain_color(chain), lw=0.5, alpha=0.8, rasterized=True)
    if component.truth is not None:
        panel.axhline(component.truth, color=INK, lw=1.1, ls=(0, (4, 2)))
    name_axis(panel.yaxis, component.label, component.unit, panel.get_ylim(), separator="\n")
    panel.set_xlim(0, component.draws.shape[1])
    panel.set_xlabel("draw")


def _draw_ranks(panel: Axes, component: Component) -> None:
    draws = thinned(component.draws, _independent(component.draws))
    ranks = (rankdata(draws).reshape(draws.shape) - 0.5) / draws.size
    grid, low, high = ecdf_band(draws.shape[1], 0.99)
    panel.fill_between(grid, low - grid, high - grid, color=PRIOR, alpha=0.3, lw=0, step="mid")
    for chain, fractions in enumerate(ranks):
        inside = np.searchsorted(np.sort(fractions), grid, side="right") / fractions.size
        panel.plot(grid, inside - grid, color=_chain_color(chain), lw=1.0, drawstyle="steps-mid")
    panel.axhline(0, color=MUTED, lw=0.6)
    panel.set_title(component.label)
    panel.set_xlabel("rank / draws")
    panel.set_ylabel("share below, less rank")


def _draw_energy(panel: Axes, energy: np.ndarray) -> None:
    for values, color, label in (
        (energy - energy.mean(), CHAINS[0], "energy less its mean"),
        (np.diff(energy, axis=1), CHAINS[1], "change between draws"),
    ):
        x, height = density(values)
        panel.fill_between(x, height, color=color, alpha=0.2, lw=0)
        panel.plot(x, height, color=color, lw=1.4, label=label)
    hide_values(panel)
    panel.set_xlabel("energy")


def _draw_steps(panel: Axes, steps: np.ndarray) -> None:
    chains = range(steps.size)
    panel.bar(chains, steps, color=[_chain_color(chain) for chain in chains], width=0.5)
    panel.set_xticks(chains)
    panel.set_xlabel("chain")
    panel.set_ylabel("step size")


def _chain_color(chain: int) -> str:
    return CHAINS[chain % len(CHAINS)]


def _independent(draws: np.ndarray) -> int:
    """Effective number of draws a chain, at least 20 and at most 500."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a chain that stands still has no effective number
        effective = float(arviz_stats.ess(draws, method="bulk"))
    return int(np.clip(effective / draws.shape[0], 20, 500)) if np.isfinite(effective) else 20
