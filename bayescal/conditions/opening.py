"""Databases of constants are made once, and opened only where their tables are those that this bayescal knows."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

import bayescal
from bayescal.conditions.connection import clock, is_sqlite, make_engine, parse_address, reading, shown, writing
from bayescal.conditions.database import ConstantsDatabase
from bayescal.conditions.schema import SCHEMA_VERSION, Base, SchemaRow
from bayescal.conditions.triggers import append_only
from bayescal.errors import InputError

_CREATE = "make it with `bayescal constants create` and the same --database"


def create_database(address: str | Path) -> ConstantsDatabase:
    """Make the tables of a new database.

    Args:
        address: path of a SQLite file, or a URL; a PostgreSQL database itself must be there.

    Raises:
        InputError: it holds constants already, or cannot be written to.
    """
    url = parse_address(address)
    engine = make_engine(url)
    with writing(engine) as session:
        if _has_tables(session):
            raise InputError(f"{shown(url)}: holds constants already; nothing was changed, use it as it is")
        Base.metadata.create_all(session.connection())
        for statement in append_only(engine.dialect.name):
            session.connection().exec_driver_sql(statement)
        session.add(
            SchemaRow(version=SCHEMA_VERSION, created_at=clock(session), created_by=f"bayescal {bayescal.__version__}")
        )
    return ConstantsDatabase(engine)


def open_database(address: str | Path) -> ConstantsDatabase:
    """Open a database that `create_database` made.

    Args:
        address: path of a SQLite file, or a URL.

    Raises:
        InputError: there is no such database, it cannot be reached, or its tables are of another version.
    """
    url = parse_address(address)
    if is_sqlite(url) and not Path(str(url.database)).is_file():
        raise InputError(f"{shown(url)}: there is no such database; {_CREATE}")
    engine = make_engine(url)
    with reading(engine) as session:
        if not _has_tables(session):
            raise InputError(f"{shown(url)}: holds no constants of bayescal; {_CREATE}")
        version = session.scalar(select(func.max(SchemaRow.version)))
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{shown(url)}: its tables are of version {version}, this bayescal ({bayescal.__version__}) reads version "
            f"{SCHEMA_VERSION}; use the bayescal that fits"
        )
    return ConstantsDatabase(engine)


def _has_tables(session: Session) -> bool:
    return inspect(session.connection()).has_table(SchemaRow.__tablename__)
