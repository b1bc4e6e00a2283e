# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Light yields and optics from tracks
#
# Tracks whose place is known tell how bright each sensor sees each point. This walk-through makes tracks that cross a
# drift volume of Module-0, with light of a detector that is not the one in the file: every sensor has a gain of its
# own, the argon scatters more, cathode and walls are brighter. It calibrates 48 yields and the optics, and asks what
# the posterior predicts for tracks that it has not seen.
#
#     python examples/light_on_tracks.py --tracks 300 --output example-output

# %%
import argparse
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist
from matplotlib.figure import Figure
from rich.console import Console

import bayescal
from bayescal.diagnostics import convergence, report, summary_table
from bayescal.diagnostics.plots_light import predicted_light_figure
from bayescal.light.made_tracks import crossing_tracks
from bayescal.likelihoods.counts import PhotonCounts
from bayescal.likelihoods.track_flashes import track_inputs
from bayescal.parameters import units
from bayescal.readers.light_detector import read_light_detector

parser = argparse.ArgumentParser()
parser.add_argument("--tracks", type=int, default=300, help="number of tracks to calibrate on")
parser.add_argument("--method", default="nuts", help="of the fit")
parser.add_argument("--output", type=Path, default=Path("example-output"), help="folder for figures and report")
options = parser.parse_known_args()[0]
options.output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## The detector that the light comes from

# %%
model = bayescal.load_model("light_yields").module
nominal = {parameter.name: parameter.nominal for parameter in model.PARAMETERS}
detector = read_light_detector("module0")
gains = np.random.default_rng(7).lognormal(0.0, 0.1, detector.n_sensors)
truth = {
    "light_yield": gains,
    "rayleigh_length": 70.0,
    "scattered_fraction": 1.0,
    "reflectivity_x_low": 0.3,
    "reflectivity_sides": 0.1,
}
ERROR = 0.03  # of the model of the light, from track to track and sensor to sensor

# %% [markdown]
# ## Priors, tracks and their light
#
# The Rayleigh length is known from elsewhere to a few per cent; here its prior is wide, for the light to speak. A
# track's light is summed over its points once, for all optical constants: a gradient of the whole fit takes
# milliseconds.

# %%
priors = {"rayleigh_length": dist.LogNormal(np.log(99.1), 0.4)}


def tracks(key, count):
    """Inputs of so many tracks, their true mean light and their counts."""
    track_key, light_key = jax.random.split(key)
    inputs = track_inputs(crossing_tracks(track_key, detector, count), detector, priors)
    mean = np.asarray(model.expected(nominal | truth, inputs))
    return inputs, mean, np.asarray(PhotonCounts(mean, model_error=ERROR, live=inputs.live).sample(light_key))


inputs, _, counts = tracks(jax.random.key(1), options.tracks)
held_out, held_out_mean, held_out_counts = tracks(jax.random.key(2), 500)
print(model.describe(inputs, counts))

# %% [markdown]
# ## The posterior

# %%
fit = bayescal.fit(
    model.model,
    inputs,
    counts,
    method=options.method,
    key=jax.random.key(3),
    start=model.start(inputs, counts),
    units=units(model.PARAMETERS),
    provenance={"truth": {name: np.asarray(value).tolist() for name, value in truth.items()}},
)
fit.save(options.output / "light.nc")
Console().print(summary_table(fit))
print(convergence(fit).sentence if fit.method == "nuts" else fit.verdict)
for level in (0.68, 0.95):
    low, high = np.quantile(fit.draws("light_yield"), [0.5 - level / 2, 0.5 + level / 2], axis=0)
    print(f"{level:.0%} intervals hold {((low < gains) & (gains < high)).sum()} of {gains.size} yields")

# %% [markdown]
# ## What it predicts for tracks that it has not seen
#
# The mean light of each track in each sensor, by the detector's file and by the posterior's mean, against the truth.

# %%
draws = {name: fit.draws(name) for name in fit.names}
chosen = np.linspace(0, len(draws["light_yield"]) - 1, 50).astype(int)
predict = jax.jit(lambda values: model.expected(values, held_out))
fixed = {name: nominal[name] for name in ("light_scale", "excess_noise", "dark_pe")}
after = np.mean([predict(fixed | {name: values[n] for name, values in draws.items()}) for n in chosen], axis=0)
before = np.asarray(predict(nominal | {"light_yield": np.ones(detector.n_sensors)}))
kinds = np.array(detector.sensors.kind)
ratios = {"before": before / held_out_mean - 1, "after": after / held_out_mean - 1}
for kind in detector.sensors.kinds:
    for name, ratio in ratios.items():
        per_sensor = ratio[:, kinds == kind].mean(axis=0)
        spread = np.sqrt((ratio[:, kinds == kind] ** 2).mean())
        print(
            f"{kind}, {name}: mean {per_sensor.mean():+.1%}, of a sensor at most {np.abs(per_sensor).max():.1%}, "
            f"rms {spread:.1%}"
        )

# %%
figure = Figure(figsize=(8.0, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
low, middle, high = np.quantile(draws["light_yield"], [0.16, 0.5, 0.84], axis=0)
left.errorbar(gains, middle, [middle - low, high - middle], fmt=".", lw=1)
left.axline((1, 1), slope=1, color="0.5", lw=0.8)
left.set(xlabel="true yield", ylabel="yield, 68 % intervals")
for name, ratio in ratios.items():
    right.hist(100 * ratio.ravel(), np.linspace(-50, 50, 101), histtype="step", label=name)
right.set(xlabel="predicted over true light - 1 [%]", ylabel="tracks and sensors")
right.legend(frameon=False)
figure.savefig(options.output / "light_on_tracks.png", dpi=150)
predicted = {"before the calibration": before, "after the calibration": after}
predicted_light_figure(held_out_counts.astype(float), predicted).savefig(
    options.output / "light_predicted.png", dpi=150
)
report(fit, options.output / "light.html")
print(f"figures and report: {options.output}")
