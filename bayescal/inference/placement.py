"""The same program for every chain, on the devices that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from bayescal.inference.sampler import Layout
from bayescal.inference.settings import FitSettings

Shares = dict[int, Any]  # trees over the chains that a device runs at the same time, by the number of the first of them


class Placement:
    """Runs programs of chains; one thread a device, which does its own shares in turn.

    Attributes:
        over_chains: makes a function of one chain one of such a share.
    """

    def __init__(self, settings: FitSettings, arguments: Any) -> None:
        self._layout = Layout(settings)
        self._arguments = [jax.device_put(arguments, device) for device in self._layout.devices]
        self.over_chains: Callable[[Callable], Callable] = self._layout.over_chains

    def split(self, tree: Any) -> Shares:
        """Arrays over all chains as shares."""
        size = self._layout.at_once
        firsts = [first for number in range(len(self._layout.devices)) for first in self._layout.firsts(number)]
        return {first: jax.tree.map(lambda leaf, first=first: leaf[first : first + size], tree) for first in firsts}

    def run(self, program: Callable, shares: Shares, steering: Any) -> Shares:
        """program(share, steering, arguments) for every share, in the order of the chains."""

        def work(number: int, device: Any) -> Shares:
            common = jax.device_put(steering, device)
            return {
                first: jax.block_until_ready(
                    program(jax.device_put(shares[first], device), common, self._arguments[number])
                )
                for first in self._layout.firsts(number)
            }

        devices = self._layout.devices
        with ThreadPoolExecutor(len(devices)) as pool:
            futures = [pool.submit(work, number, device) for number, device in enumerate(devices)]
            done = {first: share for future in futures for first, share in future.result().items()}
        return dict(sorted(done.items()))
