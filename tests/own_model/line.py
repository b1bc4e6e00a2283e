"""A straight line through points with normal noise: a model file as a user writes one.

Inputs: an .npz file with `x` [m], one row an event. Data: an .npz file with `volts` [V] of the same shape.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.errors import InputError
from bayescal.parameters import Parameter, draw
from bayescal.settings import Field, InputSettings, Path

PARAMETERS = (
    Parameter("slope", "V/m", 2.0, dist.Normal(0.0, 10.0), description="rise of the line", larndsim_key="slope"),
    Parameter("offset", "V", 0.5, dist.Uniform(-5.0, 5.0), description="value at zero"),
    Parameter("noise", "V", 0.1, dist.LogNormal(-2.0, 1.0), free=False, description="width of the noise"),
    Parameter("pedestal", "V", 0.0, dist.Normal(0.0, 0.1), free=False, per="event", description="of an event"),
)
OBSERVED = "volts"


class Settings(InputSettings):
    points: Path = Field(description="file of the points", examples=["points.npz"])
    scale: float = Field(1.0, gt=0, description="factor on x")


class Inputs(eqx.Module):
    x: np.ndarray
    priors: dict


def model(inputs, data=None):
    p = draw(PARAMETERS, inputs.priors, {"event": inputs.x.shape[0]})
    volts = p["slope"] * inputs.x + p["offset"] + p["pedestal"][:, None]
    numpyro.sample("volts", dist.Normal(volts, p["noise"]).to_event(2), obs=data)


def load(settings, priors):
    return Inputs(settings.scale * array(settings.points, "x"), priors)


def read(path, inputs):
    volts = array(path, "volts")
    if volts.shape != inputs.x.shape:
        raise InputError(f"{path}: volts has the shape {volts.shape}, expected {inputs.x.shape} as x")
    return volts


def write(path, data, inputs, truth):
    del inputs
    np.savez(path, volts=np.asarray(data), **{f"truth_{name}": np.asarray(value) for name, value in truth.items()})


def read_truth(path):
    with np.load(path) as file:
        return {name.removeprefix("truth_"): file[name] for name in file.files if name.startswith("truth_")}


def describe(inputs, data):
    return {"events": inputs.x.shape[0], "points": inputs.x.size, "data points": 0 if data is None else data.size}


def predictive(key, inputs, data, draws):
    noise = np.asarray(jax.random.normal(key, (len(draws["slope"]), *data.shape)))
    lines = draws["slope"][:, None, None] * inputs.x + draws["offset"][:, None, None]
    return {"mean of an event": (data.mean(axis=1), (lines + 0.1 * noise).mean(axis=2))}


def array(path, name):
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with np.load(path) as file:
        return file[name]


def example(key):
    del key
    inputs = Inputs(np.linspace(0.0, 1.0, 12).reshape(3, 4), {})
    return inputs, jnp.asarray(2.0 * inputs.x + 0.5)
