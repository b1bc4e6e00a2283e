from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.segments import Segments, batches, from_rows, merge, select, select_events


def _segments() -> Segments:
    """Three events of 3, 4 and 5 cm: one step of 3 cm; steps of 1 and 3 cm of two tracks; a step of 5 cm along z."""
    start = np.array([[0.0, 0, 1], [5, 5, 5], [9, 9, 9], [0, 0, 10]])
    step = np.array([[3.0, 0, 0], [0, 0.6, 0.8], [0, 3, 0], [0, 0, 5]])
    return from_rows(
        [7, 9, 9, 20],
        ([1, 1, 2, 1], [13, 13, 11, 2212]),
        (start, start + step),
        ([6.0, 2, 7, 40], [2.0, 2, 7 / 3, 8], [0.0] * 4),
    )


def test_rows_are_sorted_by_event_and_keep_their_order_within_it() -> None:
    columns = ([5, 1, 5, 1], ([1, 2, 3, 4], [13] * 4), (np.zeros((4, 3)), np.ones((4, 3))), ([1, 2, 3, 4],) * 3)
    segments = from_rows(*columns)
    assert segments.event_id.tolist() == [1, 5]
    assert segments.event.tolist() == [0, 0, 1, 1]
    assert segments.track_id.tolist() == [2, 4, 1, 3]
    assert segments.energy_mev.tolist() == [2, 4, 1, 3]
    assert segments.energy_mev.dtype == np.float64


def test_sizes_and_lengths() -> None:
    segments = _segments()
    assert (segments.n_segments, segments.n_events) == (4, 3)
    np.testing.assert_allclose(segments.length_cm, [3, 1, 3, 5], rtol=1e-15)
    np.testing.assert_allclose(segments.total_length_cm, 12, rtol=1e-15)


def test_segments_pass_through_a_compiled_function() -> None:
    total = jax.jit(lambda segments: segments.total_length_cm + jnp.sum(segments.energy_mev))(_segments())
    np.testing.assert_allclose(total, 12 + 55, rtol=1e-15)


def test_selected_events_are_counted_anew() -> None:
    chosen = select_events(_segments(), [0, 2])
    assert chosen.event_id.tolist() == [7, 20]
    assert chosen.event.tolist() == [0, 1]
    assert chosen.energy_mev.tolist() == [6, 40]


def test_merge_of_parts_is_the_whole() -> None:
    segments = _segments()
    together = merge([select_events(segments, [2]), select_events(segments, [0, 1])])
    for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(segments), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_select_keeps_everything_unless_asked() -> None:
    assert select(_segments()).n_segments == 4


def test_select_by_length_looks_at_trajectories() -> None:
    assert select(_segments(), min_length_cm=2.0).length_cm.round(12).tolist() == [3, 3, 5]


def test_select_by_angle_drops_tracks_along_the_drift() -> None:
    assert select(_segments(), max_cos_drift=0.9).event_id.tolist() == [7, 9]
    assert select(_segments(), max_cos_drift=0.5).n_segments == 2


def test_select_by_volume_needs_both_ends_inside() -> None:
    chosen = select(_segments(), fiducial_cm=[[-1, 10], [-1, 10], [0, 12]])
    assert chosen.energy_mev.tolist() == [6, 2]


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no segment is left of 4 by the selection .*min_length_cm=100"):
        select(_segments(), min_length_cm=100)


@pytest.mark.parametrize(("budget_cm", "sizes"), [(7.0, [2, 1]), (12.0, [3]), (4.5, [1, 1, 1]), (1.0, [1, 1, 1])])
def test_batches_pack_whole_events_in_order(budget_cm: float, sizes: list[int]) -> None:
    packed = batches(_segments(), budget_cm)
    assert [batch.n_events for batch in packed] == sizes
    assert np.concatenate([batch.event_id for batch in packed]).tolist() == [7, 9, 20]
    assert sum(batch.energy_mev.sum() for batch in packed) == 55
