from __future__ import annotations

from dataclasses import replace

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescal.charge.coverage import Resolution
from bayescal.charge.detector import ChargeConstants
from bayescal.errors import InputError
from bayescal.likelihoods.intervals import IntegerADC
from bayescal.likelihoods.pixel_hits import arrange, as_hits, charge_inputs, with_plan
from bayescal.readers.detector import read_detector
from bayescal.readers.hits import from_rows
from bayescal.tracks import generate_muons

COARSE = Resolution(step_cm=0.5)


@pytest.fixture(scope="module")
def detector():
    return read_detector("module0")


@pytest.fixture(scope="module")
def segments(detector):
    made = generate_muons(jax.random.key(1), detector.geometry, n_tracks=2, length_cm=3.0)
    return eqx.tree_at(lambda s: s.event_id, made, made.event_id + 40)


@pytest.fixture(scope="module")
def inputs(segments, detector):
    return charge_inputs(segments, detector, {}, resolution=COARSE)


def some_hits(inputs, *, integer_adc=False, rows=(0, 0, 2, 5), ticks=(100, 140, 90, 300)):
    """Hits on pixels in reach."""
    rows = np.array(rows)
    event = inputs.event_id[inputs.coverage.event[rows]]
    adc = np.arange(rows.size) + 81.0
    return from_rows(event, inputs.coverage.pixel[rows], ticks, adc, integer_adc=integer_adc)


def test_hits_come_back_from_their_arrangement(inputs):
    hits = some_hits(inputs)
    value = arrange(hits, inputs, "hits.h5")
    assert value.shape == (inputs.coverage.n_rows, 10, 2)
    np.testing.assert_array_equal(value[0, :3, 0], [100, 140, np.nan])
    np.testing.assert_array_equal(value[[2, 5], 0], [[90, 83.0], [300, 84.0]])
    assert np.isfinite(value).sum() == 8
    back = as_hits(value, inputs)
    for name in ("event_id", "pixel", "tick", "adc"):
        np.testing.assert_array_equal(getattr(back, name), getattr(hits, name))


def test_the_same_pixel_in_another_event_is_another_row(inputs):
    coverage = inputs.coverage
    other = int(np.flatnonzero(coverage.event == 1)[0])
    value = arrange(some_hits(inputs, rows=(other,), ticks=(5,)), inputs, "hits.h5")
    assert np.flatnonzero(np.isfinite(value[:, 0, 0])) == [other]


def test_hits_out_of_reach_are_counted_and_left_out(inputs):
    known = some_hits(inputs)
    far = from_rows(
        np.append(known.event_id, 40), np.append(known.pixel, 7), np.append(known.tick, 5), np.append(known.adc, 90.0),
        integer_adc=False,
    )  # fmt: skip
    assert not (inputs.coverage.pixel == 7).any()
    with pytest.warns(UserWarning, match=r"hits.h5: 1 of 5 hits lie on pixels that no charge can reach"):
        value = arrange(far, inputs, "hits.h5")
    np.testing.assert_array_equal(value, arrange(known, inputs, "hits.h5"))


def test_events_without_segments_are_refused(inputs):
    hits = from_rows([7], [3], [10], [90.0], integer_adc=False)
    with pytest.raises(InputError, match=r"hits.h5: event 7 has hits but no segments"):
        arrange(hits, inputs, "hits.h5")


def test_values_of_the_other_kind_are_refused(inputs):
    with pytest.raises(InputError, match='the ADC values are integer; set adc = "integer"'):
        arrange(some_hits(inputs, integer_adc=True), inputs, "hits.h5")
    codes = replace(inputs, adc=IntegerADC())
    with pytest.raises(InputError, match='the ADC values are real; set adc = "real"'):
        arrange(some_hits(inputs), codes, "hits.h5")
    assert as_hits(arrange(some_hits(inputs, integer_adc=True), codes, "hits.h5"), codes).integer_adc


def test_more_hits_than_the_chip_records_are_refused(inputs):
    hits = some_hits(inputs, rows=[3] * 11, ticks=np.arange(11) * 40)
    with pytest.raises(InputError, match=rf"pixel {inputs.coverage.pixel[3]} has 11 hits, more than the 10"):
        arrange(hits, inputs, "hits.h5")


def test_dead_pixels_and_padding_do_not_live(segments, detector, inputs):
    dead = int(inputs.coverage.pixel[4])
    blind = charge_inputs(segments, replace(detector, dead_pixels=(dead,)), {}, resolution=COARSE)
    assert not blind.live[blind.coverage.pixel == dead].any()
    assert not blind.live[blind.coverage.pixel < 0].any()
    assert blind.live.sum() == inputs.live.sum() - (inputs.coverage.pixel == dead).sum()
    planned = with_plan(blind, np.full((blind.coverage.n_rows, 10, 2), np.nan), ChargeConstants())
    rows = np.concatenate([group.row[group.real] for group in planned.plan.groups])
    assert set(rows) == set(np.flatnonzero(blind.live))


def test_priors_of_shift_and_diffusion_widen_the_reach(segments, detector, inputs):
    shifted = charge_inputs(segments, detector, {"shift_x": dist.Normal(0.0, 0.1)}, resolution=COARSE)
    assert shifted.live.sum() > inputs.live.sum()
    fixed = charge_inputs(segments, detector, {"shift_y": -0.3}, resolution=COARSE)
    assert fixed.live.sum() > inputs.live.sum()
    diffuse = charge_inputs(segments, detector, {"tran_diff": dist.Uniform(1e-6, 4e-5)}, resolution=COARSE)
    assert diffuse.live.sum() > inputs.live.sum()


def test_segments_that_reach_no_pixel_are_refused(segments, detector):
    away = eqx.tree_at(lambda s: (s.start_cm, s.end_cm), segments, (segments.start_cm + 1e3, segments.end_cm + 1e3))
    with pytest.raises(InputError, match="reaches a pixel of module0: check units and axes"):
        charge_inputs(away, detector, {}, resolution=COARSE)


def test_easier_inputs_differ_in_noise_and_width_alone(inputs):
    easier = inputs.tempered(3.0, 0.5)
    assert (easier.noise, easier.smear_us) == (3.0, 0.5)
    again = easier.tempered(1.0, 0.0)
    assert eqx.tree_equal(again, inputs)
    assert inputs.n_events == 2
