"""Statements in plain SQL: the database itself refuses what would change its past."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy.exc import DBAPIError

from bayescal.conditions import create_database
from bayescal.conditions.schema import Base
from bayescal.conditions.triggers import APPEND_ONLY, INSERT_RULES

TABLES = [table.name for table in Base.metadata.sorted_tables]
AGAIN = {
    "bayescal_schema": "INSERT {} INTO bayescal_schema SELECT * FROM bayescal_schema",
    "bayescal_calibration": "INSERT {} INTO bayescal_calibration SELECT * FROM bayescal_calibration",
    "bayescal_constant": "INSERT {} INTO bayescal_constant SELECT * FROM bayescal_constant WHERE position = 1",
    "bayescal_global_tag": "INSERT {} INTO bayescal_global_tag SELECT * FROM bayescal_global_tag",
}
NEXT = """INSERT INTO bayescal_calibration SELECT {number}, {inserted_at}, author, comment, detector, tag, valid_from,
valid_to, method, converged, verdict, source_path, source_sha256, provenance, size FROM bayescal_calibration"""
CONSTANT = """INSERT INTO bayescal_constant SELECT {calibration}, {position}, 'Ab', unit, mean, median, mode, sd,
low_68, high_68, low_95, high_95, larndsim_key, covariances FROM bayescal_constant WHERE position = 1"""


@pytest.fixture
def filled(database, make):
    """A database with a row in each table."""
    database.add(make())
    database.freeze("2026", database.view("default"), make().origin)
    return database


@pytest.fixture
def refused(filled, raw):
    """Assert that a statement is refused with a sentence, and that nothing was changed by it."""

    def contents():
        return {table: raw(f"SELECT * FROM {table}") for table in TABLES}

    def check(statement, sentence):
        before = contents()
        with pytest.raises(DBAPIError, match=sentence):
            raw(statement)
        assert contents() == before

    return check


@pytest.fixture
def later(address):
    """SQL for a time after the last insertion."""
    return "inserted_at + interval '1 second'" if "://" in address else "'9999-01-01 00:00:00.000000'"


def test_every_table_is_guarded():
    assert sorted(INSERT_RULES) == sorted(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_update_and_delete_are_refused(refused, raw, address, table):
    column = {"bayescal_schema": "created_by", "bayescal_constant": "name"}.get(table, "author")
    refused(f"UPDATE {table} SET {column} = 'x'", APPEND_ONLY)
    refused(f"DELETE FROM {table}", APPEND_ONLY)
    if "://" in address:  # SQLite knows no TRUNCATE
        refused(f"TRUNCATE {table} CASCADE", APPEND_ONLY)
    assert len(raw(f"SELECT * FROM {table}")) > 0


@pytest.mark.parametrize("table", TABLES)
def test_a_row_cannot_be_replaced(refused, address, table):
    replace = "" if "://" in address else "OR REPLACE"
    refused(AGAIN[table].format(replace), INSERT_RULES[table][1])


def test_sqlite_has_no_second_key_to_replace_a_row_by(tmp_path, make):
    """Where rowid is a column beside the key, REPLACE deletes by it what no trigger sees."""
    database = create_database(tmp_path / "constants.sqlite")
    database.add(make())
    with closing(sqlite3.connect(tmp_path / "constants.sqlite")) as raw:
        for table in ("bayescal_constant", "bayescal_global_tag"):
            with pytest.raises(sqlite3.OperationalError, match="no such column: rowid"):
                raw.execute(f"SELECT rowid FROM {table}")
        for table, key in (("bayescal_schema", "version"), ("bayescal_calibration", "number")):
            assert raw.execute(f"SELECT count(*) FROM {table} WHERE rowid = {key}").fetchone() == (1,)


def test_upserts_are_refused(refused, address):
    target = "INSERT INTO bayescal_global_tag SELECT * FROM bayescal_global_tag WHERE true ON CONFLICT (name)"
    refused(f"{target} DO UPDATE SET as_of = excluded.inserted_at", "exists already|never changed")
    if "://" not in address:
        refused("UPDATE OR REPLACE bayescal_global_tag SET name = 'x'", APPEND_ONLY)


def test_calibrations_have_consecutive_numbers_and_increasing_times(refused, raw, later):
    sentence = INSERT_RULES["bayescal_calibration"][1]
    refused(NEXT.format(number=3, inserted_at=later), sentence)
    refused(NEXT.format(number=-1, inserted_at=later), sentence)
    refused(NEXT.format(number=2, inserted_at="inserted_at"), sentence)
    raw(NEXT.format(number=2, inserted_at=later))
    assert raw("SELECT count(*) FROM bayescal_calibration") == [(2,)]


def test_a_complete_calibration_takes_no_other_constant(refused):
    sentence = INSERT_RULES["bayescal_constant"][1]
    refused(CONSTANT.format(calibration=1, position=2), sentence)
    refused(CONSTANT.format(calibration=1, position=-1), sentence)
    refused(CONSTANT.format(calibration=2, position=0), sentence)  # of a calibration to come


def test_an_empty_interval_is_refused(refused, later):
    statement = NEXT.format(number=2, inserted_at=later).replace("\nvalid_to", "\nvalid_from")
    refused(statement, "bayescal_interval_holds_time")
