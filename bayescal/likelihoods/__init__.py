"""Densities of what detectors record, as NumPyro distributions."""
