from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from bayescal.charge.drift import drift_velocity
from bayescal.charge.induction import (
    A_FAST,
    B_FAST_US,
    C_SLOW_US,
    RESPONSE_ADVANCE_US,
    START_US,
    ParametrisedResponse,
    Pulse,
    TruncatedResponse,
    fast_fraction,
    polynomial,
    two_component_cdf,
)
from bayescal.testing import check_gradient

PLACES = [(0.0, 0.0), (0.1, 0.05), (0.2217, 0.2217), (0.2217, 0.0)]
SIDE = np.linspace(0.0, 0.2217, 12)
GRID = np.stack(np.meshgrid(SIDE, SIDE), axis=-1).reshape(-1, 2)


def terms(place_cm) -> jax.Array:
    x, y = jnp.asarray(place_cm, float).T
    return jnp.stack([jnp.ones_like(x), x, y, x * y, x**2, y**2], axis=-1)


def pulse(place_cm, drift_us: float = 100.0) -> Pulse:
    """A point charge, with the fraction of the fast component capped at one without rounding the corner."""
    t = terms(np.atleast_2d(place_cm))
    width = np.sqrt(2 * 4e-6 * drift_us) / drift_velocity(0.5, 87.17)
    return Pulse(
        end_us=drift_us - RESPONSE_ADVANCE_US + polynomial(START_US, t),
        width_us=jnp.full(len(t), width),
        fraction=jnp.minimum(polynomial(A_FAST, t), 1.0),
        fast_us=polynomial(B_FAST_US, t),
        slow_us=polynomial(C_SLOW_US, t),
        drift_us=jnp.full(len(t), drift_us),
    )


def collected(response, charges: Pulse, time_us) -> np.ndarray:
    time = jnp.broadcast_to(jnp.asarray(time_us, float), (charges.end_us.size, np.size(time_us)))
    return np.asarray(response.collected(time, charges))


@pytest.mark.parametrize(
    ("coefficients", "values"),
    [
        (A_FAST, (1.06, 0.955518, 0.965125, 0.868649)),
        (B_FAST_US, (0.679, 0.491397, 0.087225, 0.167537)),
        (C_SLOW_US, (2.644, 1.908903, 3.749724, 2.865511)),
        (START_US, (2.948, 2.82655, 4.031809, 3.371328)),
    ],
)
def test_polynomials_of_the_landing_place(coefficients, values) -> None:
    np.testing.assert_allclose(polynomial(coefficients, terms(PLACES)), values, atol=1e-6)
    mirrored = [place[::-1] for place in PLACES]
    np.testing.assert_allclose(polynomial(coefficients, terms(mirrored)), values, atol=1e-6)


def test_fast_fraction_is_capped_without_a_kink() -> None:
    """Never above one, at most sqrt(1e-5)/2 below the cap, far from it the polynomial itself."""
    hard = np.minimum(polynomial(A_FAST, terms(GRID)), 1.0)
    soft = np.asarray(fast_fraction(terms(GRID)))
    assert (soft < 1).all()
    assert (soft <= hard).all()
    assert (hard - soft).max() <= 0.5 * np.sqrt(1e-5)
    np.testing.assert_allclose(soft[hard < 0.95], hard[hard < 0.95], atol=6e-5)
    check_gradient(lambda x: fast_fraction(terms(x[None]))[0], np.array([0.06, 0.005]), rtol=1e-6)


@pytest.mark.parametrize(
    ("place_cm", "fractions"),
    [
        ((0.0, 0.0), (0.073243, 0.319430, 0.661571, 0.912029, 0.985166, 0.999998, 1.0)),
        ((0.1, 0.05), (0.052193, 0.288693, 0.717887, 0.957591, 0.995866, 1.0, 1.0)),
        ((0.2217, 0.2217), (0.016189, 0.021137, 0.024153, 0.026195, 0.027906, 0.098948, 0.858801)),
    ],
)
def test_cumulative_fractions(place_cm, fractions) -> None:
    time = 0.1 * np.array([960, 970, 975, 978, 980, 985, 990]) + 0.05
    np.testing.assert_allclose(collected(ParametrisedResponse(), pulse(place_cm), time)[0], fractions, atol=1e-6)


def test_pulse_is_a_normal_less_an_exponential() -> None:
    """Against SciPy's distribution of a normal plus an exponential, turned round."""
    charges, time = pulse(GRID[::7]), np.linspace(80.0, 101.0, 211)
    expected = 0.0
    for weight, mean in ((charges.fraction, charges.fast_us), (1 - charges.fraction, charges.slow_us)):
        shape = {"K": (mean / charges.width_us)[:, None], "scale": charges.width_us[:, None]}
        expected += weight[:, None] * scipy.stats.exponnorm.sf(charges.end_us[:, None] - time, **shape)
    np.testing.assert_allclose(collected(ParametrisedResponse(), charges, time), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits_of_the_pulse(dtype) -> None:
    """No spread: an exponential. No exponential: a normal. Far away: 0 and 1. No NaN on the way, nor in slopes."""
    time = np.linspace(-20.0, 20.0, 81, dtype=dtype)[None] - dtype(0.013)
    one, short = np.ones(1, dtype), np.full(1, 1e-4, dtype)
    sharp = two_component_cdf(time, 0 * one, short, one, 2 * one, 2 * one)
    np.testing.assert_allclose(sharp, np.minimum(np.exp(time / 2), 1.0), atol=1e-4)
    normal = two_component_cdf(time, 0 * one, 2 * one, one, short, short)
    np.testing.assert_allclose(normal, scipy.stats.norm.cdf(time / 2), atol=1e-4)
    slopes = jax.grad(lambda *shape: two_component_cdf(time * 1e3, *shape).sum(), argnums=(0, 1, 2, 3, 4))
    for shape in [(0 * one, short, 0.9 * one, one, 3 * one), (0 * one, one, 0.9 * one, short, one)]:
        ends = two_component_cdf(np.array([[-1e4, 1e4]], dtype), *shape)
        np.testing.assert_allclose(ends, [[0.0, 1.0]], atol=1e-6)
        assert ends.dtype == dtype
        assert all(np.isfinite(slope).all() for slope in slopes(*shape))


def test_pulse_rises() -> None:
    values = collected(ParametrisedResponse(), pulse(GRID), np.linspace(70.0, 102.0, 400))
    assert (np.diff(values, axis=1) >= -1e-15).all()


def test_gradients_of_the_pulse() -> None:
    """Closed-form derivatives by end, width, fraction and both means; weights make every time count."""
    time = jnp.linspace(-4.0, 1.5, 12)[None]
    weight = jnp.cos(3.0 * jnp.arange(12.0))
    for end, width, fraction, fast, slow in [
        (0.0, 0.2, 0.9, 0.5, 2.5),
        (-0.7, 0.05, 0.3, 0.09, 3.7),
        (0.3, 0.6, 1.0, 0.4, 1.9),
    ]:
        check_gradient(
            lambda x: (weight * two_component_cdf(time, *x[:, None])[0]).sum(),
            np.array([end, width, fraction, fast, slow]),
            rtol=1e-6,
        )


def test_truncated_response_starts_51_ticks_before_the_drift_time() -> None:
    """Nothing before tick k0 - 51, everything after tick k0 - 1, where k0 is the drift time rounded to a tick."""
    charges = pulse(GRID, drift_us=100.03)
    before, last, after = 0.1 * np.array([1000 - 51, 1000 - 1, 1300]) + np.array([-0.05, 0.05, 0.05])
    values = collected(TruncatedResponse(), charges, [before, last, after])
    np.testing.assert_allclose(values[:, 0], 0.0, atol=1e-15)
    np.testing.assert_array_equal(values[:, 1], values[:, 2])


def test_truncated_response_is_scaled_by_its_inner_samples() -> None:
    """Samples 1 to 49 of each component add up to one; all 51 exceed it, by 1.9e-2 and, weighted, by 2.2e-3 at most."""
    largest = {}
    for name in ("fast", "slow", "both"):
        charges = pulse(GRID, drift_us=100.0)
        fraction = {"fast": jnp.ones(len(GRID)), "slow": jnp.zeros(len(GRID)), "both": charges.fraction}[name]
        charges = Pulse(*charges.table()[:2], fraction, *charges.table()[3:])
        edges = 0.1 * (1000 - 51 + np.array([0, 1, 50, 51])) - 0.05
        start, first, last, stop = collected(TruncatedResponse(), charges, edges).T
        np.testing.assert_allclose(last - first, 1.0, rtol=1e-12)
        assert (stop - start >= 1).all()
        largest[name] = (stop - start).max() - 1
    assert largest["slow"] == pytest.approx(1.9e-2, abs=1e-3)
    assert largest["fast"] < 1.9e-2
    assert largest["both"] == pytest.approx(2.2e-3, abs=2e-4)


def test_truncated_response_differs_by_its_tails_only() -> None:
    """Inside its window its shape is that of the full response, scaled; an exponential of 0.679 us loses 2e-3."""
    charges, time = pulse((0.0, 0.0)), np.linspace(96.0, 99.9, 40)
    full, cut = (collected(response, charges, time)[0] for response in (ParametrisedResponse(), TruncatedResponse()))
    slope, offset = np.polyfit(full, cut, 1)
    np.testing.assert_allclose(slope * full + offset, cut, atol=1e-6)
    assert 1.0 < slope < 1.02


def test_clock_of_a_pulse() -> None:
    moved = pulse(PLACES).on_clock(jnp.asarray(95.0), jnp.float32)
    assert all(values.dtype == jnp.float32 for values in moved.table())
    np.testing.assert_allclose(moved.end_us, pulse(PLACES).end_us - 95.0, rtol=1e-6)
    np.testing.assert_allclose(moved.drift_us, 5.0)
    np.testing.assert_allclose(moved.width_us, pulse(PLACES).width_us, rtol=1e-6)
    again = Pulse.from_table(jnp.stack(moved.table()))
    np.testing.assert_array_equal(again.slow_us, moved.slow_us)
