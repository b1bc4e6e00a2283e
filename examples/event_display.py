# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # A muon in a water Cherenkov detector, as its sensors see it and as the posterior does
#
# One muon in Super-Kamiokande: charge and first time of every tube, drawn from the likelihood with multiple scattering
# that bends the track. The fit finds vertex, direction, energy and time with the bends; the display shows what was
# observed, what the posterior expects, and how far apart they are in each tube, on the unrolled wall.
#
#     python examples/event_display.py --output example-output
#     python examples/event_display.py --hits hits.h5 --fit laplace.nc    # an event and a result of your own

# %%
import argparse
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import bayescal
from bayescal.diagnostics.contents import scalars
from bayescal.diagnostics.numbers import measured
from bayescal.diagnostics.plots_optical import Rings, charge_shades, time_shades, wall_figure
from bayescal.diagnostics.residuals import Residuals
from bayescal.diagnostics.sensor_records import charge_record, time_record
from bayescal.fitting import thinned_draws
from bayescal.optical.emission import directions_of_slopes
from bayescal.optical.muon import BENDING_MODES, beta
from bayescal.optical_displays import ring_on_wall, wall_of
from bayescal.parameters import units
from bayescal.pointwise import readout_residuals

parser = argparse.ArgumentParser()
parser.add_argument("--detector", default="super_kamiokande", help="preset or file of an optical detector")
parser.add_argument("--energy", type=float, default=500.0, help="kinetic, of the muon that is simulated [MeV]")
parser.add_argument("--hits", type=Path, help="file of hits to take instead of simulated ones")
parser.add_argument("--event", type=int, default=0, help="number of the event in that file, from 0")
parser.add_argument("--fit", type=Path, help="result of `bayescal fit` on these hits; without it they are fitted here")
parser.add_argument("--method", default="laplace", help="of the fit")
parser.add_argument("--output", type=Path, default=Path("example-output"), help="folder for figure and result")
options = parser.parse_known_args()[0]
options.output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## The detector

# %%
DIRECTION = np.array([0.9, 0.4, -0.2]) / np.linalg.norm([0.9, 0.4, -0.2])
VERTEX = np.array([-0.4, -0.1, 0.1])  # over the radius of the tank
model_file = bayescal.load_model("cherenkov_track")
model = model_file.module
settings = model.Settings(detector=options.detector, direction=tuple(DIRECTION), event=options.event)
inputs = model.load(settings, {})
n_sensors = inputs.detector.sensors.n_sensors


def alive(inputs, live):
    """Inputs with other sensors alive."""
    return eqx.tree_at(lambda i: i.detector.sensors.live, inputs, live)


# %% [markdown]
# ## The hits
#
# A hundredth of the tubes is dead. The bends of the true track are drawn from their distribution.

# %%
rng = np.random.default_rng(5)
truth, true_direction = {}, None
if options.hits is None:
    inputs = alive(inputs, rng.permutation(n_sensors) >= -(-n_sensors // 100))
    vertex = VERTEX * inputs.detector.tank.radius_m
    truth = {f"vertex_{axis}": float(each) for axis, each in zip("xyz", vertex, strict=True)}
    truth |= {"kinetic_energy": options.energy, "event_time": 0.0}
    track = {p.name: p.nominal for p in model.PARAMETERS} | truth
    track |= {f"bend_{plane}": rng.normal(size=BENDING_MODES) for plane in (1, 2)}
    data = model.hits(track, model.with_indirect(inputs, track)).sample(jax.random.key(1))
    true_direction = DIRECTION
else:
    data = model.read(options.hits, inputs)
    known = model.read_truth(options.hits)
    truth = {
        name: float(known[name])
        for name in ("vertex_x", "vertex_y", "vertex_z", "kinetic_energy", "event_time")
        if name in known
    }
inputs = model.prepare(inputs, data)
print(model.describe(inputs, data))

# %% [markdown]
# ## The posterior
#
# A normal at the mode, whose draws are re-weighted by the true density: k-hat says whether they are the posterior;
# where it is too large, `--method nuts` draws from it. Slopes are about the direction that a coarse scan of the hits
# has found.

# %%
if true_direction is not None:
    along = np.asarray(inputs.frame) @ true_direction
    truth |= {"slope_1": along[0] / along[2], "slope_2": along[1] / along[2]}
if options.fit is None:
    fit = bayescal.fit(
        model.model,
        inputs,
        data,
        method=options.method,
        key=jax.random.key(2),
        start=model.start(inputs, data),
        tempered=model.tempered,
        measured=model.measured,
        units=units(model.PARAMETERS),
        provenance={"truth": {name: float(value) for name, value in truth.items()}},
    )
    fit.save(options.output / "muon.nc")
else:
    fit = bayescal.load(options.fit)
print(fit.verdict)

# %%
table = Table("parameter", "unit", "truth", "MAP ± curvature", "posterior mean ± sd", "(mean - truth) / sd")
for each in scalars(fit):
    mean, sd = float(each.draws.mean()), float(each.draws.std(ddof=1))
    table.add_row(
        each.label,
        each.unit,
        "-" if each.truth is None else measured(each.truth, sd),
        f"{measured(each.mode, each.mode_sd)} ± {measured(each.mode_sd, each.mode_sd)}",
        f"{measured(mean, sd)} ± {measured(sd, sd)}",
        "-" if each.truth is None else f"{(mean - each.truth) / sd:+.1f}",
    )
Console(width=110).print(table)


# %% [markdown]
# ## The ring
#
# Its edge is the light from the start of the track, its centre where the muon is heading.


# %%
def vertex_and_direction(values):
    """Of a track whose parameters are `values`."""
    vertex = np.array([values[f"vertex_{axis}"] for axis in "xyz"])
    slope = np.array([values["slope_1"], values["slope_2"]])
    return vertex, np.asarray(directions_of_slopes(inputs.frame, slope))


def ring(values):
    """Ring of a track."""
    opening = inputs.radiator.cos_cherenkov(beta(values["kinetic_energy"]))
    return ring_on_wall(inputs.detector.tank, *vertex_and_direction(values), float(opening))


few = thinned_draws(fit, 20)
drawn = [{name: values[number] for name, values in few.items()} for number in range(len(few["slope_1"]))]
inside = [ring(values) for values in drawn if inputs.detector.tank.contains(vertex_and_direction(values)[0])]
print(f"{len(inside)} of {len(drawn)} draws start inside of the tank")
rings = Rings(inside, ring(truth) if true_direction is not None else None)
if true_direction is not None:
    vertex, direction = vertex_and_direction({name: fit.draws(name).mean(axis=0) for name in fit.names})
    off = np.linalg.norm(vertex - [truth[f"vertex_{axis}"] for axis in "xyz"])
    angle = np.degrees(np.arccos(direction @ true_direction))
    print(f"posterior mean: vertex {100 * off:.1f} cm off, direction {angle:.2f} degrees off")

# %% [markdown]
# ## The display
#
# Residuals are the ranks of each tube's charge and time among those of 200 events made with draws of the posterior, as
# standard normal deviates.

# %%
found = Residuals(readout_residuals(jax.random.key(3), model_file, inputs, data, thinned_draws(fit, 200)))
for name, p_value in found.uniform.items():
    print(f"{name}: p-value of the uniformity of the ranks {p_value:.3f}")
sensor = found.data["sensor"].values
charge, time = (
    record(found, name).of_all(sensor, n_sensors) for record, name in ((charge_record, "charge"), (time_record, "time"))
)
shades = charge_shades(charge) | time_shades(time)
wall = wall_of(inputs.detector)
wall_figure(wall, shades, rings).savefig(options.output / "event_display.png", dpi=200)
wall_figure(wall, shades, rings, columns=1).savefig(options.output / "event_display_phone.png", dpi=150)
print(f"figures and result: {options.output}")
