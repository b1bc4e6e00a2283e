from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light.shift_network import NetworkSize, Scaling, ShiftDensity, ShiftNetwork, initialise_network
from bayescal.reconstruction.clusters import ClusterBatch
from bayescal.reconstruction.proposed_shift import (
    Proposal,
    WeightedShifts,
    guessed_density,
    proposed_density,
    proposed_posteriors,
    stratified_draws,
)
from bayescal.reconstruction.shift_summary import moments
from bayescal.reconstruction.t0 import Flash, Grid, ShiftPosterior, flashes_of, shift_posteriors

N_DRAWS = 1000
ERROR_OF = {"mean_cm": "mean_error_cm", "log_evidence": "log_evidence_error"}
GRID_ERROR = 0.01  # of its log-evidence, and of its mean in standard deviations


class Seen(NamedTuple):
    """Tracks, their flashes, and their posteriors by the grid."""

    batch: ClusterBatch
    flashes: Flash
    posterior: ShiftPosterior


@pytest.fixture(scope="module")
def seen(toy, seen_tracks) -> Seen:
    batch, _, counts, time = seen_tracks(16, 4)
    posterior = shift_posteriors(batch, counts, toy.light, Grid(24, 192), time)
    return Seen(batch, flashes_of(counts, time), posterior)


@pytest.fixture(scope="module")
def network() -> ShiftNetwork:
    """Not trained: it holds all shifts for equal."""
    light = jnp.stack([jnp.full(12, 3.0), jnp.ones(12)])
    scaling = Scaling(jnp.array([[0.0] * 3, [30.0] * 3]), jnp.array([[20.0, 10.0], [5.0, 1.0]]), light)
    return initialise_network(jax.random.key(1), 12, scaling, NetworkSize(16, 8, 16, 2), "toy")


@pytest.fixture(scope="module")
def wrong(network) -> ShiftNetwork:
    """A network whose masses differ by factors of hundreds, for no reason."""
    weight = 2 * jax.random.normal(jax.random.key(2), network.layers[-1].weight.shape, jnp.float32)
    return eqx.tree_at(lambda n: n.layers[-1].weight, network, weight)


density_of = eqx.filter_jit(proposed_density)


def one(rows, row: int):
    return jax.tree.map(lambda values: jnp.asarray(values)[row], rows)


@pytest.mark.parametrize("name", ["network", "wrong"])
def test_the_answer_is_the_grids_whatever_the_network(toy, seen, name, request) -> None:
    """Evidence and moments to five Monte-Carlo errors and the grid's own error."""
    proposal = Proposal(request.getfixturevalue(name), N_DRAWS, 0.2)
    found = proposed_posteriors(jax.random.key(3), seen.batch, seen.flashes, toy.light, proposal)
    mean, sd = (np.asarray(values) for values in moments(seen.posterior))
    assert (np.asarray(found.ess) > 15).all()
    away = np.abs(found.log_evidence - seen.posterior.log_evidence)
    assert (away < 5 * found.log_evidence_error + GRID_ERROR).all()
    assert (np.abs(found.mean_cm - mean) < 5 * found.mean_error_cm + GRID_ERROR * sd).all()
    squares = found.weight * ((found.shift_cm - mean[:, None]) ** 2 - sd[:, None] ** 2)
    error = np.sqrt((np.diff(squares) ** 2).sum(axis=1) / 2)
    assert (np.abs(found.sd_cm**2 - sd**2) < 5 * error + 2 * GRID_ERROR * sd**2).all()
    assert np.median(found.log_evidence_error) < 0.02


def test_weights_are_bounded_by_the_even_share(seen, wrong) -> None:
    """The density is at least that share of an even one, and adds up to one."""
    for row in (0, 12):
        found = density_of(one(seen.batch, row), one(seen.flashes, row), Proposal(wrong, 50, 0.1))
        assert float(found.mass.sum()) == pytest.approx(1.0, abs=1e-12)
        assert float(found.mass.min()) >= 0.1 / 16


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_shares_without_a_bound_are_refused(network, share) -> None:
    with pytest.raises(ValueError, match=f"even_share must be above zero and at most one, it is {share}"):
        Proposal(network, 50, share)


def test_a_measured_time_narrows_the_proposal(seen, network) -> None:
    """The network holds all shifts for equal, so that the proposal is the time's normal density on the bins."""
    cluster, flash = one(seen.batch, 0), one(seen.flashes, 0)
    found = density_of(cluster, flash, Proposal(network, 50, 1e-9))
    normal = np.exp(-0.5 * ((np.asarray(found.centre_cm) - float(flash.constraint.mean_cm)) / 0.5) ** 2)
    np.testing.assert_allclose(found.mass, normal / normal.sum(), rtol=1e-5, atol=1e-9)
    guess = guessed_density(network, cluster, flash.counts)
    np.testing.assert_allclose(guess.mass, 1 / 16, rtol=1e-6)


def test_stratified_draws_follow_the_density() -> None:
    """Of n draws n p fall into a bin of mass p, to one at each of its ends."""
    mass = jnp.array([0.05, 0.0, 0.6, 0.35])
    density = ShiftDensity(jnp.asarray(-1.0), jnp.asarray(3.0), mass)
    shift, log_density = stratified_draws(jax.random.key(1), density, 1000)
    counted, _ = np.histogram(shift, bins=[-1, 0, 1, 2, 3])
    assert (np.abs(counted - 1000 * np.asarray(mass)) <= 2).all()
    assert (np.diff(shift) > 0).all()
    np.testing.assert_allclose(np.exp(log_density), np.asarray(mass)[np.floor(np.asarray(shift) + 1).astype(int)])


def test_errors_are_those_of_repeated_draws(toy, seen, wrong) -> None:
    """The draws of 16 tracks repeated 8 times: a standard deviation of 112 degrees of freedom is known to 7 %.

    Differences of neighbours hold those of their strata, too, so that stated errors may be too large, not too small.
    """
    proposal = Proposal(wrong, N_DRAWS, 0.2)
    keys = jax.random.split(jax.random.key(4), 8)
    found = [proposed_posteriors(key, seen.batch, seen.flashes, toy.light, proposal) for key in keys]
    for name in ("mean_cm", "log_evidence"):
        values, errors = (np.array([getattr(f, which) for f in found]) for which in (name, ERROR_OF[name]))
        ratio = np.sqrt(np.mean(values.var(axis=0, ddof=1) / np.mean(errors**2, axis=0)))
        assert 0.3 < ratio < 1.25


def test_summaries_by_hand() -> None:
    """Shifts of 0, 1 and 3 cm with weights of 1/4, 1/2 and 1/4; quantiles between the middles of the weights."""
    found = WeightedShifts(jnp.array([[0.0, 1.0, 3.0]]), jnp.array([[0.25, 0.5, 0.25]]), jnp.zeros(1), jnp.zeros(1))
    assert float(found.mean_cm[0]) == pytest.approx(1.25)
    assert float(found.sd_cm[0]) == pytest.approx(np.sqrt(2.75 - 1.25**2))
    assert float(found.ess[0]) == pytest.approx(8 / 3)
    assert float(found.mean_error_cm[0]) == pytest.approx(np.sqrt((0.1875**2 + 0.5625**2) / 2))
    assert float(found.log_evidence_error[0]) == pytest.approx(0.25)
    assert [float(found.quantile(share)[0]) for share in (0.125, 0.5, 0.6875)] == [0.0, 1.0, pytest.approx(2.0)]
