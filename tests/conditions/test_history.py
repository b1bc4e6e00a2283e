import csv

import pytest

from bayescal.conditions import StoredCalibration, history, write_history
from bayescal.conditions.records import timeline
from bayescal.errors import InputError


@pytest.fixture
def periods(make, january):
    """A correction inside an open interval."""
    values = (make(1, None, kb=0.05), make(5, 9, kb=0.1 + 0.2, converged=False))
    return timeline(StoredCalibration(i + 1, january(20 + i), c) for i, c in enumerate(values))


def test_a_constant_over_time(periods):
    entries = history("kb", periods)
    assert [(e.period.stored.number, e.estimate.mean) for e in entries] == [(1, 0.05), (2, 0.1 + 0.2), (1, 0.05)]


def test_other_constants_are_refused(periods):
    with pytest.raises(InputError, match="no calibration holds a constant 'Kb' at any time; they hold kb, long_diff"):
        history("Kb", periods)


def test_the_table_reads_back_exactly(periods, tmp_path):
    write_history(history("kb", periods), tmp_path / "kb.csv")
    with (tmp_path / "kb.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ends = [(row["valid_from"], row["valid_to"], row["calibration"], row["converged"]) for row in rows]
    first, fifth, ninth = "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z"
    assert ends == [(first, fifth, "1", "True"), (fifth, ninth, "2", "False"), (ninth, "", "1", "True")]
    assert float(rows[1]["mean"]) == 0.1 + 0.2
    assert (rows[1]["unit"], rows[1]["mode"]) == ("(kV/cm)(g/cm^2)/MeV", "")
