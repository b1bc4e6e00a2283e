"""Times of clusters of charge from the light that they made, with the light's scale and error beside them.

Inputs: clusters whose time is not known, so that they may be shifted along the drift field, a detector of scintillation
light, and its visibility: a photon library, or optics.
Data: photo-electrons of every sensor for each cluster (the flashes that are linked to the clusters).

Inferred by default: a scale of all light and the relative error of the model of the light. The shift of each cluster is
integrated out, and drawn afterwards: `shift_cm` and `time_us` of the group `completed`. Held fixed unless a study
frees them: excess noise, dark counts, and the drift velocity, which only known times tell.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayescal.flashes import Clusters
from bayescal.light.detector import ExpectedLight, in_every_volume, physical_visibility
from bayescal.light.made_tracks import contained_tracks
from bayescal.light.shifted import Scan
from bayescal.likelihoods.counts import CountReadout
from bayescal.likelihoods.shifted_counts import Sensing, ShiftedCounts, ShiftNodes
from bayescal.parameters import Parameter, draw, fixed_or_nominal, units
from bayescal.readers.flashes import read_clusters, read_flashes, write_flashes
from bayescal.readers.flashes import read_truth as read_truth
from bayescal.readers.light_detector import read_light_detector
from bayescal.readers.photonlib import read_photon_library
from bayescal.reconstruction.clusters import batch_clusters
from bayescal.reconstruction.linked_light import linked_counts, linked_events
from bayescal.reconstruction.pairs import scan_clusters
from bayescal.reconstruction.shift_nodes import shift_nodes
from bayescal.reconstruction.t0 import Grid, make_grid, time_constraint, time_of_shift
from bayescal.study import Field, InputSettings, NameOrPath

OBSERVED = "pe"

PARAMETERS = (
    Parameter("light_scale", "", 1.0, dist.LogNormal(0.0, 0.1), description="light over that by the visibility"),
    Parameter("model_error", "", 0.1, dist.HalfNormal(0.1), description="relative error of the model of the light"),
    Parameter(
        "excess_noise",
        "",
        1.0,
        dist.Uniform(1.0, 2.0),
        free=False,
        description="variance over mean of the counts",
    ),
    Parameter("dark_pe", "p.e.", 0.0, dist.HalfNormal(1.0), free=False, description="counts of a sensor without light"),
    Parameter(
        "drift_velocity", "cm/us", 0.16, dist.LogNormal(-1.833, 0.01), free=False, description="of the electrons"
    ),
)


class Settings(InputSettings):
    """The study's [inputs]."""

    detector: NameOrPath = Field("module0", description="light detector: preset by name, or our TOML")
    library: Path | None = Field(None, description="photon library of one volume (photonlib's HDF5); none: optics")
    clusters: Path | None = Field(None, description="HDF5 file of clusters; none: tracks inside the volumes are made")
    tracks: int = Field(100, ge=1, description="number of tracks to make, where no clusters are given")
    track_seed: int = Field(1, ge=0, description="of the made tracks")
    cell_cm: float = Field(0.0, ge=0, description="points of a cluster are merged in cells of this size [cm]; 0: not")
    coarse_cm: float = Field(2.5, gt=0, description="largest step of the nodes over the whole range of shifts [cm]")
    fine_nodes: int = Field(48, ge=8, description="nodes where a cluster's flash may be from")
    saturation: float | None = Field(None, ge=1, description="light at which a sensor's range ends [p.e.]")
    width_cm: float = Field(0.2, gt=0, description="error of the shift where the time is known [cm]")


class Inputs(eqx.Module):
    """What the model is given beside the light.

    Attributes:
        clusters: as read; scan: their light along their ranges of shifts.
        direction: of the drift at each cluster, 1 or -1.
        alive: which sensors record light.
        priors: priors and fixed values by name.
        grid: numbers of nodes of the integral over shifts.
        nodes: of that integral; None before there are data.
        detector: its name; the others are the settings of these names.
    """

    clusters: Clusters
    scan: Scan
    direction: jax.Array
    alive: jax.Array
    priors: dict
    grid: Grid
    detector: str = eqx.field(static=True)
    width_cm: float = eqx.field(static=True)
    saturation: float | None = eqx.field(static=True)
    nodes: ShiftNodes | None = None


def model(inputs, data=None):
    """Light given its scale and error; the shifts are integrated out."""
    counts = shifted(draw(PARAMETERS, inputs.priors), inputs, data)
    numpyro.sample(OBSERVED, counts, obs=data)


def shifted(values, inputs, data=None):
    """The distribution of the light for values of the parameters."""
    noise = values["excess_noise"], values["model_error"], values["dark_pe"]
    sensing = Sensing(values["light_scale"], *noise, inputs.saturation)
    live = inputs.alive if data is None else inputs.alive & jnp.isfinite(data)
    known = 0.0
    if inputs.nodes is not None:
        known = constraint(values["drift_velocity"], inputs, (slice(None), None)).log_density(inputs.nodes.shift_cm)
    return ShiftedCounts(inputs.scan, sensing, live, nodes=inputs.nodes, log_prior=known)


def constraint(drift_velocity, inputs, index=slice(None)):
    """What known times say of the shifts."""
    clusters = inputs.clusters
    times = jnp.asarray(clusters.known_time_us)[index], jnp.asarray(clusters.assumed_time_us)[index]
    return time_constraint(*times, drift_velocity, jnp.asarray(inputs.direction)[index], inputs.width_cm)


def load(settings, priors):
    """Read detector, visibility and clusters."""
    detector = read_light_detector(settings.detector)
    visibility = physical_visibility(detector) if settings.library is None else read_photon_library(settings.library)
    clusters = found_clusters(settings, detector)
    batch = batch_clusters(clusters, detector.all_drift, cell_cm=settings.cell_cm)
    grid = make_grid(batch, coarse_cm=settings.coarse_cm, n_fine=settings.fine_nodes)
    scan = scan_clusters(batch, ExpectedLight(in_every_volume(detector, visibility)), grid)
    return Inputs(
        clusters=clusters,
        scan=jax.tree.map(lambda values: values[: clusters.n_clusters], scan),
        direction=jnp.asarray(detector.all_drift.direction)[clusters.volume],
        alive=jnp.asarray(detector.alive),
        priors=dict(priors),
        grid=grid,
        detector=detector.name,
        width_cm=settings.width_cm,
        saturation=settings.saturation,
    )


def found_clusters(settings, detector):
    """Those of the file, or made ones."""
    if settings.clusters is None:
        return contained_tracks(jax.random.key(settings.track_seed), detector, settings.tracks)
    return read_clusters(settings.clusters, len(detector.all_drift.direction))


def read(path, inputs):
    """Light of the flashes that are linked to the clusters."""
    return linked_counts(read_flashes(path), inputs.clusters, inputs.alive.shape[0], path, inputs.saturation)


def write(path, data, inputs, truth):
    """Write clusters and their flashes, with the constants that they were drawn with."""
    events = linked_events(inputs.clusters, jnp.where(inputs.alive, jnp.asarray(data, float), jnp.nan))
    write_flashes(path, events, attributes={"detector": inputs.detector}, truth=truth, units=units(PARAMETERS))


def prepare(inputs, data=None):
    """Compute the light where the integral over the shifts will need it."""
    if data is None:
        return inputs
    values = fixed_or_nominal(PARAMETERS, inputs.priors)
    readout = CountReadout(values["model_error"], values["excess_noise"], values["dark_pe"])
    counts = jax.device_get(jnp.where(inputs.alive, jnp.asarray(data, float), jnp.nan))
    full = counts >= (jnp.inf if inputs.saturation is None else inputs.saturation)
    known = constraint(values["drift_velocity"], inputs)
    nodes = shift_nodes(inputs.scan, counts, full, readout, known, inputs.grid)
    return eqx.tree_at(lambda i: i.nodes, inputs, nodes, is_leaf=lambda leaf: leaf is None)


def complete(key, draws, inputs, data):
    """Shift [cm] and time [us] of each cluster, drawn for each draw of the parameters."""
    names = {parameter.name for parameter in PARAMETERS}
    free = {name: jnp.asarray(values) for name, values in draws.items() if name in names}
    fixed = {name: value for name, value in fixed_or_nominal(PARAMETERS, inputs.priors).items() if name not in free}
    velocity = jnp.asarray((free | fixed)["drift_velocity"])

    @jax.jit
    def shifts(key, free, inputs, data):
        def one(row):
            key, values = row
            return shifted(fixed | values, inputs, data).draw_shift(key, data)

        keys = jax.random.split(key, len(next(iter(free.values()))))
        return jax.lax.map(one, (keys, free))

    shift = shifts(key, free, inputs, jnp.asarray(data, float))
    assumed = jnp.asarray(inputs.clusters.assumed_time_us)
    return {"shift_cm": shift, "time_us": time_of_shift(shift, assumed, velocity[..., None], inputs.direction)}


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    ends = inputs.scan.shift_cm
    sizes = {
        "clusters": inputs.clusters.n_clusters,
        "sensors": inputs.alive.shape[0],
        "largest range of shifts [cm]": round(float(jnp.max(ends[:, -1] - ends[:, 0])), 1),
        "clusters with a known time": int(jnp.isfinite(jnp.asarray(inputs.clusters.known_time_us)).sum()),
    }
    return sizes if data is None else sizes | {"photo-electrons": int(jnp.nansum(data))}


def exposure(inputs):
    """Number of clusters, the measure of how much data there are."""
    return inputs.clusters.n_clusters, "clusters"


def example(key):
    """Tracks in Module-0, their times unknown, and their light."""
    inputs = load(Settings(tracks=30), {})
    data = shifted({p.name: p.nominal for p in PARAMETERS}, inputs).sample(key)
    return prepare(inputs, data), data
