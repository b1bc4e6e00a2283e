# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # MAP versus posterior: six constants of a LArTPC
#
# A best fit is one point. What a calibration is used for needs more: how far off each constant may be, which of them
# move together, and what that does downstream. This walk-through takes simulated tracks in Module-0, finds the mode
# (MAP) with the curvature there (Laplace), draws from the posterior with NUTS, checks the chains and compares the
# answers.
#
#     python examples/map_versus_posterior.py --length 100 --output example-output

# %%
import argparse
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist
from rich.console import Console

import bayescal
from bayescal.charge.detector import simulate
from bayescal.demo import TRUTH
from bayescal.diagnostics import compare, comparison_report, convergence, report, summary_table
from bayescal.diagnostics.correlation import strongest_pairs
from bayescal.diagnostics.plots import marginal_figure
from bayescal.diagnostics.plots_pairs import pair_figure
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.pixel_hits import charge_inputs
from bayescal.parameters import units
from bayescal.readers.detector import read_detector
from bayescal.tracks import demo_tracks

parser = argparse.ArgumentParser()
parser.add_argument("--length", type=float, default=100.0, help="total length of the tracks [cm]")
parser.add_argument("--ess", type=float, default=400.0, help="effective samples of every constant")
parser.add_argument("--output", type=Path, default=Path("example-output"), help="folder for figures and report")
options = parser.parse_known_args()[0]
options.output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## Priors
#
# A model file lists its parameters with unit, nominal value and default prior. Here the lifetime gets a prior of our
# own, as a purity monitor would give it; everything else keeps its default.

# %%
model = bayescal.load_model("charge_constants").module
priors = {"lifetime": dist.LogNormal(np.log(2000.0), 0.4)}
for parameter in model.PARAMETERS:
    if parameter.free:
        print(f"{parameter.name:15s} {parameter.unit:20s} nominal {parameter.nominal:<10.4g} {parameter.description}")

# %% [markdown]
# ## Tracks and hits
#
# Muons that cross the detector, and stopping muons and protons: these ionise more, and with only one dE/dx the
# constants A_B and k_B of recombination could not be told apart. The hits are drawn from the same distribution that is
# the likelihood below, with constants inside the priors and away from the nominal values: those of `bayescal demo`.

# %%
detector = read_detector("module0")
tracks = demo_tracks(jax.random.key(1), detector.geometry, length_cm=options.length)
inputs = charge_inputs(tracks, detector, priors)
constants = model.charge_constants(model.fixed_or_nominal(inputs) | TRUTH)
signals = simulate(constants, inputs.coverage, detector)
hits = SelfTriggeredReadout(signals, detector.electronics, live=inputs.live).sample(jax.random.key(2))
inputs = model.prepare(inputs, hits)
print(model.describe(inputs, hits))

# %% [markdown]
# ## The mode
#
# The likelihood is sharp: a per cent away in the field the log-density has dropped by thousands. So the search starts
# from the straight line of first hits against drift distance, once straight and once through tempered problems.

# %%
start = model.start(inputs, hits)
print("start:", start)
arguments = {
    "start": start,
    "tempered": model.tempered,
    "units": units(model.PARAMETERS),
    "provenance": {"truth": TRUTH},
}
mode = bayescal.fit(model.model, inputs, hits, method="map", key=jax.random.key(3), **arguments)
print(mode.verdict)

# %% [markdown]
# ## The posterior
#
# NUTS runs in coordinates whitened by the curvature at the mode: a handful of gradients a draw.

# %%
draws = max(10, int(options.ess / 4))
until = f"ess > {options.ess}"
settings = bayescal.FitSettings(method="nuts", draws=draws, until=until, max_draws=2000)
posterior = bayescal.fit(
    model.model, inputs, hits, method="nuts", key=jax.random.key(4), settings=settings, **arguments
)
posterior.save(options.output / "posterior.nc")
print(convergence(posterior).sentence)

# %% [markdown]
# ## What differs
#
# The mode and its curvature are one thing, the posterior another: where a constant is badly known (lifetime,
# longitudinal diffusion) the posterior is skew, and its mean is not its mode. The pairs show what a list of errors
# hides.

# %%
comparison = compare([mode, posterior])
Console().print(summary_table(posterior))
Console().print(comparison.table())
for pair in strongest_pairs(posterior):
    print(pair)

# %%
comparison.save(options.output / "map_versus_posterior.png")
marginal_figure(posterior).savefig(options.output / "marginals.png", dpi=150)
pair_figure(posterior).savefig(options.output / "pairs.png", dpi=150)
report(posterior, options.output / "report.html")
comparison_report([mode, posterior], options.output / "comparison.html")
print(f"figures and reports: {options.output}")
