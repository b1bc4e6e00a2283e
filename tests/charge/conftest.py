"""A detector and small deposits for the tests of the charge simulator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bayescal.charge.detector import ChargeDetector
from bayescal.readers.detector import read_detector
from bayescal.segments import Segments, from_rows


@pytest.fixture(scope="session")
def module0() -> ChargeDetector:
    """Module-0 as it comes with the package."""
    return read_detector("module0")


@pytest.fixture(scope="session")
def deposits() -> Callable[..., Segments]:
    """Makes steps, one event each, of 1 MeV and 2.1 MeV/cm at time 0; ends at the starts unless given."""

    def make(start_cm: object, end_cm: object = None, *, dedx: float = 2.1, event: object = None) -> Segments:
        start = np.atleast_2d(np.asarray(start_cm, float))
        end = start if end_cm is None else np.atleast_2d(np.asarray(end_cm, float))
        n = len(start)
        names = np.arange(n) if event is None else event
        return from_rows(
            names, (np.zeros(n), np.full(n, 13)), (start, end), (np.ones(n), np.full(n, dedx), np.zeros(n))
        )

    return make


@pytest.fixture(scope="session")
def tracks() -> Segments:
    """Three events: tracks of six steps of half a centimetre, one near the anode, that ionise more and more."""
    first = np.array([[3.0, 10.0, 12.0], [-20.0, -41.0, -5.0], [11.2, 30.1, 28.5]])
    direction = np.array([[0.6, 0.64, 0.48], [-0.36, 0.48, 0.8], [0.8, -0.6, 0.0]])
    start = first[:, None] + 0.5 * np.arange(6)[:, None] * direction[:, None]
    dedx = np.tile([1.7, 2.0, 2.4, 3.0, 5.0, 10.0], 3)
    ends = (start.reshape(-1, 3), (start + 0.5 * direction[:, None]).reshape(-1, 3))
    event = np.repeat([4, 7, 9], 6)
    return from_rows(event, (np.zeros(18), np.full(18, 2212)), ends, (0.5 * dedx, dedx, np.zeros(18)))
