from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import log_density

from bayescal.charge.coverage import Resolution
from bayescal.diagnostics.loo import pooled, pulls
from bayescal.diagnostics.residuals import Residuals
from bayescal.errors import InputError
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.pixel_hits import ChargeInputs, charge_inputs
from bayescal.likelihoods.plan import common_shapes
from bayescal.model_files import load_model
from bayescal.pointwise import event_log_likelihood, readout_residuals
from bayescal.readers.detector import read_detector
from bayescal.tracks import generate_muons

CHARGE = load_model("charge_constants").module
FREE = {parameter.name: parameter.prior for parameter in CHARGE.PARAMETERS}
NOMINAL = {parameter.name: parameter.nominal for parameter in CHARGE.PARAMETERS}
N_POINTS = 10


class Case(NamedTuple):
    """Inputs with a plan in double precision, hits, and one vector of all parameters' values at ten draws of the prior.

    `functions` turn (x, inputs, hits) into the log density of prior and hits, its gradient, and many log densities.
    """

    inputs: ChargeInputs
    hits: np.ndarray
    points: np.ndarray
    names: list[str]
    log_density: object
    gradient: object
    scan: object


@pytest.fixture(scope="module")
def case() -> Case:
    """About 30 cm of muon tracks, every parameter free."""
    detector = read_detector("module0")
    segments = generate_muons(jax.random.key(2), detector.geometry, n_tracks=3, length_cm=10.0)
    inputs = charge_inputs(segments, detector, FREE, resolution=Resolution(step_cm=0.5))
    n_events = inputs.n_events
    hits = drawn(inputs, jax.random.key(3))
    fixed = eqx.tree_at(lambda i: i.plan, planned(inputs, hits), replace(planned(inputs, hits).plan, dtype="float64"))
    names = [name for name in FREE if name != "event_time"] + [f"event_time[{n}]" for n in range(n_events)]
    keys = jax.random.split(jax.random.key(4), len(FREE))
    draws = {
        name: prior.sample(key, (N_POINTS, n_events) if name == "event_time" else (N_POINTS,))
        for key, (name, prior) in zip(keys, FREE.items(), strict=True)
    }
    columns = [draws[name] for name in names[:-n_events]]
    points = np.concatenate([np.stack(columns, axis=1), draws["event_time"]], axis=1)

    def joint(x, inputs, hits):
        values = dict(zip(names, x[:-n_events], strict=False)) | {"event_time": x[-n_events:]}
        return log_density(CHARGE.model, (inputs, hits), {}, values)[0]

    return Case(
        jax.tree.map(jnp.asarray, fixed),
        hits,
        points,
        names,
        jax.jit(joint),
        jax.jit(jax.grad(joint)),
        jax.jit(lambda xs, inputs, hits: jax.lax.map(lambda x: joint(x, inputs, hits), xs)),
    )


def drawn(inputs, key, **values) -> np.ndarray:
    """Hits for given constants, nominal where none is given."""
    return np.asarray(_drawn(inputs, NOMINAL | values, key))


@jax.jit
def _drawn(inputs, values, key):
    signals = CHARGE.simulate(CHARGE.charge_constants(values), inputs.coverage, inputs.detector)
    readout = SelfTriggeredReadout(
        signals, inputs.detector.electronics, live=inputs.live, outlier_rate=values["outlier_rate"], adc=inputs.adc
    )
    return readout.sample(key)


def planned(inputs, hits) -> ChargeInputs:
    """The inputs with the plan around the nominal constants."""
    return CHARGE.with_plan(inputs, hits, CHARGE.charge_constants(NOMINAL))


WIDTH = {
    "Ab": 1e-3, "kb": 1e-3, "electric_field": 2e-6, "lifetime": 1e-3, "long_diff": 1e-3, "tran_diff": 1e-3,
    "electrons_per_mev": 1e-3, "density": 1e-3, "outlier_rate": 1e-3,
}  # fmt: skip
"""Steps of differences, relative to the value; those of shifts are 1e-5 cm, of event times 1e-5 us."""


def steps(names, x) -> np.ndarray:
    return np.array([WIDTH[name] * abs(value) if name in WIDTH else 1e-5 for name, value in zip(names, x, strict=True)])


SOME_POINTS = pytest.mark.parametrize(
    "points", [slice(0, 2), pytest.param(slice(2, None), marks=pytest.mark.validate)], ids=["two", "others"]
)


@SOME_POINTS
def test_gradient_is_that_of_differences_at_points_of_the_prior(case, points):
    """Every constant, shift and event time: 1e-4 of the derivative, against extrapolated differences in float64."""
    for x in case.points[points]:
        width = steps(case.names, x)
        ends = np.concatenate([x + sign * np.diag(width) for sign in (1.0, -1.0, 0.5, -0.5)])
        values = np.asarray(case.scan(ends, case.inputs, case.hits)).reshape(4, -1)
        coarse, fine = (values[0] - values[1]) / (2 * width), (values[2] - values[3]) / width
        expected = (4 * fine - coarse) / 3
        found = np.asarray(case.gradient(x, case.inputs, case.hits))
        rounding = 4 * np.finfo(float).eps * np.abs(values).max() / width
        bad = np.abs(found - expected) > 1e-4 * np.abs(expected) + rounding
        assert not bad.any(), [
            (name, a, b) for name, a, b, wrong in zip(case.names, found, expected, bad, strict=True) if wrong
        ]


def test_single_precision_gradient_is_finite_everywhere_and_good_near_the_truth(case):
    """Near the truth, within a fiftieth of the prior's reach, to 1e-3 of the root mean square of a component."""
    single = eqx.tree_at(lambda i: i.plan, case.inputs, replace(case.inputs.plan, dtype="float32"))
    truth = np.array([NOMINAL.get(name, 0.0) for name in case.names])
    truth[case.names.index("outlier_rate")] = 1e-6
    for x in case.points:
        assert np.isfinite(case.gradient(x, single, case.hits)).all()
    near = [truth + 0.02 * (x - truth) for x in case.points[:5]]
    found, expected = (np.array([case.gradient(x, plan, case.hits) for x in near]) for plan in (single, case.inputs))
    error = np.abs(found - expected).max(axis=0) / np.sqrt((expected**2).mean(axis=0))
    assert (error < 1e-3).all(), dict(zip(case.names, error, strict=True))


STEPS = {
    "Ab": 1e-4, "kb": 2e-5, "electric_field": 1e-6, "lifetime": 4.0, "long_diff": 4e-9, "tran_diff": 4e-9,
    "electrons_per_mev": 2.0, "density": 2e-5, "shift_x": 4e-5, "shift_y": 4e-5, "shift_z": 4e-5,
    "event_time[0]": 2e-4, "outlier_rate": 2e-10,
}  # fmt: skip
"""Steps of scans, each small against what the log density of a hit takes to change by one far from the truth."""


@SOME_POINTS
@pytest.mark.parametrize("name", STEPS)
def test_scans_are_smooth(case, name, points):
    """Halving the step cuts the largest second difference at least 3.5-fold, in places of the prior's range."""
    index, place = case.names.index(name), np.arange(-16, 17)
    lines = np.repeat(case.points[points, None], place.size, axis=1)
    lines[:, :, index] += 0.5 * STEPS[name] * place
    values = np.asarray(case.scan(lines.reshape(-1, lines.shape[2]), case.inputs, case.hits)).reshape(lines.shape[:2])
    coarse = np.abs(np.diff(values[:, ::2], 2)).max(axis=1)
    fine = np.abs(np.diff(values, 2))[:, 1:-1].max(axis=1)  # between the first and the last centre of the coarse ones
    assert (coarse > 3.5 * fine).all()


@pytest.mark.validate
def test_plans_of_data_sets_share_a_program(case):
    """Other hits, plans padded to common shapes: the model is traced once."""
    inputs = eqx.tree_at(lambda i: i.plan, case.inputs, None)
    sets = [drawn(inputs, jax.random.key(number), Ab=0.8 + 0.01 * number) for number in range(2)]
    plans = common_shapes([planned(inputs, hits).plan for hits in sets], inputs.coverage)
    traces = []

    @jax.jit
    def signal_and_hits(plan, hits):
        traces.append(1)
        filled = eqx.tree_at(lambda i: i.plan, inputs, plan, is_leaf=lambda leaf: leaf is None)
        return log_density(CHARGE.model, (filled, hits), {}, NOMINAL | {"outlier_rate": 1e-6})[0]

    values = [float(signal_and_hits(plan, hits)) for plan, hits in zip(plans, sets, strict=True)]
    assert len(traces) == 1
    assert np.isfinite(values).all()
    assert len(set(values)) == 2


@pytest.fixture(scope="module")
def example():
    return CHARGE.example(jax.random.key(5))


def test_example_is_ready_for_a_fit(example):
    inputs, hits = example
    sizes = CHARGE.describe(inputs, hits)
    assert 45.0 < sizes["track length [cm]"] < 55.0
    assert CHARGE.exposure(inputs) == (pytest.approx(sizes["track length [cm]"], abs=0.005), "cm of track")
    assert sizes["hits"] == np.isfinite(hits[..., 0]).sum() > 50
    assert sizes["pixels with hits"] <= sizes["hits"]
    assert sizes["intervals"] >= sizes["hits"] + sizes["pixels in reach"] - 1
    assert inputs.priors == {}
    assert not CHARGE.describe(inputs).keys() & {"hits", "pixels with hits"}


def test_start_is_near_the_true_field_and_times(example):
    inputs, hits = example
    assert CHARGE.start(inputs, hits).keys() == {"electric_field"}
    assert abs(CHARGE.start(inputs, hits)["electric_field"] / 0.5 - 1.0) < 5e-3
    timed = replace(inputs, priors={"event_time": dist.Normal(0.0, 0.5), "electric_field": 0.5})
    seeds = CHARGE.start(timed, hits)
    assert seeds.keys() == {"event_time"}
    assert seeds["event_time"].shape == (inputs.n_events,)
    assert np.abs(seeds["event_time"]).max() < 2.0


def test_tempered_problems_become_the_true_one_by_stages(example):
    inputs, _ = example
    stages = [CHARGE.tempered(inputs, stage) for stage in range(len(CHARGE.TEMPERING))]
    noises, widths = [stage.noise for stage in stages], [stage.smear_us for stage in stages]
    assert noises == sorted(noises, reverse=True)
    assert widths == sorted(widths, reverse=True)
    assert min(noises) > 1.0
    assert CHARGE.tempered(inputs, len(stages)) is None


def test_prepare_without_data_plans_nothing(example):
    inputs, _ = example
    bare = eqx.tree_at(lambda i: i.plan, inputs, None)
    assert CHARGE.prepare(bare).plan is None


def test_fixed_values_take_the_place_of_priors(example):
    inputs, _ = example
    values = CHARGE.fixed_or_nominal(replace(inputs, priors={"kb": 0.05, "Ab": dist.Uniform(0.7, 0.9)}))
    assert values["kb"] == 0.05
    assert values["Ab"] == 0.8
    assert values.keys() == NOMINAL.keys()


def test_predictive_summaries_have_one_row_a_draw(example):
    inputs, hits = example
    draws = {parameter.name: np.full(2, parameter.nominal) for parameter in CHARGE.PARAMETERS if parameter.free}
    found = CHARGE.predictive(jax.random.key(1), inputs, hits, draws)
    for observed, replicas in found.values():
        assert replicas.shape == (2, *observed.shape)
    observed, replicas = found["hits_per_event"]
    assert observed.sum() == np.isfinite(hits[..., 0]).sum()
    assert np.abs(replicas.sum(axis=1) / observed.sum() - 1.0).max() < 0.2
    assert not np.array_equal(replicas[0], replicas[1])


def test_files_hold_what_was_written(example, tmp_path):
    inputs, hits = example
    CHARGE.write(tmp_path / "hits.h5", np.asarray(hits), inputs, {"Ab": 0.8, "event_time": np.zeros(inputs.n_events)})
    np.testing.assert_array_equal(CHARGE.read(tmp_path / "hits.h5", inputs), hits)


def test_pixels_of_another_detector_are_refused(example, tmp_path):
    inputs, hits = example
    CHARGE.write(tmp_path / "hits.h5", np.asarray(hits), inputs, {})
    small = eqx.tree_at(
        lambda i: i.detector, inputs, replace(inputs.detector, geometry=replace(inputs.detector.geometry, n_y=2))
    )
    with pytest.raises(InputError, match=r"hits.h5"):
        CHARGE.read(tmp_path / "hits.h5", small)


def test_common_inputs_have_the_same_shapes(example):
    inputs, _ = example
    bare = eqx.tree_at(lambda i: i.plan, inputs, None)
    sets = [drawn(bare, jax.random.key(number), Ab=0.7 + 0.1 * number) for number in range(3)]
    made = CHARGE.common([CHARGE.prepare(bare, hits) for hits in sets])
    assert len({str(jax.tree.map(np.shape, one)) for one in made}) == 1
    for one, hits in zip(made, sets, strict=True):
        np.testing.assert_array_equal(one.plan.tick, hits[..., 0])
    with pytest.raises(ValueError, match="use with_plan first"):
        CHARGE.common([bare])


def test_what_pixels_recorded(example):
    inputs, hits = example
    table, found = CHARGE.readouts(inputs), CHARGE.recorded(jnp.asarray(hits), inputs)
    seen = np.isfinite(hits[:, 0, 0])
    assert {len(column) for column in [*table.values(), *found.values()]} == {inputs.coverage.n_rows}
    np.testing.assert_array_equal(np.isfinite(found["charge"]), seen)
    np.testing.assert_array_equal(found["first_tick"], hits[:, 0, 0])
    once = seen & ~np.isfinite(hits[:, 1, 0])
    pedestal = inputs.detector.electronics.pedestal_counts
    np.testing.assert_allclose(found["charge"][once], hits[once, 0, 1] - pedestal)
    assert not (seen & ~table["live"]).any()
    assert set(table["event"][table["live"]]) == set(inputs.event_id)
    geometry = inputs.detector.geometry
    column, row = geometry.column_row(table["x_cm"], table["y_cm"])
    live = table["live"]
    np.testing.assert_array_equal(geometry.pixel(column, row, table["plane"])[live], table["pixel"][live])


@pytest.mark.validate
def test_an_event_with_a_spoilt_charge_stands_out(example):
    """60 counts, tens of noises, on one pixel of the second event; and its pixel has the largest residual."""
    inputs, hits = example
    rows = np.flatnonzero(np.isfinite(hits[:, 0, 0]) & (inputs.coverage.event == 1))
    spoilt = np.array(hits)
    spoilt[rows[3], 0, 1] += 60.0
    draws = {parameter.name: np.full(12, parameter.nominal) for parameter in CHARGE.PARAMETERS if parameter.free}
    model = load_model("charge_constants")
    found = event_log_likelihood(jax.random.key(7), model, inputs, spoilt, draws)
    spread = pooled(found["spread"].values, found["recorded"].values)
    pull = pulls(found["hits"].values[0].mean(axis=0), found["expected"].values, spread)
    assert pull.argmin() == 1
    assert pull[1] < -5.0
    assert np.delete(pull, 1).min() > -4.0  # false alarm 1e-4 for four events whose spread is known
    residual = Residuals(readout_residuals(jax.random.key(8), model, inputs, spoilt, draws))
    worst = dict(zip(residual.headers, residual.table(1)[0], strict=True))
    assert worst["quantity"] == "charge"
    assert worst["pixel"] == str(inputs.coverage.pixel[rows[3]])
    assert worst["event"] == str(inputs.event_id[1])
