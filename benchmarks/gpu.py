"""A GPU beside the processor: gradient times, and the posterior of the charge calibration from both.

    python benchmarks/gpu.py                    200 cm of made track
    python benchmarks/gpu.py --length 50

Each device runs in a process of its own. Without a GPU the processor's numbers are printed, and the program leaves with
exit code 2. Draws of two devices differ, for they round differently; their means agree within Monte-Carlo errors.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.errors import DeviceError

PLATFORMS = {"cpu": {"JAX_PLATFORMS": "cpu"}, "gpu": {}}
"""What each needs in its environment.

JAX takes its device, and most of its memory, with the first array, which some libraries make on import. The functions
below therefore import what computes: this process must not hold the card that the measurement needs.
"""

LARGEST_PULL = 4.0  # of a mean, in Monte-Carlo errors; six constants exceed it in one of 2,600 comparisons


def measure(platform: str, length_cm: float, folder: Path) -> None:
    """Print device, precision, gradient time and time of a NUTS run, and keep its result."""
    from bayescal.cli.machine import use_device

    use_device(platform)

    from charge import MODEL, made, seconds

    import bayescal
    from bayescal.inference import FitSettings
    from bayescal.inference.potential import Potential

    (device, *_), (inputs, data) = jax.devices(), made(length_cm)
    potential = Potential(MODEL.model, inputs, data, jax.random.key(0))
    x = potential.unconstrain({}, np.zeros(potential.size))
    gradient = seconds(lambda: potential.value_and_grad(x))
    value, _ = potential.programs.value_and_grad(jnp.asarray(x), potential.inputs, potential.data)
    precision = f"readout in {np.dtype(inputs.plan.dtype).name}, log-density in {value.dtype.name}"
    print(f"{platform}: {device.device_kind}, {precision}")
    print(f"{platform}: gradient of {length_cm:.0f} cm {gradient.wall:.4f} s, first {gradient.first:.1f} s", flush=True)
    settings = FitSettings(method="nuts", draws=100, until="ess > 400 and rhat < 1.01", max_draws=2000)
    begin, start = time.perf_counter(), MODEL.start(inputs, data)
    hooks = {"start": start, "tempered": MODEL.tempered}
    result = bayescal.fit(MODEL.model, inputs, data, key=jax.random.key(2), settings=settings, **hooks)
    took, spent = time.perf_counter() - begin, result.attrs["gradients"]
    print(f"{platform}: NUTS {took:.1f} s, {spent} gradients, {1e3 * took / spent:.1f} ms each; {result.verdict}")
    result.save(folder / f"{platform}.nc")


def pulls(files: list[Path]) -> dict[str, float]:
    """Difference of the means of two results in Monte-Carlo errors, by constant."""
    from arviz_stats.base import array_stats

    import bayescal

    found, results = {}, [bayescal.load(path) for path in files]
    for name in results[0].names:
        draws = [result.data["posterior"][name].values for result in results]
        errors = [array_stats.mcse(each, method="mean", chain_axis=0, draw_axis=1) for each in draws]
        found[name] = float((draws[1].mean() - draws[0].mean()) / np.hypot(*errors))
    return found


def main() -> int:
    """Measure each device in turn and compare what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=float, default=200.0, help="made track [cm]")
    parser.add_argument("--platform", choices=PLATFORMS, help="measure only this one; needs --folder")
    parser.add_argument("--folder", type=Path, help="where its result goes")
    options = parser.parse_args()
    if options.platform is not None:
        try:
            measure(options.platform, options.length, options.folder)
        except DeviceError as error:
            print(error)
            return 2
        return 0
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, __file__, "--length", str(options.length), "--folder", folder]
        codes = [
            subprocess.run([*program, "--platform", platform], env=os.environ | devices, check=False).returncode
            for platform, devices in PLATFORMS.items()
        ]
        if any(codes):
            return max(codes)
        found = pulls([Path(folder) / f"{platform}.nc" for platform in PLATFORMS])
    for name, pull in found.items():
        print(f"{name}: means {pull:+.1f} Monte-Carlo errors apart")
    return 0 if max(map(abs, found.values())) < LARGEST_PULL else 1


if __name__ == "__main__":
    sys.exit(main())
