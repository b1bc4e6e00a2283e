"""bayescal: posteriors of detector constants from differentiable simulators."""

from importlib import import_module
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

__version__ = "0.1.0"

_HOMES = {
    "FitSettings": "bayescal.inference",
    "InputError": "bayescal.errors",
    "Parameter": "bayescal.parameters",
    "Result": "bayescal.inference",
    "draw": "bayescal.parameters",
    "fit": "bayescal.inference",
    "load": "bayescal.inference",
    "load_model": "bayescal.model_files",
    "remove_checkpoint": "bayescal.inference",
}
__all__ = ["FitSettings", "InputError", "Parameter", "Result", "draw", "fit", "load", "load_model", "remove_checkpoint"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `bayescal --help` does not wait for the samplers."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bayescal' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
