"""Second derivatives in a space too large for all of them: a diagonal, and the directions in which it is most wrong.

The diagonal S is that of the least Fisher divergence between two normal distributions: displacements dx and the
gradient's changes dg give s_i^4 = E[dx_i^2] / E[dg_i^2] (A. Seyboldt et al., arXiv:2603.18845, the diagonal form). In
its units, Lanczos iterations with full orthogonalisation (G. Golub and C. Van Loan, Matrix Computations, 4th edition,
section 10.1) find the directions along which the potential curves most unlike one. What the displacements show beyond
those directions corrects the diagonal.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayescal.inference.optimum import LowRankHessian
from bayescal.inference.potential import Potential

STEP = 0.05  # of the differences of gradients, in units of the scale, along the coordinate that moves most
LONGEST = 0.5  # of such a step as a whole
PROBES = 8  # random displacements that set the diagonal
FIRST_PROBES = 2  # the same while the scale may be wrong by orders of magnitude
LANCZOS_STEPS = 30  # each gives a direction; the outermost curvatures are found first
SPENT = 1e-6  # share of a product that is new, below which the iterations have seen all that the start contains
SEED = 0  # of the displacements: the curvature at a point is one number, not a random one
WRONG = 4.0  # a factor between a scale and its correction that makes the displacements along it too long or short
RENEWALS = 5  # of such scales, at most

Product = Callable[[np.ndarray], np.ndarray]


def low_rank_hessian(potential: Potential, x: np.ndarray, scale: np.ndarray) -> LowRankHessian:
    """The potential's second derivatives at x, by differences of gradients along random directions.

    Args:
        potential: minus the log-density; reverse mode alone is used.
        x: where [d].
        scale: first guess of the distances over which the gradient changes [d]; best too short.

    Returns:
        A diagonal and at most `LANCZOS_STEPS` directions, from about 2 (PROBES + LANCZOS_STEPS) gradients.

    Raises:
        FloatingPointError: a gradient around x is not finite.
    """
    random = np.random.default_rng(SEED)
    scale = _guess(potential, x, scale, random)
    product = _scaled_product(potential, x, scale)
    basis, products = _krylov(product, random.normal(size=len(x)))
    directions, curvatures = _ritz(basis, products)
    probes = _signs(random, PROBES, len(x))
    known = ((probes @ directions.T) * (curvatures - 1.0)) @ directions
    rest = np.array([product(probe) for probe in probes]) - known
    diagonal = np.clip(np.sqrt(np.mean(rest**2, axis=0)), 1.0 / WRONG, WRONG)
    root = np.sqrt(diagonal)
    return LowRankHessian(scale / root, *_ritz(basis * root, products / root))


def decrement(hessian: LowRankHessian, gradient: np.ndarray) -> float:
    """g^T H^-1 g, infinite where H is not positive definite."""
    if (hessian.curvatures <= 0.0).any():
        return np.inf
    slope = hessian.scale * gradient
    along = hessian.directions @ slope
    return float(slope @ slope + (1.0 / hessian.curvatures - 1.0) @ along**2)


def _guess(potential: Potential, x: np.ndarray, scale: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The diagonal to within a factor, from few displacements, made again while they turn out too long or too short."""
    for _ in range(RENEWALS):
        product = _scaled_product(potential, x, scale)
        changes = np.array([product(probe) for probe in _signs(random, FIRST_PROBES, len(x))])
        with np.errstate(divide="ignore"):  # a coordinate that nothing depends on keeps its scale
            factor = np.mean(changes**2, axis=0) ** -0.25
        factor = np.where(np.isfinite(factor), factor, 1.0)
        scale = scale * factor
        if np.median(np.abs(np.log(factor))) < np.log(WRONG):
            break
    return scale


def _signs(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Displacements of one unit along every coordinate, up or down by chance [n, d]."""
    return random.choice([-1.0, 1.0], size=(n, d))


def _scaled_product(potential: Potential, x: np.ndarray, scale: np.ndarray) -> Product:
    """The second derivatives, in units of the scale, times a vector, by central differences of the gradient."""

    def product(vector: np.ndarray) -> np.ndarray:
        step = min(STEP / np.abs(vector).max(), LONGEST / np.linalg.norm(vector))
        ahead, behind = (potential.value_and_grad(x + side * step * scale * vector)[1] for side in (1.0, -1.0))
        if not (np.isfinite(ahead).all() and np.isfinite(behind).all()):
            raise FloatingPointError("the log-density around the mode is not finite")
        return scale * (ahead - behind) / (2.0 * step)

    return product


def _krylov(product: Product, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis [r, d] of the start and what Lanczos iterations make of it, and the products with it."""
    basis, products = [start / np.linalg.norm(start)], []
    for _ in range(min(LANCZOS_STEPS, len(start))):
        products.append(product(basis[-1]))
        rest = products[-1]
        for _ in range(2):  # the second time removes what rounding left of the first
            rest = rest - np.array(basis).T @ (np.array(basis) @ rest)
        if np.linalg.norm(rest) < SPENT * np.linalg.norm(products[-1]):
            break
        basis.append(rest / np.linalg.norm(rest))
    return np.array(basis[: len(products)]), np.array(products)


def _ritz(basis: np.ndarray, products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions (orthonormal rows) in the span of a basis [r, d], by its products with a matrix, and curvatures."""
    orthonormal, mixing = np.linalg.qr(basis.T)
    small = orthonormal.T @ np.linalg.solve(mixing.T, products).T
    values, vectors = np.linalg.eigh(0.5 * (small + small.T))
    return (orthonormal @ vectors).T, values
