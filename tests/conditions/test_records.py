from dataclasses import replace

import numpy as np
import pytest

from bayescal.conditions.records import Origin, StoredCalibration, timeline
from bayescal.errors import InputError


@pytest.mark.parametrize("name", ["", "two words", "a/b", "-x", "x" * 101, "módulo"])
@pytest.mark.parametrize("field", ["detector", "tag"])
def test_names_are_words(make, field, name):
    with pytest.raises(InputError, match=f"{field}: .* is not a name"):
        make(**{field: name})


def test_an_author_has_a_name():
    with pytest.raises(InputError, match="author: the name is empty"):
        Origin(" ")


def test_numbers_must_be_there_and_finite(make):
    good = make()
    with pytest.raises(InputError, match="kb has numbers that are missing or not finite"):
        make(kb=np.inf)
    first, second = good.estimates.constants
    with pytest.raises(InputError, match="long_diff has numbers that are missing"):
        replace(good, estimates=replace(good.estimates, constants=(first, replace(second, sd=None))))
    with pytest.raises(InputError, match="the covariance of all of them"):
        replace(good, estimates=replace(good.estimates, constants=(first,)))
    with pytest.raises(InputError, match="the covariance is not finite"):
        replace(good, estimates=replace(good.estimates, covariance=good.estimates.covariance * np.nan))


def spans(periods):
    return [(p.validity.start.day, p.validity.end and p.validity.end.day, p.stored.number) for p in periods]


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([], []),
        ([(1, None)], [(1, None, 1)]),
        ([(1, None), (5, 9)], [(1, 5, 1), (5, 9, 2), (9, None, 1)]),  # a correction inside
        ([(5, 9), (1, None)], [(1, None, 2)]),  # superseded entirely
        ([(1, 3), (3, 5), (7, 9)], [(1, 3, 1), (3, 5, 2), (7, 9, 3)]),  # neighbours, and a gap
        ([(1, 6), (4, 9)], [(1, 4, 1), (4, 9, 2)]),
        ([(4, 9), (1, 6)], [(1, 6, 2), (6, 9, 1)]),
    ],
)
def test_the_newest_wins(make, january, intervals, expected):
    stored = [StoredCalibration(i + 1, january(i + 1), make(*interval)) for i, interval in enumerate(intervals)]
    assert spans(timeline(stored)) == expected


def test_a_timeline_agrees_with_looking_at_every_day(make, january):
    rng = np.random.default_rng(3)
    ends = [sorted(rng.choice(np.arange(1, 31), 2, replace=False).tolist()) for _ in range(25)]
    stored = [StoredCalibration(i + 1, january(1), make(*pair)) for i, pair in enumerate(ends)]
    periods = timeline(stored)
    for d in range(1, 32):
        winners = [s for s in stored if january(d) in s.calibration.validity]
        found = [p.stored for p in periods if january(d) in p.validity]
        assert found == winners[-1:]
