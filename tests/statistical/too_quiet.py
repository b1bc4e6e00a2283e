"""The charge model with a fault put in: the density takes all noise of the chip 20 % too small; the data are right."""

import equinox as eqx

from bayescal.model_files import load_model

CHARGE = load_model("charge_constants").module
ASSUMED_NOISE = 0.8

PARAMETERS, OBSERVED, Settings = CHARGE.PARAMETERS, CHARGE.OBSERVED, CHARGE.Settings
load, read, write, example = CHARGE.load, CHARGE.read, CHARGE.write, CHARGE.example
prepare, common, start, tempered = CHARGE.prepare, CHARGE.common, CHARGE.start, CHARGE.tempered


def model(inputs, data=None):
    noise = inputs.noise if data is None else ASSUMED_NOISE * inputs.noise
    return CHARGE.model(eqx.tree_at(lambda i: i.noise, inputs, noise), data)
