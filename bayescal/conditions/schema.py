"""Tables of a database of constants, the same in SQLite and PostgreSQL; `triggers` makes them append-only.

Times are UTC: `timestamp with time zone` in PostgreSQL, text without zone in SQLite, which has no such type. Numbers
are doubles. The covariance of a calibration is stored row by row: each constant has its covariances with the constants
before it and its own variance, as a JSON array.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, DateTime, Dialect, Double, ForeignKey, Index, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA_VERSION = 1
PREFIX = "bayescal_"
WITHOUT_ROWID = {"sqlite_with_rowid": False}  # else SQLite has a second key, by which REPLACE could delete a row


class UTCDateTime(TypeDecorator[datetime]):
    """A time with a zone, kept in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What the database gets."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What the database gives, in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {datetime: UTCDateTime, float: Double}  # noqa: RUF012


class SchemaRow(Base):
    """Which version of these tables a database has; the highest counts."""

    __tablename__ = PREFIX + "schema"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class CalibrationRow(Base):
    """One calibration: what `records.Calibration` holds, without the constants."""

    __tablename__ = PREFIX + "calibration"
    __table_args__ = (
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=PREFIX + "interval_holds_time"),
        Index(PREFIX + "calibration_look_up", "detector", "tag", "valid_from"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    inserted_at: Mapped[datetime] = mapped_column(unique=True)
    author: Mapped[str]
    comment: Mapped[str]
    detector: Mapped[str] = mapped_column(String(100))
    tag: Mapped[str] = mapped_column(String(100))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    method: Mapped[str]
    converged: Mapped[bool]
    verdict: Mapped[str]
    source_path: Mapped[str]
    source_sha256: Mapped[str] = mapped_column(String(64))
    provenance: Mapped[dict[str, Any]] = mapped_column(JSON)
    size: Mapped[int]  # number of constants: no other is added later
    constants: Mapped[list[ConstantRow]] = relationship(order_by="ConstantRow.position", lazy="selectin")


class ConstantRow(Base):
    """One constant of a calibration: what `diagnostics.estimates.Estimate` holds, and its row of the covariance."""

    __tablename__ = PREFIX + "constant"
    __table_args__ = WITHOUT_ROWID

    calibration: Mapped[int] = mapped_column(ForeignKey(CalibrationRow.number), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    unit: Mapped[str]
    mean: Mapped[float | None]
    median: Mapped[float | None]
    mode: Mapped[float | None]
    sd: Mapped[float]
    low_68: Mapped[float | None]
    high_68: Mapped[float | None]
    low_95: Mapped[float | None]
    high_95: Mapped[float | None]
    larndsim_key: Mapped[str | None]
    covariances: Mapped[list[float]] = mapped_column(JSON)


class GlobalTagRow(Base):
    """A name for a view: one series as it stood at one time."""

    __tablename__ = PREFIX + "global_tag"
    __table_args__ = WITHOUT_ROWID

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    tag: Mapped[str] = mapped_column(String(100))
    as_of: Mapped[datetime]
    inserted_at: Mapped[datetime]
    author: Mapped[str]
    comment: Mapped[str]
