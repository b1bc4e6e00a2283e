"""A NumPyro model written in whitened coordinates, for libraries that ask for a model instead of a density."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.distributions import biject_to
from numpyro.primitives import Messenger

from bayescal.inference.gaussian import Gaussian

SITE = "_whitened"  # the only free parameter of such a model, y [d]


class unconstrained_values(Messenger):
    """Gives the free parameters of a model their values, from unconstrained ones by name.

    Attributes:
        log_det: of the transforms, added up over the parameters seen.
    """

    def __init__(self, values: Mapping[str, Array]) -> None:
        self.values, self.log_det = values, jnp.zeros(())
        super().__init__()

    def process_message(self, msg: Any) -> None:
        """Hand a parameter its value; it still counts its prior."""
        if msg["type"] != "sample" or msg["name"] not in self.values:
            return
        transform, x = biject_to(msg["fn"].support), self.values[msg["name"]]
        msg["value"], msg["is_observed"] = transform(x), True
        self.log_det = self.log_det + jnp.sum(transform.log_abs_det_jacobian(x, msg["value"]))


def whitened(
    model: Callable[[Any, Any], Any], whitening: Gaussian, unravel: Callable[[Array], Mapping[str, Array]]
) -> Callable[[Any, Any], None]:
    """The model with one free parameter y, x = mode + factor y; its density is that of y up to a constant factor.

    Args:
        model: any.
        whitening: Gaussian in its unconstrained space.
        unravel: unconstrained values by name of a flat vector x [d].
    """
    size = whitening.mode.shape[0]

    def run(inputs: Any, data: Any) -> None:
        y: Any = numpyro.sample(SITE, dist.Normal(0.0, 1.0).expand([size]).to_event(1).mask(False))
        handler = unconstrained_values(unravel(whitening.colour(y)))
        with handler:
            model(inputs, data)
        numpyro.factor("_log_det", handler.log_det)

    return run
