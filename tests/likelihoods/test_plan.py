from __future__ import annotations

import jax
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.likelihoods.plan import HitPlan, Tolerance, common_shapes

EXACT = Tolerance(charge_e=0.0)


def intervals(plan: HitPlan):
    """Row, slot, watched ticks with their multiplicity, and end of every real interval."""
    for group in plan.groups:
        for index in np.flatnonzero(group.real):
            start, ticks = group.stretches.start[index], group.stretches.ticks[index].astype(int)
            watched = np.concatenate([np.arange(s, s + n) for s, n in zip(start, ticks, strict=True)])
            yield group.row[index], group.slot[index], watched, group.stretches.end[index]


@pytest.mark.parametrize("tolerance", [EXACT, Tolerance(), Tolerance(1e4, 0)], ids=["exact", "default", "coarse"])
def test_every_watched_tick_is_in_one_stretch(pixels, tolerance):
    made = pixels([8000.0, 12_000.0, 500.0])
    value = made.hits([(85, 83.0)], [(80, 84.0), (120, 82.0)])
    plan = made.plan(value[..., 0], tolerance)
    found = {(row, slot): (watched, end) for row, slot, watched, end in intervals(plan)}
    expected = {
        (0, 0): (0, 85),
        (0, 1): (85 + 28, 200),  # restart after 20 ticks, eight more are not watched
        (1, 0): (0, 80),
        (1, 1): (108, 120),
        (1, 2): (148, 200),
        (2, 0): (0, 200),
    }
    assert found.keys() == expected.keys()
    for name, (first, end) in expected.items():
        np.testing.assert_array_equal(found[name][0], np.arange(first, end))
        assert found[name][1] == end


def test_charge_changes_little_over_a_stretch(pixels):
    """By no more than the tolerance, also for signals that come up to eight ticks earlier or later."""
    made = pixels([20_000.0])
    plan = made.plan(made.hits()[..., 0], Tolerance(charge_e=120.0, margin_ticks=8))
    (group,) = plan.groups
    start, ticks = group.stretches.start[0], group.stretches.ticks[0]
    real = ticks > 0
    for late in (-8, 0, 8):
        change = made.collected(start[real] + ticks[real] - 1 + late) - made.collected(start[real] + late)
        assert change.max() <= 120.0
    assert 8 < real.sum() < 100


def test_hit_that_ends_at_the_window_leaves_no_interval(pixels):
    made = pixels([8000.0])
    plan = made.plan(made.hits([(175, 83.0)])[..., 0])
    assert [slot for _, slot, _, _ in intervals(plan)] == [0]


def test_last_hit_of_a_full_chip_ends_the_account(pixels):
    made = pixels([8000.0], max_hits=1)
    plan = made.plan(made.hits([(85, 83.0)])[..., 0])
    assert [slot for _, slot, _, _ in intervals(plan)] == [0]


def test_pairs_of_a_pixel_contribute_to_its_intervals(pixels):
    made = pixels(np.array([[3000.0, 5000.0], [1.0, 2.0]]))
    plan = made.plan(made.hits([(85, 83.0)])[..., 0])
    contributions = sorted(
        (int(group.row[row]), int(pair))
        for group in plan.groups
        for row, pair in zip(group.request.row, group.request.pair, strict=True)
        if pair < 4
    )
    assert contributions == [(0, 0), (0, 0), (0, 1), (0, 1), (1, 2), (1, 3)]


def test_offsets_reach_down_to_the_charge_that_discards_can_lose(pixels):
    made = pixels([15_000.0])
    plan = made.plan(made.hits()[..., 0])
    (group,) = plan.groups
    assert group.grid.lowest_e < -15_000.0
    assert group.grid.lowest_e + group.grid.step_e * (group.grid.size - 1) == 4500.0


def test_interval_too_short_for_a_restart_needs_no_offsets_for_lost_charge(pixels):
    """The chip watches again 28 ticks after a hit; a restart after a discarded firing takes 20 more."""
    made = pixels([40_000.0], 2.0)
    sizes = []
    for ticks in (19, 20):
        plan = made.plan(made.hits([(60, 83.0), (60 + 28 + ticks, 90.0)])[..., 0])
        sizes += [group.grid.size for group in plan.groups if 1 in group.slot[group.real]]
    assert sizes[0] < sizes[1]


def test_padding_has_no_effect_and_common_shapes_share_a_program(pixels):
    """Five data sets, whose plans differ in the number of intervals and in which sizes of intervals there are."""
    made = pixels(np.linspace(2000.0, 16_000.0, 19), 0.2, 4.0, n_ticks=60)
    values = [made.draw(jax.random.key(number)) for number in range(5)]
    values.append(made.hits())
    plans = [made.plan(value[..., 0], Tolerance(), "float64") for value in values]
    traces = []

    @jax.jit
    def density(plan, value):
        traces.append(1)
        return made.readout(plan).log_prob(value)

    shared = common_shapes(plans, made.rows)
    assert any(len(plan.groups) < len(other.groups) for plan, other in zip(plans, shared, strict=True))
    found = [density(plan, value) for plan, value in zip(shared, values, strict=True)]
    assert len(traces) == 1
    for number in (0, 5):
        np.testing.assert_allclose(found[number], density(plans[number], values[number]), rtol=1e-9)


@pytest.mark.parametrize(
    ("ticks", "wrong"),
    [([250], 250), ([-1], -1), ([85, 112], 112), ([85, 85], 85)],
    ids=["late", "early", "dead", "same"],
)
def test_hit_that_the_chip_cannot_record_is_named(pixels, ticks, wrong):
    made = pixels([8000.0])
    value = made.hits([(tick, 83.0) for tick in ticks])
    with pytest.raises(InputError, match=rf"pixel 0 of event index 0 fires at tick {wrong}, outside the window"):
        made.plan(value[..., 0])
