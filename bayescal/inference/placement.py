"""The same program for every chain, in threads: a thread a processor core, or a device.

Every chain runs as the same one-chain program, so that any number of threads or devices gives the same draws, bit for
bit; vectorised chains round differently.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.inference.settings import FitSettings


class Placement:
    """A program of one chain, compiled once a device, that runs for all chains.

    Args:
        settings: how many chains, and which of them run at the same time.
        program: function (chain, steering, arguments) -> pytree.
        arguments: what stays the same from call to call.
    """

    def __init__(self, settings: FitSettings, program: Callable[[Any, Any, Any], Any], arguments: Any) -> None:
        self._layout = layout = Layout(settings)
        self._arguments = [jax.device_put(arguments, device) for device in layout.workers]
        self._run = jax.jit(
            lambda chains, steering, arguments: layout.over_chains(lambda one: program(one, steering, arguments))(
                chains
            )
        )
        self._programs, self._compiling = {}, threading.Lock()

    def __call__(self, chains: Any, steering: Any) -> Any:
        """What the program makes of every chain, on the host; the leading axis is the chain, before and after."""
        numbers = range(len(self._layout.workers))
        pool = ThreadPoolExecutor(len(numbers))
        try:
            done = [pool.submit(self._work, number, chains, steering) for number in numbers]
            shares = {first: share for future in done for first, share in future.result()}
        finally:
            pool.shutdown(wait=False)  # an interrupt does not wait for the block
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *(shares[first] for first in sorted(shares)))

    def _work(self, number: int, chains: Any, steering: Any) -> list[tuple[int, Any]]:
        """The shares of one worker, in turn, each with the number of its first chain."""
        done = []
        for first in self._layout.firsts(number):
            share = jax.tree.map(lambda leaf, first=first: leaf[first : first + self._layout.at_once], chains)
            placed = jax.device_put((share, steering), self._layout.workers[number])
            arguments = (*placed, self._arguments[number])
            done.append((first, jax.device_get(self._program(number, arguments)(*arguments))))
        return done

    def _program(self, number: int, arguments: tuple[Any, ...]) -> Callable:
        """The compiled program of a worker's device; workers of one device share it."""
        device = self._layout.workers[number]
        with self._compiling:
            if device not in self._programs:
                self._programs[device] = self._run.lower(*arguments).compile()
            return self._programs[device]


class Layout:
    """Which chains run where.

    Attributes:
        workers: the device of each thread that runs chains; a processor has a thread for every core.
        at_once: chains that a worker runs at the same time.
        over_chains: makes a function of one chain one of such a share.
    """

    def __init__(self, settings: FitSettings) -> None:
        (here,) = jnp.zeros(()).devices()
        devices, method = jax.devices(here.platform), settings.chain_method
        if method == "auto":
            method = "vectorized" if len(devices) == 1 and here.platform != "cpu" else "parallel"
        if here.platform == "cpu" and len(devices) == 1:
            devices = [here] * (os.cpu_count() or 1)
        self.workers = devices[: settings.chains] if method == "parallel" else [here]
        self.chains = settings.chains
        self.at_once = settings.chains if method == "vectorized" else 1
        self.over_chains = jax.vmap if method == "vectorized" else _single

    @property
    def together(self) -> int:
        """Chains that run at the same time."""
        return len(self.workers) * self.at_once

    def firsts(self, number: int) -> range:
        """First chain of each share of a worker."""
        return range(number, self.chains, len(self.workers) if self.at_once == 1 else self.chains)


def _single(function: Callable) -> Callable:
    """Apply a function of one chain to a share that holds just one."""

    def on_share(chains):
        out = function(jax.tree.map(lambda leaf: leaf[0], chains))
        return jax.tree.map(lambda leaf: leaf[None], out)

    return on_share
