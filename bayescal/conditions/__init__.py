"""Constants of detectors with intervals of validity, kept in a database that is only ever added to."""

from bayescal.conditions.database import ConstantsDatabase as ConstantsDatabase
from bayescal.conditions.history import Entry as Entry
from bayescal.conditions.history import history as history
from bayescal.conditions.history import write_history as write_history
from bayescal.conditions.opening import create_database as create_database
from bayescal.conditions.opening import open_database as open_database
from bayescal.conditions.records import Calibration as Calibration
from bayescal.conditions.records import Origin as Origin
from bayescal.conditions.records import Period as Period
from bayescal.conditions.records import Source as Source
from bayescal.conditions.records import StoredCalibration as StoredCalibration
from bayescal.conditions.records import View as View
from bayescal.conditions.records import this_author as this_author
from bayescal.conditions.results import file_source as file_source
from bayescal.conditions.results import read_estimates as read_estimates
from bayescal.conditions.times import Validity as Validity
from bayescal.conditions.times import parse_time as parse_time
from bayescal.conditions.times import write_time as write_time
