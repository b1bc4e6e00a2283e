"""A muon in a small tank and in Super-Kamiokande: densities, files, seeds and a fit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.inference.optimise import minimise, prior_scale
from bayescal.inference.potential import Potential
from bayescal.model_files import load_model
from bayescal.optical.emission import frame_about
from bayescal.optical.muon import BENDING_MODES
from bayescal.reconstruction.event_fits import fit_events
from bayescal.testing import check_gradient

NAMES = ("vertex_x", "vertex_y", "vertex_z", "slope_1", "slope_2", "kinetic_energy", "event_time")


@pytest.fixture(scope="module")
def model():
    return load_model("cherenkov_track").module


@pytest.fixture(scope="module")
def example(model):
    return model.example(jax.random.key(1))


def values(model, x):
    """Of all parameters, from the seven of a straight track and its bends."""
    base = {p.name: p.nominal for p in model.PARAMETERS}
    bends = x[7:].reshape(2, BENDING_MODES)
    return base | dict(zip(NAMES, x[:7], strict=True)) | {"bend_1": bends[0], "bend_2": bends[1]}


def at_start(model, inputs, data):
    first = model.start(inputs, data)
    return np.concatenate([[float(first[name]) for name in NAMES], 0.3 * np.sin(np.arange(2.0 * BENDING_MODES))])


def test_example_finds_the_muon_again(model, example):
    """The seed lies within half a metre and 20 degrees of the muon, and within a third of its energy."""
    inputs, data = example
    first = model.start(inputs, data)
    vertex = np.array([float(first[f"vertex_{axis}"]) for axis in "xyz"])
    assert np.linalg.norm(vertex - [-0.8, 0.0, 0.0]) < 0.5
    assert np.asarray(inputs.frame)[2] @ [1.0, 0.0, 0.0] > np.cos(np.deg2rad(20))
    assert 200 < float(first["kinetic_energy"]) < 400


def test_gradient_is_that_of_differences(model, example):
    inputs, data = example
    x = at_start(model, inputs, data)
    scale = np.where(np.arange(7 + 2 * BENDING_MODES) == 5, 300.0, 1.0)

    def log_p(y):
        return model.hits(values(model, y * scale), inputs).log_prob(data).sum()

    check_gradient(log_p, x / scale, rtol=1e-5, step=1e-5)


def test_two_calls_give_the_same_bits(model, example):
    inputs, data = example
    x = jnp.asarray(at_start(model, inputs, data))
    both = [jax.jit(lambda y: model.hits(values(model, y), inputs).log_prob(data).sum())(x) for _ in range(2)]
    assert float(both[0]) == float(both[1])


def test_sensors_that_are_not_active_have_indirect_light_only(model, example):
    inputs, data = example
    x = at_start(model, inputs, data)
    few = type(inputs)(**(vars(inputs) | {"active": inputs.active[:100]}))
    direct = np.asarray(model.hits(values(model, x), few).arrivals.direct)
    assert (direct[np.asarray(inputs.active[:100])] > 0).all()
    assert (np.delete(direct, np.asarray(inputs.active[:100])) == 0).all()


def test_light_of_sensors_that_are_not_active_is_kept(model, example):
    """Of the track for which indirect light was computed."""
    inputs, data = example
    truth = model.with_arrays(values(model, at_start(model, inputs, data)))
    of_all = model.hits(truth, model.with_indirect(inputs, truth)).arrivals
    few = type(inputs)(**(vars(inputs) | {"active": inputs.active[:100]}))
    of_few = model.hits(truth, model.with_indirect(few, truth)).arrivals
    lost = np.delete(np.asarray(of_all.direct), np.asarray(inputs.active[:100]))
    assert lost.sum() > 0.1 * float(of_all.direct.sum())
    np.testing.assert_allclose(of_few.direct + of_few.indirect, of_all.direct + of_all.indirect, rtol=1e-6)


@pytest.mark.validate
def test_what_hits_tell_leads_to_the_mode_in_fewer_gradients(model, example):
    inputs, data = example
    found = []
    for measured in (model.measured, None):
        potential = Potential(model.model, inputs, data, jax.random.key(3), measured)
        start = potential.unconstrain(model.start(inputs, data), np.zeros(potential.size))
        scale = prior_scale(potential.sample_prior(jax.random.key(4), 200))
        found.append(minimise(potential, start, scale, 1000))
    guided, blind = found
    assert guided.converged
    assert guided.value < blind.value + 1e-3
    assert guided.gradients < blind.gradients


@pytest.mark.validate
def test_events_share_programs_and_have_evidences(model, example):
    """The same event as a muon, which it is, and as an electron."""
    _, data = example
    fits = {}
    for particle in ("muon", "electron"):
        inputs = model.load(model.Settings(detector="eos", particle=particle), {})
        file = load_model("cherenkov_track")
        (fits[particle],) = fit_events(jax.random.key(2), file, [model.prepare(inputs, data)], [data])
    assert all(fit.optimum.converged for fit in fits.values())
    assert fits["muon"].log_evidence > fits["electron"].log_evidence
    assert set(fits["electron"].draws) == {*NAMES, "light_fluctuation"}
    energy = fits["muon"].draws["kinetic_energy"]
    assert abs(energy.mean() - 300.0) < 4 * energy.std()


def test_quick_log_density_is_the_exact_one_to_a_hundredth(model, example):
    """At the start and around it."""
    inputs, data = example
    potential = Potential(model.model, inputs, data, jax.random.key(3))
    often = potential.with_inputs(model.quick(inputs))
    start = potential.unconstrain(model.start(inputs, data), np.zeros(potential.size))
    moved = 0.05 * np.random.default_rng(4).normal(size=(3, potential.size))
    for x in (start, *(start + moved)):
        assert 0.0 < abs(often.value(x) - potential.value(x)) < 0.01


def test_parameters_of_the_other_particle_are_refused(model):
    with pytest.raises(InputError, match="bend_1 cannot be set for the particle electron"):
        model.load(model.Settings(detector="eos", particle="electron"), {"bend_1": 0.0})


def test_nodes_that_cannot_follow_the_bends_are_refused(model):
    with pytest.raises(InputError, match="nodes = 16 cannot follow the bends of a muon: set 56 or more"):
        model.load(model.Settings(detector="eos", nodes=16), {})


def test_a_track_through_the_wall_has_light_only_within(model, example):
    inputs, _ = example
    x = np.concatenate([[1.9, 0.0, 0.0, 0.0, 0.0, 300.0, 0.0], np.zeros(2 * BENDING_MODES)])
    inputs = dataclasses.replace(inputs, frame=jnp.asarray(frame_about((1.0, 0.0, 0.0))))
    leaving = model.emitted(values(model, x), inputs)
    whole = model.emitted(values(model, x - np.eye(x.size)[0] * 2.0), inputs)
    assert 0.02 < float(leaving.weight.sum() / whole.weight.sum()) < 0.3
    light = jax.jit(lambda y: model.hits(values(model, y), inputs).arrivals.direct.sum())
    check_gradient(light, x, rtol=1e-5, step=1e-5)


def test_event_that_the_file_lacks(model, example, tmp_path):
    inputs, data = example
    model.write(tmp_path / "hits.h5", data, inputs, {})
    with pytest.raises(InputError, match=r"hits\.h5: no event 3, it holds 1"):
        model.read(tmp_path / "hits.h5", dataclasses.replace(inputs, event=3))


def test_file_holds_what_was_drawn(model, example, tmp_path):
    inputs, data = example
    model.write(tmp_path / "hits.h5", data, inputs, {"kinetic_energy": 300.0})
    np.testing.assert_allclose(model.read(tmp_path / "hits.h5", inputs), np.where(data[:, :1] > 0, data, 0.0))
    assert float(model.read_truth(tmp_path / "hits.h5")["kinetic_energy"]) == 300.0
    (tmp_path / "hits.h5").write_bytes(b"not HDF5")
    with pytest.raises(InputError, match=r"hits\.h5"):
        model.read(tmp_path / "hits.h5", inputs)


def test_hooks_describe_the_inputs(model, example):
    inputs, data = example
    found = model.describe(inputs, data)
    assert (found["sensors"], found["hits"]) == (194, int((data[:, 0] > 0).sum()))
    assert model.exposure(inputs) == (1, "events")
    widths = [model.tempered(inputs, stage).blur_rad for stage in range(len(model.BLUR_RAD))]
    assert (np.diff([*widths, 0.0]) < 0).all()
    assert model.tempered(inputs, len(widths)) is None
    assert set(model.readouts(inputs)) == {"live", "event", "sensor", "batch", "x_m", "y_m", "z_m"}
    assert float(jnp.nansum(model.recorded(data, inputs)["charge"])) == pytest.approx(float(data[:, 0].sum()))
