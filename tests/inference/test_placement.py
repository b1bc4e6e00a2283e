"""Programs over chains."""

import jax
import numpy as np
import pytest

from bayescal.inference import FitSettings
from bayescal.inference.placement import Layout, Placement


@pytest.mark.parametrize("method", ["sequential", "parallel", "vectorized"])
def test_every_chain_meets_its_own_numbers(method):
    def program(chain, factor, arguments):
        return factor * chain["place"] + arguments["offset"], chain["number"] + 1

    placement = Placement(FitSettings(chains=5, chain_method=method), program, {"offset": 10.0})
    chains = {"place": np.arange(10.0).reshape(5, 2), "number": np.arange(5)}
    for factor in (2.0, 3.0):
        places, numbers = placement(chains, factor)
        np.testing.assert_array_equal(places, factor * chains["place"] + 10.0)
        np.testing.assert_array_equal(numbers, np.arange(1, 6))


def test_a_program_is_compiled_once_a_device():
    traced = []

    def program(chain, steering, arguments):
        traced.append(1)
        return chain + steering + arguments

    placement = Placement(FitSettings(chains=4, chain_method="parallel"), program, 1.0)
    for steering in (0.0, 1.0):
        placement(np.zeros(4), steering)
    assert len(traced) == len(jax.devices())


def test_shares_are_all_chains():
    for method, together in (("sequential", 1), ("vectorized", 5)):
        layout = Layout(FitSettings(chains=5, chain_method=method))
        assert layout.together == together
        firsts = [first for worker in range(len(layout.workers)) for first in layout.firsts(worker)]
        assert firsts == list(range(0, 5, layout.at_once))
