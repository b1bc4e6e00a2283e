"""Options and fixtures for all tests."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from bayescal.errors import InputError
from bayescal.validation.settings import Shard, parse_shard

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--shard i/n` runs the i-th of n parts of the tests; one with the fixture `shard` parts its own work."""
    parser.addoption("--shard", default="1/1", help="run part i of n: i/n, i from 1")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep every n-th of the tests that the marks have left, and all that part their own work.

    Files with slow tests come first: where processes share the files, none then waits for the last long one.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    part, parts = _shard(config)
    whole = [item for item in items if "shard" not in getattr(item, "fixturenames", ())]
    dropped = set(whole) - set(whole[part - 1 :: parts])
    if dropped:
        config.hook.pytest_deselected(items=list(dropped))
        items[:] = [item for item in items if item not in dropped]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A part without tests is a good one."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and _shard(session.config).parts > 1:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(scope="session", autouse=True)
def interrupts_are_heard() -> Iterator[None]:
    """Here and in programs that tests start, also where a shell runs all in the background, with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def programs_compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All tests of a process, and programs that they start, share compiled programs; nothing is read from before."""
    folder = tmp_path_factory.mktemp("compiled")
    options = {"jax_compilation_cache_dir": str(folder / "jax"), "jax_persistent_cache_min_compile_time_secs": 0.0}
    before = {name: getattr(jax.config, name) for name in options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAYESCAL_CACHE_DIR", str(folder))
        for name, value in options.items():
            patch.setenv(name.upper(), str(value))
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def shard(pytestconfig: pytest.Config) -> Shard:
    """The part of its replicas that a test makes."""
    return _shard(pytestconfig)


@pytest.fixture(scope="session")
def peer_data() -> Path:
    """Folder of the peers' input and reference files; the test is skipped where it is absent."""
    folder = Path(os.environ.get("BAYESCAL_PEER_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"the peers' files are not at {folder}: set BAYESCAL_PEER_DATA")
    return folder


@pytest.fixture(scope="session")
def known_models() -> ModuleType:
    """Models whose posterior is known, for all methods."""
    spec = importlib.util.spec_from_file_location("known_models", ROOT / "tests/inference/known_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["known_models"] = module
    spec.loader.exec_module(module)
    return module


def _shard(config: pytest.Config) -> Shard:
    """Part and number of parts."""
    try:
        return parse_shard(config.getoption("--shard"))
    except InputError as error:
        raise pytest.UsageError(str(error)) from error
