"""A muon in a water Cherenkov detector: vertex, direction, kinetic energy, time and bends of its track.

Inputs: an optical detector filled with water. Data: charge and time of the hits of one event.

Inferred: the vertex, two slopes about a reference direction, the kinetic energy, the time of the start, and the
amplitudes of the modes in which multiple scattering bends the track. Held fixed unless a study frees them: the light of
knocked-out electrons, the width of the cone, the fraction of indirect light that comes early.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.likelihoods.pmt import PMTReadout, hit_rows
from bayescal.optical.arrivals import Arrivals, Delays, two_exponentials
from bayescal.optical.cherenkov import Radiator, water_radiator
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.emission import ShowerCone, frame_about
from bayescal.optical.event_light import (
    IndirectOptics,
    Passage,
    direct_of_event,
    indirect_of_event,
    indirect_optics,
    make_passage,
)
from bayescal.optical.geometry import Cylinder
from bayescal.optical.medium import SPEED_OF_LIGHT_M_PER_NS, Water, cherenkov_spectrum
from bayescal.optical.muon import BENDING_MODES, MuonLight, MuonTrack, light_emitting_length_m
from bayescal.optical.zones import make_zones
from bayescal.parameters import Parameter, draw, fixed_or_nominal, is_free, units
from bayescal.readers.optical_detector import read_optical_detector
from bayescal.readers.pmt_hits import from_dense, read_pmt_hits, write_pmt_hits
from bayescal.readers.pmt_hits import read_truth as read_truth
from bayescal.reconstruction.light_seeds import seed_event
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
        Parameter(f"bend_{number}", "", 0.0, dist.Normal(0.0, 1.0), per="mode", description="amplitudes, one plane")
        for number in (1, 2)
    ),
    Parameter(
        "halo_fraction",
        "",
        0.12,
        dist.TruncatedNormal(0.12, 0.06, low=0.0),
        free=False,
        description="light of knocked-out electrons over the muon's",
    ),
    Parameter("cone_width", "rad", 0.005, dist.LogNormal(-5.3, 0.5), free=False, description="beyond what is known"),
    Parameter(
        "early_share", "", 0.5, dist.Beta(10.0, 10.0), free=False, description="of indirect light, after scattering"
    ),
)


class Settings(InputSettings):
    """The study's [inputs]."""

    detector: NameOrPath = Field("super_kamiokande", description="optical detector: preset, our TOML or LUCiD's JSON")
    direction: tuple[float, float, float] = Field((1.0, 0.0, 0.0), description="reference for slopes in a simulation")
    window_ns: tuple[float, float] = Field((-150.0, 450.0), description="in which hits are recorded [ns]")
    early_ns: float = Field(15.0, gt=0, description="mean delay of scattered light [ns]")
    late_ns: float = Field(60.0, gt=0, description="mean delay of reflected light [ns]")
    active_sensors: int = Field(3000, ge=1, description="sensors whose direct light is computed, the brightest")
    nodes: int = Field(64, ge=8, multiple_of=8, description="along the track")


class Inputs(eqx.Module):
    """What the model is given beside the hits.

    Attributes:
        detector: with its sensors; radiator and passage: water as they see it; optics: of indirect light.
        indirect: at every sensor, for one photoelectron that the track emits at full coverage.
        active: numbers of the sensors whose direct light is computed; the others have none.
        rows: of the hits, for the likelihood; None before there are data.
        frame: axes of the slopes, the reference direction last.
        first: values to start from, by name; None before there are data.
        dark: counts expected in the window.
        blur_rad, blur_ns: widening of cone and times, on the way from far [rad, ns].
        priors: priors and fixed values by name.
        The others are the settings of these names.
    """

    detector: OpticalDetector
    radiator: Radiator
    passage: Passage
    optics: IndirectOptics
    indirect: jax.Array
    active: jax.Array
    rows: jax.Array | None
    frame: jax.Array
    first: dict | None
    dark: float
    blur_rad: float
    blur_ns: float
    priors: dict
    window_ns: tuple = eqx.field(static=True)
    early_ns: float = eqx.field(static=True)
    late_ns: float = eqx.field(static=True)
    active_sensors: int = eqx.field(static=True)
    nodes: int = eqx.field(static=True)


def model(inputs, data=None):
    """Hits given a track."""
    values = draw(PARAMETERS, inputs.priors, {"mode": BENDING_MODES})
    numpyro.sample(OBSERVED, hits(values, inputs), obs=data)


def hits(values, inputs):
    """The distribution of the hits for values of the parameters."""
    emission, sensors = emitted(values, inputs), inputs.detector.sensors
    direct = direct_of_event(emission, sensors.some(inputs.active), inputs.passage)
    flight = inputs.passage.delay_ns_per_m * distances(emission, sensors)
    none = jnp.zeros(sensors.n_sensors)
    variance = none.at[inputs.active].set(direct.variance_ns2)
    arrivals = Arrivals(
        direct=none.at[inputs.active].set(direct.mean),
        indirect=inputs.indirect * jnp.sum(emission.weight),
        dark=inputs.dark,
        time_ns=(emission.time_ns[0] + flight).at[inputs.active].set(direct.time_ns),
        width_ns=jnp.sqrt(variance + inputs.detector.transit_sd_ns**2 + inputs.blur_ns**2),
        window_start_ns=inputs.window_ns[0],
        window_end_ns=inputs.window_ns[1],
        direct_delays=Delays(),
        indirect_delays=two_exponentials(values["early_share"], inputs.early_ns, inputs.late_ns),
    )
    return PMTReadout(arrivals, live=sensors.live, rows=inputs.rows)


def emitted(values, inputs):
    """Light of the track."""
    track = MuonTrack(
        vertex_m=jnp.stack([jnp.asarray(values[f"vertex_{axis}"], float) for axis in "xyz"]),
        slope=jnp.stack([jnp.asarray(values[f"slope_{number}"], float) for number in (1, 2)]),
        kinetic_mev=jnp.asarray(values["kinetic_energy"], float),
        time_ns=jnp.asarray(values["event_time"], float),
        frame=inputs.frame,
        bending=jnp.stack(
            [jnp.broadcast_to(jnp.asarray(values[f"bend_{number}"], float), (BENDING_MODES,)) for number in (1, 2)]
        ),
    )
    width = jnp.sqrt(jnp.asarray(values["cone_width"]) ** 2 + inputs.blur_rad**2)
    light = MuonLight(
        inputs.radiator,
        ShowerCone(1 / inputs.radiator.index),
        halo_fraction=values["halo_fraction"],
        width_rad=width,
        nodes=inputs.nodes,
    )
    return light.emit(track)


def distances(emission, sensors):
    """From the middle of the track's light to every sensor [m]."""
    middle = emission.weight @ emission.position_m / jnp.sum(emission.weight)
    return jnp.sqrt(jnp.sum((jnp.asarray(sensors.position_m) - middle) ** 2, axis=-1))


def load(settings, priors):
    """Read the detector, and find what indirect light needs."""
    detector = read_optical_detector(settings.detector)
    water, spectrum = Water(), cherenkov_spectrum(detector.efficiency)
    tank = detector.tank
    reach = 2 * np.hypot(tank.radius_m, tank.height_m / 2) if isinstance(tank, Cylinder) else 2 * tank.radius_m
    few = cherenkov_spectrum(detector.efficiency, 4)
    return Inputs(
        detector=detector,
        radiator=water_radiator(detector.efficiency),
        passage=make_passage(water, spectrum, float(reach)),
        optics=indirect_optics(detector, make_zones(tank), water, few),
        indirect=jnp.zeros(detector.sensors.n_sensors),
        active=jnp.arange(detector.sensors.n_sensors),
        rows=None,
        frame=jnp.asarray(frame_about(settings.direction)),
        first=None,
        dark=1e-6 * detector.dark_rate_khz * (settings.window_ns[1] - settings.window_ns[0]),
        blur_rad=0.0,
        blur_ns=0.0,
        priors=dict(priors),
        window_ns=settings.window_ns,
        early_ns=settings.early_ns,
        late_ns=settings.late_ns,
        active_sensors=min(settings.active_sensors, detector.sensors.n_sensors),
        nodes=settings.nodes,
    )


def with_indirect(inputs, values):
    """Inputs with the indirect light of a track, for one photoelectron of it."""
    emission = emitted(values, inputs)
    light = indirect_of_event(emission, inputs.optics) / jnp.sum(emission.weight)
    return eqx.tree_at(lambda i: i.indirect, inputs, light)


def prepare(inputs, data=None):
    """Reference direction, start, indirect light and active sensors, from a coarse scan of the hits."""
    if data is None:
        return with_indirect(inputs, fixed_or_nominal(PARAMETERS, inputs.priors))
    seed = seeded(inputs, data)
    first = first_values(inputs, seed, float(np.asarray(data)[:, 0].sum()))
    inputs = eqx.tree_at(lambda i: i.frame, inputs, jnp.asarray(frame_about(seed.direction)))
    values = fixed_or_nominal(PARAMETERS, inputs.priors) | first
    inputs = with_indirect(inputs, values)
    light = widely_seen(values, eqx.tree_at(lambda i: i.blur_rad, inputs, BLUR_RAD[1]))
    active = np.sort(np.argsort(-np.asarray(light))[: inputs.active_sensors])
    free = {p.name for p in PARAMETERS if is_free(inputs.priors.get(p.name, p.default))}
    return eqx.tree_at(
        lambda i: (i.active, i.rows, i.first),
        inputs,
        (
            jnp.asarray(active),
            jnp.asarray(hit_rows(np.asarray(data))),
            {name: jnp.asarray(value, float) for name, value in first.items() if name in free},
        ),
        is_leaf=lambda leaf: leaf is None,
    )


@eqx.filter_jit
def widely_seen(values, inputs):
    """Direct light of every sensor [p.e.]."""
    return direct_of_event(emitted(values, inputs), inputs.detector.sensors, inputs.passage).mean


def seeded(inputs, data):
    """A coarse scan of vertex, time and direction."""
    charge, time = np.asarray(data).T
    hit = charge > 0
    sensor_m = np.asarray(inputs.detector.sensors.position_m)[hit]
    return seed_event(sensor_m, charge[hit], time[hit], inputs.detector.tank, inputs.passage.delay_ns_per_m)


def first_values(inputs, seed, charge_pe):
    """No bends, along the seed, the energy that makes the charge, and the vertex its track's length before the seed.

    The point whose flashing all at once explains most times of a Cherenkov cone is near the end of the track.
    """
    energies = jnp.geomspace(100.0, 3000.0, 40)
    base = fixed_or_nominal(PARAMETERS, inputs.priors)
    light = jax.vmap(lambda energy: jnp.sum(emitted(base | {"kinetic_energy": energy}, inputs).weight))(energies)
    energy = jnp.interp(charge_pe / inputs.detector.coverage, light, energies)
    length = float(light_emitting_length_m(energy, inputs.radiator.index))
    vertex = seed.position_m - length * seed.direction
    return {f"vertex_{axis}": each for axis, each in zip("xyz", vertex, strict=True)} | {
        "slope_1": 0.0,
        "slope_2": 0.0,
        "kinetic_energy": energy,
        "event_time": seed.time_ns - length / SPEED_OF_LIGHT_M_PER_NS,
        "bend_1": np.zeros(BENDING_MODES),
        "bend_2": np.zeros(BENDING_MODES),
    }


def start(inputs, data):
    """What the coarse scan found."""
    del data
    return inputs.first


BLUR_RAD, BLUR_NS = (0.3, 0.12), (10.0, 4.0)


def tempered(inputs, stage):
    """A wider cone and less exact times, first much, then less."""
    if stage >= len(BLUR_RAD):
        return None
    return eqx.tree_at(lambda i: (i.blur_rad, i.blur_ns), inputs, (BLUR_RAD[stage], BLUR_NS[stage]))


def read(path, inputs):
    """Charge and time of every sensor in the file's first event."""
    return jnp.asarray(read_pmt_hits(path, inputs.detector.sensors.n_sensors).dense()[0])


def write(path, data, inputs, truth):
    """Write the hits of one event, with the track that they were drawn with."""
    recorded = from_dense(np.asarray(data)[None], inputs.window_ns, inputs.detector.sensors.live)
    write_pmt_hits(path, recorded, attributes={"detector": inputs.detector.name}, truth=truth, units=units(PARAMETERS))


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    detector = inputs.detector
    found = {"sensors": detector.sensors.n_sensors, "sensors with direct light": inputs.active.shape[0]}
    if detector.faults:
        found["faults of the geometry"] = "; ".join(detector.faults)
    if data is None:
        return found
    charge = jnp.asarray(data)[:, 0]
    return found | {"hits": int((charge > 0).sum()), "photoelectrons": round(float(charge.sum()))}


def exposure(inputs):
    """One event."""
    del inputs
    return 1, "events"


def readouts(inputs):
    """Number and place of each sensor, and whether it records."""
    sensors = inputs.detector.sensors
    number = jnp.arange(sensors.n_sensors)
    x, y, z = jnp.asarray(sensors.position_m).T
    live = jnp.asarray(sensors.live)
    return {"live": live, "event": jnp.zeros_like(number), "sensor": number, "x_m": x, "y_m": y, "z_m": z}


def recorded(data, inputs):
    """Charge of each sensor [p.e.] and time of its hit [ns]."""
    charge, time = jnp.asarray(data).T
    live = inputs.detector.sensors.live
    return {"charge": jnp.where(live, charge, jnp.nan), "time": jnp.where(live & (charge > 0), time, jnp.nan)}


def example(key):
    """A muon of 300 MeV in a small tank."""
    settings = Settings(detector="eos", active_sensors=194, nodes=16, early_ns=5.0, late_ns=10.0)
    inputs = load(settings, {})
    truth = {p.name: p.nominal for p in PARAMETERS} | {"kinetic_energy": 300.0, "vertex_x": -0.8}
    data = hits(truth, with_indirect(inputs, truth)).sample(key)
    return prepare(inputs, data), data
