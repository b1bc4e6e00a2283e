"""Light of one event at every sensor: photoelectrons and their times, for sources made of nodes."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.optical.arrivals import Delays, delays_of_moments
from bayescal.optical.detector import OpticalDetector, patches_at_sensors
from bayescal.optical.direct import cosine_to, seen_fraction, seen_variance, sight
from bayescal.optical.emission import Emission, as_numbers, from_numbers
from bayescal.optical.indirect import PatchesAtSensors, coefficients, make_transport, reflection_orders, sum_orders
from bayescal.optical.medium import SPEED_OF_LIGHT_M_PER_NS, Scintillator, Spectrum, Water
from bayescal.optical.node_sums import NodeSum, node_sum
from bayescal.optical.rays import Footprint, Rays, footprint
from bayescal.optical.sensors import Photosensors
from bayescal.optical.zones import Zones

Scalar = Float[Array, ""] | float
Real = Float[Array, "..."]

LEAST_PE = 1e-9
"""Direct light of every sensor, below what any dark noise makes: keeps logarithms of it finite [p.e.]."""

_DEGREE = 10  # of the polynomial of the loss a metre in the distance
_DEGREE_OF_DISPERSION = 4
_POLAR = 32  # rays of a group from the axis of its light
_AROUND = 12  # and around it
_GROUPS = 8  # of nodes that send rays together
_ABSORPTION_STEP = 0.004  # of a numerical derivative [1/m]
_LEAST_DELAY_NS = 1.0  # mean delay of indirect light and its standard deviation, where zones leave less
_LEAST_START = np.array([0.0, 0.1])  # of scattered and of reflected light, over its mean delay
_START_SPREAD = np.array([1.0, 0.4])  # likewise, of the start, over it: as photons followed one by one have it


class Passage(eqx.Module):
    """How light of a fixed spectrum passes a fixed medium.

    Attributes:
        log_loss: coefficients, lowest first, of minus the logarithm of the transmission over the distance, a polynomial
            in the distance over `reach_m`.
        delay: coefficients likewise of the mean n_g over c, of the light that has come so far [ns/m].
        dispersion: coefficients likewise of its variance [ns^2/m^2].
        delay_ns_per_m: mean n_g over c, of all the light [ns/m].
        reach_m: longest way within the tank [m].
    """

    log_loss: np.ndarray
    delay: np.ndarray
    dispersion: np.ndarray
    delay_ns_per_m: float = eqx.field(static=True)
    reach_m: float = eqx.field(static=True)

    def transmission(self, distance_m: Real) -> Real:
        """Share of the light that is neither absorbed nor scattered; as of all wavelengths to 1e-5."""
        return jnp.exp(-distance_m * self._polynomial(self.log_loss, distance_m))

    def flight_ns(self, distance_m: Real) -> Real:
        """Mean time of flight of light that got so far [ns]."""
        return distance_m * self._polynomial(self.delay, distance_m)

    def spread_ns(self, distance_m: Real) -> Real:
        """Standard deviation of the arrival times of light that got so far, by dispersion [ns]."""
        return distance_m * jnp.sqrt(self._polynomial(self.dispersion, distance_m))

    def _polynomial(self, coefficients: np.ndarray, distance_m: Real) -> Real:
        return jnp.polyval(jnp.asarray(coefficients)[::-1], distance_m / self.reach_m)


def make_passage(medium: Water | Scintillator, spectrum: Spectrum, reach_m: float) -> Passage:
    """Passage of a spectrum through a medium, up to a longest way [m]."""
    wavelength, weight = np.asarray(spectrum.wavelength_nm), np.asarray(spectrum.weight)
    place = (1 - np.cos(np.pi * (np.arange(200) + 0.5) / 200)) / 2
    distance = place * reach_m
    loss = np.asarray(medium.attenuation(wavelength))
    left = np.exp(-distance[:, None] * loss) * weight
    delay = np.asarray(medium.group_index(wavelength)) / SPEED_OF_LIGHT_M_PER_NS
    centre = float(weight @ delay)
    mean = left @ delay / left.sum(axis=1)
    variance = left @ delay**2 / left.sum(axis=1) - mean**2

    def polynomial(values: np.ndarray, degree: int) -> np.ndarray:
        fit = np.polynomial.chebyshev.Chebyshev.fit(place, values, degree, domain=[0, 1])
        return fit.convert(kind=np.polynomial.Polynomial).coef

    log_loss = polynomial(-np.log(left.sum(axis=1)) / distance, _DEGREE)
    mean_delay, dispersion = (polynomial(each, _DEGREE_OF_DISPERSION) for each in (mean, variance))
    return Passage(log_loss, mean_delay, dispersion, centre, reach_m)


class DirectLight(NamedTuple):
    """Direct light of an event.

    Attributes:
        mean: photoelectrons of a sensor of efficiency one.
        time_ns: mean arrival time, where there is no light that from the middle of the source [ns].
        variance_ns2: of the arrival times, by the length of the source and dispersion [ns^2].
    """

    mean: Float[Array, " sensor"]
    time_ns: Float[Array, " sensor"]
    variance_ns2: Float[Array, " sensor"]


def direct_of_event(
    emission: Emission, sensors: Photosensors, passage: Passage, total: NodeSum = node_sum
) -> DirectLight:
    """Direct light of an event's nodes at sensors.

    Args:
        emission: nodes inside the tank.
        sensors: those to compute.
        passage: of the light.
        total: adds up the light of nodes.
    """
    reference = emission.time_ns[0]
    nodes = as_numbers(eqx.tree_at(lambda e: e.time_ns, emission, emission.time_ns - reference))
    from_middle = passage.flight_ns(distance_from_middle_m(emission, sensors))
    about = jax.lax.stop_gradient(from_middle)  # any number would do: close ones leave no cancellation
    sums = total(_terms, nodes, (emission, sensors, passage, about))
    mean = sums[0] + LEAST_PE
    first = (sums[1] + LEAST_PE * (from_middle - about)) / mean
    return DirectLight(mean, reference + about + first, sums[2] / mean - first**2)


def _terms(numbers: Float[Array, "node number"], rest: tuple) -> tuple[Float[Array, "node sensor"], ...]:
    """Light of each node at each sensor, and times its time and the square of that, after those that `rest` has."""
    emission, sensors, passage, about = rest
    nodes = from_numbers(numbers, emission)
    view = sight(nodes.position_m, sensors)
    cosine = cosine_to(nodes.direction, nodes.position_m, view, sensors)
    face = seen_variance(nodes.direction, cosine, view, sensors)
    seen = nodes.profile.seen(cosine, nodes.cos_theta_c[:, None], nodes.cone_width[:, None], face)
    passed = nodes.weight[:, None] * 4 * jnp.pi * seen_fraction(view, sensors) * passage.transmission(view.distance_m)
    light, blue, blue2 = (passed * each for each in (seen.density_per_sr, *seen.colours(nodes.dispersion_rad)))
    time = nodes.time_ns[:, None] + passage.flight_ns(view.distance_m) - about
    spread = passage.spread_ns(view.distance_m)
    return light, light * time + blue * spread, (light * time + 2 * blue * spread) * time + blue2 * spread**2


def distance_from_middle_m(emission: Emission, sensors: Photosensors) -> Float[Array, " sensor"]:
    """From the middle of the light of a source to every sensor [m]."""
    return sight(emission.weight @ emission.position_m / jnp.sum(emission.weight), sensors).distance_m


class IndirectOptics(eqx.Module):
    """What scattered and reflected light needs: fixed medium and wall.

    Attributes:
        zones: of the tank.
        at_sensors: from the wall to the sensors.
        medium: fills the tank.
        spectrum: few wavelengths of the light.
        reflectivity: of the wall with its sensors.
    """

    zones: Zones
    at_sensors: PatchesAtSensors
    medium: Water | Scintillator
    spectrum: Spectrum
    reflectivity: Scalar


def indirect_optics(
    detector: OpticalDetector, zones: Zones, medium: Water | Scintillator, spectrum: Spectrum
) -> IndirectOptics:
    """Optics of indirect light in a detector as its file has it."""
    at_sensors = patches_at_sensors(detector, zones)
    return IndirectOptics(zones, at_sensors, medium, spectrum, detector.reflectivity)


class IndirectLight(NamedTuple):
    """Indirect light of an event at every sensor [p.e. of a sensor of efficiency one].

    Attributes:
        scattered: that met no wall before.
        reflected: that did.
    """

    scattered: Float[Array, " sensor"]
    reflected: Float[Array, " sensor"]

    @property
    def mean(self) -> Float[Array, " sensor"]:
        """Both together."""
        return self.scattered + self.reflected


def indirect_of_event(emission: Emission, optics: IndirectOptics) -> IndirectLight:
    """Scattered and reflected light of an event."""
    feet = _footprint(emission, optics.zones)
    total = jnp.zeros((optics.zones.n_patches * optics.zones.n_azimuth, 2))
    for wavelength, weight in zip(optics.spectrum.wavelength_nm, optics.spectrum.weight, strict=True):
        total += weight * _on_patches(feet, optics, jnp.asarray(wavelength))
    return IndirectLight(*optics.at_sensors(total).T)


@eqx.filter_jit
def _footprint(emission: Emission, zones: Zones) -> Footprint:
    return footprint(emission_rays(emission), zones)


@eqx.filter_jit
def _on_patches(feet: Footprint, optics: IndirectOptics, wavelength_nm: Float[Array, ""]) -> Float[Array, "patch 2"]:
    """Light of one wavelength that was only scattered, and other indirect light."""
    medium = coefficients(optics.medium, wavelength_nm)
    orders = reflection_orders(make_transport(optics.zones, medium), feet.in_medium(medium.attenuation))
    scattered = orders[0].reshape(-1)
    return jnp.stack([scattered, sum_orders(orders, optics.reflectivity).reshape(-1) - scattered], axis=1)


class Lateness(NamedTuple):
    """When indirect light of an event comes to every sensor, after the start of its source.

    Attributes:
        mean_ns: of the time of light that was only scattered, and of other indirect light [sensor, 2] [ns].
        variance_ns2: likewise [sensor, 2] [ns^2].
    """

    mean_ns: Float[Array, "sensor 2"]
    variance_ns2: Float[Array, "sensor 2"]


def indirect_delays(light: IndirectLight, late: Lateness, direct_ns: Float[Array, " sensor"]) -> Delays:
    """Delays of indirect light at every sensor, two exponentials for each kind.

    Args:
        light: at every sensor.
        late: when it comes.
        direct_ns: time of direct light after the start of the source, from which delays count [ns].
    """
    mean = jnp.maximum(late.mean_ns - direct_ns[:, None], _LEAST_DELAY_NS)
    variance = jnp.maximum(late.variance_ns2, _LEAST_DELAY_NS**2)
    delays = delays_of_moments(mean, variance, jnp.asarray(_LEAST_START), jnp.asarray(_START_SPREAD))
    weight = delays.weight * jnp.stack(light, axis=1)[..., None]
    each = (weight, delays.constant_ns, delays.start_ns, delays.spread_ns)
    return Delays(0.0, *(jnp.reshape(part, (direct_ns.size, -1)) for part in each))


def lateness_of_event(emission: Emission, optics: IndirectOptics, delay_ns_per_m: Scalar) -> Lateness:
    """Moments of the times of scattered and reflected light.

    Light is the Laplace transform of the distribution of its ways, in the absorption coefficient: mean and variance of
    the way are the first two derivatives of its logarithm, here by differences. One wavelength stands for all light,
    and one for that which scattered: it is bluer, scatters again more often, and is slower.

    Args:
        emission: nodes inside the tank.
        optics: of indirect light.
        delay_ns_per_m: mean n_g over c [ns/m].
    """
    wavelength_nm, slowness = _of_kinds(optics)
    delay = jnp.asarray(delay_ns_per_m)
    logs = [_log_light(emission, optics, each, delay)[..., kind] for kind, each in enumerate(wavelength_nm)]
    return _moments(jnp.stack(logs, axis=-1), slowness * delay)


@eqx.filter_jit
def _of_kinds(optics: IndirectOptics) -> tuple[Float[Array, " 2"], Float[Array, " 2"]]:
    """Wavelength of light that scattered, and of all light [nm], and group index over that of all light."""
    wavelength, weight = jnp.asarray(optics.spectrum.wavelength_nm), jnp.asarray(optics.spectrum.weight)
    scatters = weight * (optics.medium.rayleigh(wavelength) + optics.medium.mie(wavelength))
    shares = jnp.stack([scatters / jnp.sum(scatters), weight])
    index = shares @ optics.medium.group_index(wavelength)
    return shares @ wavelength, index / index[1]


@jax.jit
def _moments(logs: Float[Array, "step sensor 2"], delay_ns_per_m: Float[Array, " 2"]) -> Lateness:
    mean = (logs[0] - logs[2]) / (2 * _ABSORPTION_STEP)
    variance = (logs[0] - 2 * logs[1] + logs[2]) / _ABSORPTION_STEP**2
    return Lateness(delay_ns_per_m * mean, delay_ns_per_m**2 * variance)


@eqx.filter_jit
def _log_light(
    emission: Emission, optics: IndirectOptics, wavelength_nm: Scalar, delay_ns_per_m: Scalar
) -> Float[Array, "step sensor 2"]:
    """Logarithm of both kinds of indirect light, with less, the usual and more absorption.

    The time of emission counts as a way. What the usual medium would take on it is given back.
    """
    medium, rays = coefficients(optics.medium, wavelength_nm), emission_rays(emission)
    groups = min(_GROUPS, emission.weight.shape[0])
    late = _means_of_groups(emission, emission.time_ns - emission.time_ns[0])[:, 0] / delay_ns_per_m
    behind = jnp.repeat(late, rays.light.shape[0] // groups)
    rays = Rays(rays.origin_m, rays.direction, rays.light * jnp.exp(medium.attenuation * behind), behind)
    feet = footprint(rays, optics.zones)

    def light(step: Scalar) -> Float[Array, "sensor 2"]:
        changed = medium._replace(absorption=medium.absorption + step)
        orders = reflection_orders(make_transport(optics.zones, changed), feet.in_medium(changed.attenuation))
        scattered = orders[0].reshape(-1)
        both = jnp.stack([scattered, sum_orders(orders, optics.reflectivity).reshape(-1) - scattered], axis=1)
        return jnp.log(jnp.maximum(optics.at_sensors(both), jnp.finfo(float).tiny))

    return jax.lax.map(light, _ABSORPTION_STEP * jnp.array([-1.0, 0.0, 1.0]))


def emission_rays(emission: Emission) -> Rays:
    """Rays of an event for its indirect light: groups of nodes together, on circles about their mean direction."""
    groups = min(_GROUPS, emission.weight.shape[0])

    def mean(values: Array) -> Array:
        return _means_of_groups(emission, values)

    position, axis = mean(emission.position_m), mean(emission.direction)
    axis = axis / jnp.linalg.norm(axis, axis=1, keepdims=True)
    opening, width = mean(emission.cos_theta_c)[:, 0], mean(emission.cone_width)[:, 0]
    cosine, weight = _polar_nodes(opening, width)
    density = emission.profile.density_per_sr(cosine.T, opening, width).T
    share = 2 * jnp.pi * weight * density
    share = share / jnp.sum(share, axis=1, keepdims=True)
    light = emission.weight.reshape(groups, -1).sum(axis=1)[:, None] * share / _AROUND
    across, other = _frames(axis)
    turn = 2 * jnp.pi * (jnp.arange(_AROUND) + 0.5) / _AROUND
    around = jnp.cos(turn)[:, None] * across[:, None] + jnp.sin(turn)[:, None] * other[:, None]
    sine = jnp.sqrt(jnp.maximum(1 - cosine**2, 0.0))
    direction = cosine[:, :, None, None] * axis[:, None, None] + sine[:, :, None, None] * around[:, None]
    shape = direction.shape[:-1]
    return Rays(
        jnp.broadcast_to(position[:, None, None], direction.shape).reshape(-1, 3),
        direction.reshape(-1, 3),
        jnp.broadcast_to(light[..., None], shape).reshape(-1),
    )


def _means_of_groups(emission: Emission, values: Float[Array, "node ..."]) -> Float[Array, "group column"]:
    """Of groups of nodes that send rays together, by light."""
    groups = min(_GROUPS, emission.weight.shape[0])
    share = emission.weight.reshape(groups, -1)
    parts = values.reshape(groups, share.shape[1], -1)
    return jnp.einsum("gn,gni->gi", share, parts) / (jnp.sum(share, axis=1, keepdims=True) + LEAST_PE)


def _polar_nodes(
    opening: Float[Array, " group"], width: Float[Array, " group"]
) -> tuple[Float[Array, "group polar"], Float[Array, "group polar"]]:
    """Cosines to the axis and weights: Gauss-Legendre rules below, within and above the cone."""
    node, weight = np.polynomial.legendre.leggauss(_POLAR // 4)
    reach = 3 * width * jnp.sqrt(jnp.maximum(1 - opening**2, 0.0)) + 1e-3
    one = jnp.ones_like(opening)
    edges = jnp.clip(jnp.stack([-one, opening - reach, opening, opening + reach, one], axis=1), -1.0, 1.0)
    middle, half = (edges[:, 1:] + edges[:, :-1]) / 2, jnp.diff(edges, axis=1) / 2
    cosine = middle[..., None] + half[..., None] * node
    return cosine.reshape(len(opening), -1), (half[..., None] * weight).reshape(len(opening), -1)


def _frames(axis: Float[Array, "group 3"]) -> tuple[Float[Array, "group 3"], Float[Array, "group 3"]]:
    """Two unit vectors across each axis."""
    helper = jnp.where(jnp.abs(axis[:, 2:]) < 0.9, jnp.array([0.0, 0.0, 1.0]), jnp.array([1.0, 0.0, 0.0]))
    across = jnp.cross(axis, helper)
    across = across / jnp.linalg.norm(across, axis=1, keepdims=True)
    return across, jnp.cross(axis, across)
