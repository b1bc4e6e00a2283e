from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np

from bayescal.model_files import ModelFile
from bayescal.reconstruction.event_fits import fit_events


def test_means_of_a_product_of_two_constants(known_models):
    """Two events with the same data, and other random numbers."""
    known = known_models.banana(precision=0.3)
    module = SimpleNamespace(model=known.model, start=lambda inputs, data: {"gain": 1.1, "recombination": 0.9})
    file = ModelFile(module, "known", Path("known.py"), "")
    one, other = fit_events(jax.random.key(3), file, [known.inputs] * 2, [known.data] * 2, n_draws=1000)
    for fit in (one, other):
        assert fit.optimum.converged
        assert fit.khat < 0.7
        for name in ("gain", "recombination"):
            pull = (fit.draws[name].mean() - known.mean[name]) / known.sd[name]
            assert abs(pull) < 4 / np.sqrt(fit.ess)
    assert (one.draws["gain"] != other.draws["gain"]).any()
