from datetime import UTC, datetime

import pytest

from bayescal.conditions.times import Validity, parse_time, write_time
from bayescal.errors import InputError


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-01T00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-03-29T02:30-06:00", datetime(2026, 3, 29, 8, 30, tzinfo=UTC)),
        ("2025-12-31 23:59:59.000001+09:00", datetime(2025, 12, 31, 14, 59, 59, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_into_utc_and_written_so_that_they_read_back(text, utc):
    time = parse_time(text, "--from")
    assert time == utc
    assert time.tzinfo is UTC
    assert parse_time(write_time(time), "--from") == utc


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2026-01-01T00:00", "--from: 2026-01-01T00:00:00 has no time zone, write 2026-01-01T00:00:00Z for UTC"),
        ("2026-01-01", "has no time zone"),
        ("yesterday", "--from: 'yesterday' is not a time, write it as 2026-01-01T00:00Z"),
        ("2026-02-30T00:00Z", "is not a time"),
        ("0001-01-01T00:00+14:00", "outside the years 1 to 9999"),
    ],
)
def test_other_times_are_refused(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_time(text, "--from")


def test_an_interval_holds_its_start_but_not_its_end(january):
    interval = Validity(january(1), january(2))
    assert january(1) in interval
    assert january(2) not in interval
    assert january(2).replace(year=2025) not in interval
    assert january(2) in Validity(january(1))
    assert str(Validity(january(1))) == "from 2026-01-01T00:00:00Z on"


def test_intervals_of_different_zones_are_equal(january):
    assert Validity(parse_time("2026-01-01T01:00+01:00", "x")) == Validity(january(1))


def test_empty_intervals_and_naive_ones_are_refused(january):
    with pytest.raises(InputError, match="from 2026-01-02T00:00:00Z to 2026-01-02T00:00:00Z is empty"):
        Validity(january(2), january(2))
    with pytest.raises(InputError, match=r"end of validity: .* has no time zone"):
        Validity(january(1), datetime(2026, 1, 2))
