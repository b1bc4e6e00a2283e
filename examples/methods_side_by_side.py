# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Methods side by side: MAP, Laplace, SVI, HMC and NUTS on six constants of a LArTPC
#
# One likelihood, one set of hits, five ways to an answer. NUTS is the reference; the others are cheaper. This gallery
# shows where they agree, where they do not, and what each cost.
#
#     python examples/methods_side_by_side.py --length 100 --output gallery-output

# %%
import argparse
from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

import bayescal
from bayescal.charge.detector import simulate
from bayescal.demo import TRUTH
from bayescal.diagnostics import compare, comparison_report, convergence
from bayescal.diagnostics.costs import cost
from bayescal.diagnostics.judgement import joint_judgement
from bayescal.diagnostics.names import method_title
from bayescal.diagnostics.numbers import duration, rounded
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.pixel_hits import charge_inputs
from bayescal.parameters import units
from bayescal.readers.detector import read_detector
from bayescal.tracks import demo_tracks

parser = argparse.ArgumentParser()
parser.add_argument("--length", type=float, default=100.0, help="total length of the tracks [cm]")
parser.add_argument("--ess", type=float, default=400.0, help="effective samples of every constant")
parser.add_argument("--methods", nargs="+", default=["map", "laplace", "svi", "hmc", "nuts"], help="the reference last")
parser.add_argument("--output", type=Path, default=Path("gallery-output"), help="folder for results, figure and page")
options = parser.parse_known_args()[0]
options.output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## Tracks and hits
#
# Made muons and stopping particles in Module-0, and hits drawn from the likelihood with the constants of the demo.

# %%
model, detector = bayescal.load_model("charge_constants").module, read_detector("module0")
tracks = demo_tracks(jax.random.key(1), detector.geometry, length_cm=options.length)
inputs = charge_inputs(tracks, detector, {})
constants = model.charge_constants(model.fixed_or_nominal(inputs) | TRUTH)
signals = simulate(constants, inputs.coverage, detector)
hits = SelfTriggeredReadout(signals, detector.electronics, live=inputs.live).sample(jax.random.key(2))
inputs = model.prepare(inputs, hits)
print(model.describe(inputs, hits))

# %% [markdown]
# ## Five answers
#
# `map` is the mode and the curvature there. `laplace` draws from a normal at the mode and re-weights the draws by the
# true density: k-hat says whether that works. `svi` fits a normal of low rank by gradients of the evidence bound, whose
# draws are re-weighted likewise. `hmc` and `nuts` draw from the posterior itself.

# %%
hooks = {"start": model.start(inputs, hits), "tempered": model.tempered, "units": units(model.PARAMETERS)}
results = []
for method in options.methods:
    chains = {"draws": max(10, int(options.ess / 4)), "until": f"ess > {options.ess}"}
    weighted = {"draws": max(20, int(4 * options.ess)), "importance_draws": max(20, int(4 * options.ess))}
    own = chains if method in {"hmc", "nuts"} else weighted
    settings = bayescal.FitSettings(method=method, max_draws=2000, **own)
    result = bayescal.fit(
        model.model, inputs, hits, key=jax.random.key(4), settings=settings, provenance={"truth": TRUTH}, **hooks
    )
    result.save(options.output / f"{method}.nc")
    print(f"{method_title(method)}: {convergence(result).sentence}", flush=True)
    results.append(result)

# %% [markdown]
# ## Where they agree
#
# Differences are in standard deviations of the reference, widths in units of its width. A mode is not a mean: where a
# posterior is skew the mode sits beside it, and a symmetric error bar covers one tail too little, the other too much.

# %%
comparison = compare(results)
Console(width=150).print(comparison.table())
print(joint_judgement(comparison).sentence)

# %% [markdown]
# ## What each cost

# %%
table = Table("method", "gradients", "log-densities", "wall time", "effective draws", "gradients per effective draw")
for result in results:
    spent = cost(result)
    table.add_row(
        method_title(result.method),
        f"{spent.gradients:,}",
        f"{result.attrs['values']:,}",
        duration(result.attrs["wall_time_s"]),
        rounded(spent.effective_draws, 0),
        rounded(spent.gradients_per_draw, 1),
    )
Console(width=150).print(table)

# %%
comparison.save(options.output / "methods.png")
comparison_report(results, options.output / "methods.html")
print(f"results, figure and page: {options.output}")
