import numpy as np
import pytest

from bayescal.diagnostics.estimates import all_estimates, chosen_estimates
from bayescal.errors import InputError


def test_draws_give_mean_median_and_the_mode_of_the_curvature(nuts_result, known):
    names, mean, _, _ = known
    found = all_estimates(nuts_result)
    assert [e.name for e in found.constants] == [*names, "event_time[0]", "event_time[1]", "event_time[2]"]
    kb, draws = found.constants[0], nuts_result.draws("kb")
    assert (kb.mean, kb.median, kb.mode) == (draws.mean(), np.median(draws), mean[0])
    assert (kb.value, kb.sd) == (kb.mean, draws.std(ddof=1))
    assert (kb.low_68, kb.high_95) == tuple(np.quantile(draws, (0.16, 0.975)))
    assert (kb.unit, kb.larndsim_key) == ("(kV/cm)(g/cm^2)/MeV", "kb")
    assert found.converged
    assert found.verdict.startswith("The chains have converged")
    assert found.covariance["parameter"].values.tolist() == list(names)


def test_a_mode_has_no_mean(map_result, known):
    _, mean, sd, correlation = known
    found = all_estimates(map_result)
    kb = found.constants[0]
    assert (kb.mean, kb.median, kb.mode, kb.value) == (None, None, mean[0], mean[0])
    assert kb.sd == pytest.approx(sd[0])
    np.testing.assert_allclose(found.correlation, correlation)


def test_chosen_vectors_come_with_all_members_and_their_covariance(nuts_result):
    found = chosen_estimates(nuts_result, ["event_time", "kb"])
    names = ["event_time[0]", "event_time[1]", "event_time[2]", "kb"]
    assert [e.name for e in found.constants] == found.covariance["parameter"].values.tolist() == names
    draws = np.column_stack([nuts_result.draws("event_time"), nuts_result.draws("kb")])
    np.testing.assert_allclose(found.covariance, np.cov(draws.T))


def test_by_default_the_scalars_are_chosen(nuts_result, map_result, known):
    for result in (nuts_result, map_result):
        assert tuple(e.name for e in chosen_estimates(result).constants) == known[0]


def test_what_has_no_covariance_is_refused(make_sampled, map_result):
    with pytest.raises(InputError, match="no parameter 'gain'; it has kb"):
        chosen_estimates(map_result, ["gain"])
    stuck = make_sampled(draws=10)
    stuck.data["posterior"]["kb"].values[:] = 1.0
    with pytest.raises(InputError, match="draws of kb are all equal"):
        chosen_estimates(stuck)
    assert [e.name for e in chosen_estimates(stuck, ["long_diff"]).constants] == ["long_diff"]
    without_curvature = make_sampled(draws=10)
    without_curvature.data.attrs["method"] = "map"
    del without_curvature.data["laplace"]
    with pytest.raises(InputError, match="mode without covariance matrix"):
        chosen_estimates(without_curvature)


def test_a_computed_variable_of_a_mode_is_left_out_or_refused(map_result):
    computed = type(map_result)(map_result.data.copy(deep=True))
    computed.data["posterior"]["ratio"] = computed.data["posterior"]["kb"] * 2
    assert "ratio" not in [e.name for e in chosen_estimates(computed).constants]
    with pytest.raises(InputError, match="no covariance of ratio"):
        chosen_estimates(computed, ["kb", "ratio"])
