"""What can be done with a database of constants: add, look up by time, see the history. Nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.orm import Session

from bayescal.conditions.connection import clock, reading, shown, writing
from bayescal.conditions.records import Calibration, Origin, Period, StoredCalibration, View, require_name, timeline
from bayescal.conditions.rows import calibration_row, stored_calibration
from bayescal.conditions.schema import CalibrationRow, GlobalTagRow
from bayescal.conditions.times import in_utc, write_time
from bayescal.errors import InputError

TICK = timedelta(microseconds=1)  # resolution of a time in either database


class ConstantsDatabase:
    """Calibrations in the order in which they were inserted; see `opening`.

    A look-up takes a view: it sees one series (tag) as it stood at one time. The same look-up in the same view gives
    the same answer for good, for every insertion is later than all before it, and nothing is changed or deleted.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        """The database for people: its file, or its URL without password."""
        return shown(self._engine.url)

    def add(self, calibration: Calibration) -> StoredCalibration:
        """Insert a calibration; from now on it wins at every time that its interval holds.

        Raises:
            InputError: its fit did not converge, or the database says no.
        """
        if not calibration.estimates.converged:
            raise InputError(
                f"{calibration.source.path}: did not converge ({calibration.estimates.verdict.rstrip('.')}); "
                "fit again, or say --even-if-not-converged to add it with that mark"
            )
        return self.add_even_if_not_converged(calibration)

    def add_even_if_not_converged(self, calibration: Calibration) -> StoredCalibration:
        """Insert a calibration whatever its verdict, which is stored with it.

        Raises:
            InputError: the database says no.
        """
        with writing(self._engine) as session:
            row = calibration_row(calibration)
            row.number = 1 + (session.scalar(select(func.max(CalibrationRow.number))) or 0)
            row.inserted_at = _next_time(session)
            session.add(row)
            session.flush()
            return stored_calibration(row)

    def view(self, tag: str, as_of: datetime | None = None) -> View:
        """A series as it stood at a time, by default as it stands now.

        Never later than the newest insertion: a view has no place for insertions to come.

        Raises:
            InputError: a time without zone, or nothing has been inserted yet.
        """
        asked = None if as_of is None else in_utc(as_of, "as of")
        with reading(self._engine) as session:
            newest = _newest(session)
        if newest is None:
            raise InputError(f"{self.name}: is empty; add a result with `bayescal constants add`")
        return View(tag, newest if asked is None else min(asked, newest))

    def freeze(self, name: str, view: View, origin: Origin) -> None:
        """Give a view a name, a global tag, by which it can be looked up for good.

        Raises:
            InputError: the name is taken or no name, or the view reaches beyond the newest insertion.
        """
        require_name(name, "global tag")
        with writing(self._engine) as session:
            newest = _newest(session)
            if newest is None or view.as_of > newest:
                raise InputError(
                    f"{self.name}: {write_time(view.as_of)} is later than every insertion, so that the answer could "
                    "still change; freeze a time up to that of the newest insertion"
                )
            if session.get(GlobalTagRow, name) is not None:
                raise InputError(f"{self.name}: the global tag {name!r} exists already, choose another name")
            known = GlobalTagRow(name=name, tag=view.tag, as_of=view.as_of, inserted_at=clock(session))
            known.author, known.comment = origin.author, origin.comment
            session.add(known)

    def frozen(self) -> dict[str, View]:
        """The views that have a global tag, by its name and in the order in which they got it."""
        with reading(self._engine) as session:
            rows = session.scalars(select(GlobalTagRow).order_by(GlobalTagRow.inserted_at, GlobalTagRow.name))
            return {row.name: View(row.tag, row.as_of) for row in rows}

    def frozen_view(self, name: str) -> View:
        """The view of a global tag.

        Raises:
            InputError: there is no global tag of that name.
        """
        known = self.frozen()
        if name not in known:
            raise InputError(f"{self.name}: there is no global tag {name!r}, it has {', '.join(known) or 'none'}")
        return known[name]

    def get(self, number: int) -> StoredCalibration:
        """One calibration by its number.

        Raises:
            InputError: there is none of that number.
        """
        with reading(self._engine) as session:
            row = session.get(CalibrationRow, number)
            if row is None:
                raise InputError(f"{self.name}: there is no calibration {number}; see `bayescal constants list`")
            return stored_calibration(row)

    def at(self, time: datetime, detector: str, view: View) -> StoredCalibration:
        """The calibration of a detector at a time: of those that cover it, the one inserted last.

        Raises:
            InputError: a time without zone, a detector without calibrations, or a time outside every interval.
        """
        time = in_utc(time, "time")
        covering = (
            select(CalibrationRow)
            .where(*_conditions(detector, view.tag, view.as_of), CalibrationRow.valid_from <= time)
            .where(CalibrationRow.valid_to.is_(None) | (CalibrationRow.valid_to > time))
            .order_by(CalibrationRow.number.desc())
            .limit(1)
        )
        with reading(self._engine) as session:
            row = session.scalar(covering)
            if row is not None:
                return stored_calibration(row)
        periods = self.timeline(detector, view)
        start, end = periods[0].validity.start, periods[-1].validity.end
        last = "the last stays open" if end is None else f"the last ends at {write_time(end)}"
        raise InputError(
            f"{self.name}: no calibration of {detector} (tag {view.tag}) holds at {write_time(time)}; "
            f"the first begins at {write_time(start)}, {last}"
        )

    def timeline(self, detector: str, view: View) -> list[Period]:
        """Which calibration wins when, in the order of time; at least one period.

        Raises:
            InputError: the detector has no calibration in the view.
        """
        found = self.calibrations(detector, view.tag, view.as_of)
        if not found:
            known = ", ".join(self.detectors(view)) or "no detector"
            raise InputError(
                f"{self.name}: has no calibration of {detector} with the tag {view.tag} as of "
                f"{write_time(view.as_of)}; with that tag there is {known}"
            )
        return timeline(found)

    def detectors(self, view: View) -> list[str]:
        """Names of the detectors that have a calibration in a view."""
        wanted = select(CalibrationRow.detector).where(*_conditions(None, view.tag, view.as_of)).distinct()
        with reading(self._engine) as session:
            return sorted(session.scalars(wanted))

    def calibrations(
        self, detector: str | None = None, tag: str | None = None, as_of: datetime | None = None
    ) -> list[StoredCalibration]:
        """Calibrations in the order of their insertion, superseded ones too.

        Args:
            detector: those of one detector only.
            tag: those of one series only.
            as_of: those inserted by then only, with a time zone.
        """
        wanted = select(CalibrationRow).where(*_conditions(detector, tag, as_of)).order_by(CalibrationRow.number)
        with reading(self._engine) as session:
            return [stored_calibration(row) for row in session.scalars(wanted)]


def _conditions(detector: str | None, tag: str | None, as_of: datetime | None) -> list[ColumnElement[bool]]:
    """What a row must fulfil; None asks for nothing."""
    conditions = [] if detector is None else [CalibrationRow.detector == detector]
    conditions += [] if tag is None else [CalibrationRow.tag == tag]
    return conditions + ([] if as_of is None else [CalibrationRow.inserted_at <= in_utc(as_of, "as of")])


def _newest(session: Session) -> datetime | None:
    """Time of the newest insertion, None in an empty database."""
    return session.scalar(select(func.max(CalibrationRow.inserted_at)))


def _next_time(session: Session) -> datetime:
    """The time of an insertion: now, but later than all before it, though a clock may have been set back."""
    now, newest = clock(session), _newest(session)
    return now if newest is None else max(now, newest + TICK)
