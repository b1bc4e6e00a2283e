"""The demonstration: from made tracks to the posterior of detector constants, by the commands that users have."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from bayescal.diagnostics import convergence
from bayescal.inference import Result
from bayescal.model_files import load_model
from bayescal.readers.detector import read_detector
from bayescal.readers.edepsim import write_segments
from bayescal.study_template import write_template
from bayescal.tracks import demo_tracks

DETECTOR = "module0"
TRUTH = {
    "Ab": 0.812,
    "kb": 0.0512,
    "electric_field": 0.494,
    "lifetime": 1850.0,
    "long_diff": 4.5e-6,
    "tran_diff": 8.2e-6,
}
"""What the data are made with: inside the default priors, away from the nominal values."""

SAMPLER = {"method": "hmc", "draws": 150, "until": "ess > 420 and rhat < 1.01", "max_draws": 1000}
"""Enough for the 400 effective draws that the verdict asks for; HMC, as the mode describes this posterior well."""

PROBABILITY = 0.997
"""The truth must lie in the central interval of this probability."""


class TruthCheck(NamedTuple):
    """One parameter of the demonstration: its interval, its truth, and whether the one holds the other."""

    parameter: str
    low: float
    high: float
    truth: float

    @property
    def good(self) -> bool:
        """Whether the truth lies inside."""
        return self.low < self.truth < self.high


def write_demo_study(folder: Path, length_cm: float, seed: int) -> tuple[Path, str]:
    """Make tracks and write them with a study that calibrates on them.

    Args:
        folder: where to write `segments.h5` and `study.toml`.
        length_cm: about the total length of all tracks.
        seed: of tracks, data and fit.

    Returns:
        The study's path, and a line on the tracks.
    """
    segments = demo_tracks(jax.random.key(seed), read_detector(DETECTOR).geometry, length_cm)
    write_segments(folder / "segments.h5", segments)
    values = {
        "data": "hits.h5",
        "output": "hmc.nc",
        "seed": seed,
        "inputs": {"segments": ["segments.h5"], "detector": DETECTOR},
        "truth": TRUTH,
        "sampler": SAMPLER,
    }
    study = folder / "study.toml"
    study.write_text(write_template(load_model("charge_constants"), values), encoding="utf-8")
    return study, f"{segments.n_events} tracks, {segments.total_length_cm:.1f} cm in {segments.n_segments} steps"


def truth_checks(result: Result) -> list[TruthCheck]:
    """The central interval of every constant beside its truth."""
    tail = 0.5 * (1.0 - PROBABILITY)
    quantiles = {name: np.quantile(result.draws(name), [tail, 1.0 - tail]) for name in TRUTH}
    return [TruthCheck(name, float(low), float(high), TRUTH[name]) for name, (low, high) in quantiles.items()]


def verdict(result: Result) -> tuple[bool, str]:
    """Whether the demonstration did what it promises, and a sentence that says so."""
    sampling = convergence(result)
    missed = [check.parameter for check in truth_checks(result) if not check.good]
    if not sampling.good:
        return False, sampling.sentence
    if missed:
        return False, f"the truth of {', '.join(missed)} is outside the central {PROBABILITY:.1%} of the posterior."
    return True, f"{sampling.sentence} The truth of all {len(TRUTH)} constants is inside the central {PROBABILITY:.1%}."
