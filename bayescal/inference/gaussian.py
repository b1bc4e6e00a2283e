"""Normal distributions in the unconstrained space: x = mode + F y whitens, with F as a matrix or in few numbers.

Both forms are pytrees, so that compiled programs take them as arguments; the operations work on NumPy's arrays and,
inside a program, on JAX's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from bayescal.inference.optimum import LowRankHessian, Optimum

Numbers = Any  # an array: NumPy's outside a compiled program, JAX's inside


class Approximation(Protocol):
    """What a method may ask of the normal distribution at the mode, whatever holds its covariance."""

    @property
    def mode(self) -> np.ndarray:
        """Centre [d]."""
        ...

    @property
    def sd(self) -> np.ndarray:
        """Marginal standard deviations [d]."""
        ...

    def colour(self, y: Numbers) -> Numbers:
        """Unconstrained coordinates of whitened ones [..., d]; standard normal y become draws."""
        ...

    def whiten(self, x: Numbers) -> Numbers:
        """Whitened coordinates of unconstrained ones [..., d]."""
        ...

    def log_volume(self) -> float:
        """Logarithm of the volume of a unit of whitened coordinates, log |det F|."""
        ...

    def dense(self) -> Gaussian:
        """The same with its covariance as a matrix, for a method that needs one: 16 d^2 bytes."""
        ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Gaussian:
    """A normal distribution that holds its covariance.

    Attributes:
        mode: centre [d].
        covariance: inverse Hessian of the potential at the mode [d, d].
        factor: lower Cholesky factor of the covariance: x = mode + factor y whitens.
    """

    mode: np.ndarray
    covariance: np.ndarray
    factor: np.ndarray

    @property
    def sd(self) -> np.ndarray:
        """Marginal standard deviations [d]."""
        return np.sqrt(np.diag(self.covariance))

    def colour(self, y: Numbers) -> Numbers:
        """Unconstrained coordinates of whitened ones [..., d]."""
        return self.mode + y @ self.factor.T

    def whiten(self, x: Numbers) -> Numbers:
        """Whitened coordinates of unconstrained ones [..., d]."""
        return np.linalg.solve(self.factor, np.swapaxes(x - self.mode, -1, -2)).swapaxes(-1, -2)

    def log_volume(self) -> float:
        """Logarithm of the volume of a unit of whitened coordinates, log |det factor|."""
        return float(np.linalg.slogdet(self.factor)[1])

    def dense(self) -> Gaussian:
        """Itself."""
        return self


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LowRankGaussian:
    """A normal distribution whose covariance is diagonal but for a few directions: S (1 + V' (v - 1) V) S.

    Attributes:
        mode: centre [d].
        scale: diagonal of S [d].
        directions: orthonormal rows V, in units of the scale [r, d].
        variances: v, along the directions in these units [r]; it is one along all others.
    """

    mode: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    variances: np.ndarray

    @property
    def sd(self) -> np.ndarray:
        """Marginal standard deviations [d]."""
        return self.scale * np.sqrt(1.0 + (self.variances - 1.0) @ self.directions**2)

    def colour(self, y: Numbers) -> Numbers:
        """Unconstrained coordinates of whitened ones [..., d]."""
        return self.mode + self.scale * self._stretched(y, self.variances**0.5)

    def whiten(self, x: Numbers) -> Numbers:
        """Whitened coordinates of unconstrained ones [..., d]."""
        return self._stretched((x - self.mode) / self.scale, self.variances**-0.5)

    def slope(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient by whitened coordinates of one by unconstrained ones [d]."""
        return self._stretched(self.scale * gradient, self.variances**0.5)

    def log_volume(self) -> float:
        """Logarithm of the volume of a unit of whitened coordinates."""
        return float(np.log(self.scale).sum() + 0.5 * np.log(self.variances).sum())

    def dense(self) -> Gaussian:
        """The same with its covariance as a matrix."""
        root = self.colour(np.eye(len(self.mode))) - self.mode
        covariance = root.T @ root
        return Gaussian(self.mode, covariance, np.linalg.cholesky(covariance))

    def _stretched(self, y: Numbers, factors: Numbers) -> Numbers:
        """Vectors [..., d] that are made longer by a factor along each direction [r]."""
        return y + ((y @ self.directions.T) * (factors - 1.0)) @ self.directions


def gaussian(optimum: Optimum) -> Gaussian | LowRankGaussian:
    """The Gaussian of an optimum; where its Hessian is not positive definite, |eigenvalues| stand in."""
    if isinstance(optimum.hessian, LowRankHessian):
        scale, directions, curvatures = optimum.hessian
        return LowRankGaussian(optimum.x, scale, directions, 1.0 / _positive(curvatures))
    values, vectors = np.linalg.eigh(optimum.hessian)
    covariance = (vectors / _positive(values)) @ vectors.T
    return Gaussian(optimum.x, covariance, np.linalg.cholesky(covariance))


class Change(NamedTuple):
    """From whitened coordinates y to others, y': y = centre + factor y'."""

    centre: np.ndarray
    factor: np.ndarray

    def place(self, y: np.ndarray) -> np.ndarray:
        """The new coordinates of places [n, d]."""
        return np.linalg.solve(self.factor, (y - self.centre).T).T

    def slope(self, gradient: np.ndarray) -> np.ndarray:
        """Gradients by the new coordinates of those by the old ones [n, d]."""
        return gradient @ self.factor


def learnt(old: Gaussian, draws: np.ndarray) -> tuple[Change, Gaussian]:
    """Centre and factor that whiten draws, given in the whitened coordinates of an old Gaussian [n, d].

    The draws' covariance is shrunk towards the old one, which few draws cannot replace.
    """
    n, d = draws.shape
    shrinkage = (d + 2.0) / (n + d + 2.0)
    spread = (1.0 - shrinkage) * np.atleast_2d(np.cov(draws.T)) + shrinkage * np.eye(d)
    change = Change(draws.mean(axis=0), np.linalg.cholesky(spread))
    factor = old.factor @ change.factor
    return change, Gaussian(old.mode + old.factor @ change.centre, factor @ factor.T, factor)


def _positive(eigenvalues: np.ndarray) -> np.ndarray:
    sizes = np.abs(eigenvalues)
    return np.maximum(sizes, 1e-14 * sizes.max(initial=0.0))
