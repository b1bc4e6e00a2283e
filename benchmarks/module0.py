"""Calibration on 400 cm of edep-sim muons in Module-0, by the command line: simulate, map, fit.

    python benchmarks/module0.py --output module0-fixed               event times, shifts and outlier rate fixed
    python benchmarks/module0.py --output module0-free --nuisances    the same free, under their default priors
    python benchmarks/module0.py --output module0-free --nuisances --method hmc

The segments are read from the folder `module0` of $BAYESCAL_PEER_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

FILES = ("segments_0.h5", "segments_1.h5")
NUISANCES = ("event_time", "shift_x", "shift_y", "shift_z", "outlier_rate")


def study(folder: Path, method: str, *, nuisances: bool) -> str:
    """The study's text."""
    paths = [folder / name for name in FILES]
    lines = [
        'model = "charge_constants"',
        'data = "hits.h5"',
        f'output = "{method}.nc"',
        "seed = 1",
        "[inputs]",
        f"segments = {[str(path) for path in paths]}",
        "[parameters]",
        *(f'{name} = "free"' for name in NUISANCES if nuisances),
        "[truth]",
        "outlier_rate = 1e-5" if nuisances else "",
    ]
    if nuisances:
        lines += [f"event_time = {event_times(paths)}", "shift_x = 0.01", "shift_y = -0.01", "shift_z = 0.01"]
    sampler = [f'method = "{method}"', "draws = 100", 'until = "ess > 400 and rhat < 1.01"', "max_draws = 2000"]
    return "\n".join([*lines, "[sampler]", *sampler])


def event_times(paths: list[Path]) -> list[float]:
    """A time offset for every event, drawn with the width of its prior [us]."""
    n_events = 0
    for path in paths:
        with h5py.File(path) as file:
            n_events += np.unique(file["segments"]["eventID"]).size
    return np.random.default_rng(1).normal(0, 0.1, n_events).round(4).tolist()


def main() -> None:
    """Write the study and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--nuisances", action="store_true")
    parser.add_argument("--method", choices=("nuts", "hmc"), default="nuts")
    arguments = parser.parse_args()
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("BAYESCAL_PEER_DATA", root / "../shared/data")).resolve() / "module0"
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "study.toml"
    path.write_text(study(folder, arguments.method, nuisances=arguments.nuisances), encoding="utf-8")
    command = [Path(sys.executable).with_name("bayescal")]
    subprocess.run([*command, "simulate", path, "--output", arguments.output / "hits.h5"], check=True)
    subprocess.run([*command, "check", path], check=True)
    subprocess.run([*command, "fit", path], check=True)


if __name__ == "__main__":
    main()
