"""Sums over the nodes of a source: cheap derivatives by many parameters, and single precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.node_sums import node_sum, node_sum_for_slopes, node_sum_in_single

PLACE = np.linspace(-1.0, 1.0, 7)
PARAMETERS = 20


def terms(nodes, rest):
    """Light near the place of a node, and that times its time."""
    centre, light, time = nodes.T[..., None]
    seen = light * jnp.exp(-0.5 * ((rest["place"] - centre) / rest["width"]) ** 2)
    return seen, seen * (time + rest["place"] ** 2)


REST = {"place": jnp.asarray(PLACE), "width": jnp.asarray(0.3), "name": 3}


@pytest.fixture(params=[16, 5])
def nodes_of(request):
    """Numbers of the nodes as a function of parameters: of as many nodes as go in parts, and of others."""
    mixing = np.random.default_rng(5).normal(size=(request.param * 3, PARAMETERS))
    return lambda x: jnp.sin(mixing @ x).reshape(-1, 3)


def test_sum_is_that_of_all_nodes(nodes_of):
    nodes = nodes_of(np.linspace(0.0, 1.0, PARAMETERS))
    whole = np.stack([np.sum(each, axis=0) for each in terms(nodes, REST)])
    np.testing.assert_allclose(node_sum(terms, nodes, REST), whole, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(node_sum_for_slopes(terms, nodes, REST), whole, rtol=1e-13, atol=1e-14)


def test_slopes_by_parameters_are_those_of_the_plain_sum(nodes_of):
    x = np.linspace(0.0, 1.0, PARAMETERS)
    plain, ours = (
        jax.jacfwd(lambda x, total=total: total(terms, nodes_of(x), REST))(x)
        for total in (node_sum, node_sum_for_slopes)
    )
    assert ours.shape == (2, 7, PARAMETERS)
    np.testing.assert_allclose(ours, plain, rtol=1e-10, atol=1e-12)


def test_slopes_are_computed_once_for_all_directions(nodes_of):
    """No array of directions by nodes by sensors: the directions meet only the slopes by the numbers of the nodes."""
    x = np.linspace(0.0, 1.0, PARAMETERS)
    found = {}
    for total in (node_sum, node_sum_for_slopes):
        program = jax.make_jaxpr(jax.jacfwd(lambda x, total=total: total(terms, nodes_of(x), REST)))(x)
        found[total] = any(f"f64[{PARAMETERS},{part},7]" in str(program) for part in (8, 1))
    assert found == {node_sum: True, node_sum_for_slopes: False}


def test_single_precision_comes_in_that_of_the_nodes(nodes_of):
    """No array of nodes by sensors is in double precision; at most thirty roundings of every term are in a sum."""
    nodes = nodes_of(np.linspace(0.0, 1.0, PARAMETERS))
    whole, quick = node_sum(terms, nodes, REST), node_sum_in_single(terms, nodes, REST)
    assert quick.dtype == jnp.float64
    size = np.stack([np.sum(np.abs(each), axis=0) for each in terms(nodes, REST)])
    error = np.abs(np.asarray(quick - whole))
    assert error.max() > 0.0
    assert (error < 30 * np.finfo(np.float32).eps * size).all()
    doubles = {}
    for total in (node_sum, node_sum_in_single):
        program = jax.make_jaxpr(lambda nodes, total=total: total(terms, nodes, REST))(nodes)
        doubles[total] = any(f"f64[{part},7]" in str(program) for part in (8, 1))
    assert doubles == {node_sum: True, node_sum_in_single: False}
