"""Estimates that need no fit: start values for it."""
