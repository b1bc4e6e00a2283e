# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Maps of visibility, and of its gradient
#
# The visibility of a sensor is the probability that it detects a photon of a point. This walk-through shows it for one
# sensor of Module-0 in three ways: by optics, as the photon library that a simulation of a million photons a voxel
# would give, and by a sinusoidal network that was trained on that library. A calibration needs slopes too: those of the
# library are differences of noisy numbers, those of the network are derivatives.
#
#     python examples/visibility_maps.py --steps 2000 --output example-output

# %%
import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.diagnostics.plots_light import Plane, VisibilityMap, visibility_figure
from bayescal.diagnostics.plots_visibility import bias_figure, learning_figure
from bayescal.diagnostics.visibility_bias import bias_against_visibility, mean_bias
from bayescal.light.detector import physical_visibility
from bayescal.light.siren import Architecture, initialise, log_link
from bayescal.light.tabulation import tabulate, with_photon_statistics
from bayescal.light.training import Recipe, train
from bayescal.readers.light_detector import read_light_detector

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=2000, help="of the training")
parser.add_argument("--sensor", type=int, default=15, help="whose visibility is shown")
parser.add_argument("--output", type=Path, default=Path("example-output"), help="folder for the figures")
options = parser.parse_known_args()[0]
options.output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## Optics, a library of them, and a network trained on it

# %%
PHOTONS = 1e6
optics = physical_visibility(read_light_detector("module0"))
exact = tabulate(optics, (16, 64, 32))
library = with_photon_statistics(jax.random.key(1), exact, PHOTONS)
mean = np.asarray(library.visibility).mean(axis=(0, 1, 2))
start = initialise(jax.random.key(2), Architecture(library.n_sensors), log_link(mean), library.box)
siren, curve = train(
    jax.random.key(3),
    start,
    library,
    Recipe(steps=options.steps),
    watch=lambda step, loss: print(f"step {step}: deviance by entry {loss:.2f}") if step % 500 == 0 else None,
)

# %% [markdown]
# ## Visibility, and its slope along z, in the plane in the middle of the drift

# %%
lower, upper = np.asarray(optics.box.lower_cm), np.asarray(optics.box.upper_cm)
z, y = (np.linspace(lower[axis] + 0.1, upper[axis] - 0.1, size) for axis, size in ((2, 93), (1, 189)))
points = jnp.stack([jnp.full((y.size, z.size), 4.0), *jnp.meshgrid(y, z, indexing="ij")], axis=-1)


@jax.jit
def along_z(source, points):
    """Visibility of the sensor, and its derivative by z [1/cm]."""
    step = jnp.zeros_like(points).at[..., 2].set(1.0)
    return jax.jvp(lambda p: source(p)[..., options.sensor].astype(float), (points,), (step,))


maps = {}
for name, source in {"optics": optics, "library, 1e6 photons a voxel": library, "network": siren}.items():
    visibility, slope = map(np.asarray, along_z(source, points))
    seen = visibility > 0
    maps[name] = VisibilityMap(visibility, np.where(seen, slope / np.where(seen, visibility, 1.0), np.nan))
plane = Plane("z", "y", (z[0], z[-1], y[0], y[-1]))
visibility_figure(maps, plane).savefig(options.output / "visibility_maps.png", dpi=150)
for name in list(maps)[1:]:
    off = maps[name].log_slope - maps["optics"].log_slope
    print(f"{name}: slopes of ln(visibility) are off by {np.sqrt(np.nanmean(off**2)):.3f} per cm (rms)")

# %% [markdown]
# ## How far library and network are from the optics
#
# Against the visibilities without noise: the network averages over the noise of many voxels.

# %%
truth = np.asarray(exact.visibility)
sources = {"library": library, "network": tabulate(siren, exact.n_voxels)}
tables = {name: np.asarray(source.visibility) for name, source in sources.items()}
biases = {name: bias_against_visibility(table, truth) for name, table in tables.items()}
for name, table in tables.items():
    print(f"{name}: mean of 2 |a - b| / (a + b) above 4.5e-5: {mean_bias(table, truth):.1%}")
bias_figure(biases).savefig(options.output / "visibility_bias.png", dpi=150)
learning_figure(curve).savefig(options.output / "learning_curve.png", dpi=150)
print(f"figures: {options.output}")
