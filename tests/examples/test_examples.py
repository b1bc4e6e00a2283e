"""Every example runs, in a reduced form, as a program of its own; those that take minutes with `make validate`."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

from bayescal.inference.result import assemble
from bayescal.model_files import load_model
from bayescal.optical.muon import BENDING_MODES

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *options):
    """Run an example; what it printed."""
    command = [sys.executable, EXAMPLES / name, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.validate
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


@pytest.mark.validate
def test_light_on_tracks_predicts_better_after_than_before(tmp_path):
    shown = run("light_on_tracks.py", "--tracks", "40", "--method", "laplace", "--output", tmp_path)
    figures = {"light_on_tracks.png", "light_predicted.png"}
    assert {path.name for path in tmp_path.iterdir()} == figures | {"light.nc", "light.html"}
    before, after = (float(re.search(rf"LCM, {when}: .* rms (.*)%", shown)[1]) for when in ("before", "after"))
    assert after < 0.5 * before


@pytest.mark.validate
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


@pytest.mark.validate
def test_efficiencies_are_covered_in_a_small_tank(tmp_path):
    """194 sensors: the share in 68 % intervals has a standard deviation of 3.4 %, that in 95 % intervals of 1.6 %."""
    shown = run("efficiency_map.py", "--method", "laplace", "--output", tmp_path)
    figures = {"efficiency_map.png", "efficiency_constants.png"}
    assert {path.name for path in tmp_path.iterdir()} == figures | {"efficiency.nc"}
    (row,) = re.findall(r"│ posterior +│(.*)│", shown)
    error, sd, inner, outer, _ = (float(cell.strip(" %")) for cell in row.split("│"))
    assert error < 1.3 * sd
    assert abs(inner - 68) < 17
    assert abs(outer - 95) < 8


@pytest.mark.validate
def test_event_display_draws_a_muon_in_a_small_tank(tmp_path):
    shown = run("event_display.py", "--detector", "eos", "--energy", "300", "--output", tmp_path)
    figures = {"event_display.png", "event_display_phone.png"}
    assert {path.name for path in tmp_path.iterdir()} == figures | {"muon.nc"}
    assert re.search(r"kinetic_energy +│ MeV +│ 300", shown)
    assert float(re.search(r"vertex (.*) cm off", shown)[1]) < 50


@pytest.mark.validate
def test_event_display_of_a_saved_fit(tmp_path):
    """Hits of a file and draws about the track that made them, without a fit."""
    model = load_model("cherenkov_track").module
    inputs, hits = model.example(jax.random.key(1))
    rng = np.random.default_rng(2)
    truth = {"vertex_x": -0.8, "vertex_y": 0.0, "vertex_z": 0.0, "kinetic_energy": 300.0, "event_time": 0.0}
    model.write(tmp_path / "hits.h5", hits, inputs, truth)
    widths = dict.fromkeys(truth, 0.05) | {"kinetic_energy": 5.0}
    draws = {name: value + widths[name] * rng.normal(size=(1, 200)) for name, value in truth.items()}
    draws |= {f"slope_{number}": 0.02 * rng.normal(size=(1, 200)) for number in (1, 2)}
    draws |= {f"bend_{number}": rng.normal(size=(1, 200, BENDING_MODES)) for number in (1, 2)}
    facts = {"method": "laplace", "converged": True, "verdict": "made up", "provenance": {"truth": truth}}
    assemble({"posterior": draws, "prior": draws}, xr.Dataset(), facts, {"kinetic_energy": "MeV"}).save(
        tmp_path / "fit.nc"
    )
    files = ["--hits", tmp_path / "hits.h5", "--fit", tmp_path / "fit.nc", "--output", tmp_path / "figures"]
    shown = run("event_display.py", "--detector", "eos", *files)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"event_display.png", "event_display_phone.png"}
    assert re.search(r"kinetic_energy +│ MeV +│ 300", shown)
    assert "20 of 20 draws start inside of the tank" in shown


def test_every_example_is_run():
    names = {
        "efficiency_map.py",
        "event_display.py",
        "light_on_tracks.py",
        "map_versus_posterior.py",
        "matching_flashes.py",
        "methods_side_by_side.py",
        "visibility_maps.py",
    }
    assert {path.name for path in EXAMPLES.glob("*.py")} == names
