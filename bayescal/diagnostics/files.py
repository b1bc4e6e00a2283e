"""Files written whole or not at all: an interrupted write leaves an older file as it was."""

from __future__ import annotations

import os
import tempfile
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from bayescal.errors import InputError

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file through a temporary name in the same folder.

    Raises:
        InputError: the folder is missing or cannot be written to, or the path is a folder.
    """
    path = Path(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose a folder that can") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format that the path's suffix names."""
    suffix = Path(path).suffix.lower()
    if suffix not in FIGURE_SUFFIXES:
        raise InputError(f"{path}: a figure is written as {', '.join(FIGURE_SUFFIXES)}, not as {suffix or 'nothing'!r}")
    buffer = BytesIO()
    figure.savefig(buffer, format=suffix[1:], dpi=160)
    write_bytes(path, buffer.getvalue())
