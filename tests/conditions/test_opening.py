from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from bayescal.conditions import create_database, open_database
from bayescal.errors import InputError


def test_a_new_database_is_empty_and_knows_its_version(database, address, raw):
    assert open_database(address).calibrations() == []
    assert open_database(address).frozen() == {}
    assert raw("SELECT version FROM bayescal_schema") == [(1,)]


def test_a_database_is_made_once(database, address, make):
    database.add(make())
    with pytest.raises(InputError, match="holds constants already; nothing was changed"):
        create_database(address)
    assert len(database.calibrations()) == 1


def test_of_several_who_make_it_one_does(address):
    def attempt(_):
        try:
            return create_database(address)
        except InputError:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(attempt, range(4)))
    assert sum(database is not None for database in made) == 1
    assert open_database(address).calibrations() == []


def test_no_database(tmp_path):
    with pytest.raises(
        InputError, match=r"c.sqlite: there is no such database; make it with `bayescal constants create"
    ):
        open_database(tmp_path / "c.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_our_tables(address, tmp_path):
    if "://" not in address:
        (tmp_path / "constants.sqlite").touch()  # as SQLite leaves it before the first table
    with pytest.raises(InputError, match="holds no constants of bayescal; make it with `bayescal constants create"):
        open_database(address)


def test_another_file(tmp_path):
    (tmp_path / "c.sqlite").write_text("name,value\n" * 100)
    with pytest.raises(InputError, match=r"c.sqlite: file is not a database; see that the file"):
        open_database(tmp_path / "c.sqlite")


def test_tables_of_another_version(database, address, raw):
    raw("INSERT INTO bayescal_schema SELECT 2, created_at, created_by FROM bayescal_schema")
    with pytest.raises(InputError, match=r"its tables are of version 2, this bayescal \(0.1.0\) reads version 1"):
        open_database(address)


@pytest.fixture
def visitor(postgresql_address):
    """Somebody who may see the schema of a database, and a function that grants more rights on its tables."""
    create_database(postgresql_address)
    url = sqlalchemy.make_url(postgresql_address)
    role = schema = url.query["options"].partition("=")[2]
    owner = sqlalchemy.create_engine(url.set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool)

    def run(*statements):
        with owner.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    run(f"CREATE ROLE {role} LOGIN", f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    address = url.set(username=role).render_as_string(hide_password=False)
    yield address, lambda rights: run(f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {role}")
    run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_select_and_insert_are_rights_enough(visitor, make, january):
    address, grant = visitor
    grant("SELECT, INSERT")
    database = open_database(address)
    database.add(make())
    database.freeze("2026", database.view("default"), make().origin)
    assert database.at(january(1), "module0", database.frozen_view("2026")).number == 1


def test_missing_rights_are_one_sentence(visitor, make):
    address, grant = visitor
    with pytest.raises(InputError, match=r"permission denied for table bayescal_schema; .*what its user may do"):
        open_database(address)
    grant("SELECT")
    with pytest.raises(InputError, match="permission denied for table bayescal_calibration"):
        open_database(address).add(make())
