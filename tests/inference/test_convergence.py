"""When draws are good enough."""

import numpy as np

from bayescal.inference.convergence import quality
from bayescal.inference.settings import Goal


def test_independent_draws_are_good():
    draws = {"a": np.random.default_rng(1).normal(size=(4, 500)), "fixed": np.ones((4, 500))}
    judged = quality(draws)
    assert judged.labels == ("a",)
    assert not judged.failures(Goal(400.0, 1.01))


def test_the_worst_parameter_is_named():
    draws = np.random.default_rng(1).normal(size=(4, 500, 3))
    draws[0, :, 1] += 3.0
    sentences = quality({"event_time": draws}).failures(Goal(400.0, 1.01))
    assert sentences[0].startswith("R-hat of event_time[1] (1.")
    assert any(sentence.startswith("bulk ESS of event_time[1]") for sentence in sentences)


def test_a_draw_that_is_not_a_number_fails():
    draws = np.random.default_rng(1).normal(size=(4, 500))
    draws[2, 7] = np.nan
    assert quality({"a": draws}).failures(Goal(400.0, 1.01))


def test_chains_that_stay_where_they_started_fail():
    """Two of them mirror each other around the median: a width of zero within the chains, and folded over it."""
    stuck = {"kb": np.repeat([[0.9], [1.1]], 100, axis=1)}
    failures = quality(stuck).failures(Goal(ess=400.0, rhat=1.01))
    assert [each.split(" of ")[0] for each in failures] == ["R-hat", "bulk ESS", "tail ESS"]
