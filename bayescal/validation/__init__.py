"""Calibration of the calibration: replicas of a whole study, from constants drawn of its priors to their ranks."""

from bayescal.validation.replicas import Replicator as Replicator
from bayescal.validation.run import Job as Job
from bayescal.validation.run import run as run
from bayescal.validation.settings import Shard as Shard
from bayescal.validation.settings import ValidationSettings as ValidationSettings
from bayescal.validation.settings import study_settings as study_settings
from bayescal.validation.store import Row as Row
from bayescal.validation.store import Store as Store
from bayescal.validation.store import read_folder as read_folder
