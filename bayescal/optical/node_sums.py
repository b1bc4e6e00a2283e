"""Sums over the nodes of a source, whose derivatives may be taken node by node.

Light at sensors is a sum over nodes, and each term depends on a dozen numbers of its own node alone. Derivatives by
dozens of parameters follow from those by the numbers of the nodes, and one product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Nodes = Float[Array, "node number"]
Sums = Float[Array, "sum sensor"]
Terms = Callable[[Nodes, Any], tuple[Float[Array, "node sensor"], ...]]

_NODES_AT_A_TIME = 8


class NodeSum(Protocol):
    """Adds up what each node gives to each sensor."""

    def __call__(self, terms: Terms, nodes: Nodes, rest: Any) -> Sums:
        """Sums over nodes.

        Args:
            terms: by (nodes, rest) what each node gives to each sum, from its own numbers.
            nodes: numbers of the nodes.
            rest: what else the terms need.
        """
        ...


def node_sum(terms: Terms, nodes: Nodes, rest: Any) -> Sums:
    """A few nodes at a time, in a gradient too."""

    @jax.checkpoint
    def add(total: Sums, part: Nodes) -> Sums:
        return total + _added(terms, part, rest)

    like = jax.eval_shape(lambda: _added(terms, nodes[:1], rest))
    total = jnp.zeros(like.shape, like.dtype)
    return jax.lax.scan(lambda carry, part: (add(carry, part), None), total, _parts(nodes))[0]


def node_sum_in_single(terms: Terms, nodes: Nodes, rest: Any) -> Sums:
    """In single precision; the sum comes in that of the nodes."""
    return node_sum(terms, *in_single((nodes, rest))).astype(nodes.dtype)


def in_single(tree: Any) -> Any:
    """Arrays of real numbers in single precision; anything else as it is."""

    def single(leaf: Any) -> Any:
        real = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
        return jnp.asarray(leaf, jnp.float32) if real else leaf

    return jax.tree.map(single, tree)


def node_sum_for_slopes(terms: Terms, nodes: Nodes, rest: Any) -> Sums:
    """With forward derivatives by the nodes that cost little for many directions at once; none by the rest."""

    @jax.custom_jvp
    def total(nodes: Nodes) -> Sums:
        return node_sum(terms, nodes, rest)

    @total.defjvp
    def _(primals: tuple[Nodes], tangents: tuple[Nodes]) -> tuple[Sums, Sums]:
        found = total(*primals)
        return found, (tangents[0].reshape(-1) @ _slopes(terms, *primals, rest)).reshape(found.shape)

    return total(nodes)


def _added(terms: Terms, nodes: Nodes, rest: Any) -> Sums:
    return jnp.stack([jnp.sum(each, axis=0) for each in terms(nodes, rest)])


def _parts(nodes: Nodes) -> Float[Array, "part node number"]:
    """Of a few nodes each."""
    size = _NODES_AT_A_TIME if nodes.shape[0] % _NODES_AT_A_TIME == 0 else 1
    return nodes.reshape(-1, size, nodes.shape[1])


def _directions(nodes: Nodes) -> Float[Array, "number node number"]:
    """Each number of all nodes changed alike."""
    columns = nodes.shape[1]
    return jnp.broadcast_to(jnp.eye(columns)[:, None], (columns, *nodes.shape))


def _slopes(terms: Terms, nodes: Nodes, rest: Any) -> Float[Array, "node*number sum*sensor"]:
    """Derivative of every sum by each number of each node."""

    def of_part(part: Nodes) -> Array:
        def along(change: Nodes) -> Array:
            return jnp.stack(jax.jvp(lambda own: terms(own, rest), (part,), (change,))[1], axis=1)

        return jax.vmap(along, out_axes=1)(_directions(part))

    return jax.lax.map(of_part, _parts(nodes)).reshape(nodes.size, -1)
