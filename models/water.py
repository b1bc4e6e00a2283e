"""Absorption and scattering of the water and reflectivity of the wall, from the light of injectors and diffuser balls.

Inputs: an optical detector filled with water, collimated injectors and, perhaps, isotropic diffuser balls; each of them
shines at every wavelength, which makes a run. Data: photoelectrons that every sensor counts in each run in windows of
its time minus the flight from the source: direct light is prompt, scattered light follows, reflected light comes last.
In a file of counts every window of every run is a row, run by run, first the runs of the diffusers.

Inferred by default: scales of absorption, Rayleigh and Mie scattering, the reflectivity of the wall, the light of each
run, and each beam's direction and width. The efficiencies of the sensors are known from a former calibration within
`efficiency_spread`: what is left of them is integrated out exactly. Held fixed unless a study frees them: this spread,
shifts of the diffusers, and the dark rate.
"""

import math
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array

from bayescal.errors import InputError
from bayescal.likelihoods.calibration_runs import (
    DARK_RATE,
    INTENSITY,
    WATER_AND_WALL,
    counted,
    intensities,
    refuse_beyond_table,
    write_counts,
)
from bayescal.likelihoods.efficiency_counts import EfficiencyCounts, dark_limit
from bayescal.optical.beams import make_beams
from bayescal.optical.calibration_light import require_inside
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.medium import Water
from bayescal.optical.sensors import sensor_columns
from bayescal.optical.timed_light import Aim, TimedLight, timed_light
from bayescal.optical.windows import Windows
from bayescal.parameters import Parameter, draw, fixed_or_nominal, is_free, units
from bayescal.readers.efficiencies import read_efficiencies
from bayescal.readers.optical_detector import read_optical_detector
from bayescal.readers.pmt_counts import read_pmt_counts
from bayescal.readers.pmt_counts import read_truth as read_truth
from bayescal.study import Field, InputSettings, NameOrPath

OBSERVED = "counts"

PARAMETERS = (
    *WATER_AND_WALL,
    INTENSITY,
    *(
        Parameter(
            f"beam_slope_{number}",
            "",
            0.0,
            dist.Normal(0.0, 0.005),
            per="injector",
            description="of a beam across its direction",
        )
        for number in (1, 2)
    ),
    Parameter(
        "beam_width", "", 1.0, dist.LogNormal(0.0, 0.1), per="injector", description="of a beam over `width_deg`"
    ),
    Parameter(
        "efficiency_spread",
        "",
        0.015,
        dist.LogNormal(-4.2, 0.3),
        free=False,
        description="relative, of efficiencies about those known",
    ),
    *(
        Parameter(
            f"diffuser_shift_{axis}",
            "m",
            0.0,
            dist.Normal(0.0, 0.02),
            free=False,
            per="diffuser",
            description=f"of a diffuser along {axis}",
        )
        for axis in "xyz"
    ),
    DARK_RATE,
)

Place = tuple[float, float, float]


class Settings(InputSettings):
    """The study's [inputs]."""

    detector: NameOrPath = Field("super_kamiokande", description="optical detector: preset, our TOML or LUCiD's JSON")
    injector_m: list[Place] = Field(
        [(0, 0, 17.9), (16.7, 0, 10)], min_length=1, description="where each beam begins, inside the tank [m]"
    )
    injector_direction: list[Place] = Field([(0, 0, -1), (-1, 0, 0)], description="of each beam, of any length")
    width_deg: float = Field(3.0, ge=1.0, le=20.0, description="of the beams, one standard deviation [deg]")
    diffuser_m: list[Place] = Field([(0, 0, 0)], description="positions of isotropic sources [m]")
    wavelength_nm: list[float] = Field(
        [337, 375, 405, 445, 473], min_length=1, description="of the light of each source [nm]"
    )
    window_edges_ns: list[float] = Field(
        [-15, 15, 75, 300], min_length=2, description="of windows after the flight from the source [ns]"
    )
    pulse_sd_ns: float = Field(1.0, ge=0, description="width of the light's pulses [ns]")
    light_pe: float = Field(2.5e5, gt=0, description="photoelectrons of a run that perfect coverage would count")
    triggers: int = Field(100, ge=1, description="of each run")
    efficiencies: Path | None = Field(
        None, description="text file of known relative efficiencies, one a line; none: all are equal"
    )


class Inputs(eqx.Module):
    """What the model is given beside the counts.

    Attributes:
        detector: with its sensors; light: of the runs at each of them, as a function of water, wall and aim.
        efficiency: of each sensor, as known before.
        exposure_s: time in which a sensor counts in each window of a run [s].
        light_pe: the setting of this name.
        priors: priors and fixed values by name.
        n_dark: dark counts to sum over; triggers: of a run.
    """

    detector: OpticalDetector
    light: TimedLight
    efficiency: Array
    exposure_s: Array
    light_pe: float
    priors: dict
    n_dark: int = eqx.field(static=True)
    triggers: int = eqx.field(static=True)


def model(inputs, data=None):
    """Counts given water, wall, intensities and beams; what is not known of the efficiencies is integrated out."""
    numpyro.sample(OBSERVED, counts(draw(PARAMETERS, inputs.priors, sizes(inputs)), inputs, data), obs=data)


def sizes(inputs):
    """Members of each plate."""
    light = inputs.light
    return {"run": light.n_runs, "injector": light.beams.n_beams, "diffuser": light.n_balls}


def counts(values, inputs, data=None):
    """The distribution of the counts for values of the parameters; columns are windows, run by run."""
    water = Water(values["absorption_scale"], values["rayleigh_scale"], values["mie_scale"])
    aim = Aim(
        jnp.stack([jnp.asarray(values[f"diffuser_shift_{axis}"]) for axis in "xyz"], axis=-1),
        jnp.stack([jnp.asarray(values[f"beam_slope_{number}"]) for number in (1, 2)], axis=-1),
        jnp.asarray(values["beam_width"]),
    )
    light = inputs.light(water, values["wall_reflectivity"], aim)
    mean = inputs.light_pe * jnp.asarray(values["intensity"])[:, None] * light
    shape = 1 / jnp.asarray(values["efficiency_spread"]) ** 2
    seen = live(inputs)[:, None] & (jnp.asarray(True) if data is None else jnp.asarray(data) >= 0)
    return EfficiencyCounts(
        mean.reshape(mean.shape[0], -1),
        shape,
        shape / inputs.efficiency,
        dark=jnp.tile(1e3 * values["dark_rate"] * inputs.exposure_s, inputs.light.n_runs),
        live=seen,
        n_dark=inputs.n_dark,
    )


def live(inputs):
    """Which sensors count."""
    return jnp.asarray(inputs.detector.sensors.live)


def load(settings, priors):
    """Read the detector and tabulate the light of the sources."""
    for name in ("absorption_scale", "rayleigh_scale"):
        refuse_beyond_table(name, priors.get(name, 1.0))
    free_shift = any(is_free(priors.get(f"diffuser_shift_{axis}", 0.0)) for axis in "xyz")
    if free_shift and not settings.diffuser_m:
        raise InputError("diffuser_m: names no diffuser, but a shift of them is free; hold it fixed")
    detector = read_optical_detector(settings.detector)
    known, n_sensors = settings.efficiencies, detector.sensors.n_sensors
    efficiency = jnp.ones(n_sensors) if known is None else jnp.asarray(read_efficiencies(known, n_sensors))
    light = tabulated(settings, detector)
    exposure_s = 1e-9 * settings.triggers * jnp.asarray(light.windows.length_ns)
    dark = 1e3 * fixed_or_nominal(PARAMETERS, priors)["dark_rate"] * float(exposure_s.sum())
    return Inputs(
        detector=detector,
        light=light,
        efficiency=efficiency,
        exposure_s=exposure_s,
        light_pe=settings.light_pe,
        priors=dict(priors),
        n_dark=dark_limit([dark] * light.n_runs),
        triggers=settings.triggers,
    )


def tabulated(settings, detector):
    """Light of the sources in windows."""
    places = require_inside("injector_m", settings.injector_m, detector)
    width = math.radians(settings.width_deg)
    beams = make_beams(places, settings.injector_direction, width, detector.tank, detector.sensors)
    spread_ns = math.hypot(detector.transit_sd_ns, settings.pulse_sd_ns)
    windows = Windows(settings.window_edges_ns, spread_ns)
    return timed_light(detector, settings.diffuser_m, beams, settings.wavelength_nm, windows)


def read(path, inputs):
    """Counts of each sensor in each window of each run; -1 where a sensor was absent."""
    found = read_pmt_counts(path, inputs.detector.sensors.n_sensors).counts.T
    columns = inputs.light.n_runs * inputs.light.windows.count
    if found.shape[1] != columns:
        raise InputError(
            f"{path}: `counts` has {found.shape[1]} rows, the study has {inputs.light.n_runs} runs of "
            f"{inputs.light.windows.count} windows; check that both belong together"
        )
    return jnp.asarray(found)


def write(path, data, inputs, truth):
    """Write counts, with the constants that they were drawn with."""
    write_counts(path, data, inputs.detector, inputs.triggers, truth=truth, units=units(PARAMETERS))


def start(inputs, data):
    """Intensities from the counts of each run over those expected with nominal constants, where they are free."""
    values = fixed_or_nominal(PARAMETERS, inputs.priors)
    light = intensities(counts(full_size(values, inputs), inputs, data), data, inputs.light.n_runs)
    return {"intensity": light} if is_free(inputs.priors.get("intensity", INTENSITY.default)) else {}


def full_size(values, inputs):
    """Values with one entry a member of each plate."""
    size = sizes(inputs)
    return {p.name: jnp.full(size[p.per], values[p.name]) if p.per else values[p.name] for p in PARAMETERS}


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    found = {
        "sensors": inputs.detector.sensors.n_sensors,
        "sensors that count": int(live(inputs).sum()),
        "runs": inputs.light.n_runs,
        "windows of time": inputs.light.windows.count,
        "dark counts summed over": inputs.n_dark,
    }
    if inputs.detector.faults:
        found["faults of the geometry"] = "; ".join(inputs.detector.faults)
    return found if data is None else found | {"photoelectrons": int(jnp.where(jnp.asarray(data) > 0, data, 0).sum())}


def exposure(inputs):
    """Number of runs, the measure of how much data there are."""
    return inputs.light.n_runs, "runs"


def readouts(inputs):
    """The sensor of each row of counts: its number, batch and place, and whether it counts."""
    return sensor_columns(inputs.detector.sensors)


def recorded(data, inputs):
    """Photoelectrons of each sensor in all runs and windows."""
    return {"counts": counted(data, inputs.detector.sensors)}


def example(key):
    """A diffuser and two injectors at two wavelengths in a small tank."""
    settings = Settings(
        detector="eos",
        injector_m=[(0, 0, 1.4), (1.9, 0, 0)],
        injector_direction=[(0.1, 0, -1), (-1, 0, 0.1)],
        width_deg=10.0,
        diffuser_m=[(0, 0.5, 0)],
        wavelength_nm=[337, 473],
        window_edges_ns=[-4, 3, 10, 50],
        pulse_sd_ns=0.3,
        light_pe=2e5,
    )
    inputs = load(settings, {})
    values = full_size({p.name: p.nominal for p in PARAMETERS}, inputs)
    return inputs, jax.jit(lambda key: counts(values, inputs).sample(key))(key)
