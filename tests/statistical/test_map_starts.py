"""The search for the mode comes to the same optimum from everywhere in the prior."""

from __future__ import annotations

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescal.inference.laplace import gaussian
from bayescal.inference.optimise import find_mode, prior_scale
from bayescal.inference.potential import Potential
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.pixel_hits import charge_inputs
from bayescal.model_files import load_model
from bayescal.readers.detector import read_detector
from bayescal.tracks import demo_tracks

PRIORS = {
    "Ab": dist.Uniform(0.78, 0.88),
    "kb": dist.Uniform(0.04, 0.07),
    "electric_field": dist.Uniform(0.45, 0.55),
    "lifetime": dist.Uniform(500.0, 5000.0),
    "long_diff": dist.Uniform(2e-6, 9e-6),
    "tran_diff": dist.Uniform(4e-6, 1.4e-5),
}
"""Ranges in which these constants usually lie."""
N_STARTS, N_GOOD = 20, 18
VALUE_TOLERANCE = 1e-3  # nats
PLACE_TOLERANCE = 0.05  # posterior widths

CHARGE = load_model("charge_constants").module


@pytest.mark.validate
@pytest.mark.timeout(5400)
def test_same_optimum_from_eighteen_of_twenty_starts():
    """200 cm of made tracks; every start is a draw of the prior, and nothing else helps the search."""
    track_key, hit_key, model_key, prior_key, start_key = jax.random.split(jax.random.key(200), 5)
    detector = read_detector("module0")
    inputs = charge_inputs(demo_tracks(track_key, detector.geometry, length_cm=200.0), detector, PRIORS)
    constants = CHARGE.charge_constants({parameter.name: parameter.nominal for parameter in CHARGE.PARAMETERS})
    signals = CHARGE.simulate(constants, inputs.coverage, detector)
    hits = np.asarray(jax.jit(SelfTriggeredReadout.sample)(readout(signals, inputs), hit_key))
    potential = Potential(CHARGE.model, CHARGE.prepare(inputs, hits), hits, model_key)
    scale = prior_scale(potential.sample_prior(prior_key, 500))
    starts = potential.sample_prior(start_key, N_STARTS)
    found = [
        find_mode(potential, [start], scale, CHARGE.tempered, 1500, lambda number, stage, steps, value: None)
        for start in starts
    ]
    best = min(found, key=lambda optimum: optimum.value)
    assert best.converged, best.reason
    width = np.sqrt(np.diag(gaussian(best).covariance))
    good = [
        optimum.converged
        and optimum.value - best.value < VALUE_TOLERANCE
        and (np.abs(optimum.x - best.x) < PLACE_TOLERANCE * width).all()
        for optimum in found
    ]
    fields = potential.constrain(starts)["electric_field"]
    assert sum(good) >= N_GOOD, [
        (float(field), optimum.value - best.value, optimum.reason)
        for field, optimum, same in zip(fields, found, good, strict=True)
        if not same
    ]


def readout(signals, inputs):
    return SelfTriggeredReadout(signals, inputs.detector.electronics, live=inputs.live)
