"""Signals that ask a run to end: the first is a request, the second does not wait."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While it is entered, SIGINT (ctrl-C) and SIGTERM set `asked`; another one raises KeyboardInterrupt at once.

    A signal that the process ignores, as under nohup, stays ignored. Outside the main thread, where none arrives,
    nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        """Take the signals over."""
        ours = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        heard = [number for number in ours if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        self._before = {number: signal.signal(number, self._ask) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        del kind, error, trace
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
