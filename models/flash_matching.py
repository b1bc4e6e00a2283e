"""Which cluster of charge made which flash of scintillation light, and when, with the scale of the light.

Inputs: clusters of charge, placed as if all were made at an assumed time, a light detector, and a photon library or the
detector's optics. Data: flashes of light, photo-electrons of every sensor, and their times where they are known.

Inferred: a factor on all light and the relative error of a sensor's expected light; the rate of flashes of activity
that left no cluster and the drift velocity, which only times of flashes tell, are held fixed unless a study frees them.
Which flash a cluster made (or none) and its shift along the drift are integrated out exactly and drawn afterwards:
`assignment`, the place of the flash in its event or -1, `shift_cm`, and the time that it means, `time_us`.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.flashes import clusters_from_points
from bayescal.light.detector import ExpectedLight, in_every_volume, physical_visibility
from bayescal.likelihoods.matched_flashes import Emission, MatchedFlashes, Recording
from bayescal.likelihoods.unmatched import Background, Trigger
from bayescal.parameters import Parameter, draw, fixed_or_nominal, is_free, units
from bayescal.readers.flashes import check_sensors, read_clusters, read_flashes, write_flashes
from bayescal.readers.flashes import read_truth as read_truth
from bayescal.readers.light_detector import read_light_detector
from bayescal.readers.photonlib import read_photon_library
from bayescal.reconstruction.flash_events import (
    LookUp,
    arrange,
    as_events,
    likeliest_scale,
    matching_inputs,
    with_common_plans,
    with_plan,
)
from bayescal.reconstruction.t0 import time_of_shift
from bayescal.study import Field, InputSettings, NameOrPath

OBSERVED = "flashes"

PARAMETERS = (
    Parameter("light_scale", "", 1.0, dist.LogNormal(0.0, 0.1), description="factor on the expected light"),
    Parameter("model_error", "", 0.1, dist.HalfNormal(0.1), description="relative error of a sensor's expected light"),
    Parameter(
        "background_rate",
        "1/event",
        0.5,
        dist.LogNormal(-0.7, 1.0),
        free=False,
        description="expected flashes of activity that left no cluster, above zero",
    ),
    Parameter(
        "drift_velocity", "cm/us", 0.16, dist.LogNormal(-1.833, 0.01), free=False, description="of the electrons"
    ),
)


class Settings(InputSettings):
    """The study's [inputs]."""

    clusters: Path = Field(description="HDF5 file with clusters of charge; its flashes are not used")
    detector: NameOrPath = Field("module0", description="light detector: preset by name, or our TOML")
    library: Path | None = Field(
        None, description="photonlib's HDF5 file of one volume; the detector's optics if absent"
    )
    quantum_efficiency: float = Field(1.0, gt=0, description="photo-electrons a photon that the visibility counts")
    excess_noise: float = Field(
        1.0, ge=1, description="variance of counts over their mean, from cross-talk and the like"
    )
    threshold_pe: int = Field(20, ge=1, le=300, description="flashes with less in total are not recorded [p.e.]")
    missed: float = Field(1e-3, gt=0, lt=1, description="part of flashes above the threshold that is not recorded")
    highest_pe: int = Field(100_000, ge=2, le=10_000_000, description="largest background flash [p.e.]")
    concentration: float = Field(0.5, gt=0, description="of the sensors' shares in background flashes (Dirichlet)")
    saturation_pe: float = Field(float("inf"), ge=1, description="light at which a sensor's range ends [p.e.]")
    width_cm: float = Field(
        0.2, gt=0, description="error of the shift where the time of the flash is known [cm]; inf: times are not used"
    )
    window_us: float = Field(
        400.0, gt=0, description="window around the trigger in which background flashes are recorded [us]"
    )
    coarse_cm: float = Field(2.5, gt=0, description="step along the drift at which light is looked up [cm]")
    cell_cm: float = Field(2.0, gt=0, description="points are merged in cells of this size [cm]")


def model(inputs, data=None):
    """Flashes given the constants; `inputs` from `load` or `matching_inputs`, with its plan when there are data."""
    values = draw(PARAMETERS, inputs.priors)
    numpyro.sample(OBSERVED, flashes(values, inputs), obs=data)


def flashes(values, inputs):
    """Distribution of the flashes from values by parameter name."""
    return MatchedFlashes(inputs.light, emission(values), inputs.recording, inputs.plan)


def emission(values):
    """What is inferred, from values by parameter name."""
    names = ("light_scale", "model_error", "background_rate", "drift_velocity")
    return Emission(*(values[name] for name in names))


def load(settings, priors):
    """Read clusters and detector, and look up their light."""
    detector = read_light_detector(settings.detector)
    volumes = detector.all_drift
    clusters = read_clusters(settings.clusters, len(volumes.direction))
    library = physical_visibility(detector) if settings.library is None else read_photon_library(settings.library)
    visibility = in_every_volume(detector, library)
    recording = Recording(
        Trigger(settings.threshold_pe, settings.missed),
        Background(
            1.0, settings.threshold_pe, settings.highest_pe, np.full(detector.n_sensors, settings.concentration)
        ),
        detector.alive,
        settings.excess_noise,
        settings.saturation_pe,
        settings.width_cm,
        settings.window_us,
    )
    light = ExpectedLight(visibility, settings.quantum_efficiency)
    return matching_inputs(clusters, volumes, light, recording, priors, LookUp(settings.coarse_cm, settings.cell_cm))


def read(path, inputs):
    """Flashes of a file, one row an event with clusters."""
    found = read_flashes(path).flashes
    check_sensors(found, len(inputs.recording.live), path)
    return arrange(found, inputs, path)


def write(path, data, inputs, truth):
    """Write clusters and flashes, with the constants that they were drawn with."""
    write_flashes(path, as_events(data, inputs), truth=truth, units=units(PARAMETERS))


def prepare(inputs, data=None):
    """Plan the likelihood around the scale of light that the flashes suggest."""
    if data is None:
        return inputs
    return with_plan(inputs, data, emission(fixed_or_nominal(PARAMETERS, inputs.priors) | start(inputs, data)))


def common(inputs):
    """Prepared inputs of several data sets, padded to common shapes."""
    return with_common_plans(inputs)


def start(inputs, data):
    """Scale of the light, where free, by a search."""
    if not is_free(inputs.priors.get("light_scale", PARAMETERS[0].default)):
        return {}
    return {"light_scale": likeliest_scale(inputs, data, emission(fixed_or_nominal(PARAMETERS, inputs.priors)))}


def complete(key, draws, inputs, data):
    """Assignment, shift [cm] and time [us] of every cluster for each posterior draw."""

    @jax.jit
    def drawn(keys, draws, inputs, data):
        def one(row):
            key, values = row
            values = draw(PARAMETERS, {**inputs.priors, **values})
            assignment, shift_cm = flashes(values, inputs).complete(key, data)
            light = inputs.light
            time_us = time_of_shift(shift_cm, light.assumed_time_us, values["drift_velocity"], light.direction)
            return {"assignment": assignment, "shift_cm": shift_cm, "time_us": time_us}

        return jax.lax.map(one, (keys, draws))

    keys = jax.random.split(key, len(next(iter(draws.values()))))
    return drawn(keys, {name: jnp.asarray(values) for name, values in draws.items()}, inputs, data)


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    sizes = {"events": inputs.n_events, "clusters": inputs.clusters.n_clusters, "sensors": len(inputs.recording.live)}
    if data is not None:
        sizes["flashes"] = int(jnp.isfinite(data).any(axis=2).sum())
        sizes["flashes with a time"] = int(jnp.isfinite(data[..., -1]).sum())
    if inputs.plan is not None:
        sizes["pairs that matter"] = int((inputs.plan.table >= 0).sum())
        sizes["largest component"] = int((inputs.plan.table >= 0).any(axis=1).sum(axis=1).max())
    return sizes


def example(key):
    """Twelve events of three tracks in Module-0 and their flashes."""
    track_key, flash_key = jax.random.split(key)
    detector = read_light_detector("module0")
    recording = Recording(
        Trigger(20, 1e-3), Background(1.0, 20, 100_000, np.full(detector.n_sensors, 0.5)), detector.alive
    )
    light = ExpectedLight(in_every_volume(detector, physical_visibility(detector)), 1.0)
    inputs = matching_inputs(example_clusters(track_key, detector), detector.all_drift, light, recording, {})
    values = fixed_or_nominal(PARAMETERS, inputs.priors)
    data = jax.jit(lambda key, inputs: flashes(values, inputs).sample(key))(flash_key, inputs)
    return prepare(inputs, np.asarray(data)), np.asarray(data)


def example_clusters(key, detector, n_events=12, n_tracks=3, photons_per_cm=2000.0):
    """Straight tracks between random points of the first volume, of less light than a muon's."""
    lower, upper = np.asarray(detector.all_drift.lower_cm)[0], np.asarray(detector.all_drift.upper_cm)[0]
    ends = np.asarray(jax.random.uniform(key, (n_events * n_tracks, 2, 3)))
    ends = lower + ends * (upper - lower)
    ends[:, :, 0] = ends[:, :, 0] / 3 + lower[0]
    parts = (np.arange(16) + 0.5) / 16
    points = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * parts[:, None]
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    event, number = np.divmod(np.arange(n_events * n_tracks), n_tracks)
    zeros = np.zeros(event.size)
    return clusters_from_points(
        (event, number, zeros),
        (zeros, np.full(event.size, np.nan)),
        np.arange(event.size).repeat(parts.size),
        points.reshape(-1, 3),
        (photons_per_cm * length / parts.size).repeat(parts.size),
    )
