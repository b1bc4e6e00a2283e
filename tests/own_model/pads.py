"""Pads that read a charge with normal noise: a model that names its readouts, and can be told a wrong noise.

Inputs: an .npz file with `deposit` [fC], `event`, `x_cm`, `y_cm`, one row a pad. Data: an .npz file with `charge` [fC].
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.parameters import Parameter, draw
from bayescal.settings import Field, InputSettings, Path

PARAMETERS = (
    Parameter("gain", "", 1.0, dist.Normal(1.0, 0.2), description="of all pads"),
    Parameter("pedestal", "fC", 0.0, dist.Normal(0.0, 1.0), description="of all pads"),
    Parameter("shift", "fC", 0.0, dist.Normal(0.0, 0.3), free=False, per="event", description="of an event"),
)
OBSERVED = "charge"
NOISE = 0.2  # fC
FAINT = 0.5  # fC; less is not recorded


class Settings(InputSettings):
    pads: Path = Field(description="file of the pads", examples=["pads.npz"])
    assumed_noise: float = Field(1.0, gt=0, description="factor on the noise in the likelihood, not in the data")


class Inputs(eqx.Module):
    deposit: np.ndarray
    event: np.ndarray
    place: np.ndarray
    assumed_noise: float
    priors: dict


def model(inputs, data=None):
    p = draw(PARAMETERS, inputs.priors, {"event": 8})
    mean = p["gain"] * inputs.deposit + p["pedestal"] + p["shift"][inputs.event]
    noise = NOISE if data is None else NOISE * inputs.assumed_noise
    numpyro.sample("charge", dist.Normal(mean, noise), obs=data)


def load(settings, priors):
    with np.load(settings.pads) as file:
        place = np.stack([file["x_cm"], file["y_cm"]])
        return Inputs(file["deposit"], file["event"], place, settings.assumed_noise, priors)


def read(path, inputs):
    del inputs
    with np.load(path) as file:
        return file["charge"]


def write(path, data, inputs, truth):
    del inputs, truth
    np.savez(path, charge=np.asarray(data))


def readouts(inputs):
    live = np.arange(inputs.event.size) > 0  # the first pad is dead
    return {"live": live, "event": 100 + inputs.event, "x_cm": inputs.place[0], "y_cm": inputs.place[1]}


def recorded(data, inputs):
    del inputs
    return {"charge": jnp.where(data > FAINT, data, jnp.nan)}


def example(key):
    del key
    rng = np.random.default_rng(3)
    inputs = Inputs(rng.uniform(0.0, 4.0, 96), np.repeat(np.arange(8), 12), rng.uniform(0.0, 5.0, (2, 96)), 1.0, {})
    return inputs, inputs.deposit + rng.normal(0.0, NOISE, 96)
