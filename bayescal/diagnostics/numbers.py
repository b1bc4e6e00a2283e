"""Numbers and units as people read them: digits by uncertainty, units with superscripts."""

from __future__ import annotations

import math
import re

import numpy as np

TIMES = "\N{MULTIPLICATION SIGN}"
SUPERSCRIPTS = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


def measured(value: float | None, sd: float) -> str:
    """A value with the digits that its standard deviation allows: two digits of the deviation are shown.

    Args:
        value: the number; None or not finite gives a dash.
        sd: its standard deviation, same unit; zero or not finite gives four significant digits.
    """
    if value is None or not np.isfinite(value):
        return "-"
    if not (np.isfinite(sd) and sd > 0):
        return f"{value:.4g}"
    last = 1 - math.floor(math.log10(sd))
    size = max(abs(value), sd)
    if 1e-3 <= size < 1e6:
        return f"{value:.{max(0, last)}f}"
    leading = math.floor(math.log10(abs(value))) if value else -last
    return f"{value:.{max(0, leading + last)}e}"


def rounded(value: float | None, digits: int) -> str:
    """A number with fixed decimals, a dash where there is none."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """A time for people: milliseconds up to hours."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds <= 5400 else f"{seconds / 3600:.1f} h"


def power_text(power: int) -> str:
    """An exponent in superscript."""
    return str(power).translate(SUPERSCRIPTS)


def superscript(text: str) -> str:
    """The same with powers of ten in print: 4.0e-06 gets its exponent raised."""
    return re.sub(r"e([+-]\d+)", lambda m: f"{TIMES}10{power_text(int(m[1]))}", text)


def pretty_unit(unit: str) -> str:
    """A unit in print: cm^2/us becomes cm²/µs, e-/MeV becomes e⁻/MeV."""
    unit = re.sub(r"\^([+-]?\d+)", lambda m: m[1].translate(SUPERSCRIPTS), unit)
    unit = re.sub(r"\bus\b", "µs", unit)
    return re.sub(r"\be-(?=/|$)", "e⁻", unit)
