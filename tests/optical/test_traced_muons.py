"""Muons in Super-Kamiokande, followed photon by photon: intervals of the fits hold what the muons were made with."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.diagnostics.calibration import coverage_test, holm
from bayescal.model_files import load_model
from bayescal.reconstruction.event_fits import fit_events

EVENTS = 100
NAMES = ("vertex_x", "vertex_y", "vertex_z", "slope_1", "slope_2", "kinetic_energy", "event_time")
LEVELS = (0.68, 0.95)


@pytest.mark.validate
@pytest.mark.timeout(5400)
def test_intervals_of_muons_cover(tracer, traced_events, super_kamiokande):
    """False alarm 1 % for all seven parameters of 100 muons, and both levels, together (Holm)."""
    model = load_model("cherenkov_track")
    settings = model.module.Settings()
    plain = model.module.load(settings, {"halo_fraction": 0.0})  # the tracer's muons knock out no electrons
    events = [
        traced_events.traced_event(tracer, super_kamiokande, 5000 + number, "muon", settings.window_ns, 200.0)
        for number in range(EVENTS)
    ]
    data = [jnp.asarray(event.hits) for event in events]
    prepared = [model.module.prepare(plain, each) for each in data]
    inside = {(name, level): [] for name in NAMES for level in LEVELS}
    for event, inputs, fit in zip(events, prepared, fit_events(jax.random.key(5), model, prepared, data), strict=True):
        along = np.asarray(inputs.frame) @ event.direction
        truth = (*event.vertex_m, *(along[:2] / along[2]), event.kinetic_mev, event.time_ns)
        for name, true in zip(NAMES, truth, strict=True):
            for level in LEVELS:
                low, high = np.quantile(fit.draws[name], [(1 - level) / 2, (1 + level) / 2])
                inside[name, level].append(low < true < high)
    found = {f"{name} {level}": coverage_test(np.array(each), level) for (name, level), each in inside.items()}
    p_values = holm({name: test.p_value for name, test in found.items()})
    wrong = {name: f"{found[name].covered} of {EVENTS}" for name, p in p_values.items() if p < 0.01}
    assert not wrong
