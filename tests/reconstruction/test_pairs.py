from __future__ import annotations

import jax
import numpy as np

from bayescal.likelihoods.limits import no_limits
from bayescal.reconstruction.clusters import batch_clusters
from bayescal.reconstruction.pairs import PairRows, promise_pairs, refine_pairs, scan_clusters, seen_flashes
from bayescal.reconstruction.t0 import Flash, Grid, no_constraint, promise

GRID = Grid(8, 16)
N = 300  # more than a block of 256


def test_clusters_and_pairs_beyond_a_block(toy, flash) -> None:
    """Light at all nodes by NumPy, to 1e3 roundings; promises and evidences as those of the pairs at the end alone."""
    batch = batch_clusters(toy.tracks(31, N), toy.volumes)
    scans = scan_clusters(batch, toy.light.expected, GRID)
    shift = np.asarray(scans.shift_cm)[:N]
    moved = batch.position_cm[:N, None] + shift[:, :, None, None] * np.eye(3)[0]
    expected = toy.light.expected.by_numpy(moved, batch.photons[:N, None])
    np.testing.assert_allclose(scans.mean_pe[:N], expected, rtol=1e3 * np.finfo(float).eps)
    seen, number = (flash(toy, batch, batch.lowest_cm, 32), no_limits((batch.n_clusters,))), np.arange(N)
    pairs = PairRows(number, number, no_constraint(N))
    promises, highest = promise_pairs(scans, seen, toy.light.readout, pairs)
    assert highest.shape == (N,)
    last = jax.tree.map(lambda values: values[-3:], pairs)
    own, own_highest = promise_pairs(scans, seen, toy.light.readout, last)
    np.testing.assert_array_equal(highest[-3:], own_highest)
    found = refine_pairs(scans, promises, seen, toy.light.readout, GRID, pairs)
    alone = refine_pairs(scans, own, seen, toy.light.readout, GRID, last)
    np.testing.assert_array_equal(found.log_evidence[-3:], alone.log_evidence)
    one = jax.tree.map(lambda values: values[N - 1], scans)
    direct = promise(one, Flash(seen[0][N - 1], no_limits(()), no_constraint(1)), toy.light.readout)
    np.testing.assert_allclose(promises.log_likelihood[-1], direct.log_likelihood, rtol=1e-10)


def test_no_pairs_give_no_rows(toy, flash) -> None:
    batch = batch_clusters(toy.tracks(33, 2), toy.volumes)
    scans = scan_clusters(batch, toy.light.expected, GRID)
    seen = flash(toy, batch, batch.lowest_cm, 34), no_limits((2,))
    none = PairRows(np.zeros(0, int), np.zeros(0, int), no_constraint(0))
    promises, highest = promise_pairs(scans, seen, toy.light.readout, none)
    assert highest.shape == (0,)
    found = refine_pairs(scans, promises, seen, toy.light.readout, GRID, none)
    assert found.shift_cm.shape == (0, 24)


def test_limits_are_padded_without_effect() -> None:
    """Five sensors at the end of their range make room for six limits; nothing saturated makes none."""
    counts = np.arange(1.0, 13.0)[None]
    saturated = counts > 7
    found = seen_flashes(counts, 1, saturated=saturated)
    assert found.limits.sensor.tolist() == [[7, 8, 9, 10, 11, -1]]
    assert found.limits.least_pe.tolist() == [[8, 9, 10, 11, 12, 1]]
    assert seen_flashes(counts, 1, saturated=saturated & False).limits.sensor.shape == (1, 0)
