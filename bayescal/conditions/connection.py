"""From an address to a database that can be read and written; what goes wrong on the way is one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session

from bayescal.conditions.schema import UTCDateTime
from bayescal.errors import InputError

DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
PATIENCE_S = 60  # how long a writer waits for the others
CONNECT_TIMEOUT_S = 10
WRITERS_LOCK = int.from_bytes(b"bayescal")  # of PostgreSQL's advisory locks, which are numbered

_EXPECTED = "give the path of a SQLite file or a URL such as postgresql://user@host/database"


def parse_address(address: str | Path) -> URL:
    """The URL of a database.

    Args:
        address: path of a SQLite file, or a URL: sqlite:///constants.sqlite, postgresql://user@host/database.

    Raises:
        InputError: not a URL, a database that is neither SQLite nor PostgreSQL, or SQLite without a file.
    """
    text = str(address)
    try:
        url = make_url(text) if "://" in text else URL.create("sqlite", database=text)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"the database's address is not a URL; {_EXPECTED}") from error
    if url.get_backend_name() not in DRIVERS:
        raise InputError(f"{shown(url)}: {url.get_backend_name()!r} is not supported; {_EXPECTED}")
    url = url.set(drivername=DRIVERS[url.get_backend_name()])
    if is_sqlite(url) and (url.database in (None, "", ":memory:") or url.query):
        raise InputError(f"{shown(url)}: SQLite needs a file and nothing else; {_EXPECTED}")
    return url


def make_engine(url: URL) -> Engine:
    """An engine whose connections are closed after use.

    Raises:
        InputError: the driver is not installed.
    """
    timeout = {"timeout": PATIENCE_S} if is_sqlite(url) else {"connect_timeout": CONNECT_TIMEOUT_S}
    arguments = {name: value for name, value in timeout.items() if name not in url.query}
    try:
        engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
    except ImportError as error:
        raise InputError(
            f"{shown(url)}: PostgreSQL needs psycopg, which is not installed: pip install 'bayescal[postgresql]'"
        ) from error
    if is_sqlite(url):
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that looks things up.

    Raises:
        InputError: the database cannot be reached, or says no.
    """
    with _clear_errors(engine.url), Session(engine) as session:
        yield session


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session that adds, one writer at a time; what it did is kept whole, or not at all if it raises.

    Raises:
        InputError: the database cannot be reached, or says no.
    """
    options = {"sqlite_begin": "BEGIN IMMEDIATE"} if is_sqlite(engine.url) else {"isolation_level": "READ COMMITTED"}
    engine = engine.execution_options(**options)
    with _clear_errors(engine.url), Session(engine) as session, session.begin():
        if not is_sqlite(engine.url):
            session.connection().exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE_S}s'")
            session.connection().exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
        yield session


def clock(session: Session) -> datetime:
    """Now: by the clock of the server where there is one, so that all writers share it."""
    if is_sqlite(session.get_bind().engine.url):
        return datetime.now(UTC)
    return session.scalars(select(func.clock_timestamp(type_=UTCDateTime))).one()


def is_sqlite(url: URL) -> bool:
    """Whether a database is a file of SQLite."""
    return url.get_backend_name() == "sqlite"


def shown(url: URL) -> str:
    """A database's address for people: the path of a file, or the URL without password and options."""
    if is_sqlite(url) and url.database:
        return str(url.database)
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


@contextmanager
def _clear_errors(url: URL) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split()).rstrip(".")
        remedy = "see that the file can be written and is one of SQLite"
        if not is_sqlite(url):
            remedy = "see that the server runs, that the database exists, and what its user may do"
        raise InputError(f"{shown(url)}: {reason}; {remedy}") from error


def _leave_transactions_to_us(connection: Any, record: object) -> None:
    """SQLite's driver begins transactions late; here they begin where SQLAlchemy says so."""
    del record
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))
