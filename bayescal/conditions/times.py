"""Times with an explicit zone, kept in UTC, and intervals of validity between them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from bayescal.errors import InputError


def parse_time(text: str, what: str) -> datetime:
    """A time in UTC from ISO 8601 with its zone: 2026-01-01T00:00Z or 2026-01-01T00:00-06:00.

    Args:
        text: the time as written.
        what: the option or key it was given for, for errors.

    Raises:
        InputError: no time of ISO 8601, no time zone, or a time outside the years 1 to 9999.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{what}: {text!r} is not a time, write it as 2026-01-01T00:00Z") from error
    return in_utc(time, what)


def in_utc(time: datetime, what: str) -> datetime:
    """The same time in UTC.

    Raises:
        InputError: the time has no zone, or is outside the years 1 to 9999 in UTC.
    """
    if time.utcoffset() is None:
        written = time.isoformat()
        raise InputError(
            f"{what}: {written} has no time zone, write {written}Z for UTC or add an offset such as -06:00"
        )
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"{what}: {time.isoformat()} lies outside the years 1 to 9999 in UTC") from error


def write_time(time: datetime) -> str:
    """A time in UTC as `parse_time` reads it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Validity:
    """When constants hold: from `start` on, until just before `end`.

    Attributes:
        start: first instant, with a time zone.
        end: first instant that is not inside, with a time zone; None for an interval that stays open.

    Raises:
        InputError: a time without zone, or an interval that holds no instant.
    """

    start: datetime
    end: datetime | None = None

    def __post_init__(self) -> None:
        start = in_utc(self.start, "start of validity")
        end = None if self.end is None else in_utc(self.end, "end of validity")
        if end is not None and end <= start:
            raise InputError(
                f"the interval of validity from {write_time(start)} to {write_time(end)} is empty; give a later end"
            )
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)

    def __contains__(self, time: datetime) -> bool:
        return self.start <= time and (self.end is None or time < self.end)

    def __str__(self) -> str:
        return f"from {write_time(self.start)} " + ("on" if self.end is None else f"to {write_time(self.end)}")
