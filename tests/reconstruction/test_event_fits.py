from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from bayescal.model_files import ModelFile
from bayescal.reconstruction.event_fits import CHAIN_DRAWS, fit_events


def fits(known, key):
    """Two events with the same data."""
    module = SimpleNamespace(model=known.model, start=lambda inputs, data: {"gain": 1.1, "recombination": 0.9})
    file = ModelFile(module, "known", Path("known.py"), "")
    return list(fit_events(jax.random.key(key), file, [known.inputs] * 2, [known.data] * 2))


@pytest.mark.parametrize("precision", [0.3, 0.03])
def test_posteriors_with_and_without_usable_weights(known_models, precision):
    """A product of two constants, known well: its valley is bent, and the draws are those of a chain."""
    known = known_models.banana(precision=precision)
    for fit in fits(known, 3):
        assert fit.optimum.converged
        assert not fit.fault
        assert (fit.khat > 0.7) == (precision == 0.03)
        assert len(fit.draws["gain"]) == (CHAIN_DRAWS if fit.khat > 0.7 else 400)
        for name in ("gain", "recombination"):
            pull = (fit.draws[name].mean() - known.mean[name]) / known.sd[name]
            assert abs(pull) < 4 / np.sqrt(0.25 * CHAIN_DRAWS)
