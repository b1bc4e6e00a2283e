"""Calibration of the calibration: replicas of a whole study, from constants drawn of its priors to their ranks."""
