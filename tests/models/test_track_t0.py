from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import export
from numpyro import handlers

from bayescal.errors import InputError
from bayescal.inference.potential import Potential
from bayescal.light.detector import expected_pe, physical_visibility
from bayescal.light.track_light import padded_points
from bayescal.likelihoods.counts import PhotonCounts
from bayescal.model_files import load_model
from bayescal.readers.light_detector import read_light_detector
from bayescal.testing import check_gradient

MODULE = load_model("track_t0").module
NOMINAL = {parameter.name: parameter.nominal for parameter in MODULE.PARAMETERS}
CLUSTERS = 24


@pytest.fixture(scope="module")
def light_at():
    """Light of clusters for their shifts [cm], by optics at every point: (clusters, shift [cluster]) to p.e."""
    visibility = physical_visibility(read_light_detector("module0"))
    look_up = jax.jit(lambda points, photons: expected_pe(1.0, visibility, points, photons))

    def light(clusters, shift):
        points, photons = padded_points(clusters)
        return look_up(points + np.asarray(shift)[:, None, None] * np.eye(3)[0], photons)

    return light


@pytest.fixture(scope="module")
def bare():
    """Tracks in Module-0 of unknown times, the last four of known ones, and their true shifts [cm]."""
    inputs = MODULE.load(MODULE.Settings(tracks=CLUSTERS, fine_nodes=64), {})
    shift = np.random.default_rng(1).uniform(*np.asarray(inputs.scan.shift_cm)[:, [0, -1]].T)
    known = np.where(np.arange(CLUSTERS) < CLUSTERS - 4, np.nan, shift / NOMINAL["drift_velocity"])
    return replace(inputs, clusters=replace(inputs.clusters, known_time_us=known)), shift


@pytest.fixture(scope="module")
def case(bare, light_at):
    """Prepared inputs, data and true shifts."""
    inputs, shift = bare
    light = PhotonCounts(light_at(inputs.clusters, shift), model_error=0.1)
    data = np.asarray(light.sample(jax.random.key(2)), float)
    return MODULE.prepare(inputs, data), data, shift


@pytest.fixture(scope="module")
def log_prob(case):
    return jax.jit(lambda values, inputs, data: MODULE.shifted(values, inputs, data).log_prob(data))


def test_integral_over_shifts_is_that_of_a_fine_grid(case, light_at, log_prob):
    """To 0.01 in the logarithm, against look-ups at 600 equal steps; known times narrow the shift to 2 mm."""
    inputs, data, _ = case
    found, n = np.asarray(log_prob(NOMINAL, inputs, data)), 600
    low, high = np.asarray(inputs.scan.shift_cm)[:, [0, -1]].T
    shift = low + (high - low) * ((np.arange(n) + 0.5) / n)[:, None]
    mean = np.stack([light_at(inputs.clusters, one) for one in shift])
    each = np.asarray(PhotonCounts(mean, model_error=0.1).log_prob(data).sum(axis=-1))
    time = shift / NOMINAL["drift_velocity"] - np.nan_to_num(inputs.clusters.known_time_us)
    normal = scipy.stats.norm.logpdf(time * NOMINAL["drift_velocity"], 0.0, inputs.width_cm)
    each = each + np.where(np.isfinite(inputs.clusters.known_time_us), normal, 0.0)
    expected = scipy.special.logsumexp(each, axis=0) - np.log(n)
    np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.fixture(scope="module")
def potential(case):
    """With every parameter free."""
    inputs, data, _ = case
    free = replace(inputs, priors={parameter.name: parameter.prior for parameter in MODULE.PARAMETERS})
    return Potential(MODULE.model, free, data, jax.random.key(0))


def test_log_density_and_gradient_lower_for_cuda(potential):
    arguments = (jnp.zeros(potential.size), potential.inputs, potential.data)
    lowered = export.export(potential.programs.value_and_grad, platforms=["cuda"])(*arguments)
    assert [leaf.shape for leaf in lowered.out_avals] == [(), (potential.size,)]


def test_gradient_is_that_of_differences(potential):
    seed = {"light_scale": 1.02, "model_error": 0.12, "excess_noise": 1.1, "dark_pe": 0.2, "drift_velocity": 0.1601}
    place = potential.unconstrain(seed, np.zeros(potential.size))
    check_gradient(lambda x: -potential.programs.energy(x, potential.inputs, potential.data), place, rtol=1e-5)


@pytest.mark.validate
def test_drawn_shifts_have_the_posterior_of_the_nodes(case):
    """Mean of many draws within five standard errors; known times keep theirs within five widths."""
    inputs, data, shift = case
    n = 500
    draws = {"light_scale": np.ones(n), "model_error": np.full(n, 0.1)}
    found = MODULE.complete(jax.random.key(3), draws, inputs, data)
    drawn = np.asarray(found["shift_cm"])
    shares = MODULE.shifted(NOMINAL, inputs, data).log_shares(jnp.asarray(data))
    mass, nodes = np.asarray(jax.nn.softmax(shares, axis=-1)), inputs.nodes.shift_cm
    step = np.diff(nodes, axis=1, prepend=nodes[:, :1], append=nodes[:, -1:])
    middle = nodes + (step[:, 1:] - step[:, :-1]) / 3  # of the triangle around a node
    mean = (mass * middle).sum(axis=-1)
    assert (np.abs(drawn.mean(axis=0) - mean) < 5 * drawn.std(axis=0) / np.sqrt(n)).all()
    np.testing.assert_allclose(found["time_us"], drawn / NOMINAL["drift_velocity"])
    assert (np.abs(drawn[:, -4:] - shift[-4:]) < 5 * inputs.width_cm).all()
    rank = (drawn < shift).mean(axis=0)
    assert ((rank > 1e-3) & (rank < 1 - 1e-3)).sum() >= CLUSTERS - 2


def test_draws_of_the_model_are_those_of_its_density(bare, light_at):
    """Light of clusters at random shifts: the sum over sensors has the mean of the average light."""
    inputs = bare[0]
    drawn = np.asarray(MODULE.shifted(NOMINAL, inputs).sample(jax.random.key(4), (300,)))
    assert drawn.shape == (300, CLUSTERS, 48)
    low, high = np.asarray(inputs.scan.shift_cm)[:, [0, -1]].T
    shift = low + (high - low) * ((np.arange(60) + 0.5) / 60)[:, None]
    light = np.mean([np.asarray(light_at(inputs.clusters, one)).sum(axis=-1) for one in shift], axis=0)
    total = drawn.sum(axis=-1)
    pull = (total.mean(axis=0) - light) / (total.std(axis=0) / np.sqrt(300))
    assert np.abs(pull).max() < 5  # false alarm 1.4e-5


def test_light_is_written_and_read(case, tmp_path):
    inputs, data, _ = case
    path = tmp_path / "tracks.h5"
    gaps = np.where(np.arange(48) == 7, np.nan, data)
    MODULE.write(path, gaps, inputs, {"light_scale": 1.1})
    np.testing.assert_array_equal(MODULE.read(path, inputs), gaps)
    assert MODULE.read_truth(path) == {"light_scale": 1.1}
    again = MODULE.load(MODULE.Settings(clusters=path, fine_nodes=64), {})
    np.testing.assert_allclose(again.scan.mean_pe, inputs.scan.mean_pe)
    few = replace(inputs, alive=inputs.alive[:24])
    with pytest.raises(InputError, match="`pe` has 48 sensors, the detector has 24"):
        MODULE.read(path, few)


def test_absent_sensors_say_nothing(case):
    inputs, data, _ = case
    gaps = np.where(np.arange(48) == 7, np.nan, data)
    trace = handlers.trace(handlers.substitute(MODULE.model, NOMINAL)).get_trace(inputs, gaps)
    other = np.where(np.arange(48) == 7, 1e4, gaps)
    assert np.isfinite(trace["pe"]["fn"].log_prob(gaps)).all()
    np.testing.assert_array_equal(trace["pe"]["fn"].log_prob(gaps), trace["pe"]["fn"].log_prob(other))


def test_saturated_sensors_are_lower_limits(case):
    """The probability of at least so much light is that of all counts from there on, so never less than of one."""
    inputs, data, _ = case
    ended = np.minimum(data, 40.0)
    limited = MODULE.prepare(replace(inputs, saturation=40.0), ended)
    counts = MODULE.shifted(NOMINAL, limited, data)
    found = np.asarray(counts.log_prob(jnp.asarray(ended)))
    np.testing.assert_array_equal(found, counts.log_prob(jnp.asarray(data)))
    whole = np.asarray(MODULE.shifted(NOMINAL, inputs, data).log_prob(jnp.asarray(data)))
    bright = (data >= 40.0).any(axis=1)
    assert bright.sum() > 5
    assert (found[bright] > whole[bright]).all()
    np.testing.assert_allclose(found[~bright], whole[~bright], atol=0.01)


def test_sizes(case):
    inputs, data, _ = case
    assert MODULE.describe(inputs, data)["clusters with a known time"] == 4
    assert MODULE.exposure(inputs) == (CLUSTERS, "clusters")
