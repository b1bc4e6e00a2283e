"""Every example runs, in a reduced form, as a program of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The function that runs an example and returns what it printed; all share their compiled programs."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }

    def run(name, *options):
        command = [sys.executable, EXAMPLES / name, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=os.environ | cache)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_map_versus_posterior_writes_its_figures(run, tmp_path):
    run("map_versus_posterior.py", "--length", "50", "--ess", "20", "--output", tmp_path)
    figures = {"map_versus_posterior.png", "marginals.png", "pairs.png"}
    assert {path.name for path in tmp_path.iterdir()} == figures | {"posterior.nc", "report.html", "comparison.html"}


def test_methods_side_by_side_compares_and_counts(run, tmp_path):
    """Without SVI, HMC and NUTS, whose programs take long to compile."""
    few = ["--methods", "map", "laplace"]
    shown = run("methods_side_by_side.py", "--length", "50", "--ess", "20", *few, "--output", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "map.nc",
        "laplace.nc",
        "methods.png",
        "methods.html",
    }
    assert all(f"{method}: " in shown for method in ("MAP", "Laplace"))
    assert "gradients per effective draw" in shown


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"map_versus_posterior.py", "methods_side_by_side.py"}
