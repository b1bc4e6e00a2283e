from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.charge.recombination import Birks, EllipsoidalBox, ModifiedBox
from bayescal.testing import check_gradient

DENSITY = 1.38
ARGONEUT = EllipsoidalBox(alpha=0.93, beta_90=0.212, ratio=1.25)


def survive(model, dedx: float, field: float, cos_phi: float = 0.3) -> float:
    return float(model(jnp.asarray(dedx), field, DENSITY, jnp.asarray(cos_phi)))


@pytest.mark.parametrize(
    ("model", "dedx", "field", "fraction"),
    [
        (Birks(), 2.1, 0.5, 0.69691690023),
        (Birks(), 2.1, 0.4, 0.67516741583),
        (Birks(), 10.0, 0.5, 0.46938775510),
        (ModifiedBox(), 2.1, 0.5, 0.70424835893),
        (ModifiedBox(), 2.1, 0.4, 0.68427679662),
        (ModifiedBox(), 10.0, 0.5, 0.45139998978),
        (ModifiedBox(beta=0.207), 2.1, 0.5, 0.70585050994),
    ],
)
def test_surviving_fraction(model, dedx: float, field: float, fraction: float) -> None:
    assert survive(model, dedx, field) == pytest.approx(fraction, abs=1e-11)


@pytest.mark.parametrize(("cos_phi", "fraction"), [(0.0, 0.70424835893), (0.5, 0.70076563013), (1.0, 0.68427679662)])
def test_surviving_fraction_against_the_angle_to_the_field(cos_phi: float, fraction: float) -> None:
    assert survive(ARGONEUT, 2.1, 0.5, cos_phi) == pytest.approx(fraction, abs=1e-11)


def test_published_constants_are_the_default() -> None:
    model = EllipsoidalBox()
    assert (model.alpha, model.beta_90, model.ratio) == (0.904, 0.204, 1.25)


def test_birks_without_quenching() -> None:
    assert survive(Birks(kb=0.0), 5.0, 0.5) == 0.8
    assert survive(Birks(), 5.0, 1e9) == pytest.approx(0.8, rel=1e-8)
    assert survive(Birks(), 0.0, 0.5) == 0.8


def test_density_and_quenching_are_degenerate_in_birks() -> None:
    dedx, angle = jnp.linspace(1.5, 20.0, 9), jnp.zeros(9)
    np.testing.assert_allclose(
        Birks(kb=0.0486)(dedx, 0.5, 1.38, angle), Birks(kb=0.0486 * 1.41 / 1.38)(dedx, 0.5, 1.41, angle), rtol=1e-14
    )


def test_box_of_alpha_one_lets_sparse_ionisation_survive() -> None:
    """ln(1 + xi)/xi -> 1 - xi/2."""
    xi = 0.212 * 1e-4 / (0.5 * DENSITY)
    assert survive(ModifiedBox(alpha=1.0), 1e-4, 0.5) == pytest.approx(1 - xi / 2, abs=1e-9)


def test_ellipsoid_of_ratio_one_is_the_box() -> None:
    round_one = EllipsoidalBox(alpha=0.93, beta_90=0.212, ratio=1.0)
    for cos_phi in (0.0, 0.4, 1.0):
        assert survive(round_one, 3.0, 0.5, cos_phi) == pytest.approx(survive(ModifiedBox(), 3.0, 0.5), rel=1e-14)


@pytest.mark.parametrize("model", [ModifiedBox(), ARGONEUT])
@pytest.mark.parametrize("dedx", [0.0, 1e-300, 0.1])
def test_too_little_ionisation_gives_nothing_and_no_nan(model, dedx: float) -> None:
    """There ln(alpha + xi) is negative; the fraction is zero with zero gradient."""
    value, slope = jax.value_and_grad(lambda x: model(x, 0.5, DENSITY, jnp.asarray(0.5)))(dedx)
    assert value == 0.0
    assert slope == 0.0


@pytest.mark.parametrize(
    ("model", "constants"), [(Birks, (0.8, 0.0486)), (ModifiedBox, (0.93, 0.212)), (EllipsoidalBox, (0.9, 0.2, 1.25))]
)
def test_gradients(model, constants: tuple[float, ...]) -> None:
    def fraction(x: jax.Array) -> jax.Array:
        n = len(constants)
        return model(*x[:n])(x[n], x[n + 1], x[n + 2], x[n + 3])

    for dedx, cos_phi in [(1.7, 0.1), (4.0, 0.6), (20.0, 0.95)]:
        check_gradient(fraction, np.array([*constants, dedx, 0.5, DENSITY, cos_phi]), rtol=1e-7, step=1e-3)
