"""What a database of constants holds: calibrations, each with its interval of validity, and views of them."""

from __future__ import annotations

import getpass
import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from bayescal.conditions.times import Validity
from bayescal.diagnostics.estimates import NUMBERS, Estimates
from bayescal.errors import InputError

DEFAULT_TAG = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,99}")


@dataclass(frozen=True)
class Origin:
    """Who added something, and why.

    Attributes:
        author: a name or an address.
        comment: one line for people, may be empty.
    """

    author: str
    comment: str = ""

    def __post_init__(self) -> None:
        if not self.author.strip():
            raise InputError("author: the name is empty, say who adds this")


@dataclass(frozen=True)
class Source:
    """The file of the result that constants came from: its path when they were added, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Calibration:
    """Constants of one detector and when they hold.

    Attributes:
        detector: name of the detector, `module0`.
        validity: when they hold.
        estimates: the constants, and the covariance of all of them.
        source: the result's file.
        origin: who added them.
        tag: the series they belong to; a look-up sees one series.

    Raises:
        InputError: a name that is not one word, no constant, a constant that is no finite number, or one without
            covariance.
    """

    detector: str
    validity: Validity
    estimates: Estimates
    source: Source
    origin: Origin
    tag: str = DEFAULT_TAG

    def __post_init__(self) -> None:
        require_name(self.detector, "detector")
        require_name(self.tag, "tag")
        names = [estimate.name for estimate in self.estimates.constants]
        if not names or names != self.estimates.covariance["parameter"].values.tolist():
            raise InputError(f"{self.source.path}: needs at least one constant, and the covariance of all of them")
        for estimate in self.estimates.constants:
            numbers = [number for key in NUMBERS if (number := getattr(estimate, key)) is not None]
            if estimate.sd is None or not np.isfinite([estimate.value, *numbers]).all():
                raise InputError(f"{self.source.path}: {estimate.name} has numbers that are missing or not finite")
        if not np.isfinite(self.estimates.covariance.values).all():
            raise InputError(f"{self.source.path}: the covariance is not finite; see whether the fit has converged")


@dataclass(frozen=True)
class StoredCalibration:
    """A calibration as a database holds it, for good.

    Attributes:
        number: 1, 2, 3, ... in the order of insertion.
        inserted_at: when it was inserted, in UTC; later than every one before it.
        calibration: what was inserted.
    """

    number: int
    inserted_at: datetime
    calibration: Calibration


@dataclass(frozen=True)
class View:
    """What a look-up sees: one series as it stood at one time.

    Attributes:
        tag: the series.
        as_of: insertion time of the newest calibration that is seen, with a time zone.
    """

    tag: str
    as_of: datetime


@dataclass(frozen=True)
class Period:
    """A stretch of time in which one calibration wins."""

    validity: Validity
    stored: StoredCalibration


def require_name(text: str, what: str) -> str:
    """Refuse a name that is not one word."""
    if not NAME.fullmatch(text):
        raise InputError(f"{what}: {text!r} is not a name: letters, digits and _ . : + - (at most 100)")
    return text


def this_author() -> str:
    """The login name of whoever runs this.

    Raises:
        InputError: the machine does not know it.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise InputError("author: this machine does not know your name, give --author") from error


def timeline(stored: Iterable[StoredCalibration]) -> list[Period]:
    """Which calibration wins when: the newest inserted one that covers a time; gaps are left out.

    Args:
        stored: calibrations of one detector.

    Returns:
        Periods in the order of time, neighbours with the same calibration joined.
    """
    waiting = sorted(stored, key=lambda s: s.calibration.validity.start, reverse=True)
    spans = [s.calibration.validity for s in waiting]
    edges = sorted({span.start for span in spans} | {span.end for span in spans if span.end is not None})
    active: list[tuple[int, StoredCalibration]] = []
    periods: list[Period] = []
    for edge, following in zip(edges, [*edges[1:], None], strict=False):
        while waiting and waiting[-1].calibration.validity.start <= edge:
            newest = waiting.pop()
            heapq.heappush(active, (-newest.number, newest))
        while active and edge not in active[0][1].calibration.validity:
            heapq.heappop(active)
        if active:
            _extend(periods, Period(Validity(edge, following), active[0][1]))
    return periods


def _extend(periods: list[Period], period: Period) -> None:
    """Add a period, or lengthen the last one where the same calibration goes on."""
    if periods and periods[-1].stored is period.stored:
        period = Period(Validity(periods.pop().validity.start, period.validity.end), period.stored)
    periods.append(period)
