"""What draws depend on, bit for bit: a run may go on only where all of it is as it was."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

import bayescal
from bayescal.inference.potential import Model, Values
from bayescal.inference.settings import FitSettings

PACKAGES = ("jax", "jaxlib", "numpyro", "blackjax", "numpy", "scipy", "arviz-stats")
ENDS_ONLY = {"draws", "max_draws", "until", "checkpoint_seconds"}
"""Settings that say where a run ends and how often it is saved: its draws are the same up to there."""
DIGITS = 16  # of a digest in hexadecimal: enough to tell two apart


def fingerprint(
    model: Model, arguments: Mapping[str, Any], key: PRNGKeyArray, settings: FitSettings, start: Values | None
) -> dict[str, str]:
    """Name and short text of everything that the draws depend on.

    Args:
        model: the function; the file that defines it counts as a whole.
        arguments: its arguments by name: pytrees of arrays and numbers.
        key: of the fit.
        settings: those in `ENDS_ONLY` do not count.
        start: where the search for the mode begins.
    """
    devices = jax.devices()
    return {
        "format of checkpoints": "1",
        "bayescal": bayescal.__version__,
        **{package: version(package) for package in PACKAGES},
        "model file": digest_of_model(model),
        **{name: digest(tree) for name, tree in arguments.items()},
        "start values": digest(start or {}),
        "seed": digest(jax.random.key_data(key)),
        **{f"setting {name}": str(value) for name, value in settings.model_dump(exclude=ENDS_ONLY).items()},
        "precision": str(jnp.result_type(float)),
        "set of devices": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
    }


def digest(tree: Any) -> str:
    """A short hash of a pytree: its structure, static fields included, and its arrays with shape and type."""
    leaves, structure = jax.tree.flatten(tree)
    found = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", str(structure)).encode())
    for leaf in map(np.asarray, leaves):
        found.update(f"{leaf.dtype} {leaf.shape}".encode() + leaf.tobytes())
    return found.hexdigest()[:DIGITS]


def digest_of_model(model: Model) -> str:
    """A short hash of the file that defines a function; of its bytecode where there is no file, as in a notebook."""
    function = inspect.unwrap(model.func if isinstance(model, partial) else model)
    code = getattr(function, "__code__", None) or type(function).__call__.__code__
    path = Path(code.co_filename)
    text = path.read_bytes() if path.is_file() else code.co_code + repr(code.co_names).encode()
    return hashlib.sha256(text).hexdigest()[:DIGITS]
