"""Coordinates in which a sampler sees a positive quantity, chosen so that the posterior is about normal in them.

Data often measure a product, a light yield times the light of its sensor: where the factor depends on other parameters
the posterior of the quantity is a thin curved sheet, that of the product is straight (`logarithm_times`). Of a length
over which light is absorbed they measure the inverse (`inverse_root`), and a width that adds in quadrature they bound
from above alone (`linear_above`). The prior stays that of the quantity.
"""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions import biject_to, constraints
from numpyro.distributions.transforms import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    SoftplusTransform,
    Transform,
)

Real = Float[Array, "..."]


def logarithm_times(factor: Real) -> Transform:
    """From log(quantity times factor) to the quantity; the factor is positive and may depend on other parameters."""
    return ComposeTransform([ExpTransform(), AffineTransform(0.0, 1 / factor, domain=constraints.positive)])


def inverse_root(scale: float) -> Transform:
    """From a coordinate that is (scale/quantity)^(1/2) where that is large, and its logarithm where it is small."""
    return ComposeTransform(
        [SoftplusTransform(), PowerTransform(-2.0), AffineTransform(0.0, scale, domain=constraints.positive)]
    )


def linear_above(scale: float) -> Transform:
    """From a coordinate that is quantity/scale where that is large, and its logarithm where it is small."""
    return ComposeTransform([SoftplusTransform(), AffineTransform(0.0, scale, domain=constraints.positive)])


class _Through(constraints.Constraint):
    """Positive numbers that a transform makes of all real ones."""

    event_dim = 0

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def __call__(self, x: Real) -> Array:
        return x > 0

    def feasible_like(self, prototype: Real) -> Array:
        """One everywhere."""
        return jnp.ones_like(prototype)

    def tree_flatten(self) -> tuple[tuple[Transform], tuple[tuple[str], dict]]:
        """The transform is a child."""
        return (self.transform,), (("transform",), {})

    def eq(self, other: object, static: bool = False) -> bool:  # noqa: FBT001, FBT002 NumPyro's signature
        """Whether another constraint is the same one."""
        del static
        return self is other


@biject_to.register(_Through)
def _transform_of(constraint: _Through) -> Transform:
    return constraint.transform


class InCoordinate(dist.Distribution):
    """A prior of a positive quantity, with a coordinate of its own for samplers.

    Args:
        prior: of the quantity; its support must be the positive numbers.
        transform: from the coordinate, any real number, to the quantity; its parameters broadcast with the prior's.
    """

    arg_constraints: ClassVar = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    pytree_data_fields = ("prior", "transform")

    def __init__(self, prior: dist.Distribution, transform: Transform) -> None:
        self.transform = transform
        self.prior = prior.expand(transform.forward_shape(prior.batch_shape))
        super().__init__(batch_shape=self.prior.batch_shape, event_shape=())

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Positive numbers."""
        return _Through(self.transform)

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Array, sample_shape: tuple[int, ...] = ()
    ) -> Array:
        """Draws of the prior."""
        return jnp.asarray(self.prior.sample(key, sample_shape))

    def log_prob(self, value: Real) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The prior's log density."""
        return jnp.asarray(self.prior.log_prob(value))
