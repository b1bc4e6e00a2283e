"""Random keys as numbers."""

import jax
import numpy as np

from bayescal.inference.keys import as_keys, as_numbers, blank, stacked


def state(seed):
    return {"key": jax.random.key(seed), "place": jax.numpy.arange(3.0), "count": 2}


def test_keys_there_and_back():
    form = jax.eval_shape(state, 1)
    numbers = jax.tree.map(np.asarray, as_numbers(jax.jit(state)(1)))
    again = as_keys(numbers, form)
    assert jax.random.uniform(again["key"]) == jax.random.uniform(jax.random.key(1))
    np.testing.assert_array_equal(again["place"], np.arange(3.0))


def test_blank_states_have_the_form_of_stacked_ones():
    many = stacked([as_numbers(jax.jit(state)(seed)) for seed in range(4)])
    empty = blank(jax.eval_shape(state, 1), 4)
    assert many["place"].shape == (4, 3)
    for leaf, other in zip(jax.tree.leaves(many), jax.tree.leaves(empty), strict=True):
        assert isinstance(leaf, np.ndarray)
        assert (leaf.shape, leaf.dtype) == (other.shape, other.dtype)
