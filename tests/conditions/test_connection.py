import sqlite3
import sys

import pytest

from bayescal.conditions import connection, create_database, open_database
from bayescal.conditions.connection import make_engine, parse_address, shown
from bayescal.errors import InputError


@pytest.mark.parametrize(
    ("address", "driver", "database"),
    [
        ("constants.sqlite", "sqlite+pysqlite", "constants.sqlite"),
        ("/data/a b.sqlite", "sqlite+pysqlite", "/data/a b.sqlite"),
        ("sqlite:////data/c.sqlite", "sqlite+pysqlite", "/data/c.sqlite"),
        ("postgresql://ada@db.example.org:5433/constants", "postgresql+psycopg", "constants"),
        ("postgresql+psycopg://ada@db.example.org/constants", "postgresql+psycopg", "constants"),
    ],
)
def test_addresses(address, driver, database):
    url = parse_address(address)
    assert (url.drivername, url.database) == (driver, database)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("mysql://ada@host/constants", "'mysql' is not supported; give the path of a SQLite file or a URL such as"),
        ("postgres://ada@host/constants", "'postgres' is not supported"),
        ("postgresql://ada@host:port/constants", "the database's address is not a URL"),
        ("://", "the database's address is not a URL"),
        ("sqlite://", "SQLite needs a file and nothing else"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        ("sqlite:///c.sqlite?mode=memory", "SQLite needs a file and nothing else"),
        ("", "SQLite needs a file"),
    ],
)
def test_other_addresses_are_refused(address, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_address(address)


def test_passwords_are_not_shown():
    address = "postgresql://ada:secret@host/constants?password=secret"
    assert shown(parse_address(address)) == "postgresql://ada:***@host/constants"
    with pytest.raises(InputError) as raised:
        parse_address("mysql://ada:secret@host/constants")
    assert "secret" not in str(raised.value)


def test_a_missing_driver_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    with pytest.raises(
        InputError, match=r"needs psycopg, which is not installed: pip install 'bayescal\[postgresql\]'"
    ):
        make_engine(parse_address("postgresql://ada@host/constants"))


def test_a_server_that_is_not_there_is_one_sentence(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(
        InputError, match=r"constants: connection .* failed: .*; see that the server runs, that the database exists"
    ):
        open_database(f"postgresql://ada:secret@/constants?host={tmp_path}")


def test_a_database_that_is_not_on_the_server_is_one_sentence(postgresql_address):
    with pytest.raises(InputError, match='database "nowhere" does not exist; see that the server runs'):
        open_database(postgresql_address.replace("/postgres?", "/nowhere?"))


def test_a_file_that_cannot_be_made_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"nowhere/c.sqlite: unable to open database file; see that the file can be"):
        create_database(tmp_path / "nowhere" / "c.sqlite")


def test_a_writer_waits_for_another_but_not_for_ever(tmp_path, make, monkeypatch):
    monkeypatch.setattr("bayescal.conditions.connection.PATIENCE_S", 0.05)
    database = create_database(tmp_path / "c.sqlite")
    other = sqlite3.connect(tmp_path / "c.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InputError, match="database is locked; see that the file can be written"):
        database.add(make())
    assert database.calibrations() == []  # readers are let in
    other.execute("ROLLBACK")
    other.close()
    assert database.add(make()).number == 1


def test_writers_of_postgresql_wait_for_each_other_but_not_for_ever(postgresql_address, make, monkeypatch):
    database = create_database(postgresql_address)
    monkeypatch.setattr(connection, "PATIENCE_S", 1)
    engine = make_engine(parse_address(postgresql_address))
    with connection.writing(engine), pytest.raises(InputError, match="canceling statement due to lock timeout"):
        database.add(make())
    assert database.add(make()).number == 1
