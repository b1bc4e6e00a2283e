"""Scintillation light of liquid argon: from emitted photons to the light that each sensor sees."""
