"""A SIREN's last layer, calibrated on tracks: the visibility of a library corrected by data.

Inputs: a trained network with the head LogLink, and clusters of charge, tracks whose positions and photons are taken as
known. Data: counts of photo-electrons of the flash that is linked to each track, one a sensor.

The hidden layers stay as the library left them. ln v_j(r) = c_j + w_j . phi(r) is linear in what is inferred: the
weights and the bias of each sensor, under independent normal priors around the library's. An error of the expected
light, the same share of the counting noise for all sensors of a kind, takes up what the features cannot follow.
Samplers see the weights in coordinates in which the block Fisher matrix of a first fit is one. Where excess noise is
free, too, their priors alone tell the error and it apart.

Light yields are held fixed: a factor on the yield of a sensor is a shift of its bias, exactly, and the prior of the
bias is as wide as yields are unknown.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import handlers

from bayescal.flashes import clusters_from_points
from bayescal.light.last_layer import FUNCTION_SD, YIELD_SD, weight_sd
from bayescal.light.siren import Architecture, initialise, log_link
from bayescal.parameters import Parameter, draw, fixed_or_nominal, is_free, units
from bayescal.readers.flashes import read_clusters, read_flashes, write_flashes
from bayescal.readers.flashes import read_truth as read_truth
from bayescal.readers.light_detector import read_light_detector
from bayescal.readers.siren import read_siren
from bayescal.reconstruction.last_layer_fit import LightReadout, WeightPrior, fit_last_layer
from bayescal.reconstruction.last_layer_inputs import check_network, last_layer_inputs
from bayescal.reconstruction.linked_light import linked_counts, linked_events
from bayescal.standardised import StandardisedNormal
from bayescal.study import Field, InputSettings, NameOrPath

OBSERVED = "counts"

PARAMETERS = (
    Parameter(
        "model_error",
        "",
        0.05,
        dist.HalfNormal(0.1),
        per="kind",
        description="error of the expected light of one track and sensor over its counting noise, of each kind",
    ),
    Parameter(
        "function_sd",
        "",
        FUNCTION_SD,
        dist.LogNormal(-1.2, 0.5),
        free=False,
        description="standard deviation of ln v from place to place to which the library is trusted",
    ),
    Parameter(
        "yield_sd",
        "",
        YIELD_SD,
        dist.LogNormal(-1.2, 0.5),
        free=False,
        description="standard deviation of the logarithm of an unknown factor on each sensor's light",
    ),
    Parameter(
        "light_yield",
        "p.e./photon",
        1.0,
        dist.LogNormal(0.0, 0.1),
        free=False,
        per="sensor",
        description="photo-electrons per photon that the network says is detected; degenerate with the bias",
    ),
    Parameter(
        "excess_noise",
        "",
        1.0,
        dist.TruncatedNormal(1.1, 0.1, low=1.0),
        free=False,
        per="kind",
        description="variance of the counts over their mean, at least 1, of each kind of sensor",
    ),
    Parameter(
        "dark",
        "p.e.",
        0.0,
        dist.HalfNormal(0.1),
        free=False,
        per="sensor",
        description="photo-electrons without light in the time of a flash",
    ),
)


class Settings(InputSettings):
    """The study's [inputs]."""

    siren: Path = Field(description="trained network (HDF5) with the head LogLink")
    clusters: Path = Field(description="HDF5 file of clusters; its flashes are not used")
    detector: NameOrPath = Field("module0", description="light detector of one volume, by name or our TOML")
    saturation: float | None = Field(None, ge=1, description="p.e. at or above which a sensor is at its range's end")


def model(inputs, data=None):
    """Counts given the last layer; `inputs` from `load`, around the first fit when there are data."""
    values = draw(PARAMETERS, inputs.priors, inputs.sizes)
    sd = prior_sd(inputs, values)
    weights = numpyro.sample("weights", StandardisedNormal(inputs.library, sd, inputs.centre, inputs.root))
    light = inputs.tracks.light(weights)
    seen = jnp.ones(light.shape, bool) if data is None else jnp.isfinite(data)
    numpyro.sample(OBSERVED, readout(inputs, values).counts(light, values["model_error"], seen), obs=data)


def prior_sd(inputs, values):
    """Standard deviations of the weights of a sensor around the library's, from values by parameter name."""
    return weight_sd(inputs.library.shape[1], inputs.scale, values["function_sd"], values["yield_sd"])


def readout(inputs, values):
    """How light is counted, from values by parameter name."""
    counting = {name: values[name] for name in ("light_yield", "excess_noise", "dark")}
    return LightReadout(inputs.kind, inputs.live, saturation=inputs.saturation, **counting)


def load(settings, priors):
    """Read network, clusters and detector."""
    detector, siren = read_light_detector(settings.detector), read_siren(settings.siren)
    check_network(siren, detector, settings.siren)
    clusters = read_clusters(settings.clusters, len(detector.all_drift.direction))
    return last_layer_inputs(siren, clusters, detector, priors, settings.saturation)


def read(path, inputs):
    """Counts of each cluster's flash [cluster, sensor], NaN where there is none or the track is outside the box."""
    counts = linked_counts(read_flashes(path), inputs.clusters, inputs.n_sensors, path, inputs.saturation)
    return np.where(inputs.lit[:, None], counts, np.nan)


def write(path, data, inputs, truth):
    """Write clusters and their flashes, with the parameters that they were drawn with."""
    write_flashes(path, linked_events(inputs.clusters, data), truth=truth, units=units(PARAMETERS))


def prepare(inputs, data=None):
    """Coordinates of the weights around a first fit, with parameters that are free at their nominal values."""
    if data is None:
        return inputs
    values = fixed_or_nominal(PARAMETERS, inputs.priors)
    prior = WeightPrior(inputs.library, prior_sd(inputs, values))
    error = None if is_inferred(inputs, "model_error") else jnp.broadcast_to(values["model_error"], len(inputs.kinds))
    return inputs.around(fit_last_layer(inputs.tracks, data, readout(inputs, values), prior, error))


def is_inferred(inputs, name):
    """Whether a parameter is free."""
    return is_free(inputs.priors.get(name, next(p.default for p in PARAMETERS if p.name == name)))


def start(inputs, data):
    """The first fit."""
    del data
    error = {"model_error": inputs.model_error} if is_inferred(inputs, "model_error") else {}
    return {"weights": inputs.centre} | error


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    photons, clusters = inputs.tracks.photons, inputs.clusters
    sizes = {
        "tracks": clusters.n_clusters,
        "points": int(np.size(clusters.photons)),
        "share of the photons outside the network's box": round(1 - float(photons.sum() / clusters.photons.sum()), 4),
        "sensors": int(inputs.live.sum()),
        "weights": int(np.size(inputs.library)),
    }
    if data is not None:
        sizes["tracks with a flash"] = int(np.isfinite(data).any(axis=1).sum())
        found = zip(inputs.kinds, np.round(np.asarray(inputs.model_error, float), 4).tolist(), strict=True)
        sizes |= {f"model error of {kind}, first fit": error for kind, error in found}
    return sizes


def exposure(inputs):
    """Number of tracks, the measure of how much data there are."""
    return inputs.clusters.n_clusters, "tracks"


def readouts(inputs):
    """Track and sensor of each count, tracks first."""
    n_tracks, n_sensors = inputs.clusters.n_clusters, inputs.n_sensors
    sensor = np.tile(np.arange(n_sensors), n_tracks)
    return {
        "live": np.asarray(inputs.live)[sensor],
        "event": np.repeat(inputs.clusters.event_id, n_sensors),
        "cluster": np.repeat(inputs.clusters.cluster_id, n_sensors),
        "sensor": sensor,
        "kind": np.array(inputs.kinds)[np.array(inputs.kind)[sensor]],
    }


def recorded(data, inputs):
    """Photo-electrons of each track and sensor; NaN where there is no count."""
    del inputs
    return {"pe": jnp.ravel(jnp.asarray(data, float))}


def example(key):
    """Sixty groups of points in Module-0 and their light, seen through a network of four features, not trained."""
    network_key, point_key, count_key = jax.random.split(key, 3)
    detector, n_tracks, n_points = read_light_detector("module0"), 60, 4
    box, architecture = detector.box, Architecture(detector.n_sensors, 4, 0, first_w0=3.0)
    siren = initialise(network_key, architecture, log_link(np.full(detector.n_sensors, 2e-4)), box)
    positions = box.lower_cm + box.size_cm * jax.random.uniform(point_key, (n_tracks * n_points, 3))
    number, owner = np.arange(n_tracks), np.repeat(np.arange(n_tracks), n_points)
    zeros = np.zeros(n_tracks)
    clusters = clusters_from_points((number, zeros, zeros), (zeros, zeros), owner, positions, np.full(owner.size, 5e4))
    inputs = last_layer_inputs(siren, clusters, detector, {})

    @jax.jit
    def drawn(key, inputs):
        nominal = {"model_error": jnp.full(len(inputs.kinds), PARAMETERS[0].nominal)}
        given = handlers.substitute(handlers.seed(model, key), nominal)
        return handlers.trace(given).get_trace(inputs)[OBSERVED]["value"]

    data = np.asarray(drawn(count_key, inputs), float)
    return prepare(inputs, data), data
