"""The log density and its gradient compile for a GPU, which need not be there."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from bayescal.charge.coverage import Resolution
from bayescal.charge.detector import ChargeConstants, simulate
from bayescal.inference.potential import Potential
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.pixel_hits import charge_inputs, with_plan
from bayescal.model_files import load_model
from bayescal.optical.zones import make_zones
from bayescal.readers.detector import read_detector
from bayescal.tracks import generate_muons


@pytest.fixture(scope="module")
def potential() -> Potential:
    """Six constants, a few centimetres of track."""
    detector = read_detector("module0")
    segments = generate_muons(jax.random.key(0), detector.geometry, n_tracks=1, length_cm=4.0)
    inputs = charge_inputs(segments, detector, {}, resolution=Resolution(step_cm=0.5))
    readout = SelfTriggeredReadout(simulate(ChargeConstants(), inputs.coverage, detector), detector.electronics)
    hits = np.asarray(readout.sample(jax.random.key(1)))
    planned = with_plan(inputs, hits, ChargeConstants())
    return Potential(load_model("charge_constants").module.model, planned, hits, jax.random.key(2))


@pytest.mark.parametrize("program", ["value", "value_and_grad"])
def test_log_density_and_gradient_lower_for_cuda(potential, program):
    function = getattr(potential.programs, program)
    lowered = export.export(function, platforms=["cuda"])(jnp.zeros(potential.size), potential.inputs, potential.data)
    assert lowered.platforms == ("cuda",)
    shapes = [leaf.shape for leaf in lowered.out_avals]
    assert shapes == ([()] if program == "value" else [(), (potential.size,)])


def test_draws_lower_for_cuda(potential):
    inputs = potential.inputs

    @jax.jit
    def draw(key, inputs):
        signals = simulate(ChargeConstants(), inputs.coverage, inputs.detector)
        return SelfTriggeredReadout(signals, inputs.detector.electronics, live=inputs.live).sample(key)

    lowered = export.export(draw, platforms=["cuda"])(jax.random.key(0), inputs)
    assert lowered.platforms == ("cuda",)
    assert [leaf.shape for leaf in lowered.out_avals] == [potential.data.shape]


@pytest.fixture(scope="module")
def water() -> Potential:
    """One injector in a small tank."""
    module = load_model("water").module
    settings = module.Settings(
        detector="eos", injector_m=[(0, 0, 1.4)], injector_direction=[(0, 0, -1)], diffuser_m=[], wavelength_nm=[400],
        width_deg=10, window_edges_ns=[-4, 4, 50],
    )  # fmt: skip
    coarse = partial(make_zones, n_azimuth=8, n_radial=2, n_axial=4, n_barrel=6, n_cap=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayescal.optical.timed_light.make_zones", coarse)
        inputs = module.load(settings, {})
    values = module.full_size({p.name: p.nominal for p in module.PARAMETERS}, inputs)
    data = jax.jit(lambda key: module.counts(values, inputs).sample(key))(jax.random.key(1))
    return Potential(module.model, inputs, data, jax.random.key(2))


def test_log_density_of_the_water_lowers_for_cuda(water):
    function = water.programs.value_and_grad
    lowered = export.export(function, platforms=["cuda"])(jnp.zeros(water.size), water.inputs, water.data)
    assert lowered.platforms == ("cuda",)
    assert [leaf.shape for leaf in lowered.out_avals] == [(), (water.size,)]


def test_log_density_of_a_scintillation_event_lowers_for_cuda():
    module = load_model("scintillation_vertex").module
    coarse = partial(make_zones, n_azimuth=12, n_radial=4, n_axial=6, n_barrel=8, n_cap=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_zones", coarse)
        event = Potential(module.model, *module.example(jax.random.key(1)), jax.random.key(2))
    lowered = export.export(event.programs.value_and_grad, platforms=["cuda"])(
        jnp.zeros(event.size), event.inputs, event.data
    )
    assert lowered.platforms == ("cuda",)
    assert [leaf.shape for leaf in lowered.out_avals] == [(), (event.size,)]
