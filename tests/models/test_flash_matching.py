from __future__ import annotations

import itertools
from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats
from jaxtyping import Array, Float
from numpyro.infer.util import log_density

from bayescal.errors import InputError
from bayescal.light.detector import DriftVolumes
from bayescal.likelihoods.matched_flashes import Recording
from bayescal.likelihoods.unmatched import Background, Trigger
from bayescal.model_files import load_model
from bayescal.readers.flashes import clusters_from_points, read_flashes
from bayescal.reconstruction.flash_events import LookUp, MatchingInputs, matching_inputs
from bayescal.testing import check_counts

MATCHING = load_model("flash_matching").module
HALF_CM = np.array([15.0, 40.0, 20.0])
SENSOR_CM = np.array([[-17.0, y, z] for y in (-25.0, 25.0) for z in (-15.0, 0.0, 15.0)])
TRIGGER = Trigger(10, 0.05)
BACKGROUND = Background(1.0, 10, 2000, np.full(6, 0.7))
TRUTH = {"light_scale": 1.0, "model_error": 0.1, "background_rate": 0.5, "drift_velocity": 0.16}
SATURATION_PE = 90.0
WIDTH_CM, WINDOW_US = 0.5, 450.0  # of flash times; the drift takes up to 188 us
STEPS = (1e-3, -1e-3, 2e-3, -2e-3)
DIRECTION = -1.0  # of the drift
ASSUMED_US = 7.0
N_CLUSTERS = (1, 2, 3, 3)  # in each of the first events, that are also summed by hand


class Wall(eqx.Module):
    """Light from a solid angle on one wall; its pattern tells little of the distance."""

    sensor_cm: Float[np.ndarray, "sensor 3"]

    def __call__(self, position_cm: Float[Array, "point 3"], photons: Float[Array, " point"]) -> Array:
        square = ((position_cm[:, None] - self.sensor_cm) ** 2).sum(axis=-1)
        return photons @ (20.0 / (square + 100.0))


def made_inputs(
    n_events: int, *, priors: dict | None = None, saturation_pe: float = np.inf, width_cm: float = np.inf
) -> MatchingInputs:
    """Events of one to three short, faint, nearly parallel tracks."""
    rng = np.random.default_rng(1)
    sizes = np.resize(N_CLUSTERS, n_events)
    event = np.arange(n_events).repeat(sizes)
    number = np.arange(event.size) - (np.cumsum(sizes) - sizes)[event]
    centre = np.column_stack(
        [np.full(event.size, -12.0), rng.uniform(-12, 12, event.size), rng.uniform(-8, 8, event.size)]
    )
    points = centre[:, None] + np.linspace(-1, 1, 4)[:, None] * rng.uniform(-3, 3, (event.size, 1, 3))
    points[..., 0] -= points[..., 0].min(axis=1, keepdims=True) + HALF_CM[0]
    zeros = np.zeros(event.size)
    clusters = clusters_from_points(
        (event, number, zeros),
        (np.full(event.size, ASSUMED_US), np.full(event.size, np.nan)),
        np.arange(event.size).repeat(4),
        points.reshape(-1, 3),
        rng.uniform(20, 140, event.size).repeat(4),
    )
    live = np.arange(6) != 4
    timing = {"width_cm": width_cm, "window_us": WINDOW_US}
    recording = Recording(TRIGGER, BACKGROUND, live, saturation_pe=saturation_pe, n_background=6, **timing)
    volumes = DriftVolumes(-HALF_CM[None], HALF_CM[None], np.array([DIRECTION]))
    return matching_inputs(clusters, volumes, Wall(SENSOR_CM), recording, priors or {}, LookUp(1.5, 0.01))


class Case(NamedTuple):
    """Events with flashes made at the truth, planned at the truth."""

    inputs: MatchingInputs
    data: np.ndarray


@jax.jit
def drawn(key, inputs):
    return MATCHING.flashes(TRUTH, inputs).sample(key)


@jax.jit
def log_prob(values, inputs, data):
    return MATCHING.flashes(values, inputs).log_prob(data)


@pytest.fixture(scope="module")
def case() -> Case:
    """Two hundred events whose sensors end at 90 p.e."""
    inputs = made_inputs(200, saturation_pe=SATURATION_PE)
    data = np.asarray(drawn(jax.random.key(2), inputs))
    return Case(MATCHING.with_plan(inputs, data, MATCHING.emission(TRUTH)), data)


@pytest.fixture(scope="module")
def timed() -> Case:
    """The same events with the times of four in five flashes."""
    inputs = made_inputs(200, saturation_pe=SATURATION_PE, width_cm=WIDTH_CM)
    data = np.array(drawn(jax.random.key(6), inputs))
    data[..., -1][np.random.default_rng(7).random(data.shape[:2]) < 0.2] = np.nan
    return Case(MATCHING.with_plan(inputs, data, MATCHING.emission(TRUTH)), data)


@pytest.fixture(params=["case", "timed"])
def either(request) -> Case:
    return request.getfixturevalue(request.param)


def by_hand(case: Case, event: int) -> tuple[dict[tuple[int, ...], float], np.ndarray, float]:
    """Log-weights of all matchings of an event, what is common to all, and posterior mean shift of each pair."""
    inputs, live = case.inputs, np.asarray(case.inputs.recording.live)
    rows = np.flatnonzero(inputs.light.event == event)
    seen = case.data[event][np.isfinite(case.data[event]).any(axis=1)]
    counts, time = seen[:, :-1], seen[:, -1]
    asked_cm = DIRECTION * TRUTH["drift_velocity"] * (time - ASSUMED_US)
    pair, mean_shift = np.zeros((len(rows), len(counts))), np.zeros((len(rows), len(counts)))
    unseen = np.zeros(len(rows))
    for i, row in enumerate(rows):
        own = inputs.clusters.point_cluster == row
        position, photons = inputs.clusters.position_cm[own], inputs.clusters.photons[own]
        edges = np.linspace(*inputs.light.scan.shift_cm[row, [0, -1]], 2001)
        shift = (edges[1:] + edges[:-1]) / 2
        moved = position + shift[:, None, None] * np.eye(3)[0]
        square = ((moved[:, :, None] - SENSOR_CM) ** 2).sum(axis=-1)
        mean = (photons[:, None] * 20.0 / (square + 100.0)).sum(axis=1)[:, live]
        size, p = 100.0, 100.0 / (100.0 + mean)
        total, variance = mean.sum(axis=1), (mean + 0.01 * mean**2).sum(axis=1)
        below = scipy.stats.nbinom.cdf(9, total**2 / (variance - total), total / variance).mean()
        unseen[i] = np.log(0.05 + 0.95 * below)
        for j, seen in enumerate(counts[:, live]):
            each = np.where(
                seen < SATURATION_PE,
                scipy.stats.nbinom.logpmf(seen, size, p),
                scipy.stats.nbinom.logsf(seen - 1, size, p),
            )
            value = each.sum(axis=1)
            if np.isfinite(time[j]):
                value += scipy.stats.norm.logpdf(shift, asked_cm[j], WIDTH_CM) + np.log(TRUTH["drift_velocity"])
            pair[i, j] = scipy.special.logsumexp(value) - np.log(value.size) + np.log(0.95)
            mean_shift[i, j] = shift @ scipy.special.softmax(value)
    ended = counts >= SATURATION_PE
    other = BACKGROUND.log_density(np.where(ended, np.nan, counts)) + np.log(0.5)
    for j in np.flatnonzero(ended.any(axis=1)):
        ends = [np.arange(SATURATION_PE, 2001) if e else [c] for c, e in zip(counts[j], ended[j], strict=True)]
        assert ended[j].sum() == 1, "the sum by hand is over one sensor"
        other[j] = scipy.special.logsumexp(BACKGROUND.log_density(np.array(list(itertools.product(*ends))))) + np.log(
            0.5
        )
    other -= np.where(np.isfinite(time), np.log(WINDOW_US), 0.0)
    choices = itertools.product(range(-1, len(counts)), repeat=len(rows))
    weights = {}
    for choice in choices:
        used = [j for j in choice if j >= 0]
        if len(set(used)) == len(used):
            matched = sum(unseen[i] if j < 0 else pair[i, j] for i, j in enumerate(choice))
            weights[choice] = matched + sum(other[j] for j in range(len(counts)) if j not in used)
    return weights, mean_shift, -0.5 - scipy.special.gammaln(len(counts) + 1)


def chosen(case: Case) -> list[int]:
    """Events of every size, two of which have a flash with one sensor at the end of its range."""
    ended = (case.data[..., :-1] >= SATURATION_PE).sum(axis=2).max(axis=1)
    return [*np.flatnonzero(ended == 0)[:8], *np.flatnonzero(ended == 1)[:2]]


def test_log_density_is_the_sum_over_all_matchings(either) -> None:
    """To 0.02: the evidence of a pair is right to 0.01, and a flash at most sums up two of them."""
    found = np.asarray(log_prob(TRUTH, either.inputs, either.data))
    events = chosen(either)
    assert (either.data[events, :, :-1] >= SATURATION_PE).any()
    for event in events:
        weights, _, common = by_hand(either, event)
        expected = scipy.special.logsumexp(list(weights.values())) + common
        assert found[event] == pytest.approx(expected, abs=0.02)


@pytest.mark.validate
def test_draws_have_the_exact_marginals(case) -> None:
    """Whole matchings of three clusters as often as they should be, and the mean shifts of pairs."""
    draws = {name: np.full(400, TRUTH[name]) for name in ("light_scale", "model_error")}
    found = MATCHING.complete(jax.random.key(3), draws, case.inputs, case.data)
    assert found["assignment"].shape == found["shift_cm"].shape == (400, case.inputs.clusters.n_clusters)
    ambiguous = 0
    for event in chosen(case):
        rows = np.flatnonzero(case.inputs.light.event == event)
        weights, mean_shift, _ = by_hand(case, event)
        outcomes = {choice: number for number, choice in enumerate(weights)}
        number = [outcomes[tuple(row)] for row in np.asarray(found["assignment"][:, rows]).tolist()]
        probability = scipy.special.softmax(list(weights.values()))
        ambiguous += probability.max() < 0.95
        if probability.max() < 1 - 1e-3:
            check_counts(np.bincount(number, minlength=len(outcomes)), probability)
        for i, row in enumerate(rows):
            for j in range(mean_shift.shape[1]):
                shift = np.asarray(found["shift_cm"][:, row])[np.asarray(found["assignment"][:, row]) == j]
                if len(shift) > 100:
                    assert abs(shift.mean() - mean_shift[i, j]) < 5 * shift.std() / np.sqrt(len(shift)) + 0.02
    assert ambiguous >= 3
    drift_us = np.asarray(found["time_us"]) - ASSUMED_US
    np.testing.assert_allclose(found["shift_cm"], DIRECTION * TRUTH["drift_velocity"] * drift_us)


@pytest.mark.validate
def test_times_narrow_shifts(timed) -> None:
    """Times of matched clusters are within five widths of those of their flashes, where these are known."""
    draws = {name: np.full(50, TRUTH[name]) for name in ("light_scale", "model_error")}
    found = MATCHING.complete(jax.random.key(8), draws, timed.inputs, timed.data)
    assignment, event = np.asarray(found["assignment"]), np.asarray(timed.inputs.light.event)
    late_us = np.asarray(found["time_us"]) - timed.data[event, assignment, -1]
    known = np.isfinite(late_us) & (assignment >= 0)
    assert known.any(axis=0).mean() > 0.5
    assert (np.abs(late_us[known]) < 5 * WIDTH_CM / TRUTH["drift_velocity"]).all()


@pytest.fixture(scope="module")
def scores(timed) -> np.ndarray:
    """Derivatives of each event's log density by all parameters at the truth, [event, parameter]."""
    values = {name: jnp.asarray(value) for name, value in TRUTH.items()}
    found = jax.jit(jax.jacfwd(log_prob))(values, timed.inputs, timed.data)
    return np.stack([found[name] for name in TRUTH], axis=1)


def test_gradient_is_that_of_differences(timed, scores) -> None:
    """Of the sum over events: central differences of a step h err by h^2/6 of the third derivative."""
    for column, name in enumerate(TRUTH):
        ends = [np.asarray(log_prob(TRUTH | {name: TRUTH[name] * (1 + h)}, timed.inputs, timed.data)) for h in STEPS]
        fine, coarse = ((ends[k] - ends[k + 1]) / (2 * STEPS[k] * TRUTH[name]) for k in (0, 2))
        expected = (4 * fine - coarse) / 3
        np.testing.assert_allclose(scores[:, column], expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.validate
def test_score_of_made_flashes_is_zero_on_average(timed, scores) -> None:
    """At the truth, by each parameter, over 200 events: five standard errors. Nothing seen is also a probability."""
    pull = scores.mean(axis=0) / (scores.std(axis=0, ddof=1) / np.sqrt(len(scores)))
    assert (np.abs(pull) < 5).all(), pull
    silent = ~np.isfinite(timed.data).any(axis=(1, 2))
    nothing = np.exp(np.asarray(log_prob(TRUTH, timed.inputs, timed.data)))[silent]
    assert 0 < nothing.max() < np.exp(-0.5)


@pytest.mark.validate
def test_the_plan_finds_the_scale_of_the_light() -> None:
    """A scale of 1.25, two and a half widths of the prior away, to a step of the search; not where it is fixed."""
    inputs = made_inputs(200)
    sampled = jax.jit(lambda key, inputs: MATCHING.flashes(TRUTH | {"light_scale": 1.25}, inputs).sample(key))
    data = np.asarray(sampled(jax.random.key(5), inputs))
    assert abs(MATCHING.start(inputs, data)["light_scale"] / 1.25 - 1) < 0.15
    assert MATCHING.start(replace(inputs, priors={"light_scale": 1.0}), data) == {}


@pytest.fixture(scope="module")
def example() -> Case:
    return Case(*MATCHING.example(jax.random.key(4)))


def test_example_is_ready_for_a_fit(example) -> None:
    inputs, data = example
    sizes = MATCHING.describe(inputs, data)
    assert sizes["events"] == 12
    assert sizes["clusters"] == 36
    assert sizes["flashes"] == np.isfinite(data).any(axis=2).sum() > 24
    assert sizes["pairs that matter"] >= 24
    assert sizes["flashes with a time"] == 0
    values = {"light_scale": 1.0, "model_error": 0.1}
    assert np.isfinite(jax.jit(lambda *case: log_density(MATCHING.model, case, {}, values)[0])(inputs, data))
    assert MATCHING.prepare(replace(inputs, plan=None)).plan is None


def test_files_hold_what_was_written(timed, tmp_path) -> None:
    path, counts = tmp_path / "flashes.h5", timed.data[..., :-1]
    MATCHING.write(path, timed.data, timed.inputs, TRUTH)
    np.testing.assert_array_equal(MATCHING.read(path, timed.inputs), timed.data)
    assert MATCHING.read_truth(path)["light_scale"] == 1.0
    assert read_flashes(path).flashes.saturated.sum() == (counts >= SATURATION_PE).sum()
    without = replace(timed.inputs, recording=replace(timed.inputs.recording, width_cm=np.inf))
    np.testing.assert_array_equal(MATCHING.read(path, without)[..., :-1], counts)
    assert np.isnan(MATCHING.read(path, without)[..., -1]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trigger": Trigger(5000, 0.05)}, r"less than the threshold of 5000 p.e."),
        ({"saturation_pe": 500.0}, r"saturated sensor below `saturation_pe` = 500"),
        ({"window_us": 40.0}, r"is not in the 40 us around the trigger: raise `window_us`"),
    ],
)
def test_flashes_of_another_recording_are_refused(timed, tmp_path, change, message) -> None:
    MATCHING.write(tmp_path / "flashes.h5", timed.data, timed.inputs, {})
    other = replace(timed.inputs, recording=replace(timed.inputs.recording, **change))
    with pytest.raises(InputError, match=message):
        MATCHING.read(tmp_path / "flashes.h5", other)


def test_flashes_of_unknown_events_are_refused(case, tmp_path) -> None:
    MATCHING.write(tmp_path / "flashes.h5", case.data, case.inputs, {})
    other = replace(case.inputs, event_id=case.inputs.event_id + 1)
    with pytest.raises(InputError, match=r"event 0, flash 0 belongs to no event with clusters"):
        MATCHING.read(tmp_path / "flashes.h5", other)


@pytest.mark.validate
def test_data_sets_share_a_program(case) -> None:
    """Plans padded to common shapes give the same densities, by one trace."""
    inputs = made_inputs(200)
    sets = [np.asarray(drawn(jax.random.key(number), inputs)) for number in range(3)]
    planned = [MATCHING.with_plan(inputs, data, MATCHING.emission(TRUTH)) for data in sets]
    before = log_prob._cache_size()
    found = [log_prob(TRUTH, one, data) for one, data in zip(MATCHING.common(planned), sets, strict=True)]
    assert log_prob._cache_size() == before + 1
    np.testing.assert_allclose(found[1], log_prob(TRUTH, planned[1], sets[1]), rtol=1e-10)
    with pytest.raises(ValueError, match="use with_plan first"):
        MATCHING.common([inputs])


def test_priors_name_known_parameters() -> None:
    inputs = made_inputs(4, priors={"model_error": 0.05, "background_rate": dist.LogNormal(0.0, 1.0)})
    values = MATCHING.fixed_or_nominal(MATCHING.PARAMETERS, inputs.priors)
    assert values == TRUTH | {"model_error": 0.05}
