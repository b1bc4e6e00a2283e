"""Coordinates in which a sampler sees a positive quantity: the logarithm of what is measured of it.

Data often measure a product, a light yield times the light of its sensor. Where the factor depends on other parameters
the posterior of the quantity is a thin curved sheet; that of the product is straight. The prior stays that of the
quantity.
"""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions import biject_to, constraints
from numpyro.distributions.transforms import AffineTransform, ComposeTransform, ExpTransform


class _PositiveTimes(constraints.Constraint):
    """Positive numbers, of which a multiple is measured."""

    event_dim = 0

    def __init__(self, factor: Float[Array, ...]) -> None:
        self.factor = factor

    def __call__(self, x: Float[Array, ...]) -> Array:
        return x > 0

    def feasible_like(self, prototype: Float[Array, ...]) -> Array:
        """One everywhere."""
        return jnp.ones_like(prototype)

    def tree_flatten(self) -> tuple[tuple[Array], tuple[tuple[str], dict]]:
        """The factor is a child."""
        return (self.factor,), (("factor",), {})

    def eq(self, other: object, static: bool = False) -> bool:  # noqa: FBT001, FBT002 NumPyro's signature
        """Whether another constraint is the same one."""
        del static
        return self is other


@biject_to.register(_PositiveTimes)
def _logarithm_of_the_product(constraint: _PositiveTimes) -> ComposeTransform:
    return ComposeTransform([ExpTransform(), AffineTransform(0.0, 1 / constraint.factor, domain=constraints.positive)])


class MeasuredTimes(dist.Distribution):
    """A prior of a positive quantity, with the logarithm of quantity times factor as its unconstrained coordinate.

    Args:
        prior: of the quantity; its support must be the positive numbers.
        factor: positive, to be broadcast with the prior's batch shape; may depend on other parameters.
    """

    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    pytree_data_fields = ("prior", "factor")

    def __init__(self, prior: dist.Distribution, factor: Float[Array, ...]) -> None:
        batch_shape = jnp.broadcast_shapes(prior.batch_shape, jnp.shape(factor))
        self.prior, self.factor = prior.expand(batch_shape), jnp.asarray(factor)
        super().__init__(batch_shape=batch_shape, event_shape=())

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Positive numbers."""
        return _PositiveTimes(self.factor)

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Array:
        """Draws of the prior."""
        return self.prior.sample(key, sample_shape)

    def log_prob(self, value: Float[Array, ...]) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The prior's log density."""
        return self.prior.log_prob(value)
