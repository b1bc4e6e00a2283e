"""A program that fits ten correlated dimensions by NUTS and HMC and can be killed: ten_dimensions.py FOLDER."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

import bayescal

SIZE = 10


def model(inputs, data=None):
    mean = numpyro.sample("mean", dist.Normal(0.0, 1e4).expand([SIZE]).to_event(1))
    numpyro.sample("observed", dist.MultivariateNormal(mean, inputs), obs=data)


def inputs():
    index = np.arange(SIZE)
    widths = np.logspace(-2, 1, SIZE)
    return 0.9 ** np.abs(np.subtract.outer(index, index)) * np.outer(widths, widths)


def run(method, folder, progress):
    settings = bayescal.FitSettings(method=method, chains=2, warmup=200, draws=2000, checkpoint_seconds=0.0)
    result = bayescal.fit(
        model,
        inputs(),
        np.arange(1.0, SIZE + 1.0),
        key=jax.random.key(1),
        settings=settings,
        progress=progress,
        checkpoint=folder / f"{method}.nc.run",
        unfinished="resume",
    )
    result.save(folder / f"{method}.nc")


def main(folder):
    """NUTS and HMC at the same time, so that one kill meets both; one traces the model after the other."""
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_compilation_cache_dir", os.environ["BAYESCAL_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    first, second = Event(), Event()

    def wait_for_second(progress):
        if progress.stage == "draws":
            first.set()
            second.wait()

    def join_first(progress):
        if progress.stage in ("warm-up", "draws"):
            second.set()

    with ThreadPoolExecutor(1) as pool:
        nuts = pool.submit(run, "nuts", folder, wait_for_second)
        nuts.add_done_callback(lambda future: first.set())
        first.wait()
        try:
            run("hmc", folder, join_first)
        finally:
            second.set()
        nuts.result()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
