import numpy as np

from bayescal.diagnostics import compare
from bayescal.diagnostics.judgement import joint_judgement, judgement
from bayescal.diagnostics.predictive import predictive_checks, result_summaries


def shifted(result, **steps):
    for name, step in steps.items():
        result.data["posterior"][name].values[:] += step
    return result


def test_a_good_result(nuts_result):
    assert judgement(nuts_result, predictive_checks(result_summaries(nuts_result))).state == "good"


def test_a_model_that_does_not_describe_the_data_is_doubtful(make_sampled):
    result = make_sampled()
    result.data["observed_data"]["total_charge"].values[...] = 130.0  # replicas: 100 +- 3
    found = judgement(result, predictive_checks(result_summaries(result)))
    assert found.state == "doubtful"
    assert "differ from the data in total_charge" in found.sentence


def test_what_did_not_converge_is_bad_and_says_what_to_do(make_sampled):
    found = judgement(make_sampled(diverging=2))
    assert found.state == "bad"
    assert found.remedies


def test_methods_that_agree_and_methods_that_do_not(make_sampled, map_result, known):
    assert joint_judgement(compare([map_result, make_sampled()])).state == "good"
    apart = joint_judgement(compare([map_result, shifted(make_sampled(), kb=known[2][0])]))
    assert apart.state == "doubtful"
    assert "kb of MAP (1.0 sd lower)" in apart.sentence
    assert "long_diff" not in apart.sentence


def test_one_bad_result_spoils_a_comparison(make_sampled, map_result):
    found = joint_judgement(compare([map_result, make_sampled(diverging=2)]))
    assert (found.state, found.heading) == ("bad", "1 of 2 results have not converged")
    assert all(remedy.startswith("NUTS: ") for remedy in found.remedies)


def test_runs_of_a_constant_that_changes(make_sampled, known):
    steps = np.array([0.0, 2.0, 4.0, 6.0]) * known[2][1]
    same = [make_sampled(seed=seed) for seed in range(4)]
    assert joint_judgement(compare(same)).heading == "All converged, and no constant changes"
    moved = [shifted(make_sampled(seed=seed), long_diff=step) for seed, step in enumerate(steps)]
    found = joint_judgement(compare(moved))
    assert found.state == "doubtful"
    assert "allow in long_diff:" in found.sentence
