"""A muon or an electron in a water Cherenkov detector: vertex, direction, kinetic energy and time of its start.

Inputs: an optical detector filled with water, and which particle it is. Data: charge and time of the hits of an event.

Inferred: the vertex, two slopes about a reference direction, the kinetic energy, the time of the start, and, of a muon,
the amplitudes of the modes in which multiple scattering bends the track, of an electron, by how much its shower shines
more than others of its energy. Held fixed unless a study frees them: the light of electrons that a muon knocks out, the
width of its cone, the mean delay of indirect light, of an electron the depth of its shower. Direct light of a shower
varies from sensor to sensor by what is not followed, the tracks of its single particles.
The evidences of an event as a muon and as an electron, which `laplace` notes as `log_evidence`, tell which one it was.
"""

import dataclasses
from math import ceil
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.errors import InputError
from bayescal.likelihoods.hit_events import (
    event_sizes,
    read_event,
    recorded_hits,
    told_by_hits,
    with_common_rows,
    write_event,
)
from bayescal.likelihoods.pmt import PMTReadout, hit_rows
from bayescal.optical.arrivals import Arrivals, Delays
from bayescal.optical.cherenkov import Radiator, water_radiator
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.electron import (
    ElectronLight,
    ElectronShower,
    mean_depth_m,
    track_length_m,
    track_length_spread_m,
)
from bayescal.optical.emission import ShowerCone, frame_about, within
from bayescal.optical.event_light import (
    IndirectOptics,
    Passage,
    direct_of_event,
    distance_from_middle_m,
    indirect_delays,
    indirect_of_event,
    indirect_optics,
    lateness_of_event,
    make_passage,
)
from bayescal.optical.geometry import Cylinder
from bayescal.optical.medium import Water, cherenkov_spectrum
from bayescal.optical.muon import BENDING_MODES, MuonLight, MuonTrack, light_emitting_length_m
from bayescal.optical.node_sums import in_single, node_sum, node_sum_for_slopes, node_sum_in_single
from bayescal.optical.sensors import sensor_columns
from bayescal.optical.zones import make_zones
from bayescal.parameters import Parameter, draw, fixed_or_nominal, is_free, units
from bayescal.readers.optical_detector import read_optical_detector
from bayescal.readers.pmt_hits import read_truth as read_truth
from bayescal.reconstruction.light_seeds import bright_sensors, seed_event, starts_along
from bayescal.study import Field, InputSettings, NameOrPath

OBSERVED = "hits"

PARAMETERS = (
    *(
        Parameter(f"vertex_{axis}", "m", 0.0, dist.Normal(0.0, 10.0), description=f"start of the track along {axis}")
        for axis in "xyz"
    ),
    *(
        Parameter(f"slope_{number}", "", 0.0, dist.Cauchy(0.0, 1.0), description="about the reference direction")
        for number in (1, 2)
    ),
    Parameter("kinetic_energy", "MeV", 500.0, dist.LogNormal(6.2, 0.7), description="at the start of the track"),
    Parameter("event_time", "ns", 0.0, dist.Normal(0.0, 50.0), description="start of the track"),
    *(
        Parameter(f"bend_{number}", "", 0.0, dist.Normal(0.0, 1.0), per="mode", description="of a muon, in one plane")
        for number in (1, 2)
    ),
    Parameter(
        "halo_fraction",
        "",
        0.12,
        dist.TruncatedNormal(0.12, 0.06, low=0.0),
        free=False,
        description="light of electrons that a muon knocks out over its own",
    ),
    Parameter("cone_width", "rad", 0.001, dist.LogNormal(-6.9, 1.0), free=False, description="of a muon, beyond bends"),
    Parameter(
        "light_fluctuation",
        "",
        0.0,
        dist.Normal(0.0, 1.0),
        description="of an electron's light, in its own spread",
    ),
    Parameter(
        "depth_scale",
        "",
        1.0,
        dist.LogNormal(0.0, 0.1),
        free=False,
        description="of an electron's shower, over the mean one",
    ),
    Parameter(
        "light_spread",
        "",
        0.13,  # of sensors above 3 p.e., in showers that the tests' tracer follows photon by photon
        dist.Uniform(0.0, 0.5),
        free=False,
        description="relative, of an electron's light at a sensor, from shower to shower",
    ),
    Parameter(
        "indirect_delay",
        "",
        1.0,
        dist.LogNormal(0.0, 0.2),
        free=False,
        description="of indirect light, over that expected",
    ),
)

OF_MUONS = ("bend_1", "bend_2", "halo_fraction", "cone_width")
OF_ELECTRONS = ("light_fluctuation", "depth_scale", "light_spread")
ABSENT = {"muon": OF_ELECTRONS, "electron": OF_MUONS}
NODES = {"muon": 64, "electron": 16}


class Settings(InputSettings):
    """The study's [inputs]."""

    particle: Literal["muon", "electron"] = Field("muon", description="muon or electron")
    detector: NameOrPath = Field("super_kamiokande", description="optical detector: preset, our TOML or LUCiD's JSON")
    direction: tuple[float, float, float] = Field((1.0, 0.0, 0.0), description="reference for slopes in a simulation")
    window_ns: tuple[float, float] = Field((-150.0, 450.0), description="in which hits are recorded [ns]")
    event: int = Field(0, ge=0, description="number of the event in the file, from 0")
    least_direct_pe: float = Field(0.05, gt=0, description="light of sensors at which it follows the track [p.e.]")
    nodes: int | None = Field(None, ge=8, multiple_of=8, description="along the track: 64 of a muon, 16 of a shower")


class Inputs(eqx.Module):
    """What the model is given beside the hits.

    Attributes:
        detector: with its sensors; radiator and passage: water as they see it; optics: of indirect light.
        indirect: light at every sensor, for one photoelectron that the track emits at full coverage, with faint direct
            light where it is not computed.
        delays: of it, after the time of direct light.
        active: numbers of the sensors whose direct light is computed.
        rows: of the hits, for the likelihood; None before there are data.
        frame: axes of the slopes, the reference direction last.
        first: values to start from, by name; None before there are data.
        dark: counts expected in the window.
        blur_rad, blur_ns: widening of cone and times, on the way from far [rad, ns].
        priors: priors and fixed values by name.
        quick: whether direct light and the photoelectrons in the window are computed in single precision.
        The others are the settings of these names.
    """

    detector: OpticalDetector
    radiator: Radiator
    passage: Passage
    optics: IndirectOptics
    indirect: jax.Array
    delays: Delays
    active: jax.Array
    rows: jax.Array | None
    frame: jax.Array
    first: dict | None
    dark: float
    blur_rad: float
    blur_ns: float
    priors: dict
    particle: str = eqx.field(static=True)
    window_ns: tuple = eqx.field(static=True)
    event: int = eqx.field(static=True)
    least_direct_pe: float = eqx.field(static=True)
    nodes: int = eqx.field(static=True)
    quick: bool = eqx.field(static=True, default=False)


def model(inputs, data=None):
    """Hits given a track."""
    known = [parameter for parameter in PARAMETERS if parameter.name not in ABSENT[inputs.particle]]
    values = draw(known, inputs.priors, {"mode": BENDING_MODES})
    numpyro.sample(OBSERVED, hits(values, inputs), obs=data)


def hits(values, inputs):
    """The distribution of the hits for values of the parameters."""
    arrivals = arrivals_of(values, inputs, node_sum_in_single if inputs.quick else node_sum)
    arrivals = in_single(arrivals) if inputs.quick else arrivals
    live = inputs.detector.sensors.live
    return PMTReadout(arrivals, live=live, spread=light_spread(values, inputs), rows=inputs.rows)


def arrivals_of(values, inputs, total):
    """Photoelectrons expected at every sensor and their times; `total` adds up the light of the nodes of a track."""
    emission, sensors = emitted(values, inputs), inputs.detector.sensors
    direct = direct_of_event(emission, sensors.some(inputs.active), inputs.passage, total)
    flight = inputs.passage.flight_ns(distance_from_middle_m(emission, sensors))
    none = jnp.zeros(sensors.n_sensors)
    variance = none.at[inputs.active].set(direct.variance_ns2)
    return Arrivals(
        direct=none.at[inputs.active].set(direct.mean),
        indirect=inputs.indirect * jnp.sum(emission.weight),
        dark=inputs.dark,
        time_ns=(emission.time_ns[0] + flight).at[inputs.active].set(direct.time_ns),
        width_ns=jnp.sqrt(variance + inputs.detector.transit_sd_ns**2 + inputs.blur_ns**2),
        window_start_ns=inputs.window_ns[0],
        window_end_ns=inputs.window_ns[1],
        indirect_delays=inputs.delays.stretched(values["indirect_delay"]),
    )


def light_spread(values, inputs):
    """Relative spread of the direct light of every sensor; None of a muon, whose bends are followed."""
    if inputs.particle == "muon":
        return None
    return jnp.zeros(inputs.indirect.shape).at[inputs.active].set(values["light_spread"])


def emitted(values, inputs):
    """Light of the particle within the tank."""
    start = {
        "vertex_m": jnp.stack([jnp.asarray(values[f"vertex_{axis}"], float) for axis in "xyz"]),
        "slope": jnp.stack([jnp.asarray(values[f"slope_{number}"], float) for number in (1, 2)]),
        "kinetic_mev": jnp.asarray(values["kinetic_energy"], float),
        "time_ns": jnp.asarray(values["event_time"], float),
        "frame": inputs.frame,
    }
    shining = muon_light if inputs.particle == "muon" else electron_light
    return within(shining(start, values, inputs), inputs.detector.tank)


light_of = eqx.filter_jit(emitted)


def muon_light(start, values, inputs):
    """Light of a muon."""
    bends = [jnp.broadcast_to(jnp.asarray(values[f"bend_{number}"], float), (BENDING_MODES,)) for number in (1, 2)]
    light = MuonLight(
        inputs.radiator,
        ShowerCone(1 / inputs.radiator.index),
        halo_fraction=values["halo_fraction"],
        width_rad=jnp.sqrt(jnp.asarray(values["cone_width"]) ** 2 + inputs.blur_rad**2),
        nodes=inputs.nodes,
    )
    return light.emit(MuonTrack(**start, bending=jnp.stack(bends)))


def electron_light(start, values, inputs):
    """Light of an electron's shower; the width of the peak takes the blur of an easier problem."""
    cone = ShowerCone(1 / inputs.radiator.index)
    cone = eqx.tree_at(lambda c: c.peak_width, cone, jnp.sqrt(cone.peak_width**2 + inputs.blur_rad**2))
    shower = ElectronShower(**start)
    light = ElectronLight(inputs.radiator, cone, depth_scale=values["depth_scale"], nodes=inputs.nodes).emit(shower)
    more = track_length_spread_m(shower.kinetic_mev) / track_length_m(shower.kinetic_mev)
    return eqx.tree_at(lambda e: e.weight, light, light.weight * jnp.exp(more * values["light_fluctuation"]))


def load(settings, priors):
    """Read the detector, and find what indirect light needs."""
    detector = read_optical_detector(settings.detector)
    water, spectrum = Water(), cherenkov_spectrum(detector.efficiency)
    tank = detector.tank
    reach = 2 * np.hypot(tank.radius_m, tank.height_m / 2) if isinstance(tank, Cylinder) else 2 * tank.radius_m
    passage = make_passage(water, spectrum, float(reach))
    few = cherenkov_spectrum(detector.efficiency, 4)
    return Inputs(
        detector=detector,
        radiator=water_radiator(detector.efficiency),
        passage=passage,
        optics=indirect_optics(detector, make_zones(tank), water, few),
        indirect=jnp.zeros(detector.sensors.n_sensors),
        delays=Delays(0.0, np.ones(1), passage.delay_ns_per_m * tank.mean_chord_m * np.full(1, ROUGH_DELAY)),
        active=jnp.arange(detector.sensors.n_sensors),
        rows=None,
        frame=jnp.asarray(frame_about(settings.direction)),
        first=None,
        dark=1e-6 * detector.dark_rate_khz * (settings.window_ns[1] - settings.window_ns[0]),
        blur_rad=0.0,
        blur_ns=0.0,
        priors=priors_of(settings.particle, priors),
        particle=settings.particle,
        window_ns=settings.window_ns,
        event=settings.event,
        least_direct_pe=settings.least_direct_pe,
        nodes=nodes_of(settings),
    )


def nodes_of(settings):
    """Nodes along the track; so few that a muon's finest bend has less than two of them a half-wave are refused."""
    nodes = settings.nodes or NODES[settings.particle]
    if settings.particle == "muon" and nodes < LEAST_NODES:
        raise InputError(f"nodes = {nodes} cannot follow the bends of a muon: set {LEAST_NODES} or more in [inputs]")
    return nodes


LEAST_NODES = 8 * ceil(BENDING_MODES / 4)


def priors_of(particle, priors):
    """Priors that a study states; those of the other particle are refused."""
    strange = sorted(set(priors) & set(ABSENT[particle]))
    if strange:
        raise InputError(f"{', '.join(strange)} cannot be set for the particle {particle}: remove it from [parameters]")
    return dict(priors)


def with_indirect(inputs, values):
    """Inputs with the indirect light of a track: of one photoelectron, and its delays at every sensor."""
    emission = light_of(values, inputs)
    light = indirect_of_event(emission, inputs.optics)
    late = lateness_of_event(emission, inputs.optics, inputs.passage.delay_ns_per_m)
    return eqx.tree_at(lambda i: (i.indirect, i.delays), inputs, at_sensors(light, late, emission, values, inputs))


@eqx.filter_jit
def at_sensors(light, late, emission, values, inputs):
    """Indirect light of one photoelectron at every sensor, and its delays after the direct light there.

    Faint direct light of sensors that are not active goes with it.
    """
    direct_ns = arrivals_of(values, inputs, node_sum).time_ns - emission.time_ns[0]
    direct = direct_of_event(emission, inputs.detector.sensors, inputs.passage).mean
    faint = direct.at[inputs.active].set(0.0)
    return (light.mean + faint) / jnp.sum(emission.weight), indirect_delays(light, late, direct_ns)


ROUGH_DELAY = 0.6  # of indirect light in a scan, in crossings of the mean chord of the tank


def prepare(inputs, data=None):
    """Reference direction, start, indirect light and active sensors, from coarse scans of the hits."""
    if data is None:
        return with_indirect(inputs, with_arrays(fixed_or_nominal(PARAMETERS, inputs.priors)))
    inputs = eqx.tree_at(lambda i: i.rows, inputs, jnp.asarray(hit_rows(np.asarray(data))), is_leaf=is_absent)
    energy = energy_of_charge(inputs, data)
    scans = [along_the_seed(inputs, seed, energy, data) for seed in seeds(inputs, data)]
    inputs, first, _ = max(scans, key=lambda scan: scan[-1])
    values = with_arrays(fixed_or_nominal(PARAMETERS, inputs.priors) | first)
    free = {p.name for p in PARAMETERS if is_free(inputs.priors.get(p.name, p.default))} - {*ABSENT[inputs.particle]}
    start_values = with_arrays({name: value for name, value in first.items() if name in free})
    light = np.asarray(widely_seen(values, eqx.tree_at(lambda i: i.blur_rad, inputs, BLUR_RAD[1])))
    found = (jnp.asarray(bright_sensors(light, inputs.least_direct_pe)), start_values)
    return with_indirect(eqx.tree_at(lambda i: (i.active, i.first), inputs, found, is_leaf=is_absent), values)


def is_absent(leaf):
    """Whether a field of the inputs waits for data."""
    return leaf is None


def with_arrays(values):
    """Numbers as arrays, which compiled programs take as arguments."""
    return {name: jnp.asarray(value, float) for name, value in values.items()}


@eqx.filter_jit
def widely_seen(values, inputs):
    """Direct light of every sensor [p.e.]."""
    return direct_of_event(emitted(values, inputs), inputs.detector.sensors, inputs.passage).mean


def seeds(inputs, data):
    """Coarse scans of vertex, time and direction, with the hits that most likely are of direct light, and with more.

    Of a track that ends at a wall, few sensors are bright, and many see its reflection.
    """
    charge, time = np.asarray(data).T
    hit = charge > 0
    sensor_m = np.asarray(inputs.detector.sensors.position_m)[hit]
    seen = (sensor_m, charge[hit], time[hit], inputs.detector.tank, inputs.passage.delay_ns_per_m)
    return [seed_event(*seen, brightest=number) for number in SCANNED_HITS]


SCANNED_HITS = (100, 500)  # the brightest


def energy_of_charge(inputs, data):
    """Kinetic energy of a particle whose light makes the charge of all hits [MeV]."""
    energies = jnp.geomspace(100.0, 3000.0, 40)
    light = light_of_energies(energies, with_arrays(fixed_or_nominal(PARAMETERS, inputs.priors)), inputs)
    return jnp.interp(jnp.asarray(data)[:, 0].sum() / inputs.detector.coverage, light, energies)


def along_the_seed(inputs, seed, energy, data):
    """Inputs with slopes about the seed's line, the most likely start on it, without bends, and its log-likelihood."""
    inputs = eqx.tree_at(lambda i: i.frame, inputs, jnp.asarray(frame_about(seed.direction)))
    base = with_arrays(fixed_or_nominal(PARAMETERS, inputs.priors))
    common = base | with_arrays({"kinetic_energy": energy, "bend_1": NO_BENDS, "bend_2": NO_BENDS})
    lines = with_arrays(starts_along(seed, light_length_m(energy, inputs), SCANNED))
    spread = jnp.full_like(inputs.indirect, STRAY * inputs.detector.coverage / inputs.detector.sensors.n_sensors)
    rough = eqx.tree_at(lambda i: (i.indirect, i.blur_rad, i.blur_ns), inputs, (spread, BLUR_RAD[1], BLUR_NS[1]))
    rough = dataclasses.replace(rough, nodes=min(SCAN_NODES, inputs.nodes))
    likelihoods = np.nan_to_num(likelihood_of_lines(lines, common, rough, data), nan=-np.inf)
    best = int(np.argmax(likelihoods))
    first = common | {name: each[best] for name, each in lines.items()} | {"slope_1": 0.0, "slope_2": 0.0}
    return inputs, first, likelihoods[best]


def light_length_m(kinetic_mev, inputs):
    """Scale of the length over which a particle shines [m]."""
    if inputs.particle == "muon":
        return float(light_emitting_length_m(kinetic_mev, inputs.radiator.index))
    return 2 * float(mean_depth_m(kinetic_mev))


NO_BENDS = np.zeros(BENDING_MODES)
SCANNED = 15  # starts on a line
SCAN_NODES = 16  # along tracks whose cone is widened
STRAY = 0.25  # indirect light over direct light, evenly on all sensors: enough for a scan


@eqx.filter_jit
def light_of_energies(energies, values, inputs):
    """Photoelectrons at full coverage and without loss, for several energies."""
    return jax.lax.map(lambda energy: jnp.sum(emitted(values | {"kinetic_energy": energy}, inputs).weight), energies)


@eqx.filter_jit
def likelihood_of_lines(lines, values, inputs, data):
    """Log-likelihood of each of several starts."""
    return jax.lax.map(lambda line: jnp.sum(hits(values | line, inputs).log_prob(data)), lines)


def start(inputs, data):
    """What the coarse scan found."""
    del data
    return inputs.first


def measured(values, inputs):
    """What hits of the active sensors tell of light and times."""
    values = fixed_or_nominal(PARAMETERS, inputs.priors) | values
    expected, spread = arrivals_of(values, inputs, node_sum_for_slopes), light_spread(values, inputs)
    seen = expected.rows((inputs.detector.sensors.n_sensors,), inputs.active)
    numbers, precision = told_by_hits(seen, 0.0 if spread is None else spread[inputs.active])
    return numbers, precision * jnp.tile(jnp.asarray(inputs.detector.sensors.live)[inputs.active], 2)


def quick(inputs):
    """Inputs for many evaluations: log-densities change by some 1e-4 nats."""
    return dataclasses.replace(inputs, quick=True)


def common(batch):
    """Inputs of several events, whose hits share one shape."""
    return with_common_rows(batch)


BLUR_RAD, BLUR_NS = (0.3, 0.12, 0.06, 0.02), (10.0, 4.0, 1.0, 0.0)


def tempered(inputs, stage):
    """A wider cone and less exact times, first much, then less.

    The last ones lead to the bends: the posterior has many modes in the fine ones, and a wider cone fewer.
    """
    if stage >= len(BLUR_RAD):
        return None
    return eqx.tree_at(lambda i: (i.blur_rad, i.blur_ns), inputs, (BLUR_RAD[stage], BLUR_NS[stage]))


def read(path, inputs):
    """Charge and time of every sensor in one event of a file."""
    return read_event(path, inputs.detector.sensors.n_sensors, inputs.event)


def write(path, data, inputs, truth):
    """Write the hits of one event, with the track that they were drawn with."""
    write_event(path, data, inputs.detector, inputs.window_ns, truth=truth, units=units(PARAMETERS))


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    found = {"sensors": inputs.detector.sensors.n_sensors, "sensors with direct light": inputs.active.shape[0]}
    return found | event_sizes(inputs.detector, data)


def exposure(inputs):
    """One event."""
    del inputs
    return 1, "events"


def readouts(inputs):
    """Number and place of each sensor, and whether it records."""
    return sensor_columns(inputs.detector.sensors)


def recorded(data, inputs):
    """Charge of each sensor [p.e.] and time of its hit [ns]."""
    return recorded_hits(data, inputs.detector.sensors.live)


@eqx.filter_jit
def drawn(key, values, inputs):
    """Hits of one event."""
    return hits(values, inputs).sample(key)


def example(key):
    """A muon of 300 MeV in a small tank."""
    settings = Settings(detector="eos")
    inputs = load(settings, {})
    truth = {p.name: p.nominal for p in PARAMETERS} | {"kinetic_energy": 300.0, "vertex_x": -0.8}
    data = drawn(key, with_arrays(truth), with_indirect(inputs, with_arrays(truth)))
    return prepare(inputs, data), data
