"""Errors that a user can mend: the command line prints their one sentence and exits with code 2."""

from __future__ import annotations


class InputError(ValueError):
    """Input that cannot be used: one sentence that names the file, the key or row, and the remedy."""


class DeviceError(InputError):
    """A device was asked for by name and is not there."""
