"""Where a result came from: study, model, data, command line and versions, as text for its attributes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shlex
import sys
from pathlib import Path

import bayescal
from bayescal.model_files import ModelFile
from bayescal.study import Study

PACKAGES = ("jax", "jaxlib", "numpyro", "numpy", "equinox", "arviz-base")


def provenance(study: Study, model: ModelFile, device: str) -> dict[str, str]:
    """Everything needed to run a fit again, and to see whether its input is still the same."""
    return {
        "study": study.text,
        "study_path": str(study.path.resolve()),
        "settings": study.sampler.model_dump_json(),
        "seed": str(study.seed),
        "model": model.name,
        "model_path": str(model.path.resolve()),
        "model_sha256": model.digest,
        "data_path": str(study.data),
        "data_sha256": "" if study.data is None else digest(study.data),
        "command": shlex.join(sys.argv),
        "device": device,
        "machine": platform.platform(),
        "versions": versions(),
    }


def versions() -> str:
    """Versions of Python, of this package and of what it computes with, in one line."""
    others = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return ", ".join([f"bayescal {bayescal.__version__}", f"python {platform.python_version()}", *others])


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
