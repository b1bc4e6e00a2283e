"""Tables and progress in a terminal, and plain lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import rich.progress
from rich.console import Console
from rich.table import Table

from bayescal.diagnostics.numbers import duration
from bayescal.inference.progress import Progress

PLAIN_WIDTH = 120
SECONDS_BETWEEN_LINES = 10.0


def console() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; the first column holds names, which stay whole, the others are set to the right."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)


def megabytes(size: float) -> str:
    """A size in bytes for people."""
    return f"{size / 1e6:,.1f} MB"


def status(progress: Progress) -> str:
    """One line on a running fit."""
    message = progress.message or f"{progress.done} of {progress.total}"
    stage = "" if message.startswith(progress.stage) else f"{progress.stage}: "
    return f"{stage}{message}, {progress.gradients} gradients"


class PlainProgress:
    """A line on standard output when the stage changes and every ten seconds."""

    def __init__(self) -> None:
        self.stage = ""
        self.start = self.last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Show a look at the running fit, if it is time."""
        now = time.monotonic()
        finished = progress.done >= progress.total
        if progress.stage == self.stage and not finished and now - self.last < SECONDS_BETWEEN_LINES:
            return
        self.stage, self.last = progress.stage, now
        sys.stdout.write(f"[{duration(now - self.start)}] {status(progress)}\n")
        sys.stdout.flush()

    def __enter__(self) -> Self:
        """Nothing to set up."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to clean up."""
        del kind, error, trace


class BarProgress:
    """A bar a stage in a terminal."""

    def __init__(self) -> None:
        columns = (
            "{task.description}",
            rich.progress.BarColumn(),
            rich.progress.TimeElapsedColumn(),
            "{task.fields[note]}",
        )
        self.bars = rich.progress.Progress(*columns, console=console())
        self.tasks: dict[str, rich.progress.TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        """Move the bar of the stage."""
        if progress.stage not in self.tasks:
            self.tasks[progress.stage] = self.bars.add_task(progress.stage, note="")
        self.bars.update(
            self.tasks[progress.stage], total=progress.total, completed=progress.done, note=status(progress)
        )

    def __enter__(self) -> Self:
        """Start drawing."""
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they are."""
        del kind, error, trace
        self.bars.stop()


def fit_progress() -> PlainProgress | BarProgress:
    """What suits standard output; a context manager whose value is the `progress` function of a fit."""
    return BarProgress() if sys.stdout.isatty() else PlainProgress()
