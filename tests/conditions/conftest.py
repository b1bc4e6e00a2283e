"""Databases to test with, SQLite always and PostgreSQL where a server is given, and calibrations to put into them."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest
import sqlalchemy

from bayescal.conditions import Calibration, Origin, Source, Validity, create_database
from bayescal.diagnostics.estimates import Estimate, Estimates, labelled

SERVER = os.environ.get("BAYESCAL_TEST_POSTGRESQL")


@pytest.fixture
def postgresql_address():
    """A schema of its own on the server, dropped afterwards."""
    if SERVER is None:
        if os.environ.get("CI") == "true":
            pytest.fail("BAYESCAL_TEST_POSTGRESQL must name a PostgreSQL server: source .ci/postgresql.sh")
        pytest.skip("BAYESCAL_TEST_POSTGRESQL names no PostgreSQL server: source .ci/postgresql.sh")
    schema = f"test_{uuid.uuid4().hex}"
    url = sqlalchemy.make_url(SERVER).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    address = url.set(drivername="postgresql").update_query_dict({"options": f"-csearch_path={schema}"})
    yield address.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """Where a database can be made."""
    if request.param == "sqlite":
        return str(tmp_path / "constants.sqlite")
    return request.getfixturevalue("postgresql_address")


@pytest.fixture
def database(address):
    """A database without any calibration yet."""
    return create_database(address)


@pytest.fixture
def raw(address, database):
    """The database behind the back of bayescal: run one statement."""
    del database
    url = sqlalchemy.make_url(address if "://" in address else f"sqlite:///{address}")
    driver = "postgresql+psycopg" if "://" in address else "sqlite"
    engine = sqlalchemy.create_engine(url.set(drivername=driver), poolclass=sqlalchemy.NullPool)

    def run(statement):
        with engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return result.fetchall() if result.returns_rows else []

    return run


def day(number: int) -> datetime:
    """A day of January 2026."""
    return datetime(2026, 1, number, tzinfo=UTC)


def numbers(mean: float, sd: float) -> tuple[float | None, ...]:
    """The numbers of an estimate in their order; it has no mode."""
    return mean, mean + sd / 9, None, sd, mean - sd, mean + sd, mean - 2 * sd, mean + 2 * sd


def estimates(*, kb: float = 0.0486, converged: bool = True) -> Estimates:
    """Two constants with numbers that need all digits of a double."""
    sd = np.array([1 / 700, np.pi * 1e-7])
    covariance = np.array([[1.0, 1 / 3], [1 / 3, 1.0]]) * np.outer(sd, sd)
    constants = (
        Estimate("kb", "(kV/cm)(g/cm^2)/MeV", *numbers(kb, float(sd[0])), larndsim_key="kb"),
        Estimate("long_diff", "cm^2/us", *numbers(4e-6 / 3, float(sd[1]))),
    )
    verdict = "The chains have converged." if converged else "The chains have not converged: R-hat 1.2."
    provenance = {"seed": 7, "study": "model = 'ä'\n", "khat": float("nan")}
    return Estimates("nuts", converged, verdict, constants, labelled(["kb", "long_diff"], covariance), provenance)


def calibration(first: int = 1, last: int | None = None, **changes) -> Calibration:
    """A calibration of module0 that holds from one day of January to another, or on; estimates by their arguments."""
    numbers = {key: changes.pop(key) for key in ("kb", "converged") if key in changes}
    validity = Validity(day(first), None if last is None else day(last))
    source = Source("/data/nuts.nc", "0" * 64)
    fields = {"detector": "module0", "origin": Origin("ada", "first try")} | changes
    return Calibration(validity=validity, estimates=estimates(**numbers), source=source, **fields)


@pytest.fixture(scope="session")
def make():
    """The function that makes calibrations."""
    return calibration


@pytest.fixture(scope="session")
def january():
    """The function that makes days."""
    return day
