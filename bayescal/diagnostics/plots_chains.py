"""Figures of the chains: traces, ranks and energies, by which a reader sees whether chains agree and move well."""

from __future__ import annotations

import arviz_stats
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata

from bayescal.diagnostics.calibration import ecdf_band
from bayescal.diagnostics.contents import group, scalars
from bayescal.diagnostics.densities import density
from bayescal.diagnostics.figures import (
    CHAINS,
    INK,
    LOOK,
    MUTED,
    PRIOR,
    common_legend,
    hide_values,
    name_axis,
    panel_grid,
    thinned,
)
from bayescal.errors import InputError
from bayescal.inference.result import Result


@LOOK
def trace_figure(result: Result) -> Figure:
    """Every scalar parameter against the number of the draw, one colour a chain."""
    components = scalars(result)
    figure, panels = panel_grid(len(components), columns=2, width=4.5, height=1.6)
    for component, panel in zip(components, panels, strict=True):
        numbers = thinned(np.arange(component.draws.shape[1]), 1000)
        for chain, values in enumerate(thinned(component.draws, 1000)):
            panel.plot(numbers, values, color=CHAINS[chain % len(CHAINS)], lw=0.5, alpha=0.8, rasterized=True)
        if component.truth is not None:
            panel.axhline(component.truth, color=INK, lw=1.1, ls=(0, (4, 2)))
        name_axis(panel.yaxis, component.label, component.unit, panel.get_ylim(), separator="\n")
        panel.set_xlim(0, component.draws.shape[1])
    for panel in panels[-2:]:
        panel.set_xlabel("draw")
    return figure


@LOOK
def rank_figure(result: Result) -> Figure:
    """Distribution of each chain's ranks among all draws, less the uniform one, with its 99 % band.

    Chains that agree have uniform ranks (T. Säilynoja et al., Statistics and Computing 32 (2022) 32). The draws of a
    chain are thinned to their effective number, because the band holds for independent draws.
    """
    components = scalars(result)
    figure, panels = panel_grid(len(components))
    for component, panel in zip(components, panels, strict=True):
        draws = thinned(component.draws, _independent(component.draws))
        ranks = (rankdata(draws).reshape(draws.shape) - 0.5) / draws.size
        grid, low, high = ecdf_band(draws.shape[1], 0.99)
        panel.fill_between(grid, low - grid, high - grid, color=PRIOR, alpha=0.3, lw=0, step="mid")
        for chain, fractions in enumerate(ranks):
            inside = np.searchsorted(np.sort(fractions), grid, side="right") / fractions.size
            panel.plot(grid, inside - grid, color=CHAINS[chain % len(CHAINS)], lw=1.0, drawstyle="steps-mid")
        panel.axhline(0, color=MUTED, lw=0.6)
        panel.set_title(component.label)
        panel.set_xlabel("rank / draws")
    panels[0].set_ylabel("share below, less rank")
    return figure


@LOOK
def energy_figure(result: Result) -> Figure:
    """Energies of the sampler and the changes between draws: alike where the sampler reaches the tails.

    After M. Betancourt, arXiv:1701.02434, section 6.1. Beside it the step size of each chain.

    Raises:
        InputError: the result has no energies.
    """
    stats = group(result, "sample_stats")
    if "energy" not in stats:
        raise InputError("the result holds no energies of the sampler; only a result of method nuts has them")
    energy = stats["energy"].values
    figure, panels = panel_grid(1 + ("step_size" in stats), columns=2, width=4.5, height=1.9, header=0.35)
    for values, color, label in (
        (energy - energy.mean(), CHAINS[0], "energy less its mean"),
        (np.diff(energy, axis=1), CHAINS[1], "change between draws"),
    ):
        x, height = density(values)
        panels[0].fill_between(x, height, color=color, alpha=0.2, lw=0)
        panels[0].plot(x, height, color=color, lw=1.4, label=label)
    hide_values(panels[0])
    panels[0].set_xlabel("energy")
    if "step_size" in stats:
        steps = stats["step_size"].values[:, -1]
        chains = np.arange(steps.size)
        panels[1].bar(chains, steps, color=[CHAINS[i % len(CHAINS)] for i in chains], width=0.5)
        panels[1].set_xticks(chains)
        panels[1].set_xlabel("chain")
        panels[1].set_ylabel("step size")
    common_legend(figure, panels)
    return figure


def _independent(draws: np.ndarray) -> int:
    """Effective number of draws a chain, at least 20 and at most 500."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a chain that stands still has no effective number
        effective = float(arviz_stats.ess(draws, method="bulk"))
    return int(np.clip(effective / draws.shape[0], 20, 500)) if np.isfinite(effective) else 20
