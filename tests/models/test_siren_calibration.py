from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import log_density

from bayescal.errors import InputError
from bayescal.inference import FitSettings, fit
from bayescal.inference.potential import Potential
from bayescal.light.siren import Architecture, PseudoLog, Siren, initialise, log_link
from bayescal.model_files import load_model
from bayescal.readers.flashes import LightEvents, clusters_from_points, flashes_from_rows, read_flashes, write_flashes
from bayescal.readers.light_detector import read_light_detector
from bayescal.readers.siren import write_siren
from bayescal.reconstruction.last_layer_inputs import last_layer_inputs
from bayescal.simulation import Simulated, simulate
from bayescal.study import build, read_study

CALIBRATION = load_model("siren_calibration").module
TRACKS, POINTS, SENSORS, FEATURES = 60, 4, 48, 5  # as of the example, so that both share compiled programs
BOX = read_light_detector("module0").box

STUDY = """
model = "siren_calibration"
data = "flashes.h5"
[inputs]
siren = "siren.h5"
clusters = "clusters.h5"
"""


def network(sensors: int = SENSORS, head=None) -> Siren:
    head = head or log_link(np.full(sensors, 2e-4))
    return initialise(jax.random.key(1), Architecture(sensors, FEATURES - 1, 0, first_w0=3.0), head, BOX)


class Made(NamedTuple):
    """A study whose data were simulated, and what was drawn."""

    path: Path
    drawn: Simulated


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """Sixty tracks in Module-0, two an event, and the light that the model draws for them."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY)
    write_siren(folder / "siren.h5", network())
    owner = np.repeat(np.arange(TRACKS), POINTS)
    positions = np.random.default_rng(2).uniform(BOX.lower_cm, BOX.upper_cm, (owner.size, 3))
    number = np.arange(TRACKS) // 2, np.arange(TRACKS) % 2, np.zeros(TRACKS)
    times = np.zeros(TRACKS), np.full(TRACKS, np.nan)
    clusters = clusters_from_points(number, times, owner, positions, np.full(owner.size, 5e4))
    unused = flashes_from_rows([0], [9], [0.0], np.zeros((1, SENSORS)))
    write_flashes(folder / "clusters.h5", LightEvents(clusters, unused, np.zeros((0, 2), int)))
    drawn = simulate(jax.random.key(3), read_study(folder / "study.toml"))
    CALIBRATION.write(folder / "flashes.h5", drawn.data, drawn.inputs, drawn.truth)
    return Made(folder / "study.toml", drawn)


@pytest.fixture(scope="module")
def study(made) -> Path:
    """Its file."""
    return made.path


@pytest.fixture(scope="module")
def built(study) -> tuple:
    """Prepared inputs and counts."""
    return build(read_study(study))[1:]


def test_file_holds_what_was_drawn(made, built) -> None:
    inputs, counts = built
    np.testing.assert_array_equal(counts, made.drawn.data)
    assert CALIBRATION.read_truth(made.path.with_name("flashes.h5"))["model_error"] == 0.05
    assert inputs.kinds == ("LCM", "ArcLight")
    assert inputs.kind[:12] == (0,) * 6 + (1,) * 6
    assert CALIBRATION.describe(inputs, counts)["tracks with a flash"] == TRACKS
    assert CALIBRATION.exposure(inputs) == (TRACKS, "tracks")


def test_density_does_not_depend_on_the_coordinates(built) -> None:
    inputs, counts = built
    values = {"weights": inputs.centre + 0.01, "model_error": jnp.array([0.03, 0.1])}
    density = jax.jit(lambda inputs: log_density(CALIBRATION.model, (inputs, counts), {}, values)[0])
    other = replace(inputs, centre=inputs.library + 1.0, root=2 * inputs.root)
    assert float(density(inputs)) == pytest.approx(float(density(other)), rel=1e-12)


def test_light_yield_is_a_shift_of_the_bias(built) -> None:
    """The degeneracy is exact: the likelihood is the same, and the prior alone tells both apart."""
    inputs, counts = built
    factor = np.random.default_rng(5).uniform(0.8, 1.2, SENSORS)

    @jax.jit
    def likelihood(inputs, weights, light_yield):
        values = CALIBRATION.fixed_or_nominal(CALIBRATION.PARAMETERS, inputs.priors) | {"light_yield": light_yield}
        light = inputs.tracks.light(weights)
        seen = jnp.isfinite(counts)
        return CALIBRATION.readout(inputs, values).counts(light, jnp.full(2, 0.02), seen).log_prob(counts).sum()

    shifted = inputs.centre.at[:, -1].add(-np.log(factor))
    value = likelihood(inputs, inputs.centre, jnp.ones(SENSORS))
    assert float(likelihood(inputs, shifted, factor)) == pytest.approx(
        float(value), abs=0.01
    )  # features in single precision
    assert abs(float(likelihood(inputs, inputs.centre, factor) - value)) > 10


def test_sampler_sees_a_standard_normal(built) -> None:
    """Curvature of the potential along random directions of the weights; 60 counts scatter it by some per cent."""
    inputs, counts = built
    potential = Potential(CALIBRATION.model, inputs, counts, jax.random.key(0))
    x = potential.unconstrain(CALIBRATION.start(inputs, counts), np.zeros(potential.size))
    weights = np.array([label.startswith("weights") for label in potential.labels])
    assert weights.sum() == SENSORS * FEATURES
    assert np.abs(x[weights]).max() < 1e-6
    steps = np.random.default_rng(4).normal(size=(5, potential.size)) * weights
    steps /= np.linalg.norm(steps, axis=1)[:, None]
    for step in 0.05 * steps:
        ahead, behind = (potential.value_and_grad(x + side * step)[1] for side in (1, -1))
        assert (ahead - behind) @ step / (2 * step @ step) == pytest.approx(1.0, abs=0.25)


@pytest.mark.validate
def test_fit(built) -> None:
    """Gaussian draws: their means within five standard errors, and half a width, of where the first fit has them."""
    inputs, counts = built
    settings = FitSettings(method="laplace", draws=40, importance_draws=40, prior_draws=20)
    start = CALIBRATION.start(inputs, counts)
    result = fit(CALIBRATION.model, inputs, counts, key=jax.random.key(6), settings=settings, start=start)
    draws = result.draws("weights")
    assert draws.shape == (40, SENSORS, FEATURES)
    sd = np.linalg.norm(np.asarray(inputs.root), axis=-1)
    assert (np.abs(draws.mean(axis=0) - np.asarray(inputs.centre)) < (0.5 + 5 / np.sqrt(40)) * sd).all()
    assert result.draws("model_error").shape == (40, 2)


def test_known_model_error_is_kept(built) -> None:
    inputs, counts = built
    priors = {"model_error": 0.07, "light_yield": dist.LogNormal(0.0, 0.01)}
    prepared = CALIBRATION.prepare(replace(inputs, priors=priors), counts)
    np.testing.assert_array_equal(prepared.model_error, [0.07, 0.07])
    assert set(CALIBRATION.start(prepared, counts)) == {"weights"}


def test_what_sensors_recorded(built) -> None:
    inputs, counts = built
    table, pe = CALIBRATION.readouts(inputs), np.asarray(CALIBRATION.recorded(counts, inputs)["pe"])
    assert {len(column) for column in table.values()} == {pe.size}
    row = 7 * SENSORS + 8
    assert (table["event"][row], table["cluster"][row], table["sensor"][row]) == (3, 1, 8)
    assert (table["kind"][row], pe[row]) == ("ArcLight", counts[7, 8])
    dead = replace(inputs, live=np.arange(SENSORS) != 3)
    np.testing.assert_array_equal(CALIBRATION.readouts(dead)["live"], table["sensor"] != 3)


def test_tracks_without_a_flash_say_nothing(study, built, tmp_path) -> None:
    inputs, counts = built
    events = read_flashes(study.with_name("flashes.h5"))
    write_flashes(tmp_path / "some.h5", LightEvents(events.clusters, events.flashes, events.links[5:]))
    some = CALIBRATION.read(tmp_path / "some.h5", inputs)
    assert np.isnan(some[:5]).all()
    np.testing.assert_array_equal(some[5:], counts[5:])


def test_tracks_outside_the_box_say_nothing(study, built) -> None:
    counts = built[1]
    clusters = read_flashes(study.with_name("clusters.h5")).clusters
    moved = replace(
        clusters, position_cm=clusters.position_cm + np.where(clusters.point_cluster < 2, 99.0, 0.0)[:, None]
    )
    detector = read_light_detector("module0")
    other = last_layer_inputs(network(), moved, detector, {})
    np.testing.assert_array_equal(other.lit, np.arange(TRACKS) >= 2)
    found = CALIBRATION.read(study.with_name("flashes.h5"), other)
    assert np.isnan(found[:2]).all()
    np.testing.assert_array_equal(found[2:], counts[2:])
    outside = replace(clusters, position_cm=clusters.position_cm + 1e3)
    with pytest.raises(InputError, match="none of the 60 clusters emits photons inside the network's box: check units"):
        last_layer_inputs(network(), outside, detector, {})


def spoilt(events: LightEvents, what: str) -> LightEvents:
    """Events with one fault."""
    flashes, clusters = events.flashes, events.clusters
    if what == "links":
        return LightEvents(clusters, flashes, events.links[:0])
    if what == "cluster":
        later = [replace(each, event_id=each.event_id + 100) for each in (clusters, flashes)]
        return LightEvents(*later, events.links)
    if what == "fraction":
        return LightEvents(clusters, replace(flashes, pe=flashes.pe + 0.5), events.links)
    if what == "saturated":
        return LightEvents(clusters, replace(flashes, saturated=~flashes.saturated), events.links)
    fewer = replace(flashes, pe=flashes.pe[:, :3], saturated=flashes.saturated[:, :3])
    return LightEvents(clusters, fewer, events.links)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("links", "`links` has no row, so that no flash is known to be of a cluster; add the links"),
        ("cluster", "links: event 100, cluster 0 is not among the clusters of .inputs.: give flashes and"),
        ("fraction", r"pe: event 0, flash 0, sensor 0 has [0-9.]+ p.e., no whole number; round to"),
        ("saturated", "flash 0, sensor 0 has .* saturated; set `saturation` in .inputs. to its least value"),
        ("sensors", "`pe` has 3 sensors, the detector has 48"),
    ],
)
def test_flashes_that_cannot_be_used(study, built, tmp_path, what, message) -> None:
    path = tmp_path / "spoilt.h5"
    write_flashes(path, spoilt(read_flashes(study.with_name("flashes.h5")), what))
    with pytest.raises(InputError, match=rf"spoilt\.h5: .*{message}"):
        CALIBRATION.read(path, built[0])


def test_networks_that_cannot_be_used(study, tmp_path) -> None:
    def load(siren: Siren) -> None:
        write_siren(tmp_path / "other.h5", siren)
        clusters = study.with_name("clusters.h5")
        CALIBRATION.load(CALIBRATION.Settings(siren=tmp_path / "other.h5", clusters=clusters), {})

    with pytest.raises(InputError, match="the network has 3 sensors, the detector has 48; name the `detector`"):
        load(network(3))
    with pytest.raises(InputError, match="the head PseudoLog has no linear last layer in ln v; train one with"):
        load(network(head=PseudoLog(jnp.ones(SENSORS, jnp.float32))))


def test_example() -> None:
    inputs, counts = CALIBRATION.example(jax.random.key(5))
    assert counts.shape == (inputs.tracks.n_tracks, inputs.n_sensors) == (60, 48)
    assert counts.mean() > 10
    away = np.asarray(inputs.centre - inputs.library)
    assert 0.2 < away[:, -1].std() / 0.3 < 2  # drawn from the prior and found by the fit
