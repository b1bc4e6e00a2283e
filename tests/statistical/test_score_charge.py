"""The score of the charge calibration: the gradient of its log-likelihood is zero on average over hits of its own.

It sees what ranks see, sooner: a bias of the estimates, and which constant, event time or shift it belongs to.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.stats

from bayescal.charge.coverage import Resolution
from bayescal.inference.potential import Potential, prior_potential
from bayescal.likelihoods.pixel_hits import ChargeInputs, charge_inputs
from bayescal.model_files import load_model
from bayescal.readers.detector import read_detector
from bayescal.simulation import site_sampler
from bayescal.tracks import demo_tracks

MODEL = load_model("charge_constants")
CHARGE = MODEL.module
NUISANCES = ("event_time", "shift_x", "shift_y", "shift_z", "outlier_rate")
TRUTH = {"outlier_rate": 1e-4}
DATA_SETS = 500  # with which a bias of a fifth of a posterior width is 4.5 standard errors
P_LIMIT = 0.01
COARSE = Resolution(step_cm=0.25)  # the simulator that draws the hits and that of the density are the same


@pytest.mark.validate
@pytest.mark.timeout(5400)
def test_the_score_is_zero_on_average():
    """All parameters together by Hotelling's test, and each alone; false alarm 1 % for each of the two."""
    track_key, model_key, data_key = jax.random.split(jax.random.key(50), 3)
    detector = read_detector("module0")
    priors = {parameter.name: parameter.default for parameter in CHARGE.PARAMETERS if not parameter.free}
    priors |= {parameter.name: parameter.prior for parameter in CHARGE.PARAMETERS if parameter.name in NUISANCES}
    inputs = charge_inputs(demo_tracks(track_key, detector.geometry, 50.0), detector, priors, resolution=COARSE)
    scores, names = drawn_scores(inputs, model_key, jax.random.split(data_key, DATA_SETS))
    mean, covariance = scores.mean(axis=0), np.cov(scores.T) / DATA_SETS
    p_each = 2 * scipy.stats.norm.sf(np.abs(mean) / np.sqrt(np.diag(covariance)))
    worst = int(np.argmin(p_each))
    assert p_each[worst] * p_each.size > P_LIMIT, f"{names[worst]}: p = {p_each[worst]:.1e}"
    size = mean.size
    f_value = mean @ np.linalg.solve(covariance, mean) * (DATA_SETS - size) / (size * (DATA_SETS - 1))
    p_all = scipy.stats.f.sf(f_value, size, DATA_SETS - size)
    bias = np.linalg.solve(covariance, mean) / np.sqrt(DATA_SETS * np.diag(np.linalg.inv(covariance)))
    assert p_all > P_LIMIT, f"p = {p_all:.1e}; bias in posterior widths: {dict(zip(names, bias.round(3), strict=True))}"


def drawn_scores(inputs: ChargeInputs, key: jax.Array, data_keys: jax.Array) -> tuple[np.ndarray, tuple[str, ...]]:
    """Gradients of the log-likelihood at the truth [data set, parameter], in unconstrained space, and their names."""
    truth = CHARGE.fixed_or_nominal(inputs) | TRUTH
    truth["event_time"] = np.zeros(inputs.n_events)
    draw = site_sampler(MODEL)
    data = [np.asarray(draw(data_key, inputs, truth)[CHARGE.OBSERVED]) for data_key in data_keys]
    prepared = CHARGE.common([CHARGE.prepare(inputs, hits) for hits in data])
    potential = Potential(CHARGE.model, prepared[0], data[0], key)
    free = {name: np.asarray(truth[name]) for name in potential.names}
    place = potential.unconstrain(free, np.zeros(potential.size))
    _, prior = prior_potential(CHARGE.model, prepared[0], data[0], key).value_and_grad(place)
    joint = [potential.with_data(*each).value_and_grad(place)[1] for each in zip(prepared, data, strict=True)]
    return prior - np.stack(joint), potential.labels
