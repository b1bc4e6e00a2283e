"""Fixtures for tests of optical detectors."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bayescal.optical.detector import OpticalDetector
from bayescal.optical.zones import Zones, make_zones
from bayescal.readers.optical_detector import read_optical_detector


def by_path(name: str) -> ModuleType:
    """A module beside this file."""
    spec = importlib.util.spec_from_file_location(f"optical_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"optical_{name}"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tracer() -> ModuleType:
    """The photon-by-photon Monte Carlo, independent of the package, that light models are tested against."""
    return by_path("tracer")


@pytest.fixture(scope="session")
def traced_events() -> ModuleType:
    """Muons and electrons in Super-Kamiokande from the tracer."""
    return by_path("traced_events")


@pytest.fixture(scope="session")
def super_kamiokande() -> OpticalDetector:
    """The real one."""
    return read_optical_detector("super_kamiokande")


@pytest.fixture(scope="session")
def zones(super_kamiokande: OpticalDetector) -> Zones:
    """Its zones, cut as a fit cuts them."""
    return make_zones(super_kamiokande.tank)
