"""Light yields of sensors and optical constants of the argon, from the light of known tracks.

Inputs: tracks, as clusters of points that emit known numbers of photons, and a detector of scintillation light.
Data: photo-electrons of every sensor for each track (the flashes that are linked to the tracks).

Inferred by default: the yield of every sensor over the efficiency in the detector's file, hierarchical by kind of
sensor, Rayleigh and absorption length, scattered fraction, reflectivities, and the relative error of the model of the
light. Held fixed unless a study frees them: a scale of all photons (exactly degenerate with the yields), excess noise,
dark counts.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayescal.coordinates import inverse_root, linear_above, logarithm_times
from bayescal.flashes import Clusters
from bayescal.light.made_tracks import crossing_tracks
from bayescal.light.visibility import ABSORPTION_LENGTH_CM, Medium
from bayescal.likelihoods.counts import PhotonCounts
from bayescal.likelihoods.track_flashes import track_inputs
from bayescal.parameters import Hierarchical, Parameter, draw, fixed_or_nominal, is_free, units
from bayescal.readers.flashes import read_clusters, read_flashes, write_flashes
from bayescal.readers.flashes import read_truth as read_truth
from bayescal.readers.light_detector import read_light_detector
from bayescal.reconstruction.linked_light import linked_counts, linked_events
from bayescal.study import Field, InputSettings, NameOrPath

OBSERVED = "pe"

PARAMETERS = (
    Parameter(
        "light_yield",
        "",
        1.0,
        Hierarchical.of("LogNormal", loc="yield_location", scale="yield_spread"),
        per="sensor",
        description="photo-electrons of a sensor over those by the detector's file",
    ),
    Parameter(
        "yield_location",
        "",
        0.0,
        dist.Normal(0.0, 0.3),
        per="kind",
        description="mean logarithm of the yields of a kind",
    ),
    Parameter(
        "yield_spread",
        "",
        0.1,
        dist.TruncatedNormal(0.0, 0.2, low=0.02),  # lower, the density has a spike that holds no probability
        per="kind",
        description="spread of the logarithm of these yields",
    ),
    Parameter(
        "light_scale",
        "",
        1.0,
        dist.LogNormal(0.0, 0.1),
        free=False,
        description="photons emitted over those of the file; exactly degenerate with all yields",
    ),
    Parameter("rayleigh_length", "cm", 99.1, dist.LogNormal(4.596, 0.1), description="Rayleigh scattering length"),
    Parameter("absorption_length", "cm", 2000.0, dist.LogNormal(7.6, 1.0), description="absorption length"),
    Parameter("scattered_fraction", "", 0.6, dist.HalfNormal(1.0), description="weight of the halo of scattered light"),
    Parameter("reflectivity_x_low", "", 0.1, dist.Beta(2.0, 18.0), description="of the wall at lower x"),
    Parameter("reflectivity_x_high", "", 0.1, dist.Beta(2.0, 18.0), description="of the wall at upper x"),
    Parameter("reflectivity_sides", "", 0.05, dist.Beta(2.0, 18.0), description="of the walls across y and z"),
    Parameter(
        "model_error",
        "",
        0.05,
        dist.HalfNormal(0.1),
        per="kind",
        description="relative error of the model of the light",
    ),
    Parameter(
        "excess_noise",
        "",
        1.0,
        dist.Uniform(1.0, 2.0),
        free=False,
        description="variance over mean of a sensor's light",
    ),
    Parameter(
        "dark_pe", "p.e.", 0.0, dist.HalfNormal(1.0), free=False, description="light of a sensor without a track"
    ),
)


LEAST_ERROR = 0.03
"""Error of the model of the light below which a sampler sees its logarithm."""

LEAST_SPREAD = 0.02
"""Of the logarithms of the yields where a search of the mode starts."""


class Settings(InputSettings):
    """The study's [inputs]."""

    detector: NameOrPath = Field("module0", description="light detector: preset by name, or our TOML")
    clusters: Path | None = Field(None, description="HDF5 file of clusters: the tracks; none: crossing tracks are made")
    tracks: int = Field(300, ge=1, description="number of tracks to make, where no clusters are given")
    track_seed: int = Field(1, ge=0, description="of the made tracks")
    saturation: float | None = Field(
        None, gt=0, description="light at which sensors are at the end of their range [p.e.]"
    )


def model(inputs, data=None):
    """Photo-electrons given yields and optics; `inputs` from `load` or `track_inputs`."""
    sizes = {"sensor": inputs.n_sensors, "kind": len(inputs.kinds)}
    coordinates = {
        "absorption_length": lambda values: inverse_root(ABSORPTION_LENGTH_CM),
        "model_error": lambda values: linear_above(LEAST_ERROR),
        "scattered_fraction": lambda values: logarithm_times(halo(values, inputs)),
        "light_yield": lambda values: logarithm_times(brightness(values, inputs)),
    }
    values = draw(PARAMETERS, inputs.priors, sizes, {"sensor": {"kind": inputs.kind}}, coordinates)
    counts = PhotonCounts(
        expected(values, inputs),
        excess_noise=values["excess_noise"],
        model_error=jnp.asarray(values["model_error"])[inputs.kind],
        dark=values["dark_pe"],
        saturation=inputs.saturation,
        live=inputs.live if data is None else inputs.live & jnp.isfinite(data),
    )
    numpyro.sample(OBSERVED, counts, obs=data)


def expected(values, inputs):
    """Expected light of each track and sensor [p.e.]."""
    light = inputs.light(medium(values, values["scattered_fraction"]), reflectivity(values))
    return values["light_scale"] * inputs.efficiency * values["light_yield"] * light


def halo(values, inputs):
    """Mean light of the halo for a scattered fraction of one, and 1e-9 [p.e.]: what measures that fraction."""
    ends = (inputs.light.mean(medium(values, share), reflectivity(values)) for share in (1.0, 0.0))
    with_halo, without = (inputs.efficiency @ end for end in ends)
    return 1e-9 + with_halo - without


def brightness(values, inputs):
    """Mean light of each sensor for a yield of one, and 1e-9 [p.e.]: what measures the yield."""
    light = inputs.light.mean(medium(values, values["scattered_fraction"]), reflectivity(values))
    return 1e-9 + values["light_scale"] * inputs.efficiency * light


def medium(values, scattered_fraction):
    """Optical constants of the argon."""
    return Medium(values["absorption_length"], values["rayleigh_length"], scattered_fraction)


def reflectivity(values):
    """Of the six walls."""
    low, high, side = (values[f"reflectivity_{wall}"] for wall in ("x_low", "x_high", "sides"))
    return jnp.stack([jnp.asarray(each, float) for each in (low, high, side, side, side, side)])


def load(settings, priors):
    """Read tracks and detector, and integrate the light of the tracks."""
    detector = read_light_detector(settings.detector)
    return track_inputs(tracks(settings, detector), detector, priors, settings.saturation)


def tracks(settings, detector) -> Clusters:
    """Those of the file, or made ones."""
    if settings.clusters is None:
        return crossing_tracks(jax.random.key(settings.track_seed), detector, settings.tracks)
    return read_clusters(settings.clusters, len(detector.all_drift.direction))


def read(path, inputs):
    """Light of the flashes that are linked to the tracks."""
    saturation = None if inputs.saturation is None else float(inputs.saturation)
    return linked_counts(read_flashes(path), inputs.clusters, inputs.n_sensors, path, saturation)


def write(path, data, inputs, truth):
    """Write tracks and their flashes, with the constants that they were drawn with."""
    events = linked_events(inputs.clusters, jnp.where(inputs.live, jnp.asarray(data, float), jnp.nan))
    attributes = {"detector": inputs.detector}
    write_flashes(path, events, attributes=attributes, truth=truth, units=units(PARAMETERS))


def start(inputs, data):
    """Yields from each sensor's light over that expected with nominal constants, where they are free."""
    values = fixed_or_nominal(PARAMETERS, inputs.priors)
    seen = jnp.asarray(inputs.live) & jnp.isfinite(data)
    light = jnp.where(seen, expected(values, inputs), 0.0).sum(axis=0)
    logs = jnp.log((jnp.where(seen, data, 0.0).sum(axis=0) + 1.0) / (light + 1.0))
    members = jnp.asarray(inputs.kind) == jnp.arange(len(inputs.kinds))[:, None]
    location = (members * logs).sum(axis=1) / members.sum(axis=1)
    squares = (members * (logs - location[:, None]) ** 2).sum(axis=1) / members.sum(axis=1)
    spread = jnp.sqrt(squares) + LEAST_SPREAD
    seeds = {"light_yield": jnp.exp(logs), "yield_location": location, "yield_spread": spread}
    free = {p.name for p in PARAMETERS if is_free(inputs.priors.get(p.name, p.default))}
    return {name: value for name, value in seeds.items() if name in free}


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    sizes = {
        "tracks": inputs.n_tracks,
        "sensors": inputs.n_sensors,
        "sensors that record light": int(jnp.asarray(inputs.live).any(axis=0).sum()),
    }
    if data is not None:
        sizes["photo-electrons"] = int(jnp.nansum(data))
        if inputs.saturation is not None:
            sizes["saturated entries"] = int((jnp.asarray(data) >= inputs.saturation).sum())
    return sizes


def exposure(inputs):
    """Number of tracks, the measure of how much data there are."""
    return inputs.n_tracks, "tracks"


def readouts(inputs):
    """The sensor of each entry, track by track: its event, number and kind, and whether it records."""
    shape = (inputs.n_tracks, inputs.n_sensors)
    sensor = jnp.broadcast_to(jnp.arange(inputs.n_sensors), shape)
    return {
        "live": jnp.asarray(inputs.live).ravel(),
        "event": jnp.broadcast_to(jnp.arange(inputs.n_tracks)[:, None], shape).ravel(),
        "sensor": sensor.ravel(),
        "kind": jnp.asarray(inputs.kind)[sensor.ravel()],
    }


def recorded(data, inputs):
    """Light of each sensor [p.e.]."""
    return {"pe": jnp.where(inputs.live, jnp.asarray(data, float), jnp.nan).ravel()}


def example(key):
    """Crossing tracks in Module-0 and their light."""
    track_key, light_key = jax.random.split(key)
    detector = read_light_detector("module0")
    inputs = track_inputs(crossing_tracks(track_key, detector, 100), detector, {})
    values = {p.name: p.nominal for p in PARAMETERS}
    return inputs, PhotonCounts(expected(values, inputs), model_error=0.05, live=inputs.live).sample(light_key)
