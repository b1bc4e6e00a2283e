from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from bayescal.charge.coverage import NODES, WEIGHTS, Margins, Resolution, cover
from bayescal.charge.diffusion import land
from bayescal.testing import check_gradient

EVERYTHING = Margins(share=1e-13, charge_e=1e-6)
PITCH_CM = 0.4434
WIDTH_CM = 0.0419523539  # after 100 us at 8.8e-6 cm^2/us


def all_of(coverage, width_cm=WIDTH_CM, shift_cm=(0.0, 0.0)):
    """The landing of every step with one width."""
    width = jnp.full((coverage.first_edge_cm.shape[0], len(NODES)), width_cm)
    return land(coverage, jnp.asarray(shift_cm), width, PITCH_CM)


def after_drift(coverage, tran_diff: float):
    """The landing of every step with the width of its drift at 0.16 cm/us."""
    distance = jnp.abs(coverage.steps.anode_z_cm - coverage.steps.centre_cm[:, 2])
    width = jnp.sqrt(2 * tran_diff * distance / 0.16)
    return land(coverage, jnp.zeros(2), jnp.tile(width[:, None], (1, len(NODES))), PITCH_CM)


def by_step(coverage, values) -> np.ndarray:
    return np.bincount(coverage.pair_step, values, minlength=coverage.first_edge_cm.shape[0])


def test_share_of_a_pixel_and_its_neighbour(module0, deposits) -> None:
    """A charge 0.2 cm right of the centre of pixel (121, 130)."""
    coverage = cover(deposits([22.8351 + 0.2, -4.2123, 10.0]), module0.geometry, EVERYTHING)
    shares = np.bincount(coverage.pair_row, all_of(coverage).share, minlength=coverage.n_rows)
    for column, expected in ((121, 0.69751038), (122, 0.30248962)):
        row = np.flatnonzero(coverage.pixel == module0.geometry.pixel(column, 130, 0))
        assert shares[row] == pytest.approx(expected, abs=2e-7)


@pytest.mark.parametrize(("tran_diff", "lost"), [(2e-6, 1e-12), (8.8e-6, 1e-10), (1.5e-5, 5e-6)])
def test_shares_of_a_step_sum_to_one(module0, tracks, tran_diff: float, lost: float) -> None:
    """Cells within five widths of the largest diffusion and smallest velocity hold all of it."""
    coverage = cover(tracks, module0.geometry, EVERYTHING)
    share = by_step(coverage, after_drift(coverage, tran_diff).share)[coverage.steps.energy_mev > 0]
    np.testing.assert_allclose(share, 1.0, atol=lost)


def test_default_margins_lose_little(module0, tracks) -> None:
    """Pairs below 1e-6 of a step and pixels below 100 e- are left out."""
    coverage = cover(tracks, module0.geometry)
    share = by_step(coverage, after_drift(coverage, 8.8e-6).share)[coverage.steps.energy_mev > 0]
    assert (share <= 1 + 1e-12).all()
    assert share.mean() > 1 - 3e-4


def test_moments_of_a_point_are_those_of_truncated_normals(module0, deposits) -> None:
    """Within a cell, |dx| and |dy| are independent."""
    place = np.array([22.8351 + 0.13, -4.2123 - 0.02])
    coverage = cover(deposits([*place, 10.0]), module0.geometry, EVERYTHING)
    landing = all_of(coverage)
    for pair in np.flatnonzero((np.asarray(landing.share) > 1e-4) & (coverage.pair_step == 0)):
        slot = np.array([coverage.pair_x[pair], coverage.pair_y[pair]])
        lower = coverage.first_edge_cm[0] + coverage.cell_cm * slot
        z = (lower + np.array([[0.0], [PITCH_CM / 2]]) - place) / WIDTH_CM
        axes = [scipy.stats.truncnorm(*z[:, axis], place[axis], WIDTH_CM) for axis in (0, 1)]
        centre = module0.geometry.centre_cm(coverage.pixel[coverage.pair_row[pair]])
        mean = [abs(axis.mean() - c) for axis, c in zip(axes, centre, strict=True)]
        np.testing.assert_allclose(landing.mean[1:, pair], mean, rtol=1e-7)
        np.testing.assert_allclose(landing.covariance[[3, 5], pair], [axis.var() for axis in axes], rtol=1e-6)
        np.testing.assert_allclose(landing.covariance[4, pair], 0.0, atol=1e-10)


def test_moments_along_a_step(module0, deposits) -> None:
    """Against the sum over the nodes of the rule, by hand, for the cell that takes most."""
    start, end = np.array([22.80, -4.25, 10.0]), np.array([22.84, -4.22, 10.0])
    coverage = cover(deposits(start, end), module0.geometry, EVERYTHING)
    landing = all_of(coverage)
    pair = int(np.argmax(landing.share))
    centre = 0.5 * (start + end)[:, None] + 0.5 * (end - start)[:, None] * NODES
    sums = []
    for axis, slot in enumerate((coverage.pair_x[pair], coverage.pair_y[pair])):
        low = coverage.first_edge_cm[0, axis] + coverage.cell_cm * slot
        normal = scipy.stats.norm(centre[axis], WIDTH_CM)
        sums.append(normal.cdf(low + coverage.cell_cm) - normal.cdf(low))
    weight = WEIGHTS * sums[0] * sums[1]
    assert landing.share[pair] == pytest.approx(weight.sum(), rel=1e-12)
    assert landing.mean[0, pair] == pytest.approx(weight @ NODES / weight.sum(), rel=1e-9)
    variance = weight @ NODES**2 / weight.sum() - (weight @ NODES / weight.sum()) ** 2
    assert landing.covariance[0, pair] == pytest.approx(variance, rel=1e-9)


def test_rule_along_a_step_is_converged(module0, deposits) -> None:
    """Three nodes on a step of 0.05 cm share charge like five hundred points do."""
    start, end = np.array([23.03, -4.01, 10.0]), np.array([23.06, -3.97, 10.0])
    coverage = cover(deposits(start, end), module0.geometry, EVERYTHING, Resolution(step_cm=1.0))
    landing = all_of(coverage)
    place = (start + (end - start) * ((np.arange(500) + 0.5) / 500)[:, None])[:, :2]
    for pair in range(int((landing.share > 1e-3).sum())):
        slot = np.array([coverage.pair_x[pair], coverage.pair_y[pair]])
        low = coverage.first_edge_cm[0] + coverage.cell_cm * slot
        ndtr = scipy.special.ndtr
        shares = (ndtr((low + coverage.cell_cm - place) / WIDTH_CM) - ndtr((low - place) / WIDTH_CM)).prod(axis=1)
        assert landing.share[pair] == pytest.approx(shares.mean(), abs=2e-6)


def test_no_diffusion_leaves_the_charge_in_its_cell(module0, deposits) -> None:
    coverage = cover(deposits([22.8351 + 0.05, -4.2123 + 0.07, 10.0]), module0.geometry, EVERYTHING)
    landing = all_of(coverage, width_cm=1e-6)
    pair = int(np.argmax(landing.share))
    assert landing.share[pair] == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(landing.polynomial_terms()[pair], [1, 0.05, 0.07, 0.0035, 0.0025, 0.0049], rtol=1e-9)


def test_a_share_lost_in_rounding_has_moments_inside_the_cell(module0, tracks) -> None:
    """Zero shares too: their mean is the cell's middle, so that no slope and no width is a NaN."""
    landing = all_of(cover(tracks, module0.geometry, EVERYTHING), width_cm=1e-3)
    empty = np.asarray(landing.share) < 1e-30
    assert empty.any()
    np.testing.assert_allclose(landing.mean[1:, empty], PITCH_CM / 4, rtol=1e-8)
    assert all(np.isfinite(values).all() for values in vars(landing).values())


def test_shift_moves_all_charge_the_other_way(module0, deposits) -> None:
    here, there = deposits([22.90, -4.30, 10.0]), deposits([22.90 - 0.03, -4.30 + 0.02, 10.0])
    moved = cover(there, module0.geometry, EVERYTHING)
    still = cover(here, module0.geometry, EVERYTHING)
    found, expected = all_of(still, shift_cm=(0.03, -0.02)), all_of(moved)
    shares = [
        np.bincount(coverage.pixel[coverage.pair_row] + 1, landing.share, minlength=module0.geometry.n_pixels + 1)[1:]
        for coverage, landing in ((still, found), (moved, expected))
    ]
    np.testing.assert_allclose(*shares, atol=1e-8)
    assert (shares[1] > 1e-4).sum() == 2


def test_gradients_of_shares_and_moments(module0, tracks) -> None:
    coverage = cover(tracks, module0.geometry)
    weight = jnp.cos(jnp.arange(coverage.pair_step.size * 1.0))

    def summed(x):
        landing = all_of(coverage, 0.01 * x[0], 0.01 * x[1:])
        parts = (landing.share, landing.share * landing.mean, landing.share * landing.covariance)
        return sum((part * weight).sum() for part in parts)

    for x in ([3.0, 0.0, 0.0], [5.5, 2.0, -3.0], [1.5, -4.0, 1.0]):
        check_gradient(summed, np.array(x), rtol=1e-5, step=1e-3)
