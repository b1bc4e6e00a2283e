"""A study of pads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.model_files import load_model

PADS = Path(__file__).parents[1] / "own_model" / "pads.py"


@pytest.fixture
def pads(tmp_path: Path) -> Callable[..., Path]:
    """Write a study of pads, with further lines of its tables; returns its path."""
    inputs, _ = load_model(PADS).module.example(jax.random.key(0))
    places = {"x_cm": inputs.place[0], "y_cm": inputs.place[1]}
    np.savez(tmp_path / "pads.npz", deposit=inputs.deposit, event=inputs.event, **places)

    def write(inputs: str = "", parameters: str = "", sampler: str = "") -> Path:
        path = tmp_path / "study.toml"
        path.write_text(
            f'model = "{PADS}"\nseed = 5\n[inputs]\npads = "pads.npz"\n{inputs}\n'
            f"[parameters]\n{parameters}\n[sampler]\nchains = 2\ndraws = 200\nprior_draws = 50\n{sampler}\n"
        )
        return path

    return write
