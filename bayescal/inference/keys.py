"""States with random keys as plain arrays, so that they can be stacked, saved and read again."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def as_numbers(tree: Any) -> Any:
    """The tree with its random keys as numbers."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def as_keys(tree: Any, form: Any) -> Any:
    """What `as_numbers` made of a tree of this form, with its keys again."""
    return jax.tree.map(lambda leaf, like: jax.random.wrap_key_data(leaf) if _is_key(like) else leaf, tree, form)


def blank(form: Any, chains: int) -> Any:
    """Zeros for so many states of a form, their keys as numbers; the leading axis is the chain."""
    numbers = jax.eval_shape(as_numbers, form)
    return jax.tree.map(lambda leaf: np.zeros((chains, *leaf.shape), leaf.dtype), numbers)


def stacked(states: list[Any]) -> Any:
    """States of single chains as one tree on the host; the leading axis is the chain."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *jax.device_get(states))


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
