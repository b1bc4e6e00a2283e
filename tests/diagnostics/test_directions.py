import numpy as np
import pytest

from bayescal.diagnostics.directions import HEADERS, Direction, directions, directions_of
from bayescal.errors import InputError
from bayescal.inference.result import Moments, assemble, laplace_group

LABELS = ("Ab", "electrons_per_mev", "kb")
UNITS = np.array([0.05, 420.0, 0.01])


def result(draws=20_000, prior_draws=20_000):
    """Normal priors; the sum of the first two, in prior widths, is measured to 0.1 and the third to 0.2."""
    rng = np.random.default_rng(0)
    precision = np.eye(3) + 100.0 * np.outer([1.0, 1.0, 0.0], [1.0, 1.0, 0.0]) + 25.0 * np.diag([0.0, 0.0, 1.0])
    covariance = np.linalg.inv(precision) * np.outer(UNITS, UNITS)
    posterior = rng.multivariate_normal(np.zeros(3), covariance, (1, draws))
    prior = UNITS * rng.normal(size=(1, prior_draws, 3))
    by_name = [{name: values[..., i] for i, name in enumerate(LABELS)} for values in (posterior, prior)]
    groups = dict(zip(("posterior", "prior"), by_name, strict=True)) | {"sample_stats": {"lp": posterior[..., 0]}}
    moments = Moments(LABELS, np.zeros(3), covariance)
    attributes = {"method": "nuts", "converged": True, "verdict": "fine", "provenance": {}}
    return assemble(groups, laplace_group(moments, moments, {}), attributes, {})


def test_a_degenerate_pair_is_found_by_name():
    """Shares 1 along the difference, 1/26 along kb, 1/201 along the sum; errors of ratios of variances, 5 sigma."""
    free, third, fixed = directions(result())
    tolerance = 5.0 * np.sqrt(2 * 2.0 / 20_000)
    np.testing.assert_allclose([free.share, third.share, fixed.share], [1.0, 1 / 26, 1 / 201], rtol=tolerance)
    half = np.sqrt(0.5)
    assert abs(free.steps[0]) == pytest.approx(half, abs=tolerance)
    assert free.steps[1] == pytest.approx(-free.steps[0], abs=2 * tolerance)
    assert not free.constrained
    assert {move.split()[0] for move in free.moves(0.1)} == {"Ab", "electrons_per_mev"}
    assert {move.split()[1] for move in free.moves(0.1)} == {"up", "down"}
    assert "of its prior width while" in free.sentence
    assert free.sentence.endswith(f"contraction {1 - free.share:.0%}, left to the prior")
    assert third.sentence == f"kb up by {third.steps[2]:.2f} of its prior width: contraction 96%, set by the data"
    np.testing.assert_allclose(np.abs(fixed.steps), [half, half, 0.0], atol=tolerance)


def test_shares_are_those_of_a_correlated_prior():
    """Two parameters of one precision matrix: the shares by hand, and steps that are one step of the prior."""
    prior = np.array([[1.0, 0.8], [0.8, 1.0]])
    posterior = np.linalg.inv(np.linalg.inv(prior) + np.diag([3.0, 0.0]))
    found = directions_of(("a", "b"), posterior, prior)
    np.testing.assert_allclose([each.share for each in found], [1.0, 0.25], rtol=1e-12)
    for each in found:
        assert each.steps @ np.linalg.solve(prior, each.steps) == pytest.approx(1.0)
    np.testing.assert_allclose(found[0].steps, [0.0, 0.6], atol=1e-12)  # along b where a stands still
    np.testing.assert_allclose(found[1].steps, [1.0, 0.8])


def test_words_of_a_direction():
    free = Direction(LABELS, np.array([-0.6, 0.8, 0.07]), 0.97)
    assert free.sentence == (
        "electrons_per_mev up by 0.80 of its prior width while Ab down by 0.60: contraction 3%, left to the prior"
    )
    row = dict(zip(HEADERS, free.cells(), strict=True))
    assert row == {
        "prior variance left": "0.97",
        "contraction": "0.030",
        "direction, in prior widths": "electrons_per_mev up by 0.80, Ab down by 0.60",
    }


def test_a_mode_has_directions_and_few_prior_draws_are_refused(map_result):
    assert [each.constrained for each in directions(map_result)] == [True] * 3
    with pytest.raises(InputError, match=r"holds 29 draws of the prior, too few .* 3 parameters: .* prior_draws = 30"):
        directions(result(draws=50, prior_draws=29))
