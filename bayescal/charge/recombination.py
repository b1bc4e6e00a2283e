"""Fraction of ionisation electrons that survive recombination, against dE/dx and the drift field.

Every model is an object with its constants; calling it gives the surviving fraction R. Charge is
`dE * electrons_per_mev * R`.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

Real = Float[Array, "..."]
Scalar = Float[Array, ""] | float


class Birks(eqx.Module):
    """R = A_B / (1 + k_B dE/dx / (E rho)).

    S. Amoruso et al. (ICARUS), NIM A 523 (2004) 275.

    Attributes:
        Ab: dimensionless normalisation, 0.800.
        kb: quenching constant, 0.0486 (kV/cm)(g/cm^2)/MeV.
    """

    Ab: Scalar = 0.8
    kb: Scalar = 0.0486

    def __call__(self, dedx: Real, field: Scalar, density: Scalar, cos_phi: Real) -> Real:
        """Surviving fraction for dE/dx [MeV/cm], field [kV/cm], density [g/cm^3]; the angle plays no part."""
        del cos_phi
        return self.Ab / (1 + self.kb * dedx / (field * density))


class ModifiedBox(eqx.Module):
    """R = ln(alpha + xi) / xi with xi = beta dE/dx / (E rho).

    R. Acciarri et al. (ArgoNeuT), JINST 8 (2013) P08005.

    Attributes:
        alpha: dimensionless, 0.93.
        beta: 0.212 (kV/cm)(g/cm^2)/MeV.
    """

    alpha: Scalar = 0.93
    beta: Scalar = 0.212

    def __call__(self, dedx: Real, field: Scalar, density: Scalar, cos_phi: Real) -> Real:
        """Surviving fraction for dE/dx [MeV/cm], field [kV/cm], density [g/cm^3]; the angle plays no part."""
        del cos_phi
        return _box(self.alpha, self.beta * dedx / (field * density))


class EllipsoidalBox(eqx.Module):
    """Modified box whose beta depends on the angle phi between track and field.

    beta(phi) = beta_90 / sqrt(sin^2 phi + cos^2 phi / R^2). ICARUS, arXiv:2407.12969.

    Attributes:
        alpha: dimensionless, 0.904.
        beta_90: beta of a track perpendicular to the field, 0.204 (kV/cm)(g/cm^2)/MeV.
        ratio: R, dimensionless, 1.25.
    """

    alpha: Scalar = 0.904
    beta_90: Scalar = 0.204
    ratio: Scalar = 1.25

    def __call__(self, dedx: Real, field: Scalar, density: Scalar, cos_phi: Real) -> Real:
        """Surviving fraction for dE/dx [MeV/cm], field [kV/cm], density [g/cm^3], cosine of the angle to the field."""
        beta = self.beta_90 / jnp.sqrt(1 - cos_phi**2 + (cos_phi / self.ratio) ** 2)
        return _box(self.alpha, beta * dedx / (field * density))


Recombination = Birks | ModifiedBox | EllipsoidalBox


def _box(alpha: Scalar, xi: Real) -> Real:
    """ln(alpha + xi) / xi, zero with zero gradient where alpha + xi < 1 (no or too little ionisation)."""
    valid = alpha + xi > 1
    safe = jnp.where(valid, xi, 1.0)
    return jnp.where(valid, jnp.log(jnp.where(valid, alpha + safe, 1.0)) / safe, 0.0)
