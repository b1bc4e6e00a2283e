"""Optical detectors: Cherenkov and scintillation light in large homogeneous volumes."""
