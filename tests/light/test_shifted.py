from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.light.shifted import LEAST_PE, light_between, scan_of_light

NODES = np.linspace(-3.0, 5.0, 9)


def test_cubics_are_exact_and_light_stays_positive() -> None:
    """Slopes by five nodes are exact to fourth order, and a cubic between two nodes to third."""
    between = np.linspace(-3.0, 5.0, 50)

    def cubic(x):
        return np.stack([x**3 - 2 * x + 40, 5 - 0 * x, x - 10], axis=1)

    found = jax.jit(lambda *scan: light_between(scan_of_light(*scan[:2]), scan[2]))(NODES, cubic(NODES), between)
    np.testing.assert_allclose(found[:, :2], cubic(between)[:, :2], rtol=1e-12)
    assert (np.asarray(found[:, 2]) == LEAST_PE).all()


def test_error_falls_with_the_fourth_power_of_the_step() -> None:
    """Of 1/(1 + x^2/25): halving the step leaves a sixteenth of the error, half as much again allowed for."""
    between, errors = np.linspace(-3.0, 5.0, 201), []
    for n_nodes in (17, 33):
        nodes = np.linspace(-3.0, 5.0, n_nodes)
        scan = scan_of_light(jnp.asarray(nodes), jnp.asarray(1 / (1 + nodes[:, None] ** 2 / 25)))
        found = np.asarray(light_between(scan, jnp.asarray(between)))[:, 0]
        errors.append(np.abs(found - 1 / (1 + between**2 / 25)).max())
    assert errors[1] < errors[0] / 10
    assert errors[0] < 1e-4
