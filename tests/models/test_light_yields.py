from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from numpyro import handlers

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit
from bayescal.inference.potential import Potential
from bayescal.light.made_tracks import crossing_tracks
from bayescal.likelihoods.track_flashes import track_inputs
from bayescal.model_files import load_model
from bayescal.readers.flashes import write_flashes
from bayescal.readers.light_detector import read_light_detector
from bayescal.reconstruction.linked_light import linked_events
from bayescal.simulation import site_sampler
from bayescal.testing import check_gradient

LIGHT = load_model("light_yields")
MODULE = LIGHT.module
NOMINAL = {parameter.name: parameter.nominal for parameter in MODULE.PARAMETERS}
FREE = {parameter.name: parameter.prior for parameter in MODULE.PARAMETERS}


@pytest.fixture(scope="module")
def inputs():
    """Sixty tracks in Module-0, all parameters free."""
    detector = read_light_detector("module0")
    return track_inputs(crossing_tracks(jax.random.key(1), detector, 60, n_points=8), detector, FREE)


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(2)
    values = {"light_yield": rng.lognormal(0.0, 0.1, 48), "rayleigh_length": 90.0, "light_scale": 1.1}
    return values | {"scattered_fraction": 0.8, "excess_noise": 1.2, "dark_pe": 0.3}


@pytest.fixture(scope="module")
def data(inputs, truth):
    given = {**NOMINAL, **truth, "yield_location": np.zeros(2), "yield_spread": np.full(2, 0.1)}
    given["model_error"] = np.full(2, 0.05)
    return np.asarray(site_sampler(LIGHT)(jax.random.key(3), inputs, given)["pe"])


@pytest.fixture(scope="module")
def potential(inputs, data):
    return Potential(MODULE.model, inputs, data, jax.random.key(0))


def test_expected_light_is_linear_in_what_it_should_be(inputs):
    values = NOMINAL | {"light_yield": np.ones(48)}
    light = np.asarray(MODULE.expected(values, inputs))
    np.testing.assert_allclose(MODULE.expected(values | {"light_scale": 1.3}, inputs), 1.3 * light)
    doubled = MODULE.expected(values | {"light_yield": np.arange(1.0, 49.0)}, inputs)
    np.testing.assert_allclose(doubled, np.arange(1.0, 49.0) * light)
    sums = light.sum(axis=0)
    lcm, arclight = sums[inputs.kind == 0], sums[inputs.kind == 1]
    assert 8 < lcm.mean() / arclight.mean() < 25  # the ratio of efficiencies is 15


def test_gradient_is_that_of_differences(potential, inputs, data):
    seed = MODULE.start(inputs, data)
    assert seed.keys() == {"light_yield", "yield_location", "yield_spread"}
    place = potential.unconstrain(seed, potential.sample_prior(jax.random.key(4), 1)[0])
    check_gradient(lambda x: -potential.programs.energy(x, potential.inputs, potential.data), place, rtol=1e-5)


def test_log_density_and_gradient_lower_for_cuda(potential):
    arguments = (jnp.zeros(potential.size), potential.inputs, potential.data)
    lowered = export.export(potential.programs.value_and_grad, platforms=["cuda"])(*arguments)
    assert [leaf.shape for leaf in lowered.out_avals] == [(), (potential.size,)]


def test_scale_of_all_photons_is_degenerate_with_the_yields(inputs, data):
    """The likelihood is the same along the valley; only priors tell."""

    def likelihood(scale, dark):
        values = {**NOMINAL, "light_yield": np.full(48, 1.0 / scale), "light_scale": scale, "dark_pe": dark}
        values |= {"yield_location": np.zeros(2), "yield_spread": np.full(2, 0.1), "model_error": np.full(2, 0.05)}
        trace = handlers.trace(handlers.substitute(MODULE.model, values)).get_trace(inputs, data)
        return float(trace["pe"]["fn"].log_prob(data).sum())

    assert likelihood(1.2, 0.0) == pytest.approx(likelihood(0.8, 0.0), rel=1e-12)
    assert abs(likelihood(1.2, 0.1) - likelihood(0.8, 0.0)) > 1.0


@pytest.mark.validate
def test_the_posterior_holds_the_yields_and_says_what_it_does_not_know(inputs, truth, data):
    """Yields by laplace within five of their widths, relative to what is held; the absorption length is left open."""
    held = {"light_scale": truth["light_scale"], "excess_noise": 1.2, "dark_pe": 0.3}
    narrowed = replace(inputs, priors={**inputs.priors, **held})
    result = fit(
        MODULE.model,
        narrowed,
        data,
        key=jax.random.key(5),
        settings=FitSettings(method="laplace", draws=400, prior_draws=100),
        start=MODULE.start(narrowed, data),
    )
    logs = np.log(result.draws("light_yield"))
    pulls = (logs.mean(axis=0) - np.log(truth["light_yield"])) / logs.std(axis=0)
    assert np.abs(pulls).max() < 5
    assert (logs.std(axis=0)[inputs.kind == 0] < 0.06).all()
    length = np.log(result.draws("absorption_length"))
    assert length.std() > 0.3  # the prior's is 1.5
    assert (
        np.abs(np.corrcoef(np.log(result.draws("rayleigh_length")), np.log(result.draws("scattered_fraction")))[0, 1])
        > 0.5
    )


def test_light_is_written_and_read(inputs, data, tmp_path):
    path = tmp_path / "tracks.h5"
    gaps = np.where(np.arange(48) == 7, np.nan, data.astype(float))
    MODULE.write(path, gaps, inputs, {"light_scale": 1.1})
    np.testing.assert_array_equal(MODULE.read(path, inputs), gaps)
    assert MODULE.read_truth(path) == {"light_scale": 1.1}
    again = MODULE.load(MODULE.Settings(clusters=path), FREE)
    np.testing.assert_array_equal(again.clusters.position_cm, inputs.clusters.position_cm)
    sizes = MODULE.describe(inputs, gaps)
    assert sizes["tracks"] == 60
    assert sizes["photo-electrons"] == np.nansum(gaps)


def test_absent_sensors_say_nothing(inputs, data):
    trace = handlers.trace(handlers.seed(MODULE.model, jax.random.key(0)))
    sites = trace.get_trace(inputs, np.where(np.arange(48) == 7, np.nan, data.astype(float)))
    log_prob = np.asarray(sites["pe"]["fn"].log_prob(sites["pe"]["value"]))
    assert (log_prob[:, 7] == 0).all()
    assert (log_prob[:, 8] < 0).all()


def test_light_at_the_end_of_the_range_needs_its_value(inputs, data, tmp_path):
    path = tmp_path / "full.h5"
    events = linked_events(inputs.clusters, data)
    write_flashes(path, replace(events, flashes=replace(events.flashes, saturated=events.flashes.pe >= 50)))
    with pytest.raises(InputError, match=r"saturated; set `saturation` in \[inputs\]"):
        MODULE.read(path, inputs)
    limited = replace(inputs, saturation=np.asarray(50.0))
    np.testing.assert_array_equal(MODULE.read(path, limited), data)
    assert MODULE.describe(limited, data)["saturated entries"] == (data >= 50).sum()


def test_light_of_another_detector(inputs, data, tmp_path):
    path = tmp_path / "few.h5"
    write_flashes(path, linked_events(inputs.clusters, data[:, :24]))
    with pytest.raises(InputError, match="`pe` has 24 sensors, the detector has 48"):
        MODULE.read(path, inputs)


def test_tracks_that_no_sensor_sees(inputs):
    detector = read_light_detector("module0")
    far = replace(inputs.clusters, position_cm=inputs.clusters.position_cm + 1000.0)
    with pytest.raises(InputError, match="no light of the 60 tracks reaches a sensor of module0"):
        track_inputs(far, detector, FREE)
