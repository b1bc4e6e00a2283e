"""A study of the user's own straight line, and the command line run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.cli import main

LINE = Path(__file__).parents[1] / "own_model" / "line.py"
CACHE_OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(autouse=True)
def no_trace_of_the_command_line():
    """JAX's options are as before afterwards."""
    before = {option: getattr(jax.config, option) for option in (*CACHE_OPTIONS, "jax_platforms")}
    yield
    for option, value in before.items():
        jax.config.update(option, value)


@pytest.fixture
def bayescal() -> Callable[..., int]:
    """Run a command and return its exit code."""

    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        return int(left.value.code or 0)

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of a straight line without data yet."""
    np.savez(tmp_path / "points.npz", x=np.linspace(0.0, 1.0, 12).reshape(3, 4))
    path = tmp_path / "study.toml"
    path.write_text(
        f'model = "{LINE}"\ndata = "volts.npz"\noutput = "result.nc"\n'
        '[inputs]\npoints = "points.npz"\n[truth]\nslope = 3.0\n'
        "[sampler]\nchains = 2\ndraws = 900\nprior_draws = 50\n"
    )
    return path
