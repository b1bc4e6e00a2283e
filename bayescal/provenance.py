"""Where a result came from: study, model, data and command line."""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

import bayescal
from bayescal.model_files import ModelFile
from bayescal.study import Study


def provenance(study: Study, model: ModelFile) -> dict[str, Any]:
    """What is needed to run a fit again, and to see whether its input is still the same; the fit adds the rest."""
    return {
        "bayescal": bayescal.__version__,
        "command": shlex.join(sys.argv),
        "machine": platform.platform(),
        "study": study.text,
        "study_path": str(study.path.resolve()),
        "seed": study.seed,
        "model": model.name,
        "model_path": str(model.path.resolve()),
        "model_sha256": model.digest,
        "data_path": str(study.data),
        "data_sha256": None if study.data is None else digest(study.data),
        "larndsim_keys": {p.name: p.larndsim_key for p in model.parameters if p.larndsim_key},
        **truth_of_data(study, model),
    }


def truth_of_data(study: Study, model: ModelFile) -> dict[str, Any]:
    """The parameters that simulated data were drawn with, for tables and figures; nothing for real data."""
    if not model.has("read_truth"):
        return {}
    truth = model.hook("read_truth")(study.data)
    return {"truth": {name: np.asarray(value).tolist() for name, value in truth.items()}} if truth else {}


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
