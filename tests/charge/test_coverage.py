from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from bayescal.charge.coverage import Margins, Resolution, cover, padded_size
from bayescal.charge.detector import ChargeConstants, simulate

run_simulation = jax.jit(simulate)


def sizes(coverage) -> list[tuple[int, ...]]:
    return [np.shape(leaf) for leaf in jax.tree.leaves(coverage)]


@pytest.mark.parametrize(
    ("count", "size"), [(0, 0), (1, 1), (15, 15), (17, 18), (100, 104), (1000, 1024), (1025, 1152)]
)
def test_padded_size(count: int, size: int) -> None:
    assert padded_size(count) == size


def test_padded_sizes_are_few_and_waste_little() -> None:
    found = np.array([padded_size(count) for count in range(1, 5000)])
    count = np.arange(1, 5000)
    assert (found >= count).all()
    assert (found <= 1.125 * count + 1).all()
    assert np.unique(found).size < 90
    assert (np.diff(found) >= 0).all()


def test_pairs_are_sorted_by_pixel_and_pixels_are_listed_once(module0, tracks) -> None:
    coverage = cover(tracks, module0.geometry)
    assert (np.diff(coverage.pair_row) >= 0).all()
    real = coverage.event >= 0
    rows = np.stack([coverage.event[real], coverage.pixel[real]], axis=1)
    assert np.unique(rows, axis=0).shape == rows.shape
    assert (coverage.event[coverage.pair_row] == coverage.steps.event[coverage.pair_step])[
        : (coverage.pair_row < real.sum()).sum()
    ].all()
    assert set(coverage.event[real]) == {0, 1, 2}


def test_cells_of_a_pair_lie_in_its_pixel(module0, tracks) -> None:
    for cells in (2, 4):
        coverage = cover(tracks, module0.geometry, resolution=Resolution(cells=cells))
        real = coverage.pixel[coverage.pair_row] >= 0
        step, slots = coverage.pair_step[real], (coverage.pair_x[real], coverage.pair_y[real])
        centre = module0.geometry.centre_cm(coverage.pixel[coverage.pair_row[real]])
        for axis in (0, 1):
            middle = coverage.first_edge_cm[step, axis] + (slots[axis] + 0.5) * coverage.cell_cm
            assert (np.abs(middle - centre[axis]) < 0.2217).all()
            np.testing.assert_allclose(coverage.slot_centre_cm[step, axis, slots[axis]], centre[axis], atol=1e-9)
            side = np.sign(middle - centre[axis])
            np.testing.assert_array_equal(coverage.slot_sign[step, axis, slots[axis]], side)


def test_padding_carries_no_charge(module0, tracks) -> None:
    coverage = cover(tracks, module0.geometry)
    signals = run_simulation(ChargeConstants(), coverage, module0)
    padding = coverage.pixel[coverage.pair_row] < 0
    assert padding[-1]
    assert coverage.pixel[-1] == -1
    assert coverage.steps.energy_mev[-1] == 0
    assert (np.asarray(signals.charge_e)[padding] == 0).all()
    assert (np.asarray(signals.total_e())[coverage.pixel < 0] == 0).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(signals))


def test_inputs_of_similar_size_share_a_program(module0, tracks) -> None:
    """Shapes do not depend on where exactly the steps are."""
    moved = dataclasses.replace(tracks, start_cm=tracks.start_cm + 1e-3, end_cm=tracks.end_cm + 1e-3)
    run = jax.jit(lambda coverage: run_simulation(ChargeConstants(), coverage, module0).total_e())
    first, second = (cover(segments, module0.geometry) for segments in (tracks, moved))
    assert sizes(first) == sizes(second)
    run(first), run(second)
    assert run._cache_size() == 1


def test_pairs_hold_for_every_shift_and_diffusion_within_the_margins(module0, tracks) -> None:
    """The charge in reach is the same wherever the shift puts it; at the margin's end too."""
    margins = Margins(shift_cm=0.2, charge_e=1.0)
    coverage = cover(tracks, module0.geometry, margins)
    total = jax.jit(lambda constants: run_simulation(constants, coverage, module0).total_e().sum())
    still = total(ChargeConstants())
    for shift in ((0.2, 0.2, 0.0), (-0.2, 0.13, 0.0), (0.05, -0.2, 0.0)):
        assert total(ChargeConstants(shift_cm=shift)) == pytest.approx(float(still), rel=1e-4)
    wide = ChargeConstants(tran_diff=margins.tran_diff)
    assert total(wide) == pytest.approx(float(still), rel=1e-4)


def test_margins_add_pixels(module0, tracks) -> None:
    few = cover(tracks, module0.geometry)
    many = cover(tracks, module0.geometry, Margins(shift_cm=0.22))
    names = [{*zip(c.event, c.pixel, strict=True)} for c in (few, many)]
    assert names[0] < names[1]


def test_pixels_with_little_charge_are_left_out(module0, tracks) -> None:
    def rows(charge_e: float):
        coverage = cover(tracks, module0.geometry, Margins(charge_e=charge_e))
        return (coverage.pixel >= 0).sum()

    assert rows(1.0) > rows(100.0) > rows(10_000.0) > 0


def test_energy_outside_the_drift_volumes_is_accounted_for(module0, deposits) -> None:
    places = [[0.0, 0.0, 10.0], [0.0, 0.0, 0.0], [40.0, 0.0, 5.0], [0.0, 0.0, -10.0]]
    coverage = cover(deposits(places), module0.geometry)
    assert coverage.lost_mev == pytest.approx(2.0)
    assert coverage.steps.energy_mev.sum() == pytest.approx(2.0)


def test_charge_beside_the_plane_lands_on_no_pixel(module0, deposits) -> None:
    """A step on the border: half of its charge has no pixel."""
    border = module0.geometry.upper_cm[0]
    coverage = cover(deposits([border, 0.1, 10.0]), module0.geometry)
    signals = run_simulation(ChargeConstants(electrons_per_mev=1e5, lifetime=1e12), coverage, module0)
    created = 1e5 * 0.69691690023
    assert signals.total_e().sum() == pytest.approx(created / 2, rel=1e-5)
    assert (module0.geometry.unravel(coverage.pixel[coverage.pixel >= 0])[0] == 139).all()


def test_nothing_in_the_detector_gives_padding_only(module0, deposits) -> None:
    coverage = cover(deposits([100.0, 0.0, 5.0]), module0.geometry)
    assert (coverage.pixel == -1).all()
    assert run_simulation(ChargeConstants(), coverage, module0).total_e().sum() == 0.0
