"""What a source emits: points along it, each with its light, its time and the angles to which it shines."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike, NDArray

from bayescal.optical.geometry import Tank
from bayescal.special import INV_SQRT_2PI, normal_cdf

Scalar = Float[Array | np.ndarray, ""] | float
Real = Float[Array, "*n"]
Reals = Float[Array | np.ndarray, "*n"] | float

_UNIFORM_PART = 0.8  # of the variance over a disc: the Gaussian for the rest bridges the gaps between nodes of a track
_LEAST_VARIANCE = 1e-12  # of a cosine: keeps a sensor that is seen edge-on from being a point
_LEAST_SINE2 = 1e-6  # at the threshold
_PANEL_NODES, _PANEL_WEIGHTS = np.polynomial.legendre.leggauss(32)


class Seen(NamedTuple):
    """What sensors get of light that is emitted at an angle.

    Attributes:
        density_per_sr: mean, over the face of a sensor, of the probability per solid angle [1/sr].
        slope_per_sr: its derivative by the Cherenkov angle [1/(sr rad)].
        curvature_per_sr: its second derivative [1/(sr rad^2)].
    """

    density_per_sr: Real
    slope_per_sr: Real
    curvature_per_sr: Real

    def colours(self, dispersion_rad: Scalar) -> tuple[Reals, Reals]:
        """Density times the mean colour, and times its mean square [1/sr].

        The colour is the standardised delay by dispersion: positive for blue light, which is late and at larger angles.
        Both are tied by dispersion, so that the mean colour at an angle is a linear regression, exact for Gaussians.

        Args:
            dispersion_rad: standard deviation of the Cherenkov angle by dispersion alone [rad].
        """
        return dispersion_rad * self.slope_per_sr, self.density_per_sr + dispersion_rad**2 * self.curvature_per_sr


class _Broad(eqx.Module):
    """Light whose intensity changes little from angle to angle."""

    @abstractmethod
    def density_per_sr(self, cos_theta: Reals, cos_theta_c: Reals, cone_width: Reals) -> Real:
        """Probability per solid angle [1/sr]."""

    def seen(self, cos_theta: Reals, cos_theta_c: Reals, cone_width: Reals, face_rad2: Reals) -> Seen:
        """At the centres of sensors, as if it did not change at all; arguments as of `GaussianCone`."""
        del face_rad2
        density = self.density_per_sr(cos_theta, cos_theta_c, cone_width)
        return Seen(density, jnp.zeros_like(density), jnp.zeros_like(density))


class Isotropic(_Broad):
    """Light of the same intensity in all directions."""

    def density_per_sr(self, cos_theta: Reals, cos_theta_c: Reals, cone_width: Reals) -> Real:
        """Probability per solid angle, 1/(4 pi) [1/sr]."""
        del cos_theta_c, cone_width
        return jnp.full(jnp.shape(cos_theta), 0.25 / jnp.pi)


class GaussianCone(eqx.Module):
    """Light near a cone, Gaussian in the cosine."""

    def density_per_sr(self, cos_theta: Reals, cos_theta_c: Reals, cone_width: Reals) -> Real:
        """Probability per solid angle [1/sr]; adds up to one over the sphere.

        exp(-(c - c_C)^2 / (2 s^2)), divided by its integral over cosines from -1 to 1. The variance of the cosine,
        s^2 = width^2 sin^2(theta_C) + width^4 cos^2(theta_C) / 2, is that of a Gaussian angle to second order, so that
        the cone of a particle at the threshold keeps a width.

        Args:
            cos_theta: cosine of the angle to the axis, broadcast with the others.
            cos_theta_c: cosine of the opening angle.
            cone_width: standard deviation of the angle [rad].
        """
        centre = jnp.asarray(cos_theta_c)
        scale = jnp.sqrt(_cosine_variance(jnp.asarray(cone_width) ** 2, centre))
        pull = (jnp.asarray(cos_theta) - centre) / scale
        return jnp.exp(-0.5 * pull**2) * (INV_SQRT_2PI / (2 * jnp.pi * scale * _share_of_cosines(centre, scale)))

    def seen(self, cos_theta: Reals, cos_theta_c: Reals, cone_width: Reals, face_rad2: Reals) -> Seen:
        """Mean over the faces of sensors; its derivatives are those of a Gaussian of the same variance.

        The angle varies over a disc as a coordinate of its points, whose fourth cumulant is minus the square of the
        variance. That of a uniform distribution with 0.8 of this variance is 0.77 times as large; the Gaussian takes
        the rest.

        Args:
            cos_theta: cosine of the angle between the axis and the way to the centre of a sensor.
            cos_theta_c: cosine of the opening angle.
            cone_width: standard deviation of the angle [rad], that by dispersion included.
            face_rad2: variance of the angle over the face of the sensor [rad^2], see `seen_variance`.
        """
        centre, emitted = jnp.asarray(cos_theta_c), jnp.asarray(cone_width) ** 2
        narrow = _cosine_variance(emitted, centre)
        total = _cosine_variance(emitted + face_rad2, centre)
        flat = _UNIFORM_PART * (total - narrow) + _LEAST_VARIANCE
        half, scale = jnp.sqrt(3.0 * flat), jnp.sqrt(total - flat + 2 * _LEAST_VARIANCE)
        offset = jnp.asarray(cos_theta) - centre
        far, near = jnp.abs(offset) + half, jnp.abs(offset) - half
        between = normal_cdf(-near / scale) - normal_cdf(-far / scale)
        density = between / (4 * jnp.pi * half * _share_of_cosines(centre, jnp.sqrt(narrow)))
        sine = jnp.sqrt(1.0 - centre**2 + _LEAST_SINE2)
        slope = -sine / total * offset
        return Seen(density, density * slope, density * (slope**2 - sine**2 / total))


class ShowerCone(_Broad):
    """Light of a shower: a peak at the Cherenkov angle with long tails, exp(-k (x^2 + w^2)^(p/2)), x = c - c_peak.

    M. Raedel, C. Wiebusch, Astropart. Phys. 44 (2013) 102, arXiv:1210.5140, give 4.27 exp(-6.03 |x|^0.299) - 0.001
    above 1 GeV. Their cusp is rounded here, and the constants are such that again 48 % of the light lies within 5
    degrees of the peak and 65 % within 10; 80 % lies within 20 (theirs 82 %), 92 % within 40 (94 %).

    Attributes:
        cos_peak: cosine of the Cherenkov angle, 1/n.
        peak_width: w, of the rounded peak in the cosine.
        exponent: p.
        steepness: k.
    """

    cos_peak: Scalar
    peak_width: Scalar = 0.02
    exponent: Scalar = 0.08110136
    steepness: Scalar = 16.47244025

    def density_per_sr(self, cos_theta: Reals, cos_theta_c: Reals, cone_width: Reals) -> Real:
        """Probability per solid angle [1/sr] at cosines of the angle to the axis; adds up to one over the sphere."""
        del cos_theta_c, cone_width
        shape = jnp.exp(self._log_shape(jnp.asarray(cos_theta) - self.cos_peak))
        return shape / self._integral().astype(shape.dtype)

    def _log_shape(self, offset: Real) -> Real:
        """Logarithm of the density up to a constant, zero at the peak."""
        power = 0.5 * self.exponent
        least = jnp.asarray(self.peak_width) ** 2
        raised = jnp.exp(power * jnp.log(offset**2 + least))  # half the price of the general power
        return -jnp.asarray(self.steepness) * (raised - least**power)

    def _integral(self) -> Float[Array, ""]:
        """Over the sphere [sr]; Gauss-Legendre in asinh(x/w) on both sides of the peak."""
        total, width = jnp.zeros(()), jnp.asarray(self.peak_width)
        for side in (1.0, -1.0):
            half = 0.5 * jnp.arcsinh((1.0 - side * jnp.asarray(self.cos_peak)) / width)
            place = half * jnp.asarray(1.0 + _PANEL_NODES, half.dtype)
            offset = side * width * jnp.sinh(place)
            integrand = jnp.exp(self._log_shape(offset)) * width * jnp.cosh(place)
            total += 2 * jnp.pi * half * jnp.sum(jnp.asarray(_PANEL_WEIGHTS, half.dtype) * integrand)
        return total


class ConeWithHalo(eqx.Module):
    """A cone and a halo around it.

    Attributes:
        halo: of fast electrons that the particle knocks out.
        halo_share: of all the light.
    """

    halo: ShowerCone
    halo_share: Scalar

    def density_per_sr(self, cos_theta: Reals, cos_theta_c: Reals, cone_width: Reals) -> Real:
        """Probability per solid angle [1/sr]; arguments as of `GaussianCone`."""
        cone = GaussianCone().density_per_sr(cos_theta, cos_theta_c, cone_width)
        halo = self.halo.density_per_sr(cos_theta, cos_theta_c, cone_width)
        return cone + jnp.asarray(self.halo_share) * (halo - cone)

    def seen(self, cos_theta: Reals, cos_theta_c: Reals, cone_width: Reals, face_rad2: Reals) -> Seen:
        """Mean over the faces of sensors; arguments as of `GaussianCone`."""
        cone, halo = (part.seen(cos_theta, cos_theta_c, cone_width, face_rad2) for part in (GaussianCone(), self.halo))
        share = jnp.asarray(self.halo_share)
        return Seen(*(one + share * (other - one) for one, other in zip(cone, halo, strict=True)))


def _cosine_variance(variance_rad2: Real, centre: Real) -> Real:
    """Variance of the cosine of a Gaussian angle about one of this cosine, to second order in that of the angle."""
    return variance_rad2 * (1.0 - centre**2) + 0.5 * variance_rad2**2 * centre**2


def _share_of_cosines(centre: Real, scale: Real) -> Real:
    """Part of a Gaussian between cosines of -1 and 1."""
    return normal_cdf((1.0 - centre) / scale) - normal_cdf(-(1.0 + centre) / scale)


Profile = Isotropic | GaussianCone | ShowerCone | ConeWithHalo


class Emission(eqx.Module):
    """Light of one source as nodes along it.

    Attributes:
        position_m: of the nodes [node, 3] [m].
        direction: of the source's axis there, unit vectors [node, 3].
        weight: photoelectrons at full coverage and without loss on the way [node].
        cos_theta_c: cosine of the Cherenkov angle [node].
        cone_width: standard deviation of the angle about it [node] [rad].
        time_ns: of the emission [node] [ns].
        profile: intensity by angle.
        dispersion_rad: part of the cone's width that is of its colours [rad].
    """

    position_m: Float[Array, "node 3"]
    direction: Float[Array, "node 3"]
    weight: Float[Array, " node"]
    cos_theta_c: Float[Array, " node"]
    cone_width: Float[Array, " node"]
    time_ns: Float[Array, " node"]
    profile: Profile
    dispersion_rad: Scalar = 0.0


def as_numbers(emission: Emission) -> Float[Array, "node number"]:
    """What each node has of its own, and the share of the halo, as one row a node."""
    columns = [*_of_nodes(emission), *(jnp.full(emission.weight.shape, share) for share in _halo_shares(emission))]
    return jnp.concatenate([column.reshape(emission.weight.size, -1) for column in columns], axis=1)


def from_numbers(numbers: Float[Array, "node number"], emission: Emission) -> Emission:
    """An emission like another one, its nodes with these numbers; a share of the halo is a column, one a node."""
    position, direction = numbers[:, :3], numbers[:, 3:6]
    weight, cos_theta_c, cone_width, time_ns = numbers[:, 6:10].T
    own = (position, direction, weight, cos_theta_c, cone_width, time_ns)
    shares = [numbers[:, 10:] for _ in _halo_shares(emission)]
    return eqx.tree_at(lambda e: (*_of_nodes(e), *_halo_shares(e)), emission, (*own, *shares))


def _of_nodes(emission: Emission) -> tuple[Array, ...]:
    return (
        emission.position_m,
        emission.direction,
        emission.weight,
        emission.cos_theta_c,
        emission.cone_width,
        emission.time_ns,
    )


def _halo_shares(emission: Emission) -> tuple[Scalar, ...]:
    """One, where there is a halo."""
    return (emission.profile.halo_share,) if isinstance(emission.profile, ConeWithHalo) else ()


def point_emission(position_m: Float[Array, " 3"], weight: Scalar, time_ns: Scalar) -> Emission:
    """Isotropic light of one point.

    Args:
        position_m: of the point [3] [m].
        weight: photoelectrons at full coverage and without loss on the way.
        time_ns: of the emission [ns].
    """
    none = jnp.zeros(1)
    axis = jnp.array([[0.0, 0.0, 1.0]])
    light, time = (jnp.reshape(jnp.asarray(value, float), (1,)) for value in (weight, time_ns))
    return Emission(jnp.reshape(position_m, (1, 3)), axis, light, none, none, time, Isotropic())


def within(emission: Emission, tank: Tank) -> Emission:
    """The light of a source that may leave the tank: nodes beyond the wall are drawn in, and dark."""
    held = tank.held(emission.position_m)
    nodes = (held.position_m, emission.weight * held.share)
    return eqx.tree_at(lambda e: (e.position_m, e.weight), emission, nodes)


def frame_about(direction: ArrayLike) -> NDArray:
    """Three unit vectors, rows [3, 3]: two across a direction [3], and the direction itself.

    Chosen once for an event, near where its direction is expected: slopes are measured in it.
    """
    along = np.asarray(direction, float) / np.linalg.norm(direction)
    across = np.cross(along, np.eye(3)[np.argmin(np.abs(along))])
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(along, across), along])


def directions_of_slopes(frame: Float[Array | np.ndarray, "3 3"], slope: Float[Array, "*n 2"]) -> Float[Array, "*n 3"]:
    """Unit vectors with slopes along the first two vectors of a frame, relative to the third."""
    first, second, along = jnp.asarray(frame)
    vector = along + slope[..., :1] * first + slope[..., 1:] * second
    return vector / jnp.sqrt(jnp.sum(vector**2, axis=-1, keepdims=True))
