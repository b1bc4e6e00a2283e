"""What a fit keeps on the disk while it runs, so that it can go on after an interrupt, a crash or a kill.

A folder, by custom `RESULT.run` beside the result, with

- `fingerprint.json`: what the draws depend on (`bayescal.inference.fingerprint`); a run goes on only under the same;
- `stage-NAME.npz`: what a finished stage found (the mode, the importance weights, ...);
- `state.npz`: where the chains stand, and which chunks of draws count;
- `draws-SERIES-FIRST.npz`: the blocks of one series (a phase of warm-up, or the draws) from iteration FIRST on.

Every file is written under a temporary name, flushed to the disk and renamed. Chunks come before the state that names
them: whenever the process dies, the state on the disk and its chunks belong together.
"""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import filelock
import jax
import numpy as np

from bayescal.errors import InputError
from bayescal.inference.files import replacing

Arrays = dict[str, np.ndarray]
Unfinished = Literal["refuse", "resume", "restart"]
"""What to do where an unfinished run lies: stop with an error, go on with it, or throw it away."""

FINGERPRINT, STATE, LOCK = "fingerprint.json", "state.npz", "lock"
SERIES, CHUNKS, SECONDS = "series", "chunks", "seconds"  # beside the arrays of the state itself
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class Saved(NamedTuple):
    """A run as it was saved: the arrays of its state, and those of its series in chunks, iterations on axis 1."""

    state: Arrays
    chunks: list[Arrays]


class Store:
    """Where a fit keeps what it has found so far; this one forgets: the fit lives in memory alone.

    Attributes:
        seconds_before: time that earlier processes spent on the run, up to its last save.
        resumed: whether something was found in the store when it was opened.
    """

    seconds_before = 0.0
    resumed = False

    def stage(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What a stage found, computed only where it is not kept already.

        Args:
            name: of the stage, with every setting in it that its outcome depends on and the fingerprint leaves out.
            compute: does the work; gives arrays, numbers and text by name.

        Returns:
            The same, bit for bit.
        """
        del name
        return dict(compute())

    def due(self) -> bool:
        """Whether it is time to save a run."""
        return False

    def save(self, state: Arrays, series: str, blocks: Sequence[Arrays]) -> None:
        """Keep where a run stands.

        Args:
            state: its state.
            series: name of the row that the blocks belong to; those of other series are dropped.
            blocks: all blocks of the series so far, in order, each by name with iterations on axis 1.
        """

    def load(self) -> Saved | None:
        """The run as it was saved last, none if there is none."""
        return None


class RunFolder(Store):
    """A store in a folder; made by `opened`, which sees to it that one process at a time uses it."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.resumed = _kept(folder)
        self._began = self._last = time.monotonic()
        self._series, self._saved, self._chunks = "", 0, []

    def stage(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """See `Store.stage`."""
        path = self.folder / f"stage-{name}.npz"
        if not path.exists():
            _write(path, {key: np.asarray(value) for key, value in compute().items()})
        return {key: value if value.ndim else value.item() for key, value in _read(path).items()}

    def due(self) -> bool:
        """Whether the last save is as long ago as was asked for."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: Arrays, series: str, blocks: Sequence[Arrays]) -> None:
        """See `Store.save`."""
        if series != self._series:
            self._series, self._saved, self._chunks = series, 0, []
        fresh = blocks[self._saved :]
        if fresh:
            name = f"draws-{series}-{_length(blocks[: self._saved]):08d}.npz"
            _write(self.folder / name, {key: np.concatenate([b[key] for b in fresh], axis=1) for key in fresh[0]})
            self._saved, self._chunks = len(blocks), [*self._chunks, name]
        seconds = self.seconds_before + time.monotonic() - self._began
        facts = {SERIES: np.array(series), CHUNKS: np.array(self._chunks, dtype=str), SECONDS: np.array(seconds)}
        _write(self.folder / STATE, {**state, **facts})
        for path in set(self.folder.glob("draws-*.npz")) - {self.folder / name for name in self._chunks}:
            path.unlink()
        self._last = time.monotonic()

    def load(self) -> Saved | None:
        """See `Store.load`."""
        path = self.folder / STATE
        if not path.exists():
            return None
        state = _read(path)
        self._series, self._chunks = state.pop(SERIES).item(), state.pop(CHUNKS).tolist()
        self.seconds_before, self._saved = state.pop(SECONDS).item(), len(self._chunks)
        return Saved(state, [_read(self.folder / name) for name in self._chunks])


@contextmanager
def opened(folder: Path, fingerprint: Mapping[str, str], unfinished: Unfinished, seconds: float) -> Iterator[RunFolder]:
    """A store in a folder, which is made if need be, and removed at the end if nothing was saved in it.

    Args:
        folder: where to keep the run.
        fingerprint: what the draws depend on, by name.
        unfinished: what to do where the folder holds a run.
        seconds: between two saves of a run.

    Raises:
        InputError: the folder cannot be used, another process uses it, it holds an unfinished run and nothing says
            what to do with it, or the run to go on with was another one.
    """
    with _alone(folder):
        _take_over(folder, fingerprint, unfinished)
        yield RunFolder(folder, seconds)
        if not _kept(folder):
            remove_checkpoint(folder)


def remove_checkpoint(folder: Path) -> None:
    """Throw a run away, once its result is in its place or nobody wants it."""
    shutil.rmtree(folder, ignore_errors=True)


def pack(tree: Any) -> Arrays:
    """The leaves of a pytree by their path."""
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def unpack(arrays: Arrays, like: Any) -> Any:
    """The pytree that `pack` took apart, built like another one."""
    return jax.tree_util.tree_map_with_path(lambda path, _: arrays[jax.tree_util.keystr(path)], like)


def _alone(folder: Path) -> filelock.BaseFileLock:
    """The lock of a folder, which is made if need be; it falls with the process that holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(f"{folder}: another process is at this run; wait for it or choose another output") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be used ({error.strerror}); choose an output elsewhere") from error
    return lock


def _take_over(folder: Path, fingerprint: Mapping[str, str], unfinished: Unfinished) -> None:
    """Make the folder ready for a run under a fingerprint, its own or a new one."""
    if _kept(folder):
        if unfinished == "refuse":
            raise InputError(
                f"{folder}: holds an unfinished run; go on with it by --resume or throw it away by --restart"
            )
        if unfinished == "resume":
            _require_same(folder, fingerprint)
            _clean(folder, ".*.tmp")
            return
    (folder / STATE).unlink(missing_ok=True)  # first, so that none is left without its chunks
    _clean(folder, "*.npz")
    with replacing(folder / FINGERPRINT) as temporary:
        temporary.write_text(json.dumps(dict(fingerprint), indent=1), encoding="utf-8")


def _require_same(folder: Path, fingerprint: Mapping[str, str]) -> None:
    try:
        stored = json.loads((folder / FINGERPRINT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / FINGERPRINT}: not readable ({error}); begin anew with --restart") from error
    names = [name for name in {**stored, **fingerprint} if stored.get(name) != fingerprint.get(name)]
    if names:
        changes = ", ".join(f"{name} ({stored.get(name)}, now {fingerprint.get(name)})" for name in names)
        raise InputError(f"{folder}: the run was begun with another {changes}; undo that or begin anew with --restart")


def _kept(folder: Path) -> bool:
    """Whether anything was saved in a folder."""
    return any(folder.glob("*.npz"))


def _clean(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


def _length(blocks: Sequence[Arrays]) -> int:
    return sum(next(iter(block.values())).shape[1] for block in blocks)


def _write(path: Path, arrays: Arrays) -> None:
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); mend that and go on with --resume") from error


def _read(path: Path) -> Arrays:
    try:
        with path.open("rb") as opened_file, np.load(opened_file, allow_pickle=False) as file:
            return dict(file)
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable part of a run ({error}); begin anew with --restart") from error
