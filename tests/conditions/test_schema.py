from dataclasses import replace

from bayescal.conditions import Validity, create_database, open_database, parse_time


def test_times_are_utc_in_the_file_and_on_the_server(database, address, make, raw):
    validity = Validity(parse_time("2026-01-01T01:30:00.000001-06:00", "--from"))
    database.add(replace(make(), validity=validity))
    column = "valid_from AT TIME ZONE 'UTC'" if "://" in address else "valid_from"
    assert str(raw(f"SELECT {column} FROM bayescal_calibration")[0][0]) == "2026-01-01 07:30:00.000001"


def test_the_zone_of_the_session_does_not_matter(postgresql_address, make, january):
    tokyo = create_database(f"{postgresql_address}+-cTimeZone%3DAsia/Tokyo")
    tokyo.add(make(1))
    for database in (tokyo, open_database(postgresql_address)):
        (stored,) = database.calibrations()
        assert stored.calibration.validity.start == january(1)
        assert stored.inserted_at.utcoffset().total_seconds() == 0
