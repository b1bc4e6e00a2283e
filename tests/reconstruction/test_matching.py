from __future__ import annotations

from itertools import product
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.stats

from bayescal.light.detector import DriftVolumes
from bayescal.likelihoods.limits import no_limits
from bayescal.reconstruction.assignments import assignment_posterior
from bayescal.reconstruction.clusters import ClusterBatch, batch_clusters
from bayescal.reconstruction.matching import Background, Matching, Trigger, match
from bayescal.reconstruction.t0 import Constraint, Flash, Grid, Light, promise, refine, scan

GRID = Grid(16, 64)
TRIGGER = Trigger(20, 1e-3)
BACKGROUND = Background(0.5, 20.0, 1e5, np.full(12, 0.5))
ORDER = np.array([3, 0, 5, 2, 4])  # flash i comes from cluster ORDER[i]; the sixth flash comes from none


class Event(NamedTuple):
    """Six clusters, of which number 1 has no flash, six flashes, and their matching."""

    batch: ClusterBatch
    shift_cm: np.ndarray
    counts: np.ndarray
    matching: Matching


@pytest.fixture(scope="module")
def event(toy, flash) -> Event:
    """The sixth flash has a pattern that no track makes; the third lacks two sensors."""
    batch = batch_clusters(toy.tracks(11, 6), toy.volumes)
    shift = np.random.default_rng(12).uniform(batch.lowest_cm, batch.highest_cm)
    counts = flash(toy, batch, shift, 13)[ORDER]
    counts = np.concatenate([counts, np.array([[300.0, 0, 0] * 4])])
    counts[2, 4:6] = np.nan
    return Event(batch, shift, counts, match(batch, counts, toy.light, (BACKGROUND, TRIGGER), GRID))


@pytest.fixture(scope="module")
def all_evidences(event, toy, dense) -> np.ndarray:
    """Log-evidence of all pairs on dense grids."""
    return np.array([[dense(toy, event.batch, i, counts).log_evidence for counts in event.counts] for i in range(6)])


def test_background_is_normalised() -> None:
    """Over all counts of two sensors with totals within the limits, and over those of one that is there."""
    background = Background(2.5, 3.0, 30.0, np.array([0.5, 1.5]))
    pairs = np.array([c for c in product(range(31), repeat=2) if 3 <= sum(c) <= 30], float)
    assert np.exp(background.log_density(pairs)).sum() == pytest.approx(2.5, rel=1e-12)
    single = np.stack([np.arange(3.0, 31.0), np.full(28, np.nan)], axis=1)
    assert np.exp(background.log_density(single)).sum() == pytest.approx(2.5, rel=1e-12)


def test_pattern_of_the_background_by_hand() -> None:
    """With a concentration of one, the ten patterns of two photo-electrons on four sensors are equally likely."""
    background = Background(1.0, 1.0, 2.0, np.ones(4))
    total = np.log(0.5 / 1.5)  # of 1 and 1/2 the second
    np.testing.assert_allclose(background.log_density(np.array([[2.0, 0, 0, 0], [1, 1, 0, 0]])), total - np.log(10))


def test_weights_are_evidences_against_the_background(event, all_evidences) -> None:
    expected = all_evidences + np.log(1 - 1e-3) - BACKGROUND.log_density(event.counts)
    kept = np.isfinite(event.matching.log_weight)
    np.testing.assert_allclose(event.matching.log_weight[kept], expected[kept], atol=0.01)
    assert kept[ORDER, np.arange(5)].all()
    assert event.matching.pairs.tolist() == np.argwhere(kept).tolist()
    assert event.matching.shifts.log_evidence.shape == (kept.sum(),)


def test_pairs_left_out_are_improbable(event, all_evidences) -> None:
    """The exact weights of all pairs give the same probabilities."""
    left_out = ~np.isfinite(event.matching.log_weight)
    assert left_out.any()
    weight = all_evidences + np.log(1 - 1e-3) - BACKGROUND.log_density(event.counts)
    found = assignment_posterior(weight, event.matching.log_unmatched)
    assert found.probability[left_out].max() < 1e-9
    np.testing.assert_allclose(event.matching.assignments.probability, found.probability, atol=0.01)


def test_padding_changes_nothing(event, toy) -> None:
    """Each pair by itself, without padding: log-probabilities of up to some hundred, to 1e4 roundings of one."""

    @eqx.filter_jit
    def alone(cluster: ClusterBatch, counts: np.ndarray) -> float:
        seen = Flash(counts, no_limits(()), Constraint(np.zeros(()), np.array(np.inf)))
        light = scan(cluster, toy.light, GRID)
        return refine(light, promise(light, seen, toy.light.readout), seen, toy.light.readout, GRID).log_evidence

    assert len(event.counts) == 6, "padded to 8"
    for (i, j), found in zip(event.matching.pairs, event.matching.shifts.log_evidence, strict=True):
        cluster = jax.tree.map(lambda values, row=i: np.asarray(values)[row], event.batch)
        assert alone(cluster, event.counts[j]) == pytest.approx(found, rel=0, abs=1e4 * np.spacing(100.0))


def test_events_of_other_sizes_need_no_other_program(toy, flash, caplog) -> None:
    """The first event compiles all programs; fewer and more clusters, flashes, points and pairs that matter do not."""
    traces = []

    def readout(mean_pe: jax.Array) -> object:
        traces.append(1)
        return toy.light.readout(mean_pe)

    def compiled(n_clusters: int, n_flashes: int, length_cm: float) -> int:
        batch = batch_clusters(toy.tracks(21, n_clusters, length_cm=length_cm), toy.volumes)
        shift = np.random.default_rng(22).uniform(batch.lowest_cm, batch.highest_cm)
        counts = flash(toy, batch, shift, 23)[:n_flashes]
        caplog.clear()
        with jax.log_compiles():
            match(batch, counts, Light(toy.light.expected, readout), (BACKGROUND, TRIGGER), GRID)
        return sum("Finished XLA compilation" in record.getMessage() for record in caplog.records)

    assert compiled(6, 6, 20.0) > 0
    first = len(traces)
    assert first > 0
    assert [compiled(*size) for size in ((6, 5, 20.0), (3, 2, 10.0), (1, 1, 20.0), (8, 8, 15.0))] == [0, 0, 0, 0]
    assert len(traces) == first


def test_clusters_are_matched_with_their_flashes(event) -> None:
    found = event.matching.assignments
    truth = np.full(6, -1)
    truth[ORDER] = np.arange(5)
    assert found.best.tolist() == truth.tolist()
    assert (found.probability[ORDER, np.arange(5)] > 0.9).all()
    assert found.unmatched_flash[5] > 0.9
    assert found.unmatched_cluster[1] > 0.9


def test_a_cluster_below_the_threshold_has_no_flash(event, toy) -> None:
    """u against the mean over shifts of the probability that the total stays below, by SciPy."""
    for row in range(6):
        position = (
            event.batch.position_cm[row]
            + np.linspace(event.batch.lowest_cm[row], event.batch.highest_cm[row], GRID.n_coarse)[:, None, None]
            * np.eye(3)[0]
        )
        mean = toy.light.expected.by_numpy(position, event.batch.photons[row])
        total, variance = mean.sum(axis=1), (mean + 0.01 * mean**2).sum(axis=1)
        size = total**2 / (variance - total)
        below = scipy.stats.nbinom.cdf(TRIGGER.threshold_pe - 1, size, size / (size + total)).mean()
        assert event.matching.log_unmatched[row] == pytest.approx(np.log(1e-3 + (1 - 1e-3) * below), abs=1e-6)


def test_times_decide_between_look_alikes(event, toy, dense) -> None:
    """Every time asks for a shift to 3 mm: pairs out of the range go, the others have the density of the time in it."""
    mean = np.full((event.batch.n_clusters, 6), 100.0)
    mean[:6, :5] = event.shift_cm[ORDER]
    mean[ORDER[0], 0] += 0.2
    constraint = Constraint(mean, np.full(mean.shape, 0.3))
    found = match(event.batch, event.counts, toy.light, (BACKGROUND, TRIGGER), GRID, constraint)
    assert found.assignments.unmatched_flash[5] == 1.0
    expected = dense(toy, event.batch, ORDER[0], event.counts[0], (mean[ORDER[0], 0], 0.3)).log_evidence
    expected += np.log(1 - 1e-3) - BACKGROUND.log_density(event.counts)[0]
    assert found.log_weight[ORDER[0], 0] == pytest.approx(expected, abs=0.01)
    assert (found.assignments.probability[ORDER, np.arange(5)] > 0.99).all()


def crowd(toy, flash, n_clusters: int) -> Matching:
    """Matching of clusters in a detector whose length goes with their number: 20 in 240 cm with 16 sensors."""
    n_rows = n_clusters // 5
    y, z = np.meshgrid(np.linspace(-45, 45, 4), 60.0 * (np.arange(n_rows) - (n_rows - 1) / 2))
    place = np.stack([np.full(y.size, -17.0), y.ravel(), z.ravel()], axis=1)
    half = np.array([15.0, 60.0, 30.0 * n_rows])
    light = Light(type(toy.light.expected)(place, np.full(y.size, 40.0), half), toy.light.readout)
    long = type(toy)(light, DriftVolumes(-half[None], half[None], np.ones(1)))
    batch = batch_clusters(long.tracks(100, n_clusters), long.volumes)
    shift = np.random.default_rng(100).uniform(batch.lowest_cm, batch.highest_cm)
    counts = flash(long, batch, shift, 100)[:n_clusters]
    return match(batch, counts, light, (Background(1.0, 20.0, 1e6, np.full(y.size, 0.5)), TRIGGER), GRID)


@pytest.mark.validate
def test_pairs_grow_more_like_the_clusters_than_like_all_pairs(toy, flash) -> None:
    """From 20 to 100 clusters by less than 5^1.5, between 5 (linear) and 25 (all pairs); no true pair is lost."""
    few, many = crowd(toy, flash, 20), crowd(toy, flash, 100)
    for found, n_clusters in ((few, 20), (many, 100)):
        assert np.isfinite(found.log_weight.diagonal()).all()
        assert (found.assignments.best == np.arange(n_clusters)).mean() > 0.95
    assert len(many.pairs) < 5**1.5 * len(few.pairs)
    assert (many.assignments.probability > 0).sum() < 5**1.5 * (few.assignments.probability > 0).sum()
