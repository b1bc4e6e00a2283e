import pytest

from bayescal.diagnostics import numbers


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [
        (0.04857, 0.00152, "0.0486"),
        (4.0123e-6, 2.1e-7, "4.01e-06"),
        (42370.4, 151.0, "42370"),
        (42370.4, 1.51, "42370.4"),
        (0.0, 0.01, "0.000"),
        (1.0, 0.0, "1"),
        (None, 1.0, "-"),
        (float("nan"), 1.0, "-"),
    ],
)
def test_digits_follow_the_standard_deviation(value, sd, text):
    assert numbers.measured(value, sd) == text


def test_powers_of_ten_are_raised():
    assert numbers.superscript("4.01e-06 and 2.0e+07") == "4.01\u00d710⁻⁶ and 2.0\u00d710⁷"


def test_units_in_print():
    assert numbers.pretty_unit("cm^2/us") == "cm²/µs"
    assert numbers.pretty_unit("e-/MeV") == "e⁻/MeV"
    assert numbers.pretty_unit("(kV/cm)(g/cm^2)/MeV") == "(kV/cm)(g/cm²)/MeV"


def test_missing_number_is_a_dash():
    assert numbers.rounded(None, 2) == "-"
    assert numbers.rounded(1.005, 1) == "1.0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.012, "12 ms"),
        (3.25, "3.2 s"),
        (89.0, "89.0 s"),
        (90.0, "1.5 min"),
        (5400.0, "90.0 min"),
        (9000.0, "2.5 h"),
    ],
)
def test_durations(seconds, text):
    assert numbers.duration(seconds) == text
