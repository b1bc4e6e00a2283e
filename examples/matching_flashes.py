# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Which track made which flash, and when
#
# In a drift of hundreds of microseconds many tracks overlap. The charge of a track tells its shape; where it lies along
# the drift depends on its time, which only its flash of light tells. This walk-through makes an event of short, faint
# tracks in Module-0, and flashes of which some are of activity that left no track. It asks for the probability of every
# pair and for the time of every track: from the pattern of the light alone, and with the times of the flashes.
#
#     python examples/matching_flashes.py --tracks 8 --output example-output

# %%
import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.diagnostics.plots_light import TimePosterior, matching_figure, time_figure
from bayescal.flashes import clusters_from_points
from bayescal.light.detector import ExpectedLight, physical_visibility
from bayescal.light.tabulation import tabulate
from bayescal.likelihoods.counts import CountReadout
from bayescal.readers.light_detector import read_light_detector
from bayescal.reconstruction.clusters import batch_clusters
from bayescal.reconstruction.matching import Background, Trigger, match
from bayescal.reconstruction.t0 import Light, make_grid, shift_of_time, time_constraint, time_of_shift

parser = argparse.ArgumentParser()
parser.add_argument("--tracks", type=int, default=8, help="number of tracks")
parser.add_argument("--photons", type=float, default=8_000.0, help="that a track emits [1/cm]")
parser.add_argument("--output", type=Path, default=Path("example-output"), help="folder for the figures")
options = parser.parse_known_args()[0]
options.output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## Tracks whose time is not known
#
# Their positions assume that they were made at the trigger, so they are moved to where the drift begins.

# %%
LENGTH_CM, POINTS = 15.0, 12
VELOCITY = 0.16  # of the electrons [cm/us]
detector = read_light_detector("module0")
volumes = detector.all_drift
rng = np.random.default_rng(6)
lower, upper = volumes.lower_cm[0], volumes.upper_cm[0]
step = rng.normal(size=(options.tracks, 3)) * np.array([0.3, 1.0, 0.5])
step *= LENGTH_CM / np.linalg.norm(step, axis=1, keepdims=True)
centre = rng.uniform(lower + np.abs(step) / 2, upper - np.abs(step) / 2) * np.array([1.0, 0.4, 0.6])
points = centre[:, None] + step[:, None] * np.linspace(-0.5, 0.5, POINTS)[:, None]
points[..., 0] += lower[0] - points[..., 0].min(axis=1, keepdims=True)
number, owner = np.arange(options.tracks), np.arange(options.tracks).repeat(POINTS)
zeros, unknown = np.zeros(number.size), np.full(number.size, np.nan)
emitted = np.full(owner.size, options.photons * LENGTH_CM / POINTS)
clusters = clusters_from_points((zeros, number, zeros), (zeros, unknown), owner, points.reshape(-1, 3), emitted)

# %% [markdown]
# ## Their flashes, and others
#
# Every track has a shift of its own; the counts are Poisson around a mean that is off by a tenth in every sensor. The
# last track is too faint to be seen, and two flashes come from elsewhere, in random order.

# %%
ERROR = 0.1
light = Light(ExpectedLight(tabulate(physical_visibility(detector), (16, 64, 32))), CountReadout(ERROR))
batch = batch_clusters(clusters, volumes)
shift = rng.uniform(batch.lowest_cm, batch.highest_cm)
moved = jnp.asarray(batch.position_cm + shift[:, None, None] * np.eye(3)[0])
mean = np.asarray(jax.jit(jax.vmap(light.expected))(moved, jnp.asarray(batch.photons)))[: options.tracks]
own = rng.poisson(mean * rng.gamma(ERROR**-2, ERROR**2, mean.shape))[:-1]
other = np.stack([rng.multinomial(total, rng.dirichlet(np.full(mean.shape[1], 0.5))) for total in (60, 200)])
order = rng.permutation(len(own) + len(other))
counts = np.concatenate([own, other])[order].astype(float)
flash_of_track = np.append(np.argsort(order)[: len(own)], -1)
print(f"light of the flashes [p.e.]: {counts.sum(axis=1).astype(int).tolist()}")

# %% [markdown]
# ## Matching by the pattern of the light, and with the times of the flashes
#
# The light system gives the times to 3 us here, which is 5 mm of drift. A flash may be any track's that can be shifted
# so far, but it must then have the light that the track makes at this one place.

# %%
TIME_ERROR_US = 3.0
direction = np.asarray(volumes.direction, float)[clusters.volume]
true_us = np.asarray(time_of_shift(shift[: options.tracks], zeros, VELOCITY, direction))
flash_us = np.concatenate([true_us[:-1], rng.uniform(0, 190, len(other))])[order]
flash_us += TIME_ERROR_US * rng.normal(size=flash_us.size)
asked = np.broadcast_to(flash_us, (batch.n_clusters, flash_us.size))
sense = jnp.asarray(np.resize(direction, (batch.n_clusters, 1)))
times = time_constraint(
    jnp.asarray(asked), jnp.zeros(asked.shape), jnp.asarray(VELOCITY), sense, jnp.asarray(TIME_ERROR_US * VELOCITY)
)
grid = make_grid(batch, coarse_cm=2.5)
background, trigger = Background(1.0, 20, 10_000, np.full(mean.shape[1], 0.5)), Trigger(20, 1e-3)
per_cm = Background(1.0 / (VELOCITY * 190.0), 20, 10_000, background.concentration)  # over the longest drift
found = {
    "light alone": match(batch, counts, light, (background, trigger), grid),
    "light and times": match(batch, counts, light, (per_cm, trigger), grid, times),
}
for name, matching in found.items():
    right = (matching.assignments.best == flash_of_track).sum()
    print(f"{name}: {right} of {options.tracks} tracks have the right flash or none in the best matching")
figure = matching_figure({name: each.assignments.probability for name, each in found.items()}, flash_of_track)
figure.savefig(options.output / "matching.png", dpi=150)

# %% [markdown]
# ## Times of the tracks
#
# The posterior of a track's time sums over the flashes that may be its own, by their probabilities.


# %%
def time_posterior(matching, track, time_us):
    """Density of the time of a track that has a flash [1/us], at times [us]."""
    shift_cm = np.asarray(shift_of_time(time_us, 0.0, VELOCITY, direction[track]))
    density = np.zeros(time_us.size)
    for row in np.flatnonzero(matching.pairs[:, 0] == track):
        own = np.exp(np.interp(shift_cm, matching.shifts.shift_cm[row], matching.shifts.log_density[row], -99, -99))
        density += matching.assignments.probability[track, matching.pairs[row, 1]] * own * VELOCITY
    return density


posteriors = {}
for track in range(min(6, options.tracks - 1)):
    ends = batch.lowest_cm[track], batch.highest_cm[track]
    time_us = np.sort([float(time_of_shift(end, 0.0, VELOCITY, direction[track])) for end in ends])
    time_us = np.linspace(*time_us, 2000)
    densities = {name: time_posterior(matching, track, time_us) for name, matching in found.items()}
    posteriors[f"track {track}"] = TimePosterior(time_us, densities, true_us[track])
time_figure(posteriors).savefig(options.output / "times.png", dpi=150)
print(f"figures: {options.output}")
