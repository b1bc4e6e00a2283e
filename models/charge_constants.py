"""Calibration constants of a LArTPC with pixel readout, from hits on known tracks.

Inputs: ionisation steps (edep-sim/larnd-sim `segments`, positions taken as known) and a detector.
Data: hits, (firing tick, ADC) of every pixel that charge can reach, and the silence of those without.

Inferred by default: recombination A_B and k_B (Birks), drift field, electron lifetime, longitudinal and transverse
diffusion. Held fixed unless a study frees them: electrons per energy (exactly degenerate with A_B) and density (with
k_B), shifts of the detector, a time offset an event, and the rate of outlier hits.
"""

from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayescal import parameters
from bayescal.charge.coverage import Resolution
from bayescal.charge.detector import ChargeConstants, simulate
from bayescal.charge.recombination import Birks
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.intervals import IntegerADC, RealADC
from bayescal.likelihoods.pixel_hits import arrange, as_hits, charge_inputs, with_common_plans, with_plan
from bayescal.parameters import Parameter, draw, is_free
from bayescal.readers.detector import read_detector
from bayescal.readers.edepsim import read_segments
from bayescal.readers.hits import check_pixels, read_hits, write_hits
from bayescal.readers.hits import read_truth as read_truth
from bayescal.reconstruction.seeds import drift_line
from bayescal.segments import select
from bayescal.study import Field, InputSettings, NameOrPath
from bayescal.tracks import demo_tracks

OBSERVED = "hits"

PARAMETERS = (
    Parameter("Ab", "", 0.8, dist.Uniform(0.7, 0.95), description="Birks normalisation A_B", larndsim_key="Ab"),
    Parameter(
        "kb",
        "(kV/cm)(g/cm^2)/MeV",
        0.0486,
        dist.Uniform(0.03, 0.08),
        description="Birks quenching constant k_B",
        larndsim_key="kb",
    ),
    Parameter(
        "electric_field", "kV/cm", 0.5, dist.Uniform(0.45, 0.55), description="drift field", larndsim_key="eField"
    ),
    Parameter(
        "lifetime", "us", 2200.0, dist.LogNormal(7.7, 0.5), description="electron lifetime", larndsim_key="lifetime"
    ),
    Parameter(
        "long_diff",
        "cm^2/us",
        4.0e-6,
        dist.Uniform(1e-6, 1.2e-5),
        description="longitudinal diffusion constant",
        larndsim_key="long_diff",
    ),
    Parameter(
        "tran_diff",
        "cm^2/us",
        8.8e-6,
        dist.Uniform(3e-6, 1.5e-5),
        description="transverse diffusion constant",
        larndsim_key="tran_diff",
    ),
    Parameter(
        "electrons_per_mev",
        "e-/MeV",
        4.237e4,
        dist.Normal(4.237e4, 420.0),
        free=False,
        description="ionisation electrons per energy, 1/W_ion",
        larndsim_key="MeVToElectrons",
    ),
    Parameter("density", "g/cm^3", 1.38, dist.Normal(1.38, 0.005), free=False, description="density of the argon"),
    Parameter("shift_x", "cm", 0.0, dist.Normal(0.0, 0.02), free=False, description="shift subtracted from x"),
    Parameter("shift_y", "cm", 0.0, dist.Normal(0.0, 0.02), free=False, description="shift subtracted from y"),
    Parameter(
        "shift_z", "cm", 0.0, dist.Normal(0.0, 0.02), free=False, description="shift subtracted from z, the drift axis"
    ),
    Parameter(
        "event_time", "us", 0.0, dist.Normal(0.0, 0.1), free=False, per="event", description="time offset of an event"
    ),
    Parameter(
        "outlier_rate",
        "1/us",
        0.0,
        dist.LogNormal(-14.0, 2.0),
        free=False,
        description="rate of hits that have nothing to do with charge, per pixel in reach",
    ),
)

TEMPERING = ((6.0, 10.0), (4.0, 3.0), (2.0, 1.0), (1.5, 0.3))
"""Stages on the way from far: factor on the chip's noise, and width added to the pulses [us]."""


class Settings(InputSettings):
    """The study's [inputs]."""

    segments: list[Path] = Field(description="edep-sim/larnd-sim HDF5 files with a 'segments' dataset")
    detector: NameOrPath = Field("module0", description="preset by name, our TOML, or larnd-sim's detector YAML")
    layout: Path | None = Field(None, description="larnd-sim's pixel layout YAML, with a detector YAML")
    adc: Literal["real", "integer"] = Field("real", description="ADC values as real numbers or as whole codes")
    max_cos_drift: float | None = Field(None, description="keep tracks with |cos(angle to the drift axis)| below this")
    min_length_cm: float | None = Field(None, description="keep tracks longer than this [cm]")
    step_cm: float = Field(0.05, gt=0, description="longest step of the simulation [cm]")
    cells: int = Field(2, ge=2, multiple_of=2, description="cells of the simulation along a pixel's side, even")


def model(inputs, data=None):
    """Hits given the constants; `inputs` from `load` or `charge_inputs`, with its plan when there are data."""
    values = draw(PARAMETERS, inputs.priors, {"event": inputs.n_events})
    constants = charge_constants(values)
    signals = simulate(constants, inputs.coverage, inputs.detector).smeared(inputs.smear_us)
    readout = SelfTriggeredReadout(
        signals,
        inputs.detector.electronics.noisier(inputs.noise),
        outlier_rate=values["outlier_rate"],
        live=inputs.live,
        adc=inputs.adc,
        plan=inputs.plan,
    )
    numpyro.sample(OBSERVED, readout, obs=data)


def charge_constants(values):
    """The simulator's constants from values by parameter name."""
    return ChargeConstants(
        recombination=Birks(values["Ab"], values["kb"]),
        shift_cm=jnp.stack([jnp.asarray(values[f"shift_{axis}"], float) for axis in "xyz"]),
        **{
            name: values[name]
            for name in (
                "electric_field",
                "lifetime",
                "long_diff",
                "tran_diff",
                "electrons_per_mev",
                "density",
                "event_time",
            )
        },
    )


def load(settings, priors):
    """Read segments and detector."""
    segments = read_segments(settings.segments)
    if settings.max_cos_drift is not None or settings.min_length_cm is not None:
        segments = select(segments, max_cos_drift=settings.max_cos_drift, min_length_cm=settings.min_length_cm)
    detector = read_detector(settings.detector, settings.layout)
    adc = IntegerADC() if settings.adc == "integer" else RealADC()
    return charge_inputs(segments, detector, priors, adc, Resolution(settings.step_cm, settings.cells))


def read(path, inputs):
    """Hits of a file, one row a pixel in reach."""
    hits = read_hits(path)
    check_pixels(hits, inputs.detector.geometry, path)
    return arrange(hits, inputs, path)


def write(path, data, inputs, truth):
    """Write hits, with the constants that they were drawn with."""
    units = {parameter.name: parameter.unit for parameter in PARAMETERS}
    attributes = {"detector": inputs.detector.name, "tick_us": inputs.detector.electronics.tick_us}
    write_hits(path, as_hits(data, inputs), attributes=attributes, truth=truth, units=units)


def prepare(inputs, data=None):
    """Plan the likelihood around the constants that the first hits suggest."""
    if data is None:
        return inputs
    values = fixed_or_nominal(inputs) | start(inputs, data)
    return with_plan(inputs, data, charge_constants(values))


def common(inputs):
    """Prepared inputs of several data sets, padded to common shapes."""
    return with_common_plans(inputs)


def fixed_or_nominal(inputs):
    """Every parameter at its fixed value, or the nominal one where it is free."""
    return parameters.fixed_or_nominal(PARAMETERS, inputs.priors)


def start(inputs, data):
    """Drift field and event times, where free, from the straight line of first hits against drift distance."""
    free = {name for name, prior in inputs.priors.items() if is_free(prior)}
    free |= {p.name for p in PARAMETERS if p.free and p.name not in inputs.priors}
    line = drift_line(data[..., 0], inputs.coverage, inputs.detector, own_times="event_time" in free)
    seeds = {"electric_field": line.electric_field, "event_time": line.event_time}
    return {name: value for name, value in seeds.items() if name in free}


def tempered(inputs, stage):
    """Easier problems for a start from far: noisier chip, slower pulses."""
    return inputs.tempered(*TEMPERING[stage]) if stage < len(TEMPERING) else None


def describe(inputs, data=None):
    """Sizes, for `bayescal check`."""
    coverage = inputs.coverage
    sizes = {
        "events": inputs.n_events,
        "track length [cm]": round(float(inputs.length_cm), 2),
        "energy outside the drift volumes [MeV]": round(float(coverage.lost_mev), 3),
        "steps": int((coverage.steps.energy_mev > 0).sum()),
        "pixels in reach": int((coverage.pixel >= 0).sum()),
    }
    if data is not None:
        sizes["hits"] = int(jnp.isfinite(data[..., 0]).sum())
        sizes["pixels with hits"] = int(jnp.isfinite(data[:, 0, 0]).sum())
    if inputs.plan is not None:
        sizes["intervals"] = int(sum(group.real.sum() for group in inputs.plan.groups))
    return sizes


def exposure(inputs):
    """Total length of the tracks, the measure of how much data there are."""
    return inputs.length_cm, "cm of track"


def predictive(key, inputs, data, draws):
    """Summaries of the hits, observed and drawn with posterior draws: hits and charge an event, histograms."""
    sizes = {"event": inputs.n_events}

    @jax.jit
    def replicate(key, values, inputs):
        constants = charge_constants(draw(PARAMETERS, {**inputs.priors, **values}, sizes))
        signals = simulate(constants, inputs.coverage, inputs.detector)
        rate = draw(PARAMETERS, {**inputs.priors, **values}, sizes)["outlier_rate"]
        chip = inputs.detector.electronics
        readout = SelfTriggeredReadout(signals, chip, outlier_rate=rate, live=inputs.live, adc=inputs.adc)
        return summaries(readout.sample(key), inputs)

    n_draws = len(next(iter(draws.values())))
    keys = jax.random.split(key, n_draws)
    replicas = [replicate(keys[i], {name: values[i] for name, values in draws.items()}, inputs) for i in range(n_draws)]
    observed = summaries(jnp.asarray(data), inputs)
    return {name: (observed[name], jnp.stack([replica[name] for replica in replicas])) for name in observed}


def summaries(data, inputs):
    """Numbers that a check compares: per event and as histograms."""
    seen = jnp.isfinite(data[..., 0]) & jnp.asarray(inputs.live)[:, None]
    charge = jnp.where(seen, data[..., 1] - inputs.detector.electronics.pedestal_counts, 0.0)
    event = jnp.where(jnp.asarray(inputs.live), inputs.coverage.event, inputs.n_events)
    adc, chip = jnp.where(seen, data[..., 1], -1.0), inputs.detector.electronics
    tick = jnp.where(seen, data[..., 0], chip.first_tick - 1.0)
    return {
        "hits_per_event": jax.ops.segment_sum(seen.sum(axis=1), event, inputs.n_events + 1)[:-1],
        "charge_per_event": jax.ops.segment_sum(charge.sum(axis=1), event, inputs.n_events + 1)[:-1],
        "hits_per_pixel": jnp.histogram(jnp.where(inputs.live, seen.sum(axis=1), -1), jnp.arange(6))[0],
        "adc_histogram": jnp.histogram(adc, jnp.linspace(70.0, chip.adc_counts + 1.0, 21))[0],
        "tick_histogram": jnp.histogram(tick, jnp.linspace(chip.first_tick, chip.end_tick, 21))[0],
    }


def readouts(inputs):
    """The pixel of each row of the hits: its event, number, plane and centre, and whether it records."""
    event, pixel = inputs.coverage.event, inputs.coverage.pixel
    geometry = inputs.detector.geometry
    x, y = geometry.centre_cm(pixel)
    return {
        "live": inputs.live,
        "event": inputs.event_id[event],
        "pixel": pixel,
        "plane": geometry.unravel(pixel)[2],
        "x_cm": x,
        "y_cm": y,
    }


def recorded(data, inputs):
    """Charge of all hits [counts] and first firing tick of each pixel; NaN where there is no hit."""
    seen = jnp.isfinite(data[..., 0])
    charge = jnp.where(seen, data[..., 1] - inputs.detector.electronics.pedestal_counts, 0.0).sum(axis=1)
    return {"charge": jnp.where(seen[:, 0], charge, jnp.nan), "first_tick": data[:, 0, 0]}


def example(key):
    """Half a metre of made tracks in Module-0 and their hits."""
    track_key, hit_key = jax.random.split(key)
    detector = read_detector("module0")
    inputs = charge_inputs(demo_tracks(track_key, detector.geometry, length_cm=50.0), detector, {})
    signals = simulate(charge_constants(fixed_or_nominal(inputs) | {"event_time": 0.0}), inputs.coverage, detector)
    data = SelfTriggeredReadout(signals, detector.electronics, live=inputs.live).sample(hit_key)
    return prepare(inputs, data), data
