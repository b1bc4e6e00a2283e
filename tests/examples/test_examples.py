"""Every example runs, in a reduced form, as a program of its own."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_map_versus_posterior_writes_its_figures(tmp_path):
    reduced = ["--length", "50", "--ess", "20", "--output", tmp_path]
    command = [sys.executable, EXAMPLES / "map_versus_posterior.py", *reduced]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"posterior.nc", "map_versus_posterior.png", "marginals.png", "pairs.png", "report.html"}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"map_versus_posterior.py"}
