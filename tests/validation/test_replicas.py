import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.study import read_study
from bayescal.validation.replicas import LOG_DENSITY, Replicator, quantities
from bayescal.validation.settings import ValidationSettings


def replicator(study, **settings):
    return Replicator(read_study(study), ValidationSettings(**settings))


def test_replicas_do_not_depend_on_each_other(pads):
    first, second = replicator(pads(), draws=39), replicator(pads(), draws=39)
    assert [first(number).ranks for number in (0, 1, 2)] == [second(number).ranks for number in (2, 1, 0)][::-1]


def test_a_replica_in_numbers(pads):
    make = replicator(pads(), draws=39)
    rows = [make(number) for number in range(12)]
    for row in rows:
        assert row.ranks.keys() == {"gain", "pedestal", LOG_DENSITY}
        assert all(0 <= rank <= 39 for rank in row.ranks.values())
        assert row.truth.keys() == {"gain", "pedestal"}
        assert (row.fault, row.divergences) == ("", 0)
        assert row.ess > 0.5 * 39
        assert row.gradients > 3 * 39
    assert len({row.ranks["gain"] for row in rows}) > 3
    assert make.chains.compilations == 1


def test_vectors_are_ranked_by_mean_and_spread(pads):
    row = replicator(pads(parameters="shift = {Normal = [0.0, 0.3]}"), draws=39)(0)
    assert row.ranks.keys() == {"gain", "pedestal", "shift mean", "shift spread", LOG_DENSITY}
    assert row.truth.keys() == {"gain", "pedestal"}
    found = quantities({"a": np.array([[1.0, 3.0], [2.0, 2.0]]), "b": np.array([5.0, 6.0])})
    assert {name: list(column) for name, column in found.items()} == {
        "a mean": [2.0, 2.0],
        "a spread": [1.0, 0.0],
        "b": [5.0, 6.0],
    }


@pytest.mark.parametrize("method", ["laplace", "fit"])
def test_other_ways_to_draw(pads, method):
    row = replicator(pads(sampler="until = 'ess > 50 and rhat < 1.01'"), method=method, draws=39)(0)
    assert row.ranks.keys() == {"gain", "pedestal", LOG_DENSITY}
    assert row.fault == ""
    assert row.gradients > 0


def test_a_fit_that_fails_is_a_fault(pads, monkeypatch):
    make = replicator(pads(), draws=39)

    def broken(*arguments):
        raise InputError("no mode")

    monkeypatch.setattr("bayescal.validation.replicas.find_mode", broken)
    row = make(3)
    assert (row.replica, row.ranks, row.fault) == (3, {}, "InputError: no mode")


def test_inputs_are_padded_with_the_largest_so_far(pads):
    """A model with `common`: pilots set the shape, a larger data set enlarges it once."""
    make = replicator(pads(), draws=19)
    seen = []

    def common(inputs):
        seen.append(len(inputs))
        return inputs

    make.model.module.common = common
    try:
        padded = replicator(pads(), draws=19)
        assert seen == [16]
        assert padded(0).ranks == make(0).ranks
        assert seen == [16, 2, 2]
    finally:
        del make.model.module.common
