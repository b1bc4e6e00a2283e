import os
import shutil

import pytest

from bayescal.diagnostics.validation import validation
from bayescal.study import read_study
from bayescal.validation.run import Job, describe, run, worker_environment
from bayescal.validation.settings import Shard, ValidationSettings
from bayescal.validation.store import read_folder, read_rows


def silent(done, total, row):
    del done, total, row


def rows_of(job, folder):
    return read_folder(folder, describe(read_study(job.path), job.settings)["fingerprint"])


def outcome(job, folder):
    rows = rows_of(job, folder)
    return validation([row.ranks for row in rows], job.settings.draws, {r.replica: r.fault for r in rows if r.fault})


@pytest.mark.parametrize(("noise", "good"), [(1.0, True), (0.8, False)])
def test_noise_a_fifth_too_small_is_found_and_the_right_one_passes(pads, tmp_path, noise, good):
    """False alarm of the right one: 2 %, seed fixed. The log-density alone sees the wrong one.

    Two constants, widths 0.8 of the right ones: twice the loss at the truth exceeds 0.64 times a chi-square of two.
    """
    job = Job(pads(f"assumed_noise = {noise}"), ValidationSettings(seed=11))
    run(job, tmp_path / "out", 200, Shard(), 1, silent)
    found = outcome(job, tmp_path / "out")
    assert (found.good, found.replicas, found.faults) == (good, 200, {})
    if not good:
        assert "too narrow" in found.sentence


def test_a_killed_run_goes_on_and_parts_make_the_whole(pads, tmp_path):
    job = Job(pads(), ValidationSettings(draws=39))
    seen = []

    def interrupted(done, total, row):
        seen.append((done, total, row.replica))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, tmp_path / "out", 8, Shard(), 1, interrupted)
    run(job, tmp_path / "out", 8, Shard(), 1, interrupted)
    assert seen == [(number + 1, 8, number) for number in range(8)]
    for part in (1, 2):
        run(job, tmp_path / "parts", 8, Shard(part, 2), 1, silent)
    whole, parts = ([row.ranks for row in rows_of(job, tmp_path / folder)] for folder in ("out", "parts"))
    assert whole == parts
    assert len(read_rows(tmp_path / "parts" / "replicas-2-of-2.jsonl")) == 4


@pytest.mark.slow
def test_processes_make_the_same_replicas(pads, tmp_path):
    job = Job(pads(), ValidationSettings(draws=39))
    run(job, tmp_path / "one", 6, Shard(), 1, silent)
    run(job, tmp_path / "two", 6, Shard(), 2, silent)
    assert [row.ranks for row in rows_of(job, tmp_path / "one")] == [
        row.ranks for row in rows_of(job, tmp_path / "two")
    ]


def test_the_fingerprint_follows_what_matters(pads):
    study = read_study(pads())
    first = describe(study, ValidationSettings())["fingerprint"]
    assert describe(read_study(pads()), ValidationSettings())["fingerprint"] == first
    others = [
        describe(study, ValidationSettings(draws=99)),
        describe(read_study(pads("assumed_noise = 0.8")), ValidationSettings()),
        describe(read_study(pads(parameters="gain = {Normal = [1.0, 0.1]}")), ValidationSettings()),
    ]
    (study.path.parent / "pads.npz").write_bytes(b"other")
    others.append(describe(read_study(pads()), ValidationSettings()))
    assert len({first, *(other["fingerprint"] for other in others)}) == 5


def test_a_study_that_was_moved_has_the_same_fingerprint(pads, tmp_path):
    first = describe(read_study(pads()), ValidationSettings())
    shutil.copytree(tmp_path, tmp_path.with_name("moved"))
    assert describe(read_study(tmp_path.with_name("moved") / "study.toml"), ValidationSettings()) == first


def test_the_environment_of_workers_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("NPROC", "7")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    before = dict(os.environ)
    with worker_environment(2):
        assert os.environ["NPROC"] == str(max(1, (os.cpu_count() or 1) // 2))
    assert dict(os.environ) == before
