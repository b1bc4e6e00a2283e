"""Simulation-based calibration of the light models: yields and optics on tracks, times of tracks, water, events.

Kept and parted as those of the charge calibration, see `test_sbc_charge`.
"""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.stats

from bayescal.diagnostics.validation import validation
from bayescal.light.detector import expected_pe, physical_visibility
from bayescal.light.track_light import padded_points
from bayescal.likelihoods.counts import PhotonCounts
from bayescal.model_files import load_model
from bayescal.readers.light_detector import read_light_detector
from bayescal.study import read_study
from bayescal.testing import assert_covers
from bayescal.validation.run import Job, describe, run, usual_workers
from bayescal.validation.settings import ValidationSettings
from bayescal.validation.store import read_folder

REPLICAS = 200
SETTINGS = ValidationSettings(seed=31)
ROOT = Path(__file__).parents[2]
STUDIES = {
    "light_yields": """\
model = "light_yields"
[inputs]
tracks = 150
[parameters]
yield_spread = {TruncatedNormal = {loc = 0.1, scale = 0.03, low = 0.03}}
model_error = {TruncatedNormal = {loc = 0.05, scale = 0.015, low = 0.01}}
rayleigh_length = {LogNormal = [4.6, 0.05]}
absorption_length = {LogNormal = [7.6, 0.5]}
scattered_fraction = {LogNormal = [-0.5, 0.3]}
""",
    "track_t0": """\
model = "track_t0"
[inputs]
tracks = 40
cell_cm = 6.0
[parameters]
model_error = {LogNormal = [-2.3, 0.3]}
""",
    "water": """\
model = "water"
[inputs]
detector = "eos"
injector_m = [[0, 0, 1.4], [1.9, 0, 0]]
injector_direction = [[0.1, 0, -1], [-1, 0, 0.1]]
width_deg = 10
diffuser_m = [[0, 0.5, 0]]
wavelength_nm = [337, 473]
window_edges_ns = [-4, 3, 10, 50]
pulse_sd_ns = 0.3
light_pe = 2e5
""",
    "scintillation_vertex": """\
model = "scintillation_vertex"
[inputs]
detector = "small_sphere"
[parameters]
vertex_x = {Normal = [0.0, 0.55]}
vertex_y = {Normal = [0.0, 0.55]}
vertex_z = {Normal = [0.0, 0.55]}
light_yield = "free"
fast_share = "free"
""",
}


@pytest.mark.validate
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", STUDIES)
def test_ranks_are_uniform_and_intervals_cover(tmp_path, shard, name):
    """False alarm of ranks and of coverage: 1 % each, for all parameters together."""
    study = tmp_path / "study.toml"
    study.write_text(STUDIES[name])
    job, fingerprint = Job(study, SETTINGS), describe(read_study(study), SETTINGS)["fingerprint"]
    kept = ROOT / "validation-output" / f"{name}-{fingerprint[:12]}"
    run(job, kept, REPLICAS, shard, usual_workers(), lambda done, total, row: None)
    rows = [row for row in read_folder(kept, fingerprint) if row.replica < REPLICAS]
    if len(rows) < REPLICAS:
        pytest.skip(f"{len(rows)} of {REPLICAS} replicas are in {kept}; run the other parts")
    faults = {row.replica: row.fault for row in rows if row.fault}
    found = validation([row.ranks for row in rows], SETTINGS.draws, faults)
    assert found.good, found.sentence


@pytest.mark.validate
def test_drawn_times_of_tracks_have_uniform_ranks():
    """500 tracks whose gains are off by 10 %, drawn anew for each, light by optics: ranks of shifts, and coverage."""
    module = load_model("track_t0").module
    inputs = module.load(module.Settings(tracks=500, cell_cm=6.0), {})
    shift = np.random.default_rng(5).uniform(*np.asarray(inputs.scan.shift_cm)[:, [0, -1]].T)
    points, photons = padded_points(inputs.clusters)
    points = points + shift[:, None, None] * np.eye(3)[0]
    mean = expected_pe(1.0, physical_visibility(read_light_detector("module0")), points, photons)
    light = PhotonCounts(mean, model_error=0.1)
    data = np.asarray(light.sample(jax.random.key(6)), float)
    n = 400
    draws = {"light_scale": np.ones(n), "model_error": np.full(n, 0.1)}
    drawn = np.asarray(module.complete(jax.random.key(7), draws, module.prepare(inputs, data), data)["shift_cm"])
    rank = (drawn < shift).mean(axis=0)
    assert scipy.stats.kstest(rank, "uniform").pvalue > 1e-3
    for level in (0.68, 0.95):
        assert_covers(int((np.abs(rank - 0.5) < level / 2).sum()), rank.size, level)
