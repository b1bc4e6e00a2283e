"""A point-like event in a sphere of liquid scintillator: vertex, energy and time of an electron below 10 MeV.

Inputs: an optical detector whose tank is a sphere, filled with scintillator. Data: charge and time of the hits of one
event. A positron counts as an electron of the same deposited energy.

Inferred: vertex, energy and time. Held fixed unless a study frees them: light yield, Birks' constant, the lengths of
absorption and of Rayleigh scattering, time and share of the fast emission. Vertices nearer to the wall than three radii
of a sensor, or outside, shine from places at least half as deep: closed forms of direct light end there.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.errors import InputError
from bayescal.likelihoods.charge_spectrum import normal_spectrum
from bayescal.likelihoods.hit_events import (
    event_sizes,
    read_event,
    recorded_hits,
    told_by_hits,
    with_common_rows,
    write_event,
)
from bayescal.likelihoods.pmt import PMTReadout, hit_rows
from bayescal.likelihoods.recorded import HitCharges
from bayescal.optical.arrivals import Arrivals, Delays
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.direct import seen_fraction, sight
from bayescal.optical.geometry import Sphere
from bayescal.optical.medium import (
    SPEED_OF_LIGHT_M_PER_NS,
    Scintillator,
    Spectrum,
    scintillation_efficiency,
    scintillation_spectrum,
)
from bayescal.optical.quenching import visible_energy
from bayescal.optical.sensors import sensor_columns
from bayescal.optical.sphere_light import SphereLight, held_inside, make_sphere_light
from bayescal.optical.zones import make_zones
from bayescal.parameters import Parameter, draw, fixed_or_nominal, is_free, units
from bayescal.readers.optical_detector import read_optical_detector
from bayescal.readers.pmt_hits import read_truth as read_truth
from bayescal.study import Field, InputSettings, NameOrPath

OBSERVED = "hits"

OIL = Scintillator()
REEMISSION_NS = 1.5  # decay time of bis-MSB

PARAMETERS = (
    *(
        Parameter(f"vertex_{axis}", "m", 0.0, dist.Normal(0.0, 5.0), description=f"place of the event along {axis}")
        for axis in "xyz"
    ),
    Parameter("energy", "MeV", 2.0, dist.LogNormal(1.0, 0.7), description="deposited, as of one electron"),
    Parameter("event_time", "ns", 0.0, dist.Normal(0.0, 50.0), description="of the event"),
    Parameter(
        "light_yield", "1/MeV", 1e4, dist.LogNormal(9.21, 0.03), free=False, description="photons of visible energy"
    ),
    Parameter(
        "birks", "g/cm^2/MeV", 0.0125, dist.LogNormal(-4.382, 0.1), free=False, description="Birks' constant, quenching"
    ),
    Parameter(
        "absorption_length", "m", 60.0, dist.LogNormal(4.094, 0.15), free=False, description="of the scintillator"
    ),
    Parameter("rayleigh_length", "m", 30.0, dist.LogNormal(3.401, 0.1), free=False, description="at 430 nm"),
    Parameter("fast_time", "ns", 4.6, dist.LogNormal(1.526, 0.05), free=False, description="of the fast emission"),
    Parameter("fast_share", "", 0.703, dist.Beta(350.0, 148.0), free=False, description="of all light"),
)


class Settings(InputSettings):
    """The study's [inputs]."""

    detector: NameOrPath = Field("juno", description="optical detector, a sphere: preset, our TOML or LUCiD's JSON")
    window_ns: tuple[float, float] = Field((-200.0, 1050.0), description="in which hits are recorded [ns]")
    event: int = Field(0, ge=0, description="number of the event in the file, from 0")
    charge_spread: float = Field(0.35, gt=0.05, lt=0.5, description="of the charge of one photoelectron, relative")


class Inputs(eqx.Module):
    """What the model is given beside the hits.

    Attributes:
        detector: with its sensors; indirect: light at each of them for one photoelectron at full coverage.
        spectrum: detected light; efficiency: of the sensors for it.
        charges: what is recorded of photoelectrons.
        rows: of the hits, for the likelihood; None before there are data.
        first: values to start from, by name; None before there are data.
        dark: counts expected in the window.
        priors: priors and fixed values by name.
        window_ns, event: the settings of these names.
    """

    detector: OpticalDetector
    indirect: SphereLight
    spectrum: Spectrum
    efficiency: float
    charges: HitCharges
    rows: jax.Array | None
    first: dict | None
    dark: float
    priors: dict
    window_ns: tuple = eqx.field(static=True)
    event: int = eqx.field(static=True)


def model(inputs, data=None):
    """Hits given an event."""
    numpyro.sample(OBSERVED, hits(draw(PARAMETERS, inputs.priors), inputs), obs=data)


def hits(values, inputs):
    """The distribution of the hits for values of the parameters."""
    direct, indirect, distance = light(values, inputs)
    emission = emission_delays(values)
    arrivals = Arrivals(
        direct=direct,
        indirect=indirect,
        dark=inputs.dark,
        time_ns=values["event_time"] + delay_ns_per_m() * distance,
        width_ns=inputs.detector.transit_sd_ns,
        window_start_ns=inputs.window_ns[0],
        window_end_ns=inputs.window_ns[1],
        direct_delays=emission,
        indirect_delays=delayed_again(emission, inputs.indirect.lateness),
    )
    return PMTReadout(arrivals, inputs.charges, live=inputs.detector.sensors.live, rows=inputs.rows)


def light(values, inputs):
    """Direct and indirect photoelectrons of every sensor, and its distance from the event [m]."""
    sensors, radius = inputs.detector.sensors, inputs.detector.tank.radius_m
    vertex = jnp.stack([jnp.asarray(values[f"vertex_{axis}"], float) for axis in "xyz"])
    place = held_inside(vertex, radius, 3 * sensors.radius_m)
    oil = scintillator(values)
    emitted = visible_energy(values["energy"], values["birks"]) * values["light_yield"] * inputs.efficiency
    view = sight(place, sensors)
    loss = oil.attenuation(jnp.asarray(inputs.spectrum.wavelength_nm))
    passed = jnp.exp(-loss * view.distance_m[:, None]) @ jnp.asarray(inputs.spectrum.weight)
    return emitted * seen_fraction(view, sensors) * passed, emitted * inputs.indirect(place, oil), view.distance_m


def scintillator(values):
    """With the lengths of these values."""
    return Scintillator(values["absorption_length"], values["rayleigh_length"])


def delay_ns_per_m():
    """Of light."""
    return OIL.index_of_group / SPEED_OF_LIGHT_M_PER_NS


def emission_delays(values):
    """Of scintillation light."""
    slow = OIL.decay_weight[1:] / OIL.decay_weight[1:].sum()
    share = jnp.asarray(values["fast_share"], float)
    time = jnp.asarray(values["fast_time"], float)
    return Delays(0.0, jnp.append(share, (1 - share) * slow), jnp.append(time, OIL.decay_ns[1:]))


def delayed_again(emission, lateness):
    """Delays of emission and of a longer way together: for each pair one exponential of the mean of their sum."""
    share = np.array([lateness.scattered_share, 1 - lateness.scattered_share])
    late_ns = delay_ns_per_m() * np.array([lateness.scattered_m, lateness.reflected_m])
    late_ns[0] += lateness.reemitted_share * REEMISSION_NS
    weight = share[:, None] * jnp.asarray(emission.weight)
    return Delays(0.0, weight.reshape(-1), (late_ns[:, None] + jnp.asarray(emission.constant_ns)).reshape(-1))


def load(settings, priors):
    """Read the detector, and tabulate its indirect light."""
    detector = read_optical_detector(settings.detector)
    if not isinstance(detector.tank, Sphere):
        raise InputError(
            f"detector: the tank of {detector.name} is no sphere, and this model's light is that of one; choose juno, "
            "tao, small_sphere or a file of a sphere"
        )
    priors = {p.name: priors.get(p.name, p.default) for p in PARAMETERS}
    refuse_outside(detector, priors)
    lengths = (lengths_m(priors[name]) for name in ("absorption_length", "rayleigh_length"))
    oil, few = scintillator(fixed_or_nominal(PARAMETERS, priors)), scintillation_spectrum(detector.efficiency, 3)
    return Inputs(
        detector=detector,
        indirect=make_sphere_light(detector, make_zones(detector.tank), oil, few, *lengths),
        spectrum=scintillation_spectrum(detector.efficiency),
        efficiency=scintillation_efficiency(detector.efficiency),
        charges=HitCharges(normal_spectrum(settings.charge_spread)),
        rows=None,
        first=None,
        dark=1e-6 * detector.dark_rate_khz * (settings.window_ns[1] - settings.window_ns[0]),
        priors=priors,
        window_ns=settings.window_ns,
        event=settings.event,
    )


def refuse_outside(detector, priors):
    """Refuse priors of the vertex with more than a hundredth of them outside the tank."""
    keys = jax.random.split(jax.random.key(0), 3)
    place = [sampled(priors[f"vertex_{axis}"], key) for axis, key in zip("xyz", keys, strict=True)]
    outside = float(np.mean(np.sqrt(sum(np.asarray(each) ** 2 for each in place)) > detector.tank.radius_m))
    if outside > 0.01:
        radius = detector.tank.radius_m
        raise InputError(
            f"priors of vertex_x, vertex_y and vertex_z: {outside:.0%} of them is outside the tank of {detector.name}, "
            f"whose radius is {radius:g} m; choose narrower ones, such as {{Normal = [0, {radius / 3.5:.2g}]}}"
        )


def sampled(prior, key):
    """Values of a prior, or the one at which it is held."""
    return prior.sample(key, (2000,)) if is_free(prior) else jnp.asarray(prior, float)


def lengths_m(prior):
    """Lengths to tabulate light at: the one known, or Chebyshev nodes over nearly all of a prior's logarithm."""
    if not is_free(prior):
        return [float(prior)]
    low, high = np.quantile(np.log(np.asarray(sampled(prior, jax.random.key(0)))), [0.001, 0.999])
    return np.exp((low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(4) + 0.5) / 4)).tolist()


def prepare(inputs, data=None):
    """Start and rows of the hits."""
    if data is None:
        return inputs
    first = first_values(inputs, np.asarray(data))
    free = {p.name for p in PARAMETERS if is_free(inputs.priors[p.name])}
    return eqx.tree_at(
        lambda i: (i.rows, i.first),
        inputs,
        (
            jnp.asarray(hit_rows(np.asarray(data))),
            {name: jnp.asarray(value, float) for name, value in first.items() if name in free},
        ),
        is_leaf=lambda leaf: leaf is None,
    )


def first_values(inputs, data):
    """Vertex from the barycentre of the charge, energy from its sum, time from the earliest hits."""
    charge = np.where(np.asarray(inputs.detector.sensors.live), data[:, 0], 0.0)
    base = fixed_or_nominal(PARAMETERS, inputs.priors)
    outward = inputs.indirect.outward
    mean = charge @ outward / max(charge.sum(), 1e-9)
    direction = mean / max(np.linalg.norm(mean), 1e-9)
    distance = np.linspace(0.0, 0.95, 20) * inputs.detector.tank.radius_m
    pull, total = (np.asarray(each) for each in barycentres(inputs, base, distance, direction))
    far = float(np.interp(np.linalg.norm(mean), pull, distance))
    seen = max(charge.sum() - inputs.dark * charge.size, 1.0)
    vertex = {f"vertex_{axis}": far * each for axis, each in zip("xyz", direction, strict=True)}
    first = base | vertex | {"energy": base["energy"] * seen / float(np.interp(far, distance, total))}
    return first | {"event_time": early_time(inputs, first, data)}


def early_time(inputs, first, data):
    """When the light began that the earliest tenth of the hits has seen."""
    hit = data[:, 0] > 0
    if not hit.any():
        return 0.0
    vertex = [first[f"vertex_{axis}"] for axis in "xyz"]
    distance = np.linalg.norm(np.asarray(inputs.detector.sensors.position_m)[hit] - vertex, axis=1)
    return float(np.quantile(data[hit, 1] - delay_ns_per_m() * distance, 0.1))


@eqx.filter_jit
def barycentres(inputs, base, distance, direction):
    """For events along a direction: how far from the centre the mean of unit vectors to their light is, and its sum."""

    def one(each):
        vertex = {f"vertex_{axis}": each * part for axis, part in zip("xyz", direction, strict=True)}
        direct, indirect, _ = light(base | vertex, inputs)
        expected = jnp.where(jnp.asarray(inputs.detector.sensors.live), direct + indirect, 0.0)
        total = expected.sum()
        return expected @ inputs.indirect.outward @ direction / (total + inputs.dark * expected.size), total

    return jax.lax.map(one, distance)


def start(inputs, data):
    """Where the charge and the times point to."""
    del data
    return inputs.first


def measured(values, inputs):
    """What hits tell of light and times."""
    numbers, precision = told_by_hits(hits(fixed_or_nominal(PARAMETERS, inputs.priors) | values, inputs).arrivals)
    return numbers, precision * jnp.tile(jnp.asarray(inputs.detector.sensors.live), 2)


def common(batch):
    """Inputs of several events, whose hits share one shape."""
    return with_common_rows(batch)


def read(path, inputs):
    """Charge and time of every sensor in one event of a file."""
    return read_event(path, inputs.detector.sensors.n_sensors, inputs.event)


def write(path, data, inputs, truth):
    """Write the hits of one event, with the values that they were drawn with."""
    write_event(path, data, inputs.detector, inputs.window_ns, truth=truth, units=units(PARAMETERS))


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    detector, base = inputs.detector, fixed_or_nominal(PARAMETERS, inputs.priors)
    centre = base | {f"vertex_{axis}": 0.0 for axis in "xyz"} | {"energy": 1.0}
    direct, indirect, _ = light(centre, inputs)
    found = {
        "sensors": detector.sensors.n_sensors,
        "photoelectrons of 1 MeV in the centre": round(float(jnp.sum(direct + indirect))),
        "indirect part of them": round(float(jnp.sum(indirect) / jnp.sum(direct + indirect)), 3),
    }
    return found | event_sizes(detector, data)


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


def example(key):
    """An event of 3 MeV in a small sphere, half-way to its wall."""
    inputs = load(Settings(detector="small_sphere"), {f"vertex_{axis}": dist.Normal(0.0, 0.55) for axis in "xyz"})
    truth = {p.name: p.nominal for p in PARAMETERS} | {"vertex_x": 0.8, "vertex_z": -0.6, "energy": 3.0}
    data = hits(truth, inputs).sample(key)
    return prepare(inputs, data), data
