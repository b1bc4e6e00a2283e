from __future__ import annotations

import numpy as np
import pytest

from bayescal.flashes import Clusters, clusters_from_points
from bayescal.light.detector import DriftVolumes
from bayescal.reconstruction.clusters import batch_clusters, bucket_clusters, merge_points, padded_size

VOLUMES = DriftVolumes(np.array([[0.0, -5, -5], [-10, -5, -5]]), np.array([[10.0, 5, 5], [0, 5, 5]]), np.array([1, -1]))


def made(points: list[np.ndarray], volume: list[int]) -> Clusters:
    n = len(points)
    owner = np.arange(n).repeat([len(p) for p in points])
    identity = (np.zeros(n), np.arange(n), volume)
    return clusters_from_points(
        identity, (np.zeros(n), np.full(n, np.nan)), owner, np.concatenate(points), np.arange(owner.size) + 1.0
    )


def line(first_x: float, last_x: float, n: int) -> np.ndarray:
    return np.stack([np.linspace(first_x, last_x, n), np.zeros(n), np.zeros(n)], axis=1)


def test_limits_leave_a_cluster_inside_its_volume() -> None:
    batch = batch_clusters(made([line(-3, 2, 5), line(-4, -1, 3)], [0, 1]), VOLUMES)
    np.testing.assert_allclose(batch.lowest_cm, [3.0, -6.0], atol=2e-4)
    np.testing.assert_allclose(batch.highest_cm, [8.0, 1.0], atol=2e-4)
    for end in (batch.lowest_cm, batch.highest_cm):
        x = batch.position_cm[..., 0] + end[:, None]
        assert (x > VOLUMES.lower_cm[:, :1]).all()
        assert (x < VOLUMES.upper_cm[:, :1]).all()


def test_a_cluster_longer_than_its_volume_is_centred() -> None:
    batch = batch_clusters(made([line(-1, 11, 5)], [0]), VOLUMES)
    assert (batch.lowest_cm[0] + batch.highest_cm[0]) / 2 == pytest.approx(0.0, abs=1e-12)
    assert 0 < batch.highest_cm[0] - batch.lowest_cm[0] < 2e-3


def test_padding_emits_nothing_and_repeats_the_first() -> None:
    batch = batch_clusters(made([line(1, 2, 17), line(3, 4, 2)] + [line(5, 6, 1)] * 3, [0] * 5), VOLUMES)
    assert batch.row.tolist() == [0, 1, 2, 3, 4, -1]
    assert batch.photons.shape == (6, 24)
    assert batch.photons[1].tolist() == [18.0, 19.0] + [0.0] * 22
    np.testing.assert_array_equal(batch.position_cm[1, 2:], np.tile([3.0, 0, 0], (22, 1)))
    np.testing.assert_array_equal(batch.position_cm[5], batch.position_cm[0])


def test_buckets_hold_every_cluster_once() -> None:
    sizes = [3, 20, 16, 40, 17]
    batches = bucket_clusters(made([line(1, 2, n) for n in sizes], [0] * 5), VOLUMES)
    assert [batch.photons.shape for batch in batches] == [(2, 16), (2, 24), (1, 48)]
    assert [batch.row.tolist() for batch in batches] == [[0, 2], [1, 4], [3]]
    for batch in batches:
        for row, photons in zip(batch.row, batch.photons, strict=True):
            assert (photons > 0).sum() == sizes[row]


def test_padded_sizes() -> None:
    assert [padded_size(n) for n in range(1, 14)] == [1, 2, 3, 4, 6, 6, 8, 8, 12, 12, 12, 12, 16]


def test_number_of_clusters_in_a_batch_has_few_values() -> None:
    shapes = {n: batch_clusters(made([line(1, 2, 1)] * n, [0] * n), VOLUMES).n_clusters for n in (5, 200, 257, 700)}
    assert shapes == {5: 6, 200: 256, 257: 512, 700: 768}


def test_merging_keeps_light_its_centre_and_the_limits() -> None:
    clusters = made([line(0.1, 8.9, 23), line(0.2, 5.1, 11)], [0, 0])
    merged = merge_points(clusters, 3.0)
    assert np.bincount(merged.point_cluster).tolist() == [3, 2]
    for moment in (np.ones_like, lambda x: x):
        before, after = (
            np.bincount(c.point_cluster, c.photons * moment(c.position_cm[:, 0])) for c in (clusters, merged)
        )
        np.testing.assert_allclose(after, before, rtol=1e-7)
    whole, fewer = (batch_clusters(clusters, VOLUMES, cell_cm=size) for size in (0.0, 3.0))
    np.testing.assert_array_equal(fewer.lowest_cm, whole.lowest_cm)
    np.testing.assert_array_equal(fewer.highest_cm, whole.highest_cm)
    assert fewer.photons.shape == (2, 16)
    assert whole.photons.shape == (2, 24)
