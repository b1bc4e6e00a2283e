"""Sums over all injective partial matchings of rows with columns, differentiable, and exact draws of matchings.

Each matching has the weight exp(sum of the gains of its pairs). Let B_i(S) be the sum over matchings of the rows from i
on with columns outside the set S; B_n = 1 and

    B_i(S) = B_{i+1}(S) + sum over j outside S of exp(gain_ij) B_{i+1}(S + j),

in logarithms, over all subsets S of the columns. Gains of pairs that are impossible are `IMPOSSIBLE`, not infinite, so
that gradients stay finite.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

IMPOSSIBLE = -1e30


def log_sum(gain: Float[Array, "row column"]) -> Float[Array, ""]:
    """Logarithm of the sum over all matchings; the work is rows times columns times 2^columns.

    Args:
        gain: of each pair, relative to both unmatched.
    """
    return _backwards(gain)[0, 0]


def draw_matching(key: Array, gain: Float[Array, "row column"]) -> Int[Array, " row"]:
    """Column of each row in a matching drawn with its probability, -1 for none.

    Args:
        key: random key.
        gain: of each pair, relative to both unmatched.
    """
    n_columns = gain.shape[1]
    sums = _backwards(gain)
    bits = 1 << jnp.arange(n_columns)

    def row(used: Int[Array, ""], step: tuple) -> tuple[Int[Array, ""], Int[Array, ""]]:
        key, gain, after = step
        free = (used & bits) == 0
        each = jnp.where(free, gain + after[used | bits], IMPOSSIBLE)
        chosen = jax.random.categorical(key, jnp.append(each, after[used]))
        return jnp.where(chosen < n_columns, used | (1 << chosen), used), jnp.where(chosen < n_columns, chosen, -1)

    return jax.lax.scan(row, jnp.zeros((), int), (jax.random.split(key, len(gain)), gain, sums[1:]))[1]


def _backwards(gain: Float[Array, "row column"]) -> Float[Array, "row1 subset"]:
    """Logarithms of B_i(S) for all rows and one more; a subset is a number whose bits are the columns used.

    An array over subsets, seen as (higher bits, bit j, lower bits), has those without and with column j at the two
    places of its middle axis.
    """
    n_columns = gain.shape[1]

    def step(after: Float[Array, " subset"], gain: Float[Array, " column"]) -> tuple[Array, Array]:
        total = after
        for column in range(n_columns):
            pair = total.reshape(-1, 2, 1 << column)
            taken = gain[column] + after.reshape(-1, 2, 1 << column)[:, 1]
            total = jnp.stack([jnp.logaddexp(pair[:, 0], taken), pair[:, 1]], axis=1).reshape(-1)
        return total, total

    last = jnp.zeros(1 << n_columns)
    return jnp.concatenate([jax.lax.scan(step, last, gain, reverse=True)[1], last[None]])
