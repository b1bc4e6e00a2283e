# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # A map of the efficiencies of all photosensors
#
# Isotropic sources of several wavelengths at several places shine on the sensors of a tank of water. What a sensor
# counts depends on its efficiency, on the water and the wall, and on the light of each run. This walk-through infers
# all of them together, draws the efficiencies on the wall, and asks what is lost if water, wall and light are held at
# their best fit.
#
#     python examples/efficiency_map.py --output example-output
#     python examples/efficiency_map.py --detector super_kamiokande     # 11,146 tubes, a quarter of an hour

# %%
import argparse
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import bayescal
from bayescal.diagnostics import convergence
from bayescal.diagnostics.contents import members, scalars
from bayescal.diagnostics.numbers import measured
from bayescal.diagnostics.plots import marginal_figure
from bayescal.diagnostics.plots_optical import amount_shade, residual_shade, wall_figure
from bayescal.optical_displays import wall_of
from bayescal.parameters import units

parser = argparse.ArgumentParser()
parser.add_argument("--detector", default="eos", help="preset or file of an optical detector")
parser.add_argument("--method", default="nuts", help="of the fit")
parser.add_argument("--output", type=Path, default=Path("example-output"), help="folder for figures and result")
options = parser.parse_known_args()[0]
options.output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## Runs, and counts of sensors that are not all alike
#
# The water absorbs more and scatters less than that of the file, the wall is brighter, and production batches differ by
# some per cent.

# %%
smaller = {
    "eos": {
        "position_m": [(0, 0, 0), (0, 0.8, -1), (-1, 0, 0.8)],
        "wavelength_nm": [337, 420],
        "light_pe": 1e5,
        "triggers": 5,
    },
}
model = bayescal.load_model("sensor_efficiency").module
inputs = model.load(model.Settings(detector=options.detector, **smaller.get(options.detector, {})), {})
rng = np.random.default_rng(4)
truth = model.full_size({p.name: p.nominal for p in model.PARAMETERS}, inputs)
truth |= {
    "absorption_scale": 1.1,
    "rayleigh_scale": 0.9,
    "wall_reflectivity": 0.12,
    "batch_contrast": 0.05 * rng.normal(size=inputs.n_batches - 1),
    "intensity": rng.lognormal(0.0, 0.05, inputs.light.n_runs),
}
expected = model.counts(truth, inputs)
efficiency_key, count_key, fit_key, draw_key, mode_key = jax.random.split(jax.random.key(6), 5)
efficiency = np.asarray(jax.random.gamma(efficiency_key, expected.shape_) / expected.rate)
counts = jax.random.poisson(count_key, efficiency[:, None] * expected.expected + expected.dark)
print(model.describe(inputs, counts))

# %% [markdown]
# ## The posterior
#
# The efficiencies are integrated out exactly, so that only water, wall, runs and batches are sampled.

# %%
fit = bayescal.fit(
    model.model,
    inputs,
    counts,
    method=options.method,
    key=fit_key,
    start=model.start(inputs, counts),
    units=units(model.PARAMETERS),
    provenance={"truth": {name: np.asarray(value).tolist() for name, value in truth.items()}},
)
fit.save(options.output / "efficiency.nc")
print(convergence(fit).sentence)
table = Table("parameter", "truth", "MAP ± curvature", "posterior mean ± sd", "(mean - truth) / sd")
for each in scalars(fit):
    mean, sd = float(each.draws.mean()), float(each.draws.std(ddof=1))
    table.add_row(
        each.label,
        measured(each.truth, sd),
        f"{measured(each.mode, each.mode_sd)} ± {measured(each.mode_sd, each.mode_sd)}",
        f"{measured(mean, sd)} ± {measured(sd, sd)}",
        f"{(mean - each.truth) / sd:+.1f}",
    )
Console(width=110).print(table)

# %% [markdown]
# ## Efficiencies, with everything else integrated out and with it at its best fit
#
# Both are draws given the counts. At the best fit they do not know that intensities and water are uncertain.

# %%
draws = {name: fit.draws(name) for name in fit.names}
count = len(draws["intensity"])
best = {
    name: np.reshape([each.mode for each in members(fit, name)], values.shape[1:]) for name, values in draws.items()
}
at_mode = {name: np.broadcast_to(value, (count, *value.shape)) for name, value in best.items()}
drawn = {
    "MAP": np.asarray(model.complete(mode_key, at_mode, inputs, counts)["efficiency"]),
    "posterior": np.asarray(model.complete(draw_key, draws, inputs, counts)["efficiency"]),
}
table = Table("efficiencies", "rms error", "sd", "68 % intervals hold", "95 % intervals hold", "sd of the mean of all")
for name, values in drawn.items():
    error, sd = values.mean(axis=0) / efficiency - 1, values.std(axis=0) / efficiency
    held = []
    for level in (0.68, 0.95):
        low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        held.append(f"{np.mean((low < efficiency) & (efficiency < high)):.1%}")
    common = values.mean(axis=1).std() / efficiency.mean()
    table.add_row(name, f"{np.sqrt(np.mean(error**2)):.2%}", f"{np.sqrt(np.mean(sd**2)):.2%}", *held, f"{common:.2%}")
Console(width=110).print(table)

# %% [markdown]
# ## On the wall

# %%
mean, sd = drawn["posterior"].mean(axis=0), drawn["posterior"].std(axis=0)
shades = {
    "efficiency, mean": amount_shade(mean, "relative efficiency"),
    "standard deviation": amount_shade(100 * sd / mean, "of the mean [%]"),
    "pull": residual_shade((mean - efficiency) / sd, "(mean - truth) / standard deviation"),
}
wall_figure(wall_of(inputs.detector), shades).savefig(options.output / "efficiency_map.png", dpi=200)
marginal_figure(fit).savefig(options.output / "efficiency_constants.png", dpi=150)
print(f"figures and result: {options.output}")
