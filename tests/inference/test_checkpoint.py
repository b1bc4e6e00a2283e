"""What a fit keeps on the disk while it runs."""

import os
from typing import NamedTuple

import jax
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit, remove_checkpoint
from bayescal.inference.checkpoint import Store, opened, pack, unpack
from bayescal.inference.optimum import LowRankHessian, Optimum, as_arrays, from_arrays

PRINT = {"numpyro": "0.22.0", "seed": "ab"}
DISK_FULL = OSError(28, "No space left on device")


class Pair(NamedTuple):
    first: object
    second: object


def block(start, stop):
    return {"x": np.arange(start, stop, dtype=float)[None], "good": np.ones((1, stop - start), bool)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "fit.nc.run"


def store(folder, unfinished="resume", fingerprint=PRINT, seconds=0.0):
    return opened(folder, fingerprint, unfinished, seconds)


def saved(folder):
    """What another process would find: the state's number and the draws x."""
    with store(folder) as other:
        found = other.load()
        return int(found.state["n"]), [int(x) for chunk in found.chunks for x in chunk["x"][0]]


def test_a_stage_is_computed_once_and_comes_back_bit_for_bit(folder):
    value = {"x": np.array([0.1, np.nan, -0.0]), "n": 3, "f": 0.1 + 0.2, "why": "far away", "flag": np.True_}
    with store(folder) as first:
        assert not first.resumed
        found = first.stage("mode", lambda: value)
    with store(folder) as second:
        assert second.resumed
        again = second.stage("mode", lambda: pytest.fail("computed twice"))
        assert second.stage("other", lambda: {"n": 4}) == {"n": 4}
    for back in (found, again):
        assert back["x"].tobytes() == value["x"].tobytes()
        assert (back["n"], back["f"], back["why"], back["flag"]) == (3, 0.1 + 0.2, "far away", True)


def test_a_store_in_memory_forgets():
    memory, calls = Store(), []
    for _ in range(2):
        assert memory.stage("mode", lambda: calls.append(1) or {"n": 1}) == {"n": 1}
    assert len(calls) == 2
    memory.save({}, "0-0", [])
    assert memory.load() is None
    assert not memory.due()


def test_draws_are_appended_in_chunks(folder):
    with store(folder) as run:
        run.save({"n": np.array(1)}, "0-0", [block(0, 3)])
        run.save({"n": np.array(2)}, "0-0", [block(0, 3), block(3, 5), block(5, 6)])
        run.save({"n": np.array(3)}, "0-0", [block(0, 3), block(3, 5), block(5, 6)])
    names = sorted(path.name for path in folder.glob("draws-*"))
    assert names == ["draws-0-0-00000000.npz", "draws-0-0-00000003.npz"]
    assert saved(folder) == (3, [0, 1, 2, 3, 4, 5])


def test_appending_goes_on_after_loading_and_another_series_begins_anew(folder):
    with store(folder) as run:
        run.save({"n": np.array(1)}, "0-0", [block(0, 3), block(3, 5)])
    with store(folder) as run:
        chunks = run.load().chunks
        run.save({"n": np.array(2)}, "0-0", [*chunks, block(5, 9)])
    assert saved(folder) == (2, list(range(9)))
    with store(folder) as run:
        run.load()
        run.save({"n": np.array(3)}, "0-1", [])
    assert saved(folder) == (3, [])
    assert not list(folder.glob("draws-*"))


@pytest.mark.parametrize("fault_at", [1, 2], ids=["chunk", "state"])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_checkpoint(folder, monkeypatch, call, fault_at):
    with store(folder) as run:
        run.save({"n": np.array(1)}, "0-0", [block(0, 3)])
        original, calls = getattr(os, call), []
        per_file = 2 if call == "fsync" else 1  # the file, and its folder

        def fault(*arguments):
            calls.append(1)
            if len(calls) == 1 + per_file * (fault_at - 1):
                raise DISK_FULL
            return original(*arguments)

        monkeypatch.setattr(os, call, fault)
        with pytest.raises(InputError, match=r"No space left on device\); mend that and go on with --resume"):
            run.save({"n": np.array(2)}, "0-0", [block(0, 3), block(3, 6)])
        monkeypatch.undo()
    assert saved(folder) == (1, [0, 1, 2])
    with store(folder) as run:
        run.save({"n": np.array(2)}, "0-0", [*run.load().chunks, block(3, 6)])
    assert saved(folder) == (2, [0, 1, 2, 3, 4, 5])
    assert not list(folder.glob(".*"))


def test_the_time_between_saves(folder):
    with store(folder, seconds=1000.0) as run:
        assert not run.due()
    with store(folder, seconds=0.0) as run:
        assert run.due()


def test_time_is_counted_over_processes(folder):
    with store(folder) as run:
        run.seconds_before = 100.0
        run.save({"n": np.array(1)}, "0-0", [])
    with store(folder) as run:
        run.load()
        assert 100.0 < run.seconds_before < 110.0


def test_nothing_is_left_where_nothing_was_saved(folder):
    with store(folder):
        assert folder.is_dir()
    assert not folder.exists()


def test_an_unfinished_run_is_neither_lost_nor_mistaken(folder):
    with store(folder) as run:
        run.save({"n": np.array(1)}, "0-0", [block(0, 3)])
    sentence = r"fit\.nc\.run: holds an unfinished run; go on with it by --resume or throw it away by --restart"
    with pytest.raises(InputError, match=sentence), store(folder, "refuse"):
        pass
    other = {"numpyro": "0.23.0", "seed": "ab", "precision": "float32"}
    sentence = r"was begun with another numpyro \(0.22.0, now 0.23.0\), precision \(None, now float32\); undo that or"
    with pytest.raises(InputError, match=sentence), store(folder, fingerprint=other):
        pass
    assert saved(folder) == (1, [0, 1, 2])
    with store(folder, "restart", other) as run:
        assert run.load() is None
        run.save({"n": np.array(7)}, "0-0", [])
    with store(folder, fingerprint=other) as run:
        assert run.load().state["n"] == 7
    remove_checkpoint(folder)
    assert not folder.exists()


def test_one_process_at_a_time(folder):
    with store(folder), pytest.raises(InputError, match="another process is at this run"), store(folder):
        pass


@pytest.mark.parametrize("name", ["state.npz", "draws-0-0-00000000.npz"])
@pytest.mark.parametrize("kept", [0, 100])
def test_a_damaged_file_is_named(folder, name, kept):
    with store(folder) as run:
        run.save({"n": np.array(1)}, "0-0", [block(0, 3)])
    path = folder / name
    path.write_bytes(path.read_bytes()[:kept])
    with store(folder) as run, pytest.raises(InputError, match=rf"{name}: not a readable part of a run .* --restart"):
        run.load()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"run: cannot be used \(Not a directory\)"), store(tmp_path / "file" / "run"):
        pass


def test_a_tree_is_packed_by_path():
    tree = {"a": Pair(np.arange(3), (None, 2.5)), "b": np.array([True])}
    arrays = pack(tree)
    assert sorted(arrays) == ["['a'].first", "['a'].second[1]", "['b']"]
    back = unpack(arrays, jax.tree.map(np.zeros_like, tree))
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    np.testing.assert_array_equal(back["a"].first, tree["a"].first)


SETTINGS = {"chains": 2, "warmup": 20, "prior_draws": 50, "importance_draws": 50}


def test_a_finished_run_is_extended(gaussian_case, key, folder):
    def draws(count, **where):
        settings = FitSettings(draws=count, **SETTINGS)
        return fit(*gaussian_case, key=key, settings=settings, **where).data["posterior"]["mean"].values

    short = draws(25, checkpoint=folder)
    longer = draws(60, checkpoint=folder, unfinished="resume")
    np.testing.assert_array_equal(longer[:, :25], short)
    np.testing.assert_array_equal(longer, draws(60))


def test_a_model_that_changed_behind_its_file_is_refused(gaussian_case, key, folder):
    width = {"factor": 1.0}

    def model(inputs, data=None):
        return gaussian_case.model({"covariance": inputs["covariance"] * width["factor"]}, data)

    settings = FitSettings(method="map", **SETTINGS)
    fit(model, gaussian_case.inputs, gaussian_case.data, key=key, settings=settings, checkpoint=folder)
    width["factor"] = 2.0
    with pytest.raises(InputError, match="the log-density at the mode is no longer what it was"):
        fit(
            model,
            gaussian_case.inputs,
            gaussian_case.data,
            key=key,
            settings=settings,
            checkpoint=folder,
            unfinished="resume",
        )


def test_optimum_of_a_large_space_is_restored_bit_for_bit(tmp_path):
    hessian = LowRankHessian(np.arange(1.0, 4.0), np.eye(3)[:2], np.array([5.0, 6.0]))
    optimum = Optimum(np.ones(3), 1.5, np.zeros(3), hessian, 1e-6, 7, 8, "")
    with opened(tmp_path / "run", {}, "refuse", 60.0) as store:
        store.stage("mode", lambda: as_arrays(optimum))
    with opened(tmp_path / "run", {}, "resume", 60.0) as store:
        found = from_arrays(store.stage("mode", lambda: pytest.fail("the stage was repeated")))
    for one, other in zip(found.hessian, hessian, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (found.value, found.steps, found.gradients, found.reason) == (1.5, 7, 8, "")
