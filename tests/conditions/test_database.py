"""The same on SQLite and on PostgreSQL."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from datetime import datetime, timedelta

import numpy as np
import pytest

from bayescal.conditions import View, open_database
from bayescal.conditions import database as module
from bayescal.conditions.database import TICK
from bayescal.errors import InputError

WRITER = """
import sys, types
sys.path.insert(0, {tests!r})
from conftest import calibration
from bayescal.conditions import open_database
database = open_database({address!r})
for day in range(1, 11):
    database.add(calibration(day, day + 1, detector=sys.argv[1]))
"""


def numbers(found):
    return [stored.number for stored in found]


def test_everything_comes_back_as_it_was_added(database, make, address):
    added = make(1, 9, tag="reviewed")
    stored = database.add(added)
    for found in (stored, open_database(address).get(1)):
        assert (found.number, found.inserted_at) == (1, stored.inserted_at)
        back = found.calibration
        assert (back.detector, back.tag, back.validity) == ("module0", "reviewed", added.validity)
        assert (back.source, back.origin) == (added.source, added.origin)
        assert [astuple(e) for e in back.estimates.constants] == [astuple(e) for e in added.estimates.constants]
        np.testing.assert_array_equal(back.estimates.covariance, added.estimates.covariance)
        assert back.estimates.covariance["parameter"].values.tolist() == ["kb", "long_diff"]
        assert (back.estimates.method, back.estimates.converged) == ("nuts", True)
        assert back.estimates.verdict == added.estimates.verdict
        assert back.estimates.provenance == {"seed": 7, "study": "model = 'ä'\n", "khat": None}


def test_doubles_come_back_to_the_last_bit(database, make):
    extremes = [*np.random.default_rng(1).uniform(1, 10, 20) * 10.0 ** np.arange(-300, 300, 30), 5e-324, 0.1 + 0.2]
    for value in map(float, extremes):
        database.add(make(kb=value))
    kb = [stored.calibration.estimates.constants[0].mean for stored in database.calibrations()]
    assert kb == extremes


def test_the_newest_that_covers_the_time_wins(database, make, january):
    for interval in ((1, None), (5, 9), (7, 8)):
        database.add(make(*interval))
    database.add(make(1, None, tag="online"))
    database.add(make(1, None, detector="module1"))
    view = database.view("default")
    found = {day: database.at(january(day), "module0", view).number for day in (1, 4, 5, 7, 8, 9, 30)}
    assert found == {1: 1, 4: 1, 5: 2, 7: 3, 8: 2, 9: 1, 30: 1}
    assert database.at(january(5) - TICK, "module0", view).number == 1
    assert [p.stored.number for p in database.timeline("module0", view)] == [1, 2, 3, 2, 1]
    assert database.at(january(7), "module0", database.view("online")).number == 4
    assert database.at(january(7), "module1", view).number == 5


def test_a_look_up_as_of_an_insertion_stays_the_same(database, make, january):
    first = database.add(make(kb=0.05))
    before = database.view("default")
    assert before == View("default", first.inserted_at)
    second = database.add(make(kb=0.06))
    assert second.inserted_at > first.inserted_at
    assert database.at(january(3), "module0", before).number == 1
    assert database.at(january(3), "module0", database.view("default", first.inserted_at)).number == 1
    assert database.at(january(3), "module0", database.view("default", second.inserted_at - TICK)).number == 1
    assert database.at(january(3), "module0", database.view("default")).number == 2
    assert database.view("default", january(1).replace(year=9999)) == database.view("default")
    with pytest.raises(
        InputError, match=r"has no calibration of module0 with the tag default as of 20.*there is no det"
    ):
        database.at(january(3), "module0", database.view("default", first.inserted_at - TICK))


def test_insertions_are_in_order_though_the_clock_is_set_back(database, make, monkeypatch):
    first = database.add(make())
    monkeypatch.setattr(module, "clock", lambda session: first.inserted_at - timedelta(hours=1))
    assert database.add(make()).inserted_at == first.inserted_at + TICK


def test_calibrations_are_listed_by_detector_tag_and_time(database, make):
    first = database.add(make())
    database.add(make(tag="online"))
    database.add(make(detector="module1"))
    assert numbers(database.calibrations()) == [1, 2, 3]
    assert numbers(database.calibrations(detector="module0")) == [1, 2]
    assert numbers(database.calibrations(tag="default")) == [1, 3]
    assert numbers(database.calibrations(as_of=first.inserted_at)) == [1]
    with pytest.raises(InputError, match=r"as of: .* has no time zone"):
        database.calibrations(as_of=datetime(2026, 1, 1))
    assert database.detectors(database.view("default")) == ["module0", "module1"]


def test_a_global_tag_holds_its_view(database, make, january):
    database.add(make())
    view = database.view("default")
    database.freeze("2026-summer", view, make().origin)
    database.add(make())
    assert database.frozen() == {"2026-summer": view}
    assert database.at(january(1), "module0", database.frozen_view("2026-summer")).number == 1
    with pytest.raises(InputError, match="'2026-summer' exists already, choose another name"):
        database.freeze("2026-summer", database.view("default"), make().origin)
    with pytest.raises(InputError, match="no global tag '2025', it has 2026-summer"):
        database.frozen_view("2025")
    with pytest.raises(InputError, match="later than every insertion"):
        database.freeze("later", View("default", database.view("default").as_of + TICK), make().origin)
    with pytest.raises(InputError, match="global tag: 'a b' is not a name"):
        database.freeze("a b", view, make().origin)


def test_what_did_not_converge_is_refused_or_marked(database, make):
    with pytest.raises(
        InputError, match=r"did not converge \(.*R-hat 1.2\); fit again, or say --even-if-not-converged"
    ):
        database.add(make(converged=False))
    assert database.calibrations() == []
    stored = database.add_even_if_not_converged(make(converged=False))
    assert not database.get(stored.number).calibration.estimates.converged


def test_times_outside_every_interval(database, make, january):
    with pytest.raises(InputError, match="is empty; add a result"):
        database.view("default")
    database.add(make(2, 4))
    view = database.view("default")
    with pytest.raises(
        InputError, match=r"at 2026-01-04T00:00:00Z; the first begins at 2026-01-02.*ends at 2026-01-04"
    ):
        database.at(january(4), "module0", view)
    database.add(make(6, None))
    with pytest.raises(InputError, match=r"at 2026-01-05T00:00:00Z; .*, the last stays open"):
        database.at(january(5), "module0", database.view("default"))
    with pytest.raises(InputError, match=r"has no calibration of modul0 .* there is module0"):
        database.at(january(3), "modul0", view)
    with pytest.raises(InputError, match="there is no calibration 3"):
        database.get(3)
    with pytest.raises(InputError, match=r"time: .* has no time zone"):
        database.at(datetime(2026, 1, 3), "module0", view)


def test_threads_add_at_the_same_time(database, make):
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(database.add, [make(day, day + 1) for day in range(1, 25)]))
    assert sorted(numbers(stored)) == list(range(1, 25))
    listed = database.calibrations()
    times = [s.inserted_at for s in listed]
    assert numbers(listed) == list(range(1, 25))
    assert times == sorted(set(times))


@pytest.mark.slow
def test_processes_add_at_the_same_time(database, address, request):
    script = WRITER.format(tests=str(request.path.parent), address=address)
    writers = [subprocess.Popen([sys.executable, "-c", script, f"module{i}"]) for i in range(2)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    listed = database.calibrations()
    assert numbers(listed) == list(range(1, 21))
    assert sorted(s.calibration.detector for s in listed) == ["module0"] * 10 + ["module1"] * 10


def test_what_fails_half_way_leaves_nothing(database, make, monkeypatch):
    database.add(make())

    def broken(row):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "stored_calibration", broken)  # after the rows are inserted
    with pytest.raises(KeyboardInterrupt):
        database.add(make())
    monkeypatch.undo()
    assert numbers(database.calibrations()) == [1]
    assert database.add(make()).number == 2
