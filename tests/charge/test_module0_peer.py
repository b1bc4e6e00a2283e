"""Acceptance on segments and references of Module-0: charge chain, hits without noise, a tabulated current.

Hits are compared by (eventID, pixel), tick by tick only where both have the same number of hits in a pixel.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.charge import drift
from bayescal.charge.coverage import Coverage, Margins, Resolution, cover
from bayescal.charge.detector import ChargeConstants, ChargeDetector, ionisation_electrons, simulate
from bayescal.charge.electronics import larnd_sim_jax
from bayescal.charge.induction import ParametrisedResponse, Response, TruncatedResponse
from bayescal.likelihoods.chip import play
from bayescal.readers.detector import read_detector
from bayescal.readers.edepsim import read_segments
from bayescal.readers.hits import Hits, from_rows
from bayescal.readers.larndsim_jax import convert

pytestmark = pytest.mark.peer

EVERYTHING = Margins(tran_diff=8.8e-6, drift_velocity=0.159, share=1e-9, charge_e=1.0)
NOMINAL = Margins(tran_diff=8.8e-6, drift_velocity=0.159)
FINE = Resolution(step_cm=0.01, cells=8)
CHIP = larnd_sim_jax().noisier(0.0)

HITS_OF_FILE_0 = {
    (3, 0, 112, 251): [(107, 103.30)],
    (3, 0, 113, 251): [(101, 86.74)],
    (3, 0, 113, 252): [(68, 100.83), (97, 81.66)],
    (3, 0, 114, 252): [(49, 97.39)],
    (3, 0, 114, 253): [(31, 95.83)],
    (3, 0, 115, 253): [(2, 100.64)],
    (5, 1, 113, 3): [(35, 106.38)],
    (5, 1, 112, 4): [(24, 83.25)],
    (5, 1, 113, 4): [(24, 98.62)],
    (5, 1, 112, 5): [(2, 92.90)],
    (10, 1, 121, 130): [(697, 104.20)],
    (10, 1, 121, 131): [(710, 102.30)],
    (10, 1, 121, 132): [(717, 97.45)],
    (10, 1, 120, 133): [(702, 85.32)],
    (10, 1, 121, 133): [(701, 117.57), (722, 89.90)],
    (18, 1, 128, 266): [(1316, 111.90)],
    (18, 1, 129, 266): [(1336, 82.25)],
    (18, 1, 128, 267): [(1301, 112.45)],
    (18, 1, 127, 268): [(1281, 90.23)],
    (18, 1, 128, 268): [(1283, 96.42)],
    (18, 1, 127, 269): [(1265, 109.64)],
    (18, 1, 127, 270): [(1261, 103.19)],
    (18, 1, 127, 271): [(1268, 101.43), (1294, 89.03)],
    (18, 1, 127, 272): [(1306, 99.11)],
}
"""Event, plane, ix, iy: last tick below threshold and ADC; from an independent integration in float64 that imitates the
response's truncation. Event 10, pixel (1, 122, 132) is left out: it collects 5.161 ke- and may or may not fire."""

Pixel = tuple[int, int]
HitList = dict[Pixel, list[tuple[float, float]]]


class Totals(NamedTuple):
    """Electrons [ke-] after recombination, at the anode plane and on pixels; pixels that collect more than 5 ke-."""

    created_ke: float
    anode_ke: float
    pixels_ke: float
    n_pixels: int


class Difference(NamedTuple):
    """Of hits from a list: ADC values where ticks agree or not, and ticks."""

    adc: np.ndarray
    tick: np.ndarray


@cache
def module0() -> ChargeDetector:
    return read_detector("module0")


@cache
def hits_of(folder: Path, number: int, response: Response, resolution: Resolution) -> Hits:
    """Hits of a file without noise; ticks and window are those of larnd-sim-jax."""
    segments = read_segments(folder / f"module0/segments_{number}.h5")
    detector = dataclasses.replace(module0(), response=response)
    coverage = cover(segments, detector.geometry, NOMINAL, resolution)

    @jax.jit
    def run(coverage):
        signals = simulate(ChargeConstants(), coverage, detector)
        waveform = signals.waveform(CHIP.first_tick - 1, CHIP.n_ticks + CHIP.restart_ticks + 1, CHIP.tick_us)
        threshold = jnp.full(signals.n_rows, CHIP.threshold_e, waveform.dtype)
        return play(jax.random.key(0), waveform, threshold, jnp.zeros(()), CHIP)

    tick, adc = np.moveaxis(np.asarray(run(coverage)), 2, 0)
    row, slot = np.nonzero(np.isfinite(tick))
    event_id = np.asarray(segments.event_id)[coverage.event[row]]
    return from_rows(event_id, coverage.pixel[row], tick[row, slot], adc[row, slot], integer_adc=False)


def by_pixel(hits: Hits) -> HitList:
    """Recorded tick, one before the firing, and ADC of the hits of each pixel."""
    result: HitList = {}
    for event_id, pixel, tick, adc in zip(hits.event_id, hits.pixel, hits.tick, hits.adc, strict=True):
        result.setdefault((int(event_id), int(pixel)), []).append((float(tick) - 1, float(adc)))
    return result


def charge_ke(hits: Hits) -> np.ndarray:
    return np.asarray(CHIP.charge(jnp.asarray(hits.adc))) / 1e3


def differences(hits: Hits) -> Difference:
    """Of our hits from the list; every pixel of the list must have its number of hits."""
    ours, adc, tick = by_pixel(hits), [], []
    for (event_id, plane, column, row), expected in HITS_OF_FILE_0.items():
        found = ours[event_id, int(module0().geometry.pixel(column, row, plane))]
        for (tick_found, adc_found), (tick_expected, adc_expected) in zip(found, expected, strict=True):
            tick.append(tick_found - tick_expected)
            adc.append(adc_found - adc_expected)
    return Difference(np.array(adc), np.array(tick))


def at_anode_e(coverage: Coverage) -> np.ndarray:
    """Electrons of each step that arrive, with the formula of the lifetime."""
    constants, steps = ChargeConstants(), coverage.steps
    distance = (steps.anode_z_cm - steps.centre_cm[:, 2]) * steps.direction
    velocity = float(drift.drift_velocity(constants.electric_field, module0().temperature_k))
    return np.asarray(ionisation_electrons(constants, coverage)) * np.exp(-distance / velocity / constants.lifetime)


def sum_over_threshold(hits: Hits) -> dict[Pixel, float]:
    """Sum of ADC counts above the threshold's of each pixel."""
    threshold = float(CHIP.adc(jnp.asarray(CHIP.threshold_e)))
    return {pixel: sum(adc - threshold for _, adc in rows) for pixel, rows in by_pixel(hits).items()}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, Totals(11_282.4, 10_933.2, 10_928.1, 430)),
        (1, Totals(11_136.2, 10_578.9, 10_576.2, 453)),
    ],
)
def test_charge_chain(peer_data: Path, number: int, expected: Totals) -> None:
    """Electrons after each step to 1e-4, and the number of pixels above threshold to one."""
    segments = read_segments(peer_data / f"module0/segments_{number}.h5")
    coverage = cover(segments, module0().geometry, EVERYTHING)
    created = ionisation_electrons(ChargeConstants(), coverage)
    total = np.asarray(jax.jit(simulate)(ChargeConstants(), coverage, module0()).total_e())
    found = [charge.sum() / 1e3 for charge in (created, at_anode_e(coverage), total)]
    np.testing.assert_allclose(found, expected[:3], rtol=1e-4)
    assert abs((total > 5000).sum() - expected.n_pixels) <= 1


@pytest.mark.parametrize(
    ("number", "expected_ke"), [(0, {3: 154.790, 10: 153.214, 18: 243.128}), (1, {10: 166.416, 14: 224.830})]
)
def test_electrons_of_events(peer_data: Path, number: int, expected_ke: dict[int, float]) -> None:
    """At the anode, and on pixels; of event 14 of file 1, 1.741 ke- land beside the pixels."""
    segments = read_segments(peer_data / f"module0/segments_{number}.h5")
    coverage = cover(segments, module0().geometry, EVERYTHING)
    total = np.asarray(jax.jit(simulate)(ChargeConstants(), coverage, module0()).total_e())
    real = coverage.pixel >= 0
    arrived = np.bincount(coverage.steps.event, at_anode_e(coverage)) / 1e3
    by_event = np.bincount(coverage.event[real], total[real]) / 1e3
    index = {int(name): place for place, name in enumerate(segments.event_id)}
    for event_id, electrons in expected_ke.items():
        assert arrived[index[event_id]] == pytest.approx(electrons, rel=1e-5)
        beside = 1.741 if (number, event_id) == (1, 14) else 0.0
        assert by_event[index[event_id]] == pytest.approx(electrons - beside, rel=1e-4)
    if number == 0:
        of_event = real & (coverage.event == index[10])
        fullest = np.flatnonzero(of_event)[np.argmax(total[of_event])]
        assert coverage.pixel[fullest] == module0().geometry.pixel(121, 133, 1)
        assert total[fullest] / 1e3 == pytest.approx(57.776, rel=1e-4)


def test_hits_of_file_0_fine(peer_data: Path) -> None:
    """Measured: mean 0.013, worst 0.058 counts, every tick equal."""
    found = differences(hits_of(peer_data, 0, TruncatedResponse(), FINE))
    same = found.tick == 0
    assert same.size == 27
    assert np.abs(found.adc).mean() <= 0.04
    assert np.abs(found.adc[same]).max() <= 0.15
    assert same.sum() >= 25
    assert np.abs(found.tick).max() <= 1


def test_hits_of_file_0_default(peer_data: Path) -> None:
    """What the default quadrature, 16 times coarser in pairs, adds: 0.03 counts on average, one tick of 27."""
    found = differences(hits_of(peer_data, 0, TruncatedResponse(), Resolution()))
    assert np.abs(found.adc).mean() <= 0.06
    assert np.abs(found.adc).max() <= 0.35
    assert (found.tick == 0).sum() >= 25
    assert np.abs(found.tick).max() <= 1


def test_full_tails_differ_by_their_size(peer_data: Path) -> None:
    """The default response keeps the exponential tails that larnd-sim-jax cuts: 0.18 counts, a quarter of the ticks."""
    found = differences(hits_of(peer_data, 0, ParametrisedResponse(), Resolution()))
    assert 0.1 < np.abs(found.adc).mean() < 0.25
    assert np.abs(found.tick).max() <= 1
    assert (found.tick == 0).sum() >= 20


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, (510, 422, 10_132.0)), pytest.param(1, (548, 453, 9_932.0), marks=pytest.mark.validate)],
)
def test_hits_of_whole_files(peer_data: Path, number: int, expected: tuple[int, int, float]) -> None:
    """Hits and pixels to three, charge to 0.1 %; the pixel of event 10 at the threshold fires here, in file 0."""
    hits = hits_of(peer_data, number, TruncatedResponse(), FINE)
    n_hits, n_pixels, total_ke = expected
    assert abs(hits.n_hits - n_hits) <= 3
    assert abs(len(by_pixel(hits)) - n_pixels) <= 3
    assert charge_ke(hits).sum() == pytest.approx(total_ke, rel=1e-3)


@pytest.mark.parametrize(
    ("resolution", "response", "limit"),
    [
        (FINE, TruncatedResponse(), 0.08),
        (Resolution(), TruncatedResponse(), 0.08),
        (Resolution(), ParametrisedResponse(), 0.11),
    ],
)
def test_output_of_larnd_sim_jax(peer_data: Path, resolution: Resolution, response: Response, limit: float) -> None:
    """Sum of counts above threshold a pixel; measured 0.056, 0.070 and, with the full tails, 0.098.

    The rest is the phase of larnd-sim-jax's steps and its bins of 0.021 cm.
    """
    reference = convert(peer_data / "module0/reference_clean_0.h5", module0().geometry.n_pixels)
    ours, theirs = (sum_over_threshold(hits) for hits in (hits_of(peer_data, 0, response, resolution), reference))
    assert len(theirs) == 422
    assert len(ours.keys() & theirs.keys()) >= 421
    each = np.array([ours.get(pixel, 0.0) - theirs.get(pixel, 0.0) for pixel in ours.keys() | theirs.keys()])
    assert np.abs(each).mean() <= limit


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("response", [TruncatedResponse(), ParametrisedResponse()])
def test_tabulated_induction_is_plausible(peer_data: Path, number: int, response: Response) -> None:
    """A plausibility check, no more: the reference has another current, from a table, that reaches four neighbours.

    Its pixels fire about 23 ticks earlier and some of them twice, so that hits cannot be matched.
    """
    reference = convert(peer_data / f"module0/reference_lut_{number}.h5", module0().geometry.n_pixels)
    hits = hits_of(peer_data, number, response, Resolution())
    ours, theirs = ({}, {})
    for sums, source in ((ours, hits), (theirs, reference)):
        for pixel, charge in zip(zip(source.event_id, source.pixel, strict=True), charge_ke(source), strict=True):
            sums[pixel] = sums.get(pixel, 0.0) + charge
    common = ours.keys() & theirs.keys()
    assert len(common) >= 0.95 * len(theirs)
    assert abs(np.median([ours[pixel] - theirs[pixel] for pixel in common])) <= 1.0
    assert sum(ours.values()) == pytest.approx(sum(theirs.values()), rel=0.04)
