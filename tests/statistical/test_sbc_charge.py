"""Simulation-based calibration of the charge calibration, and that it finds a density with too little noise.

The replicas are kept in `validation-output/` beside the code that made them: a run that was ended goes on, and
`--shard i/n` makes a part of them; where all parts are there, the verdict is asserted.
"""

from __future__ import annotations

from pathlib import Path

import equinox as eqx
import jax
import pytest

from bayescal.diagnostics.validation import Validation, validation
from bayescal.readers.detector import read_detector
from bayescal.readers.edepsim import write_segments
from bayescal.segments import Segments, merge
from bayescal.study import read_study
from bayescal.tracks import generate_muons, generate_stopping
from bayescal.validation.run import Job, describe, run, usual_workers
from bayescal.validation.settings import ValidationSettings
from bayescal.validation.store import read_folder

REPLICAS = 200
ENOUGH = 80  # with which too little noise is found
SETTINGS = ValidationSettings(seed=20)
ROOT = Path(__file__).parents[2]
STUDY = """\
model = "{model}"
[inputs]
segments = ["segments.h5"]
detector = "module0"
step_cm = 0.25  # coarse: the simulator that draws the hits and that of the density are the same
[parameters]
Ab = {{Normal = [0.8, 0.02]}}
kb = {{Normal = [0.0486, 0.004]}}
electric_field = {{Normal = [0.5, 5e-4]}}
lifetime = {{LogNormal = [7.7, 0.2]}}
long_diff = {{LogNormal = [-12.43, 0.3]}}
tran_diff = {{LogNormal = [-11.64, 0.15]}}
"""


def tracks(key: jax.Array) -> Segments:
    """A stopping proton and a stopping muon, for k_B, and passing muons, 25 cm in all."""
    proton, stopping, passing = jax.random.split(key, 3)
    geometry = read_detector("module0").geometry
    parts = [
        generate_stopping(proton, geometry, n_tracks=1, momentum_mev=(390.0, 400.0)),
        generate_stopping(stopping, geometry, n_tracks=1, particle="muon", max_length_cm=8.0),
        generate_muons(passing, geometry, n_tracks=2, length_cm=6.0),
    ]
    numbered = [eqx.tree_at(lambda s: s.event_id, part, part.event_id + 10 * n) for n, part in enumerate(parts)]
    return merge(numbered)


def judged(model: str | Path, folder: Path, shard, replicas: int) -> Validation:
    """The verdict on the charge study with a model, once all parts have their replicas; until then a skipped test."""
    write_segments(folder / "segments.h5", tracks(jax.random.key(20)))
    study = folder / "study.toml"
    study.write_text(STUDY.format(model=model))
    job, fingerprint = Job(study, SETTINGS), describe(read_study(study), SETTINGS)["fingerprint"]
    kept = ROOT / "validation-output" / f"{Path(model).stem}-{fingerprint[:12]}"
    run(job, kept, replicas, shard, usual_workers(), lambda done, total, row: None)
    rows = [row for row in read_folder(kept, fingerprint) if row.replica < replicas]
    if len(rows) < replicas:
        pytest.skip(f"{len(rows)} of {replicas} replicas are in {kept}; run the other parts")
    faults = {row.replica: row.fault for row in rows if row.fault}
    return validation([row.ranks for row in rows], SETTINGS.draws, faults)


@pytest.mark.validate
@pytest.mark.timeout(14400)
def test_ranks_are_uniform_and_intervals_cover(tmp_path, shard):
    """False alarm of ranks and of coverage: 1 % each, for all constants together."""
    found = judged("charge_constants", tmp_path, shard, REPLICAS)
    assert found.good, found.sentence


@pytest.mark.validate
@pytest.mark.timeout(14400)
def test_noise_a_fifth_too_small_is_found(tmp_path, shard):
    """Widths 0.8 of the right ones: central 68 % intervals cover 57 %, and twice the loss at the truth is too large."""
    found = judged(Path(__file__).with_name("too_quiet.py"), tmp_path, shard, ENOUGH)
    assert found.trustworthy, found.sentence
    assert not found.good
    assert "too narrow" in found.sentence or "not uniform" in found.sentence
