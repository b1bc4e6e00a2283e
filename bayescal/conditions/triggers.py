"""What makes the tables append-only in the database itself, whoever writes to it and with whatever program.

Refused are every change and deletion, truncation, a second row with the key of a first (SQLite's REPLACE would delete
that one without asking a trigger), a calibration that is not the next one in number and in time of insertion, and
another constant for a calibration that is complete. The owner of the tables can still drop them: in PostgreSQL, grant
the others SELECT and INSERT only.
"""

from __future__ import annotations

from bayescal.conditions.schema import CalibrationRow, ConstantRow, GlobalTagRow, SchemaRow

APPEND_ONLY = "constants are never changed or deleted: add new ones, which supersede the old"

INSERT_RULES = {
    SchemaRow.__tablename__: (
        "NEW.version <= (SELECT max(version) FROM bayescal_schema)",
        "a later version of the schema has a higher number",
    ),
    CalibrationRow.__tablename__: (
        "NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM bayescal_calibration)"
        " OR NEW.inserted_at <= (SELECT max(inserted_at) FROM bayescal_calibration)",
        "a calibration is inserted after the last one, with the next number",
    ),
    ConstantRow.__tablename__: (
        "NEW.position < 0"
        " OR NEW.position >= coalesce((SELECT size FROM bayescal_calibration WHERE number = NEW.calibration), 0)"
        " OR EXISTS (SELECT 1 FROM bayescal_constant"
        " WHERE calibration = NEW.calibration AND position = NEW.position)",
        "the calibration has this constant already, or no place for another",
    ),
    GlobalTagRow.__tablename__: (
        "EXISTS (SELECT 1 FROM bayescal_global_tag WHERE name = NEW.name)",
        "the global tag exists already, choose another name",
    ),
}
"""By table: which new rows are refused, and the sentence that says why."""


def append_only(dialect: str) -> list[str]:
    """Statements that make all tables append-only, for the dialect `sqlite` or `postgresql`."""
    of_table = {"sqlite": _sqlite, "postgresql": _postgresql}[dialect]
    return [statement for table in INSERT_RULES for statement in of_table(table)]


def _sqlite(table: str) -> list[str]:
    refused, why = INSERT_RULES[table]
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END",
        f"CREATE TRIGGER {table}_insert BEFORE INSERT ON {table} WHEN {refused}"
        f" BEGIN SELECT RAISE(ABORT, '{why}'); END",
    ]


def _postgresql(table: str) -> list[str]:
    refused, why = INSERT_RULES[table]
    return [
        _postgresql_function(f"{table}_append_only", f"RAISE EXCEPTION '{APPEND_ONLY}';"),
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()",
        _postgresql_function(f"{table}_insert", f"IF {refused} THEN RAISE EXCEPTION '{why}'; END IF; RETURN NEW;"),
        f"CREATE TRIGGER {table}_insert BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_insert()",
    ]


def _postgresql_function(name: str, body: str) -> str:
    head = f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT"
    return f"{head} AS $$ BEGIN {body} END $$"
