"""What the command line decides about the machine before JAX starts: device and compilation cache.

JAX starts with the first array, and some libraries make arrays when they are imported. Commands therefore call one of
these functions before they import what computes.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import jax
import platformdirs

from bayescal.errors import DeviceError, InputError

DEVICES = ("auto", "cpu", "gpu")


def use_device(device: str = "auto") -> str:
    """Choose the device and turn on the compilation cache.

    Args:
        device: "auto", "cpu" or "gpu".

    Returns:
        JAX's name of the device in use.

    Raises:
        DeviceError: a GPU was asked for and JAX has none.
    """
    use_compilation_cache()
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    backend = jax.default_backend()
    if device != "auto" and backend != device:
        remedy = "install bayescal[cuda]" if device == "gpu" else "start a new process"
        raise DeviceError(f"device {device!r} was asked for, but JAX has only {backend!r}; {remedy} or choose another")
    return str(jax.devices()[0])


def use_device_of(study: Path, device: str | None = None) -> str:
    """Choose the device that the command line asks for, else the study; see `use_device`.

    The study is only peeked at here. What is wrong with it is said by its reader, which computes and so comes later.
    """
    asked = device or peek_at_sampler(study).get("device")
    return use_device(asked if asked in DEVICES else "auto")


def peek_at_sampler(study: Path) -> dict[str, Any]:
    """The [sampler] of a study as it stands there; empty where it cannot be read."""
    try:
        table = tomllib.loads(study.read_text(encoding="utf-8")).get("sampler", {})
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def use_cpu_if_idle() -> None:
    """For commands that compute little: leave a GPU alone, unless JAX runs on it already."""
    use_compilation_cache()
    jax.config.update("jax_platforms", "cpu")


def use_compilation_cache() -> None:
    """Keep compiled programs on disk, so that the second run of a command starts at once."""
    folder = os.environ.get("BAYESCAL_CACHE_DIR") or platformdirs.user_cache_dir("bayescal")
    jax.config.update("jax_compilation_cache_dir", str(Path(folder) / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def require_writable(path: Path) -> Path:
    """Refuse an output that cannot be written, before any work is done for it."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file to write")
    probe = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
        if path.exists():
            path.open("r+b").close()
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; choose another output") from error
    return path
