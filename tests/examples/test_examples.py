"""Every example runs, in a reduced form, as a program of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *options):
    """Run an example; what it printed."""
    command = [sys.executable, EXAMPLES / name, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_map_versus_posterior_writes_its_figures(tmp_path):
    run("map_versus_posterior.py", "--length", "50", "--ess", "20", "--output", tmp_path)
    figures = {"map_versus_posterior.png", "marginals.png", "pairs.png"}
    assert {path.name for path in tmp_path.iterdir()} == figures | {"posterior.nc", "report.html", "comparison.html"}


@pytest.mark.validate
def test_methods_side_by_side_compares_and_counts(tmp_path):
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


@pytest.mark.slow
def test_light_on_tracks_predicts_better_after_than_before(tmp_path):
    shown = run("light_on_tracks.py", "--tracks", "40", "--method", "laplace", "--output", tmp_path)
    figures = {"light_on_tracks.png", "light_predicted.png"}
    assert {path.name for path in tmp_path.iterdir()} == figures | {"light.nc", "light.html"}
    before, after = (float(re.search(rf"LCM, {when}: .* rms (.*)%", shown)[1]) for when in ("before", "after"))
    assert after < 0.5 * before


@pytest.mark.slow
def test_a_network_has_better_slopes_than_its_library(tmp_path):
    shown = run("visibility_maps.py", "--steps", "200", "--output", tmp_path)
    figures = {"visibility_maps.png", "visibility_bias.png", "learning_curve.png"}
    assert {path.name for path in tmp_path.iterdir()} == figures
    library, network = map(float, re.findall(r"off by (.*) per cm", shown))
    assert network < library


@pytest.mark.slow
def test_most_tracks_get_their_flashes(tmp_path):
    shown = run("matching_flashes.py", "--output", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"matching.png", "times.png"}
    alone, timed = map(int, re.findall(r": (.*) of 8 tracks have the right flash", shown))
    assert 4 < alone <= timed


def test_every_example_is_run():
    names = {
        "light_on_tracks.py",
        "map_versus_posterior.py",
        "matching_flashes.py",
        "methods_side_by_side.py",
        "visibility_maps.py",
    }
    assert {path.name for path in EXAMPLES.glob("*.py")} == names
