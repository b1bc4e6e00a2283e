"""Priors that samplers see in coordinates of their choice, while values stay physical.

A sampler walks in unconstrained coordinates, which NumPyro derives from a prior's support. Here the support is that of
real vectors x = centre + root z, and z is what the sampler sees: with a centre and a root of the covariance guessed
from the data, z is nearly standard normal a posteriori, whatever the prior on x is.
"""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import biject_to, constraints
from numpyro.distributions.transforms import LowerCholeskyAffine

from bayescal.special import log_normal_pdf


class Around(constraints.Constraint):
    """Real vectors, with coordinates z of x = centre + root z."""

    event_dim = 1

    def __init__(self, centre: Float[Array, "*batch d"], root: Float[Array, "*batch d d"]) -> None:
        self.centre, self.root = centre, root

    def __call__(self, x: ArrayLike) -> Array:
        """Whether vectors are finite."""
        return jnp.isfinite(jnp.asarray(x)).all(axis=-1)

    def tree_flatten(self) -> tuple:
        """As NumPyro's own constraints."""
        return (self.centre, self.root), (("centre", "root"), {})

    def feasible_like(self, prototype: ArrayLike) -> Array:
        """The centre."""
        return jnp.broadcast_to(self.centre, jnp.shape(prototype))


@biject_to.register(Around)
def _affine(constraint: Around) -> LowerCholeskyAffine:
    return LowerCholeskyAffine(constraint.centre, constraint.root)


class StandardisedNormal(dist.Distribution):
    """Independent normal components, which samplers see in the coordinates z of x = centre + root z.

    Args:
        loc: means [*batch, d].
        scale: standard deviations, of a shape that broadcasts with them.
        centre: x at z = 0 [*batch, d].
        root: lower triangular with a positive diagonal [*batch, d, d].
    """

    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    pytree_data_fields = ("loc", "scale", "centre", "root")

    def __init__(self, loc: ArrayLike, scale: ArrayLike, centre: Array, root: Array) -> None:
        self.centre, self.root = centre, root
        self.loc, self.scale = (jnp.broadcast_to(jnp.asarray(value), centre.shape) for value in (loc, scale))
        super().__init__(batch_shape=centre.shape[:-1], event_shape=centre.shape[-1:])

    @property
    def support(self) -> Around:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Real vectors."""
        return Around(self.centre, self.root)

    @property
    def mean(self) -> Array:
        """Of x."""
        return self.loc

    @property
    def variance(self) -> Array:
        """Of x."""
        return self.scale**2

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Array:
        """Draws of x."""
        return self.loc + self.scale * jax.random.normal(key, self.shape(sample_shape))

    def log_prob(self, value: ArrayLike) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Log density of x."""
        return log_normal_pdf(jnp.asarray(value) - self.loc, self.scale).sum(axis=-1)
