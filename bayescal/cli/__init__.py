"""The command line: `bayescal --help`. Exit codes: 0 good, 2 bad input, 3 the fit did not converge."""

from bayescal.cli.app import main

__all__ = ["main"]
