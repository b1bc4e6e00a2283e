from __future__ import annotations

import pytest

from bayescal.light.detector import LightDetector
from bayescal.readers.light_detector import read_light_detector


@pytest.fixture(scope="session")
def module0() -> LightDetector:
    return read_light_detector("module0")


@pytest.fixture(scope="session")
def icarus() -> LightDetector:
    return read_light_detector("icarus")
