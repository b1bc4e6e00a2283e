"""Programs over chains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.inference import FitSettings
from bayescal.inference.placement import Placement


@pytest.mark.parametrize(("method", "shares"), [("sequential", 3), ("vectorized", 1)])
def test_every_chain_meets_its_own_numbers(method, shares):
    placement = Placement(FitSettings(chains=3, chain_method=method), {"offset": jnp.asarray(10.0)})
    split = placement.split((jnp.arange(3.0), jax.random.split(jax.random.key(0), 3)))
    assert len(split) == shares

    @jax.jit
    def program(share, factor, arguments):
        return placement.over_chains(lambda one: factor * one[0] + arguments["offset"])(share)

    done = placement.run(program, split, 2.0)
    np.testing.assert_array_equal(np.concatenate(list(done.values())), [10.0, 12.0, 14.0])
