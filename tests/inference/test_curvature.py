"""Second derivatives as a diagonal and few directions."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.inference.curvature import LANCZOS_STEPS, PROBES, decrement, low_rank_hessian
from bayescal.inference.gaussian import gaussian
from bayescal.inference.optimum import LowRankHessian, Optimum
from bayescal.inference.potential import Potential

SIZE = 400


@pytest.fixture
def arrowhead(key):
    """Widths from 1e-3 to 1e3, all weakly tied to the first parameter: the potential of this matrix, and the matrix."""
    widths = np.logspace(-3, 3, SIZE)
    precision = np.eye(SIZE)
    precision[0, 1:] = precision[1:, 0] = 0.9 / np.sqrt(SIZE - 1)
    precision /= np.outer(widths, widths)

    def model(inputs, data=None):
        x = numpyro.sample("x", dist.Normal(0.0, 1e9).expand([SIZE]).to_event(1))
        numpyro.factor("likelihood", -0.5 * x @ inputs @ x)

    return Potential(model, precision, None, key), precision


def test_arrowhead_is_found_from_few_gradients(arrowhead):
    potential, precision = arrowhead
    found = low_rank_hessian(potential, np.zeros(SIZE), np.ones(SIZE))
    approximation = gaussian(Optimum(np.zeros(SIZE), 0.0, np.zeros(SIZE), found, 0.0, 0, 0, ""))
    expected = np.sqrt(np.diag(np.linalg.inv(precision)))
    tie = 0.9 / np.sqrt(
        SIZE - 1
    )  # what it hides of a coordinate's own curvature, less by the root of the displacements
    np.testing.assert_allclose(approximation.sd, expected, rtol=4.0 * 0.5 * tie / np.sqrt(PROBES))
    assert approximation.sd[0] > 2.0 * 1e-3  # the direction that the diagonal alone does not have
    assert potential.evaluations.gradients <= 2 * (PROBES + LANCZOS_STEPS) + 20


def test_decrement_is_that_of_the_matrix(arrowhead):
    potential, precision = arrowhead
    gradient = np.random.default_rng(2).normal(size=SIZE) * np.sqrt(np.diag(precision))
    found = low_rank_hessian(potential, np.zeros(SIZE), np.ones(SIZE))
    np.testing.assert_allclose(decrement(found, gradient), gradient @ np.linalg.solve(precision, gradient), rtol=0.02)


def test_decrement_is_infinite_where_the_potential_falls_away():
    hessian = LowRankHessian(np.ones(3), np.eye(3)[:1], np.array([-2.0]))
    assert decrement(hessian, np.ones(3)) == np.inf


def test_a_cliff_beside_the_point_is_an_error(key):
    potential = Potential(
        lambda inputs, data: numpyro.factor("nan", np.inf * numpyro.sample("x", dist.Normal(inputs, 1.0))),
        0.0,
        None,
        key,
    )
    with pytest.raises(FloatingPointError, match="around the mode is not finite"):
        low_rank_hessian(potential, np.zeros(1), np.ones(1))
