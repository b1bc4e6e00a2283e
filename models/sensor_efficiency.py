"""Efficiencies of all photosensors with the water and the wall, from the counts of calibration sources.

Inputs: an optical detector filled with water, and isotropic sources: their positions and wavelengths. Each position
and wavelength is a run. Data: photoelectrons that every sensor counts in each run.

Inferred by default: scales of absorption, Rayleigh and Mie scattering, the reflectivity of the wall, the light of each
run, the spread of the efficiencies and the means of the production batches. The efficiencies themselves are integrated
out exactly, and drawn afterwards: `efficiency` and `batch_efficiency` of the group `completed`. All intensities times a
factor and all efficiencies over it give the same counts, so the mean logarithm of the batches is zero: efficiencies are
relative ones. Held fixed unless a study frees them: shifts of the sources, and the dark rate.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

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
from bayescal.optical.calibration_light import RunLight, run_light
from bayescal.optical.detector import OpticalDetector
from bayescal.optical.medium import Water
from bayescal.optical.sensors import sensor_columns
from bayescal.parameters import Parameter, draw, fixed_or_nominal, is_free, units
from bayescal.readers.optical_detector import read_optical_detector
from bayescal.readers.pmt_counts import read_pmt_counts
from bayescal.readers.pmt_counts import read_truth as read_truth
from bayescal.study import Field, InputSettings, NameOrPath

OBSERVED = "counts"

PARAMETERS = (
    *WATER_AND_WALL,
    INTENSITY,
    Parameter(
        "efficiency_spread", "", 0.1, dist.LogNormal(-2.3, 0.5), description="relative, of efficiencies in a batch"
    ),
    Parameter(
        "batch_contrast",
        "",
        0.0,
        dist.Normal(0.0, 0.05),
        per="contrast",
        description="of the logarithms of batch means",
    ),
    *(
        Parameter(
            f"source_shift_{axis}",
            "m",
            0.0,
            dist.Normal(0.0, 0.02),
            free=False,
            per="position",
            description=f"of a source along {axis}",
        )
        for axis in "xyz"
    ),
    DARK_RATE,
)


class Settings(InputSettings):
    """The study's [inputs]."""

    detector: NameOrPath = Field("super_kamiokande", description="optical detector: preset, our TOML or LUCiD's JSON")
    position_m: list[tuple[float, float, float]] = Field(
        [(0, 0, 0), (0, 0, 12), (0, 0, -12), (12, 0, 0), (0, -12, -6)], min_length=1, description="of the sources [m]"
    )
    wavelength_nm: list[float] = Field([337, 400, 450], min_length=1, description="of the light at each position [nm]")
    light_pe: float = Field(2.5e5, gt=0, description="photoelectrons of a run that perfect coverage would count")
    triggers: int = Field(100, ge=1, description="of each run")
    window_ns: float = Field(200.0, gt=0, description="in which a trigger counts hits [ns]")


class Inputs(eqx.Module):
    """What the model is given beside the counts.

    Attributes:
        detector: with its sensors; light: of the runs at each of them, as a function of water, wall and places.
        exposure_s: time in which a sensor counts in each run [s].
        light_pe: the setting of this name.
        priors: priors and fixed values by name.
        n_batches: of production; n_dark: dark counts to sum over; triggers: of a run.
    """

    detector: OpticalDetector
    light: RunLight
    exposure_s: float
    light_pe: float
    priors: dict
    n_batches: int = eqx.field(static=True)
    n_dark: int = eqx.field(static=True)
    triggers: int = eqx.field(static=True)


def model(inputs, data=None):
    """Counts given water, wall, intensities and batches; the efficiencies are integrated out."""
    numpyro.sample(OBSERVED, counts(draw(PARAMETERS, inputs.priors, sizes(inputs)), inputs, data), obs=data)


def sizes(inputs):
    """Members of each plate."""
    return {
        "run": inputs.light.n_runs,
        "position": inputs.light.n_positions,
        "contrast": inputs.n_batches - 1,
    }


def counts(values, inputs, data=None):
    """The distribution of the counts for values of the parameters."""
    water = Water(values["absorption_scale"], values["rayleigh_scale"], values["mie_scale"])
    shift = jnp.stack([jnp.asarray(values[f"source_shift_{axis}"]) for axis in "xyz"], axis=-1)
    light = inputs.light(water, values["wall_reflectivity"], shift)
    shape = 1 / values["efficiency_spread"] ** 2
    means = batch_efficiency(values["batch_contrast"], inputs.n_batches)
    seen = live(inputs)[:, None] & (jnp.asarray(True) if data is None else jnp.asarray(data) >= 0)
    return EfficiencyCounts(
        inputs.light_pe * jnp.asarray(values["intensity"]) * light,
        shape,
        shape / means[jnp.asarray(inputs.detector.sensors.batch)],
        dark=1e3 * values["dark_rate"] * inputs.exposure_s,
        live=seen,
        n_dark=inputs.n_dark,
    )


def live(inputs):
    """Which sensors count."""
    return jnp.asarray(inputs.detector.sensors.live)


def batch_efficiency(contrast, n_batches):
    """Means of the batches, whose logarithms add up to zero, from one number less (Helmert's contrasts)."""
    number = jnp.arange(1, n_batches)
    norm = jnp.sqrt(number * (number + 1.0))
    helmert = jnp.where(jnp.arange(n_batches)[:, None] < number, 1.0, 0.0) / norm
    helmert = helmert - jnp.where(jnp.arange(n_batches)[:, None] == number, number, 0.0) / norm
    return jnp.exp(helmert @ jnp.asarray(contrast))


def load(settings, priors):
    """Read the detector and tabulate the light of the sources."""
    for name in ("absorption_scale", "rayleigh_scale"):
        refuse_beyond_table(name, priors.get(name, 1.0))
    detector = read_optical_detector(settings.detector)
    exposure_s = 1e-9 * settings.window_ns * settings.triggers
    dark = 1e3 * fixed_or_nominal(PARAMETERS, priors)["dark_rate"] * exposure_s
    light = run_light(detector, settings.position_m, settings.wavelength_nm)
    return Inputs(
        detector=detector,
        light=light,
        exposure_s=exposure_s,
        light_pe=settings.light_pe,
        priors=dict(priors),
        n_batches=detector.sensors.n_batches,
        n_dark=dark_limit([dark] * light.n_runs),
        triggers=settings.triggers,
    )


def read(path, inputs):
    """Counts of each sensor and run; -1 where a sensor was absent."""
    return jnp.asarray(read_pmt_counts(path, inputs.detector.sensors.n_sensors).counts.T)


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


def complete(key, draws, inputs, data):
    """Efficiency of each sensor and mean of each batch, for each draw of the parameters."""
    names = {parameter.name for parameter in PARAMETERS}
    free = {name: jnp.asarray(values) for name, values in draws.items() if name in names}
    fixed = full_size(fixed_or_nominal(PARAMETERS, inputs.priors), inputs)

    @jax.jit
    def efficiencies(key, free, inputs, data):
        def one(row):
            key, values = row
            all_values = fixed | values
            means = batch_efficiency(all_values["batch_contrast"], inputs.n_batches)
            return counts(all_values, inputs, data).draw_efficiency(key, data), means

        keys = jax.random.split(key, len(next(iter(free.values()))))
        return jax.lax.map(one, (keys, free))

    efficiency, means = efficiencies(key, free, inputs, jnp.asarray(data))
    return {"efficiency": efficiency, "batch_efficiency": means}


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    found = {
        "sensors": inputs.detector.sensors.n_sensors,
        "sensors that count": int(live(inputs).sum()),
        "runs": inputs.light.n_runs,
        "production batches": inputs.n_batches,
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
    """Photoelectrons of each sensor in all runs."""
    return {"counts": counted(data, inputs.detector.sensors)}


def example(key):
    """Two positions and two wavelengths in a small tank."""
    settings = Settings(
        detector="eos", position_m=[(0, 0, 0), (0, 0.8, -1.0)], wavelength_nm=[350, 450], light_pe=2e4, triggers=20
    )
    inputs = load(settings, {})
    values = full_size({p.name: p.nominal for p in PARAMETERS}, inputs)
    return inputs, counts(values, inputs).sample(key)
