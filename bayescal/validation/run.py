"""Many replicas, in this process or in several, each written as it finishes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax

import bayescal
from bayescal.errors import InputError
from bayescal.provenance import digest
from bayescal.study import Study, read_study, study_model
from bayescal.validation.replicas import Replicator
from bayescal.validation.settings import Shard, ValidationSettings
from bayescal.validation.store import Row, Store, read_folder

INHERITED = (
    "jax_platforms",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)
"""Options of JAX that workers take over, by the environment: JAX may start when modules are imported."""

Watch = Callable[[int, int, Row], None]


class Job(NamedTuple):
    """What a worker needs to make replicas: the study's file and the settings."""

    path: Path
    settings: ValidationSettings


def run(job: Job, folder: Path, replicas: int, shard: Shard, workers: int, watch: Watch) -> None:
    """Make the replicas of a part that are not in the folder yet.

    Args:
        job: study and settings.
        folder: where the rows are kept; those of all parts that are there count as done.
        replicas: number of replicas in all parts together.
        shard: the part.
        workers: processes; one runs in this process.
        watch: called with the number of finished replicas of the part, their total, and the latest row.
    """
    header = describe(read_study(job.path), job.settings)
    wanted = shard.numbers(replicas)
    with closing(Store(folder / f"replicas{shard.suffix}.jsonl", header)) as store:
        done = {row.replica for row in read_folder(folder, header["fingerprint"])}
        pending = [number for number in wanted if number not in done]
        for count, row in enumerate(finished(job, pending, min(workers, len(pending))), start=1):
            store.append(row)
            watch(len(wanted) - len(pending) + count, len(wanted), row)


def usual_workers() -> int:
    """Half of the cores, whose other threads XLA keeps busy; one on a GPU, which processes would have to share."""
    return max(1, (os.cpu_count() or 1) // 2) if jax.default_backend() == "cpu" else 1


def finished(job: Job, numbers: list[int], workers: int) -> Iterator[Row]:
    """The rows of replicas in the order in which they finish."""
    if workers <= 1:
        yield from (replica(job, number) for number in numbers)
        return
    with worker_environment(workers), ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(replica, job, number) for number in numbers]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BrokenProcessPool as error:
            raise InputError(
                f"{job.path}: a worker process was ended, perhaps for memory; run again with fewer --workers, the "
                "finished replicas are kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def replica(job: Job, number: int) -> Row:
    """One replica, by this process's replicator of the job."""
    return replicator(job)(number)


@cache
def replicator(job: Job) -> Replicator:
    """The process's replicator of a job: one compiled program for all its replicas."""
    return Replicator(read_study(job.path), job.settings)


@contextmanager
def worker_environment(workers: int) -> Iterator[None]:
    """Give processes that start inside the device and cache of this one, and their share of its cores."""
    options = {option.upper(): getattr(jax.config, option) for option in INHERITED} | {
        "NPROC": max(1, (os.cpu_count() or 1) // workers),  # threads of XLA's pool on a CPU
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    before = {name: os.environ.get(name) for name in options}
    os.environ.update({name: str(value) for name, value in options.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def describe(study: Study, settings: ValidationSettings) -> dict[str, Any]:
    """What rows belong to: study, model, input files, settings and code, with one fingerprint of all."""
    model = study_model(study)
    facts = {
        "bayescal": bayescal.__version__,
        "code_sha256": digest_of_package(),
        "model": model.name,
        "model_sha256": model.digest,
        "inputs": study.inputs,
        "input_files_sha256": {
            os.path.relpath(path, study.path.parent): digest(path) for path in sorted(input_files(study))
        },
        "parameters": study.parameters,
        "sampler": study.sampler.fit_settings.model_dump(),
        "settings": asdict(settings),
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return {"fingerprint": hashlib.sha256(text.encode()).hexdigest(), **json.loads(text)}


def input_files(study: Study) -> Iterable[Path]:
    """Files that the study's [inputs] name."""
    values = [each for value in study.inputs.values() for each in (value if isinstance(value, list) else [value])]
    paths = {study.path.parent / value for value in values if isinstance(value, str)}
    return {path for path in paths if path.is_file()}


@cache
def digest_of_package() -> str:
    """SHA-256 of the package's sources: rows of other code are never counted among those of this one."""
    folder = Path(bayescal.__file__).parent
    hashes = [f"{path.relative_to(folder)} {digest(path)}" for path in sorted(folder.rglob("*.py"))]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
