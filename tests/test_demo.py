"""The demonstration's study and its verdict; the whole of it is run by `make demo`."""

import jax
import numpy as np
import pytest

from bayescal.demo import PROBABILITY, TRUTH, truth_checks, verdict, write_demo_study
from bayescal.inference.result import Moments, assemble, laplace_group
from bayescal.study import load_inputs, read_study, study_model, study_priors, study_truth


def result_around(centre):
    """A result with independent draws, one standard deviation of 1 % of the truth wide."""
    keys = dict(zip(TRUTH, jax.random.split(jax.random.key(3), len(TRUTH)), strict=True))
    posterior = {
        name: centre[name] + 0.01 * TRUTH[name] * np.asarray(jax.random.normal(keys[name], (4, 500))) for name in TRUTH
    }
    moments = Moments(tuple(TRUTH), np.array(list(TRUTH.values())), np.eye(len(TRUTH)))
    attributes = {"method": "nuts", "converged": True, "verdict": "Good.", "provenance": {}}
    stats = {"diverging": np.zeros((4, 500), bool)}
    groups = {"posterior": posterior, "prior": posterior, "sample_stats": stats}
    return assemble(groups, laplace_group(moments, moments, {}), attributes, {})


def test_the_study_is_complete(tmp_path):
    path, tracks = write_demo_study(tmp_path, 60.0, 1)
    study = read_study(path)
    model = study_model(study)
    truth = study_truth(study, model)
    assert {name: truth[name] for name in TRUTH} == TRUTH
    assert [parameter.name for parameter in model.parameters if parameter.free] == list(TRUTH)
    inputs = load_inputs(study, model, study_priors(study, model))
    assert model.hook("describe")(inputs)["events"] > 3
    assert "60.0 cm" in tracks


def test_the_truth_is_away_from_nominal_and_inside_the_priors(tmp_path):
    path, _ = write_demo_study(tmp_path, 60.0, 1)
    for parameter in study_model(read_study(path)).parameters:
        if parameter.name in TRUTH:
            value = TRUTH[parameter.name]
            assert value != parameter.nominal
            assert bool(parameter.prior.support(value))


def test_a_good_result():
    good, sentence = verdict(result_around(TRUTH))
    assert good
    assert f"The truth of all 6 constants is inside the central {PROBABILITY:.1%}" in sentence


@pytest.mark.parametrize(("shift", "inside"), [(1.02, True), (1.04, False)])
def test_the_truth_must_be_inside(shift, inside):
    result = result_around(TRUTH | {"kb": shift * TRUTH["kb"]})
    assert {check.parameter: check.good for check in truth_checks(result)}["kb"] == inside
    good, sentence = verdict(result)
    assert good == inside
    assert ("the truth of kb is outside" in sentence) == (not inside)
