"""Photon-by-photon Monte Carlo of a water Cherenkov detector: the truth that light models are tested against.

Analogue: every photon is emitted, absorbed, scattered and reflected for real, none carries a weight. It shares no code
with the package. Units: m, ns, nm, MeV. All randomness comes from one `numpy.random.Generator`, the first argument.

    sources      isotropic, injector                      (rng, n) -> Photons
                 muon_path, cherenkov_photons             a muon that loses energy and bends, and its light
                 electron_photons                         an electromagnetic shower
    propagation  trace, trace_source                      -> Traced: incidences on sensors, and all photons' fates
    readout      read_out, hits                           -> Hits: sensor, charge, first time

What is recorded is an *incidence*: a photon has come to the face of a sensor. Then, whatever a readout makes of it, the
photon is reflected with probability `r_pmt`, or ends there. So quantum efficiencies (which include the glass) multiply
incidences of all categories alike and no factor 1 - r_pmt is in them; a test that wants one has the categories apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import ndtr, ndtri

LIGHT_M_PER_NS = 0.299792458  # exact, SI
TWO_PI_ALPHA = 0.0458506  # 2 pi / 137.035999, CODATA 2018
MUON_MASS_MEV = 105.6583755  # Particle Data Group 2022
ELECTRON_MASS_MEV = 0.51099895  # CODATA 2018
RADIATION_LENGTH_G_PER_CM2 = 36.08  # water, Particle Data Group
HIGHLAND_MEV = 13.6  # plane angle^2 = int (13.6 / (beta p))^2 ds / X0; no logarithm when summed in steps
BATCH = 50_000  # photons that fly together: their arrays stay in the cache

DIRECT, SCATTERED, REFLECTED = 0, 1, 2  # categories: neither; scattered, never reflected; reflected at least once

Generator = np.random.Generator
Curve = Callable[[np.ndarray], np.ndarray]  # of the wavelength [nm]
Draw = Callable[[Generator, int], np.ndarray]  # n wavelengths [nm]


# --- Water ---


def daimon_index(wavelength_nm: np.ndarray) -> np.ndarray:
    """Phase index of water at 20 C. M. Daimon and A. Masumura, Appl. Opt. 46 (2007) 3811."""
    x = (np.asarray(wavelength_nm, float) / 1000.0) ** 2
    strengths = (0.5684027565, 0.1726177391, 0.02086189578, 0.1130748688)
    poles_um2 = (0.005101829712, 0.01821153936, 0.02620722293, 10.69792721)
    return np.sqrt(1.0 + sum(a * x / (x - b) for a, b in zip(strengths, poles_um2, strict=True)))


def group_index(index: Curve, wavelength_nm: np.ndarray) -> np.ndarray:
    """n - lambda dn/dlambda, by central differences of 0.02 nm."""
    x, step = np.asarray(wavelength_nm, float), 0.01
    return index(x) - x * (index(x + step) - index(x - step)) / (2 * step)


def _pope_fry(wavelength_nm: np.ndarray) -> np.ndarray:
    """Absorption [1/m] from 464 nm on, linear between the measured points. Appl. Opt. 36 (1997) 8710."""
    lines = "470 480 490 500 510 520 530 540 550 560 570 580 590 600 620 640 660 680 700"
    values = """0.0106 0.0127 0.0150 0.0204 0.0325 0.0409 0.0434 0.0474 0.0565 0.0619 0.0695 0.0896 0.135 0.222
        0.276 0.311 0.410 0.465 0.624"""
    x, y = np.array(lines.split(), float), np.array(values.split(), float)
    return np.interp(wavelength_nm, np.r_[464.0, x], np.r_[0.624 * 3.24e-2 * (464 / 500) ** 10.9, y])


def sk_absorption_per_m(wavelength_nm: np.ndarray) -> np.ndarray:
    """Absorption in Super-Kamiokande [1/m]. NIM A 737 (2014) 253, arXiv 1307.0162."""
    x = np.asarray(wavelength_nm, float)
    long_waves = np.where(x < 464.0, 0.624 * 3.24e-2 * (x / 500.0) ** 10.9, _pope_fry(x))
    return 0.624 * 2.96e7 / x**4 + long_waves


def sk_rayleigh_per_m(wavelength_nm: np.ndarray) -> np.ndarray:
    """Symmetric scattering in Super-Kamiokande [1/m]. arXiv 1307.0162."""
    x = np.asarray(wavelength_nm, float)
    return 8.51e7 / x**4 * (1.0 + 1.14e5 / x**2)


def sk_mie_per_m(wavelength_nm: np.ndarray) -> np.ndarray:
    """Forward scattering in Super-Kamiokande [1/m]. arXiv 1307.0162."""
    x = np.asarray(wavelength_nm, float)
    return 1.00e-4 * (1.0 + 4.62e6 / x**4 * (x - 392.0) ** 2)


@dataclass(frozen=True)
class Water:
    """What photons fly through: coefficients [1/m], a number or a function of the wavelength; 0 switches one off.

    rayleigh: density 3/(16 pi) (1 + c^2) per sr. mie: density c / pi per sr, forward only. index is the phase index;
    photons fly with the group index, taken from it by differences unless given.
    """

    absorption_per_m: Curve | float = sk_absorption_per_m
    rayleigh_per_m: Curve | float = sk_rayleigh_per_m
    mie_per_m: Curve | float = sk_mie_per_m
    index: Curve = daimon_index
    group: Curve | float | None = None

    def coefficients(self, wavelength_nm: np.ndarray) -> np.ndarray:
        """Absorption, Rayleigh, Mie [1/m], shape (3, photon)."""
        curves = (self.absorption_per_m, self.rayleigh_per_m, self.mie_per_m)
        return np.stack([_at(curve, wavelength_nm) for curve in curves])

    def delay_ns_per_m(self, wavelength_nm: np.ndarray) -> np.ndarray:
        """n_g / c, shape (photon,)."""
        n = group_index(self.index, wavelength_nm) if self.group is None else _at(self.group, wavelength_nm)
        return n / LIGHT_M_PER_NS


def _at(curve: Curve | float, wavelength_nm: np.ndarray) -> np.ndarray:
    """A curve, or a constant, at each wavelength."""
    return np.broadcast_to(curve(wavelength_nm) if callable(curve) else float(curve), wavelength_nm.shape)


# --- Tank ---


@dataclass(frozen=True)
class Cylinder:
    """Closed tank around the origin, axis z; height_m is the full height."""

    radius_m: float
    height_m: float

    @property
    def area_m2(self) -> float:
        """Of the whole wall."""
        return 2 * np.pi * self.radius_m * (self.radius_m + self.height_m)

    def contains(self, x: np.ndarray) -> np.ndarray:
        """Whether points, shape (3, n), are inside."""
        return (np.hypot(x[0], x[1]) < self.radius_m) & (np.abs(x[2]) < self.height_m / 2)

    def to_wall(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Distance [m] along unit vectors u from points x inside, both of shape (3, n)."""
        a, b = u[0] ** 2 + u[1] ** 2, x[0] * u[0] + x[1] * u[1]
        gap = self.radius_m**2 - x[0] ** 2 - x[1] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):  # flight along the axis, or across it
            barrel = (np.sqrt(np.maximum(b * b + a * gap, 0.0)) - b) / a
            cap = (np.copysign(self.height_m / 2, u[2]) - x[2]) / u[2]
        return np.maximum(np.fmin(barrel, cap), 0.0)

    def inward(self, x: np.ndarray) -> np.ndarray:
        """Normals at points on the wall, shape (3, n)."""
        radial = np.hypot(x[0], x[1])
        cap = self.height_m / 2 - np.abs(x[2]) < self.radius_m - radial
        safe = np.where(cap, 1.0, radial)
        normal = np.stack([-x[0] / safe, -x[1] / safe, np.zeros_like(safe)])
        normal[:, cap] = 0.0
        normal[2, cap] = -np.sign(x[2, cap])
        return normal

    def pulled_in(self, x: np.ndarray) -> np.ndarray:
        """The same points, those behind the wall moved onto it."""
        shrink = np.minimum(1.0, self.radius_m / np.maximum(np.hypot(x[0], x[1]), 1e-300))
        return np.stack([x[0] * shrink, x[1] * shrink, np.clip(x[2], -self.height_m / 2, self.height_m / 2)])


@dataclass(frozen=True)
class Sphere:
    """Closed tank around the origin."""

    radius_m: float

    @property
    def area_m2(self) -> float:
        """Of the whole wall."""
        return 4 * np.pi * self.radius_m**2

    def contains(self, x: np.ndarray) -> np.ndarray:
        """Whether points, shape (3, n), are inside."""
        return _dot(x, x) < self.radius_m**2

    def to_wall(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Distance [m] along unit vectors u from points x inside, both of shape (3, n)."""
        b = _dot(x, u)
        return np.maximum(np.sqrt(np.maximum(b * b + self.radius_m**2 - _dot(x, x), 0.0)) - b, 0.0)

    def inward(self, x: np.ndarray) -> np.ndarray:
        """Normals at points on the wall, shape (3, n)."""
        return -x / np.sqrt(_dot(x, x))

    def pulled_in(self, x: np.ndarray) -> np.ndarray:
        """The same points, those behind the wall moved onto it."""
        return x * np.minimum(1.0, self.radius_m / np.maximum(np.sqrt(_dot(x, x)), 1e-300))


@dataclass(frozen=True)
class Tank:
    """A shape, flat discs that touch its wall with their centres, and two diffuse (Lambert) reflectivities.

    position_m and normal (inward, unit) have shape (sensor, 3); all discs have sensor_radius_m. On a curved wall the
    rest of a disc lies a little behind the wall (a^2 / 2R, millimetres), so a photon that has reached the wall goes on
    to the plane of each disc near by and arrives at the first that it crosses; if it crosses none it is on the sheet.
    Where discs overlap, the first one shades the others. r_pmt and r_sheet are numbers or functions of the wavelength.
    """

    shape: Cylinder | Sphere
    position_m: np.ndarray
    normal: np.ndarray
    sensor_radius_m: float
    r_pmt: Curve | float = 0.0
    r_sheet: Curve | float = 0.0

    def __post_init__(self) -> None:
        for name in ("position_m", "normal"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), float).reshape(-1, 3))
        if not np.allclose(np.linalg.norm(self.normal, axis=1), 1.0):
            raise ValueError("normal must be unit vectors")
        inward = -np.sum(self.normal * self.position_m, axis=1)
        if len(self.normal) != len(self.position_m) or not (inward > 0).all():
            raise ValueError("normal must point inward, one for each position_m")

    @property
    def n_sensors(self) -> int:
        """Number of discs."""
        return len(self.position_m)

    @property
    def coverage(self) -> float:
        """Area of all discs over area of the wall."""
        return self.n_sensors * np.pi * self.sensor_radius_m**2 / self.shape.area_m2

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.position_m)

    @cached_property
    def _faces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions and normals (3, sensor), and the planes' offsets."""
        offset = np.sum(self.position_m * self.normal, axis=1)
        return self.position_m.T.copy(), self.normal.T.copy(), offset

    def near(self, x: np.ndarray) -> np.ndarray:
        """Sensors that a photon at the wall at x, shape (3, n), may cross: (n, k), filled up with n_sensors.

        Behind a wall of radius R a ray gains depth faster than the tangent at its wall point: it can cross a disc
        only if the wall point lies within two disc radii of the centre.
        """
        k = min(self.n_sensors, int(np.ceil(4 * self.coverage)) + 3)
        limit = 2.05 * self.sensor_radius_m
        return self._tree.query(x.T, k=range(1, k + 1), distance_upper_bound=limit)[1]

    def crossing(self, x: np.ndarray, u: np.ndarray, sensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance [m] to each photon's own disc, infinite where it passes by; and cosine of incidence."""
        position, normal, offset = self._faces
        n, p = np.take(normal, sensor, axis=1), np.take(position, sensor, axis=1)
        cosine = -_dot(u, n)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (_dot(x, n) - offset[sensor]) / cosine
            from_centre = x + distance * u - p
            on_disc = (cosine > 0) & (_dot(from_centre, from_centre) <= self.sensor_radius_m**2)
        return np.where(on_disc, distance, np.inf), cosine

    def first_sensor(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sensor (-1 for the sheet), distance [m] on to it and cosine, of photons that have reached the wall at x."""
        found, cosine = np.full(x.shape[1], -1), np.zeros(x.shape[1])
        distance = np.full(x.shape[1], np.inf)
        for candidate in self.near(x).T if self.n_sensors else ():
            rows = np.flatnonzero(candidate < self.n_sensors)
            one, c = self.crossing(np.take(x, rows, axis=1), np.take(u, rows, axis=1), candidate[rows])
            closer = one < distance[rows]
            rows = rows[closer]
            found[rows], distance[rows], cosine[rows] = candidate[rows], one[closer], c[closer]
        return found, np.where(found < 0, 0.0, distance), cosine


def super_kamiokande(r_pmt: Curve | float = 0.2, r_sheet: Curve | float = 0.1) -> Tank:
    """SK-IV: 150 columns of 51 on the barrel, square grids of 1,748 on the caps, 0.707 m apart; 11,146 in all."""
    pitch, radius, top, disc = 0.707, 16.9, 18.1, 0.254
    phi, z = np.meshgrid(2 * np.pi * np.arange(150) / 150, pitch * (np.arange(51) - 25.0), indexing="ij")
    side = -np.stack([np.cos(phi), np.sin(phi), 0 * phi], axis=-1).reshape(-1, 3)
    grid = pitch * (np.arange(-24, 24) + 0.5)
    x, y = (each.ravel() for each in np.meshgrid(grid, grid, indexing="ij"))
    x, y = (each[np.hypot(x, y) < radius - disc] for each in (x, y))
    caps = [np.stack([x, y, np.full_like(x, sign * top)], axis=1) for sign in (1, -1)]
    up = np.repeat([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]], len(x), axis=0)
    position = np.concatenate([-radius * side + np.stack([0 * z, 0 * z, z], axis=-1).reshape(-1, 3), *caps])
    return Tank(Cylinder(radius, 2 * top), position, np.concatenate([side, up]), disc, r_pmt, r_sheet)


def fibonacci_sphere(n: int, radius_m: float, sensor_radius_m: float) -> Tank:
    """A black sphere with n discs on a Fibonacci lattice."""
    k = np.arange(n)
    cosine, phi = 1 - 2 * (k + 0.5) / n, 2 * np.pi * k / 1.6180339887
    sine = np.sqrt(1 - cosine**2)
    out = np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)
    return Tank(Sphere(radius_m), radius_m * out, -out, sensor_radius_m)


# --- Directions ---


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of vectors, shape (3, n)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _frame(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors normal to each unit vector u, shape (3, n). T. Duff et al., JCGT 6 (2017) 1."""
    x, y, z = u
    sign = np.copysign(1.0, z)
    a = -1.0 / (sign + z)
    b = x * y * a
    return np.stack([1.0 + sign * x * x * a, sign * b, -sign * x]), np.stack([b, sign + y * y * a, -y])


def around(rng: Generator, axis: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Unit vectors at given cosines to unit axes, shape (3, n), uniform in azimuth."""
    first, second = _frame(axis)
    phi = 2 * np.pi * rng.random(cosine.shape)
    sine = np.sqrt(np.maximum(1.0 - cosine * cosine, 0.0))
    return cosine * axis + (sine * np.cos(phi)) * first + (sine * np.sin(phi)) * second


def rayleigh_cosine(rng: Generator, n: int) -> np.ndarray:
    """Density 3/8 (1 + c^2): c^3 + 3 c = 8 F - 4, solved by Cardano."""
    q = 4.0 * rng.random(n) - 2.0
    root = np.sqrt(1.0 + q * q)
    return np.cbrt(q + root) + np.cbrt(q - root)


def forward_cosine(rng: Generator, n: int) -> np.ndarray:
    """Density 2 c on 0 < c < 1: forward (Mie) scattering about the flight, Lambert's law about a normal."""
    return np.sqrt(rng.random(n))


# --- Sources ---


@dataclass(frozen=True)
class Photons:
    """position_m, direction (unit): shape (photon, 3); time_ns, wavelength_nm: shape (photon,)."""

    position_m: np.ndarray
    direction: np.ndarray
    time_ns: np.ndarray
    wavelength_nm: np.ndarray

    def __len__(self) -> int:
        return len(self.time_ns)


Source = Callable[[Generator, int], Photons]


def _wavelengths(rng: Generator, n: int, wavelength_nm: Draw | float) -> np.ndarray:
    return wavelength_nm(rng, n) if callable(wavelength_nm) else np.full(n, float(wavelength_nm))


def _at_point(position_m: np.ndarray, direction: np.ndarray, time_ns: float, wavelength_nm: np.ndarray) -> Photons:
    n = len(wavelength_nm)
    return Photons(np.tile(np.asarray(position_m, float), (n, 1)), direction.T, np.full(n, time_ns), wavelength_nm)


def isotropic(position_m: np.ndarray, wavelength_nm: Draw | float, time_ns: float = 0.0) -> Source:
    """Point source; wavelength_nm is a number, or draws n of them (`Cherenkov.sample` does)."""

    def source(rng: Generator, n: int) -> Photons:
        axis = np.tile([[0.0], [0.0], [1.0]], n)
        direction = around(rng, axis, 2.0 * rng.random(n) - 1.0)
        return _at_point(position_m, direction, time_ns, _wavelengths(rng, n, wavelength_nm))

    return source


def injector(
    position_m: np.ndarray,
    axis: np.ndarray,
    spread_rad: float,
    wavelength_nm: Draw | float,
    time_ns: float = 0.0,
) -> Source:
    """Gaussian cone: density per sr proportional to exp(-theta^2 / (2 spread_rad^2)), theta to the axis."""
    theta = np.linspace(0.0, min(np.pi, 12 * spread_rad), 20_001)
    cumulative = _cumulative(theta, np.sin(theta) * np.exp(-0.5 * (theta / spread_rad) ** 2))
    unit = np.asarray(axis, float) / np.linalg.norm(axis)

    def source(rng: Generator, n: int) -> Photons:
        cosine = np.cos(np.interp(rng.random(n), cumulative, theta))
        direction = around(rng, np.tile(unit[:, None], n), cosine)
        return _at_point(position_m, direction, time_ns, _wavelengths(rng, n, wavelength_nm))

    return source


def _cumulative(x: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Distribution function at x, by trapezoids, 0 ... 1."""
    parts = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x))])
    return parts / parts[-1]


QE_R3600 = """0 .0139 .0854 .169 .203 .206 .211 .202 .188 .167 .140 .116 .0806 .0432 .0265 .0146 .00756 .00508
    .00158 0"""  # 20-inch tube, glass and collection included, at 280, 300, ... 660 nm; WCSim


def qe_r3600(wavelength_nm: np.ndarray) -> np.ndarray:
    """Quantum efficiency of the R3600, linear between its points, 0 outside."""
    return np.interp(wavelength_nm, 280.0 + 20.0 * np.arange(20), np.array(QE_R3600.split(), float), 0.0, 0.0)


@dataclass(frozen=True)
class Cherenkov:
    """Frank-Tamm light times an efficiency (QE, or 1): only photons that a perfect path would detect.

    dN / (dx dlambda) = 2 pi alpha (1 - 1 / (n beta)^2) efficiency / lambda^2, between low_nm and high_nm.
    """

    index: Curve = daimon_index
    efficiency: Curve | float = qe_r3600
    low_nm: float = 280.0
    high_nm: float = 660.0

    @cached_property
    def grid_nm(self) -> np.ndarray:
        """Wavelengths, 0.1 nm or less apart."""
        return np.linspace(self.low_nm, self.high_nm, 1 + int(np.ceil(10 * (self.high_nm - self.low_nm))))

    @cached_property
    def highest_index(self) -> float:
        """Where any light ends: a particle is dark if beta is less than its inverse."""
        return float(np.max(_at(self.index, self.grid_nm)))

    def density(self, beta: float) -> np.ndarray:
        """Photons per m and nm on the grid."""
        x = self.grid_nm
        sine2 = np.maximum(1.0 - 1.0 / (_at(self.index, x) * beta) ** 2, 0.0)
        return 1e9 * TWO_PI_ALPHA * sine2 * _at(self.efficiency, x) / x**2

    def yield_per_m(self, beta: float = 1.0) -> float:
        """Photons per m of path."""
        return float(np.trapezoid(self.density(beta), self.grid_nm))

    @cached_property
    def _distribution(self) -> np.ndarray:
        return _cumulative(self.grid_nm, self.density(1.0))

    def sample(self, rng: Generator, n: int) -> np.ndarray:
        """Wavelengths [nm] of n photons of a particle with beta 1."""
        return np.interp(rng.random(n), self._distribution, self.grid_nm)


# --- Muons ---


def muon_stopping_power(kinetic_energy_mev: np.ndarray) -> np.ndarray:
    """Mean loss of muons in water [MeV cm^2/g]: Bethe with Sternheimer's density effect, and 1.4e-6 E of radiation.

    Particle Data Group, Passage of particles through matter; constants of liquid water of D. Groom et al.,
    ADNDT 78 (2001) 183.
    """
    gamma = 1.0 + np.asarray(kinetic_energy_mev, float) / MUON_MASS_MEV
    bg2 = gamma**2 - 1.0
    beta2, ratio = bg2 / gamma**2, ELECTRON_MASS_MEV / MUON_MASS_MEV
    largest = 2 * ELECTRON_MASS_MEV * bg2 / (1 + 2 * gamma * ratio + ratio**2)
    x = 0.5 * np.log10(bg2)
    delta = 2 * np.log(10) * x - 3.5017 + 0.09116 * np.maximum(2.8004 - x, 0.0) ** 3.4773
    delta = np.where(x < 0.24, 0.0, delta)
    logarithm = 0.5 * np.log(2 * ELECTRON_MASS_MEV * bg2 * largest / 79.7e-6**2)
    return 0.307075 * 0.55509 / beta2 * (logarithm - beta2 - delta / 2) + 1.4e-6 * gamma * MUON_MASS_MEV


_ENERGY_MEV = np.geomspace(0.5, 20_000.0, 6_001)


def _range_table() -> np.ndarray:
    """CSDA range [g/cm^2] at _ENERGY_MEV; below the first, loss is nearly proportional to T^-0.8."""
    per_log = _ENERGY_MEV / muon_stopping_power(_ENERGY_MEV)
    steps = 0.5 * (per_log[1:] + per_log[:-1]) * np.diff(np.log(_ENERGY_MEV))
    return per_log[0] / 1.8 + np.concatenate([[0.0], np.cumsum(steps)])


_RANGE_G_PER_CM2 = _range_table()


def muon_range(kinetic_energy_mev: np.ndarray) -> np.ndarray:
    """Range in water [g/cm^2], continuous slowing down."""
    return np.exp(np.interp(np.log(kinetic_energy_mev), np.log(_ENERGY_MEV), np.log(_RANGE_G_PER_CM2)))


def muon_energy(range_g_per_cm2: np.ndarray) -> np.ndarray:
    """Kinetic energy [MeV] of a muon with this range in water [g/cm^2]."""
    return np.exp(np.interp(np.log(range_g_per_cm2), np.log(_RANGE_G_PER_CM2), np.log(_ENERGY_MEV)))


@dataclass(frozen=True)
class Particle:
    """Muon or electron: kinetic_energy_mev, vertex_m (3,), initial direction (3,), time_ns at the vertex."""

    kinetic_energy_mev: float
    vertex_m: np.ndarray
    direction: np.ndarray
    time_ns: float = 0.0

    @property
    def unit(self) -> np.ndarray:
        """Initial direction, of length 1."""
        return np.asarray(self.direction, float) / np.linalg.norm(self.direction)


@dataclass(frozen=True)
class Path:
    """A muon's path: path_m (0 ... length), position_m (n + 1, 3), time_ns, beta at nodes; direction (n, 3) between."""

    path_m: np.ndarray
    position_m: np.ndarray
    direction: np.ndarray
    time_ns: np.ndarray
    beta: np.ndarray


def muon_path(
    rng: Generator,
    muon: Particle,
    highest_index: float,
    n_steps: int = 400,
    bending: float = 1.0,
    density_g_per_cm3: float = 1.0,
) -> Path:
    """A muon from its vertex to the Cherenkov threshold in highest_index, in n_steps of one length.

    Each step turns the flight by Gaussian angles in two planes, `bending` times the rms of Highland's formula without
    its logarithm: 0 makes a straight track. A muon below the threshold has a path of no length.
    """
    threshold = MUON_MASS_MEV * (1.0 / np.sqrt(1.0 - highest_index**-2) - 1.0)
    whole = muon_range(muon.kinetic_energy_mev)
    length = max(float(whole - muon_range(threshold)), 0.0)
    nodes, middles = np.linspace(0.0, length, n_steps + 1), (np.arange(n_steps) + 0.5) * length / n_steps
    beta, _ = _beta_momentum(muon_energy(whole - nodes))
    beta_middle, momentum = _beta_momentum(muon_energy(whole - middles))
    steps_m = np.full(n_steps, 0.01 * length / n_steps / density_g_per_cm3)
    sd = bending * HIGHLAND_MEV / (beta_middle * momentum)
    sd = sd * np.sqrt(length / n_steps / RADIATION_LENGTH_G_PER_CM2)
    flown = _bent(muon.unit, sd[:, None] * rng.standard_normal((n_steps, 2)))
    return Path(
        path_m=np.concatenate([[0.0], np.cumsum(steps_m)]),
        position_m=np.asarray(muon.vertex_m, float) + _running_sum(flown * steps_m[:, None]),
        direction=flown,
        time_ns=muon.time_ns + _running_sum(steps_m / (beta_middle * LIGHT_M_PER_NS)),
        beta=beta,
    )


def _beta_momentum(kinetic_energy_mev: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beta and momentum [MeV/c] of muons."""
    energy = kinetic_energy_mev + MUON_MASS_MEV
    momentum = np.sqrt(energy**2 - MUON_MASS_MEV**2)
    return momentum / energy, momentum


def _running_sum(parts: np.ndarray) -> np.ndarray:
    """Sums before each part and after the last."""
    return np.concatenate([np.zeros_like(parts[:1]), np.cumsum(parts, axis=0)])


def _bent(unit: np.ndarray, angles_rad: np.ndarray) -> np.ndarray:
    """Direction in each step, shape (n, 3): half of the step's turn (n, 2) is made before it and half after it."""
    nodes = [tuple(unit.tolist())]
    for first, second in angles_rad.tolist():
        nodes.append(_turned(nodes[-1], first, second))
    middle = np.array(nodes[1:]) + np.array(nodes[:-1])
    return middle / np.linalg.norm(middle, axis=1, keepdims=True)


def _turned(u: tuple[float, float, float], first: float, second: float) -> tuple[float, float, float]:
    """A unit vector turned by two small angles, about the frame of `_frame`; plain floats are faster than arrays."""
    x, y, z = u
    sign = math.copysign(1.0, z)
    a = -1.0 / (sign + z)
    b = x * y * a
    x += first * (1.0 + sign * x * x * a) + second * b
    z -= first * sign * u[0] + second * y
    y += first * sign * b + second * (sign + y * y * a)
    size = math.sqrt(x * x + y * y + z * z)
    return x / size, y / size, z / size


def cherenkov_photons(
    rng: Generator, path: Path, light: Cherenkov, scale: float = 1.0, cone_sd_rad: float = 0.0
) -> Photons:
    """Light of a path: a Poisson number, `scale` times Frank-Tamm, on the cone of each photon's own wavelength.

    Drawn for beta 1, uniform along the path, and thinned by sin^2 theta_C(beta) / sin^2 theta_C(1): exact.
    cone_sd_rad smears the angle to the track by a Gaussian.
    """
    length = path.path_m[-1]
    n = rng.poisson(scale * light.yield_per_m() * length)
    along, wavelength = length * rng.random(n), light.sample(rng, n)
    cosine = 1.0 / (_at(light.index, wavelength) * np.interp(along, path.path_m, path.beta))
    keep = rng.random(n) * (1.0 - _at(light.index, wavelength) ** -2) < 1.0 - cosine**2
    along, wavelength, cosine = along[keep], wavelength[keep], cosine[keep]
    if cone_sd_rad > 0.0:
        cosine = np.cos(np.arccos(cosine) + cone_sd_rad * rng.standard_normal(len(cosine)))
    step = np.clip(np.searchsorted(path.path_m, along, side="right") - 1, 0, len(path.direction) - 1)
    position = path.position_m[step] + (along - path.path_m[step])[:, None] * path.direction[step]
    direction = around(rng, path.direction[step].T, cosine)
    return Photons(position, direction.T, np.interp(along, path.path_m, path.time_ns), wavelength)


# --- Electrons ---

SHOWER_M_PER_MEV = 5.32e-3  # Cherenkov track length at beta 1; L. Radel and C. Wiebusch, arXiv 1210.5140


def shower_angle_density(x: np.ndarray) -> np.ndarray:
    """Light per sr of a shower at x = cos(angle to the axis) - 1/n, arXiv 1210.5140; its integral is 1.013 at 1.33."""
    return 4.27033 * np.exp(-6.02527 * np.abs(x) ** 0.29887) - 0.00103


_SHOWER_X = np.sign(np.linspace(-1, 1, 20_001)) * 2.0 * np.abs(np.linspace(-1, 1, 20_001)) ** 4
_SHOWER_CUMULATIVE = _cumulative(_SHOWER_X, np.maximum(shower_angle_density(_SHOWER_X), 0.0))


def shower_cosine(rng: Generator, index: np.ndarray) -> np.ndarray:
    """Cosines to the axis, one for each photon's index: the density in c - 1/n is common, its ends are not."""
    low, high = (np.interp(end - 1.0 / index, _SHOWER_X, _SHOWER_CUMULATIVE) for end in (-1.0, 1.0))
    x = np.interp(low + (high - low) * rng.random(index.shape), _SHOWER_CUMULATIVE, _SHOWER_X)
    return np.clip(x + 1.0 / index, -1.0, 1.0)


def shower_shape(kinetic_energy_mev: float) -> tuple[float, float]:
    """Shape, and scale [g/cm^2], of the gamma density of the light along the axis, arXiv 1210.5140."""
    shape = 2.018 + 1.455 * np.log10(kinetic_energy_mev / 1000.0)
    return max(shape, 1.05), RADIATION_LENGTH_G_PER_CM2 / 0.632


def electron_photons(rng: Generator, electron: Particle, light: Cherenkov, scale: float = 1.0) -> Photons:
    """Light of a shower on a straight axis that it runs down with the speed of light; the light has beta 1.

    The track length is 5.32 m / GeV and fluctuates by 0.058 m sqrt(E / GeV) (Gaussian, rms).
    """
    energy = electron.kinetic_energy_mev
    length = SHOWER_M_PER_MEV * energy + 0.058 * np.sqrt(energy / 1000.0) * rng.standard_normal()
    n = rng.poisson(scale * light.yield_per_m() * max(length, 0.0))
    wavelength = light.sample(rng, n)
    shape, depth = shower_shape(energy)
    z = 0.01 * depth * rng.standard_gamma(shape, n)
    axis = electron.unit
    direction = around(rng, np.tile(axis[:, None], n), shower_cosine(rng, _at(light.index, wavelength)))
    position = np.asarray(electron.vertex_m, float) + z[:, None] * axis
    return Photons(position, direction.T, electron.time_ns + z / LIGHT_M_PER_NS, wavelength)


# --- Propagation ---


@dataclass(frozen=True)
class Incidences:
    """One row per arrival of a photon at a sensor's face.

    sensor; photon (its row in the source); time_ns; wavelength_nm; cosine of incidence; category (DIRECT, SCATTERED,
    REFLECTED: the last includes photons that were also scattered); n_scatters and n_reflections before.
    """

    sensor: np.ndarray
    photon: np.ndarray
    time_ns: np.ndarray
    wavelength_nm: np.ndarray
    cosine: np.ndarray
    n_scatters: np.ndarray
    n_reflections: np.ndarray

    def __len__(self) -> int:
        return len(self.sensor)

    @property
    def category(self) -> np.ndarray:
        """0 direct, 1 scattered and never reflected, 2 reflected at least once."""
        return np.where(self.n_reflections > 0, REFLECTED, np.where(self.n_scatters > 0, SCATTERED, DIRECT))


class Fates(NamedTuple):
    """How photons ended: absorbed in water, on the sheet, at a sensor's face, or emitted outside the tank."""

    absorbed: int
    sheet: int
    sensor: int
    outside: int


class Traced(NamedTuple):
    """What `trace` returns."""

    incidences: Incidences
    fates: Fates


class _Flight(NamedTuple):
    """Photons in flight; the last axis is the photon."""

    x: np.ndarray
    u: np.ndarray
    coefficients: np.ndarray
    time_ns: np.ndarray
    delay: np.ndarray
    wavelength_nm: np.ndarray
    photon: np.ndarray
    n_scatters: np.ndarray
    n_reflections: np.ndarray

    def rows(self, index: np.ndarray) -> _Flight:
        return _Flight(*(np.take(each, index, axis=-1) for each in self))


def trace_source(
    rng: Generator, source: Source, n_photons: int, tank: Tank, water: Water, batch: int = BATCH
) -> Traced:
    """Emit n_photons, a batch at a time, and follow them to their ends."""
    parts = []
    for start in range(0, n_photons, batch):
        photons = source(rng, min(batch, n_photons - start))
        parts.append(_trace_batch(rng, photons, start, tank, water))
    return _joined(parts)


def trace(rng: Generator, photons: Photons, tank: Tank, water: Water, batch: int = BATCH) -> Traced:
    """Follow photons to their ends."""
    parts = []
    for start in range(0, max(len(photons), 1), batch):
        rows = slice(start, start + batch)
        some = Photons(
            photons.position_m[rows], photons.direction[rows], photons.time_ns[rows], photons.wavelength_nm[rows]
        )
        parts.append(_trace_batch(rng, some, start, tank, water))
    return _joined(parts)


def _joined(parts: list[Traced]) -> Traced:
    names = Incidences.__dataclass_fields__
    columns = {name: np.concatenate([getattr(part.incidences, name) for part in parts]) for name in names}
    return Traced(Incidences(**columns), Fates(*(sum(each) for each in zip(*(p.fates for p in parts), strict=True))))


def _trace_batch(rng: Generator, photons: Photons, start: int, tank: Tank, water: Water) -> Traced:
    n, wavelength = len(photons), np.asarray(photons.wavelength_nm, float)
    flight = _Flight(
        x=np.ascontiguousarray(photons.position_m.T),
        u=np.ascontiguousarray(photons.direction.T),
        coefficients=water.coefficients(wavelength),
        time_ns=np.asarray(photons.time_ns, float),
        delay=water.delay_ns_per_m(wavelength),
        wavelength_nm=wavelength,
        photon=np.arange(start, start + n, dtype=np.int32),
        n_scatters=np.zeros(n, np.int16),
        n_reflections=np.zeros(n, np.int16),
    )
    flight = flight.rows(np.flatnonzero(tank.shape.contains(flight.x)))
    ends, records = np.array([0, 0, 0, n - len(flight.photon)]), []
    while len(flight.photon):
        flight, record, ended = _step(rng, flight, tank)
        records.append(record)
        ends[:3] += ended
    records.append(_incidences(flight, np.zeros(0, int), np.zeros(0)))
    return _joined([Traced(record, Fates(0, 0, 0, 0)) for record in records])._replace(fates=Fates(*ends.tolist()))


def _step(rng: Generator, flight: _Flight, tank: Tank) -> tuple[_Flight, Incidences, tuple[int, int, int]]:
    """Each photon to its next interaction: those that go on, what sensors saw, numbers absorbed, on sheet, at sensors.

    The free path is compared with the distance to the wall; the millimetres from there to a disc are not.
    """
    to_wall = tank.shape.to_wall(flight.x, flight.u)
    with np.errstate(divide="ignore", invalid="ignore"):
        free = rng.standard_exponential(len(to_wall)) / flight.coefficients.sum(axis=0)
    interacts = free < to_wall
    inside, outside = np.flatnonzero(interacts), np.flatnonzero(~interacts)
    scattered = _scatter(rng, _moved(flight.rows(inside), free[inside]))
    reflected, record, at_wall = _arrive(rng, _moved(flight.rows(outside), to_wall[outside]), tank)
    going_on = _Flight(*(np.concatenate(pair, axis=-1) for pair in zip(scattered, reflected, strict=True)))
    return going_on, record, (len(inside) - len(scattered.photon), *at_wall)


def _moved(flight: _Flight, distance_m: np.ndarray) -> _Flight:
    return flight._replace(x=flight.x + distance_m * flight.u, time_ns=flight.time_ns + distance_m * flight.delay)


def _scatter(rng: Generator, flight: _Flight) -> _Flight:
    """Photons that interact in water: the absorbed ones are left out, the others turned."""
    parts = flight.coefficients
    where = rng.random(parts.shape[1]) * parts.sum(axis=0)
    rows = np.flatnonzero(where >= parts[0])
    flight, where = flight.rows(rows), where[rows]
    n = len(rows)
    is_rayleigh = where < flight.coefficients[0] + flight.coefficients[1]
    cosine = np.where(is_rayleigh, rayleigh_cosine(rng, n), forward_cosine(rng, n))
    return flight._replace(u=_unit(around(rng, flight.u, cosine)), n_scatters=flight.n_scatters + np.int16(1))


def _arrive(rng: Generator, flight: _Flight, tank: Tank) -> tuple[_Flight, Incidences, tuple[int, int]]:
    """Photons at the wall: those that are reflected, incidences on sensors, numbers that end on sheet and sensors.

    They leave by Lambert's law about the wall's normal; from a disc too, where the point behind the wall is first
    moved onto the wall.
    """
    sensor, further, cosine = tank.first_sensor(flight.x, flight.u)
    flight = _moved(flight, further)
    on_sensor = sensor >= 0
    record = _incidences(flight.rows(np.flatnonzero(on_sensor)), sensor[on_sensor], cosine[on_sensor])
    reflectivity = np.where(on_sensor, _at(tank.r_pmt, flight.wavelength_nm), _at(tank.r_sheet, flight.wavelength_nm))
    goes_on = rng.random(len(sensor)) < reflectivity
    flight = flight.rows(np.flatnonzero(goes_on))
    x = tank.shape.pulled_in(flight.x)
    u = around(rng, tank.shape.inward(flight.x), forward_cosine(rng, x.shape[1]))
    flight = flight._replace(x=x, u=_unit(u), n_reflections=flight.n_reflections + np.int16(1))
    ended = ~goes_on
    return flight, record, (int(np.sum(ended & ~on_sensor)), int(np.sum(ended & on_sensor)))


def _unit(u: np.ndarray) -> np.ndarray:
    """Rounding errors do not add up over many turns."""
    return u / np.sqrt(_dot(u, u))


def _incidences(flight: _Flight, sensor: np.ndarray, cosine: np.ndarray) -> Incidences:
    return Incidences(
        sensor=sensor.astype(np.int32),
        photon=flight.photon,
        time_ns=flight.time_ns,
        wavelength_nm=flight.wavelength_nm.astype(np.float32),
        cosine=cosine.astype(np.float32),
        n_scatters=flight.n_scatters,
        n_reflections=flight.n_reflections,
    )


# --- Readout ---


def counts(incidences: Incidences, n_sensors: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Incidences (or sums of one weight for each) by category and sensor, shape (3, sensor)."""
    cell = incidences.category * n_sensors + incidences.sensor
    return np.bincount(cell, weights, minlength=3 * n_sensors).reshape(3, n_sensors)


SPE_WEIGHTS = (0.275, 0.125, 0.600)
SPE_MEANS = (0.168, 1.91)  # of the two exponentials
SPE_NORMAL = (1.145, 0.595)  # mean and sd of the normal, before it is cut at 0


def single_pe_mean() -> float:
    """Mean of the fitted single-photoelectron spectrum of the R3600 before it is normalised."""
    mean, sd = SPE_NORMAL
    hazard = np.exp(-0.5 * (mean / sd) ** 2) / np.sqrt(2 * np.pi) / ndtr(mean / sd)
    parts = (*SPE_MEANS, mean + sd * hazard)
    return float(sum(w * m for w, m in zip(SPE_WEIGHTS, parts, strict=True)))


def single_pe_charge(rng: Generator, n: int) -> np.ndarray:
    """Charges of n photoelectrons in an R3600: two exponentials and a normal cut at 0, with mean 1 (WCSim's table)."""
    mean, sd = SPE_NORMAL
    kind = rng.choice(3, size=n, p=SPE_WEIGHTS)
    below = ndtr(-mean / sd)
    peak = mean + sd * ndtri(below + (1.0 - below) * rng.random(n))
    tails = rng.standard_exponential(n) * np.array([*SPE_MEANS, 0.0])[kind]
    return np.where(kind == 2, peak, tails) / single_pe_mean()


@dataclass(frozen=True)
class Readout:
    """What sensors make of incidences.

    efficiency: a number or one per sensor (the QE curve may be in the source's spectrum instead). acceptance: effective
    area / (pi a^2 c) as a function of the cosine of incidence c; 1 is a flat disc. by_category: further factors on
    direct, scattered and reflected light; all 1, because QE includes the glass for all of them alike. Together they are
    the mean number of photoelectrons of an incidence, and may exceed 1. Times get a Gaussian transit_sd_ns; dark counts
    (dark_rate_khz) are uniform in window_ns; outside the window nothing is seen. charge draws single photoelectrons.
    """

    efficiency: np.ndarray | float = 1.0
    acceptance: Callable[[np.ndarray], np.ndarray] | None = None
    by_category: tuple[float, float, float] = (1.0, 1.0, 1.0)
    transit_sd_ns: float = 2.2
    dark_rate_khz: float = 4.2
    window_ns: tuple[float, float] = (-100.0, 400.0)
    charge: Draw = single_pe_charge

    def mean_photoelectrons(self, incidences: Incidences, n_sensors: int) -> np.ndarray:
        """Of each incidence."""
        efficiency = np.broadcast_to(self.efficiency, (n_sensors,))
        mean = efficiency[incidences.sensor] * np.array(self.by_category)[incidences.category]
        return mean if self.acceptance is None else mean * self.acceptance(incidences.cosine.astype(float))


class Hits(NamedTuple):
    """Sensors with a photoelectron or dark count, in order: sensor, charge [p.e.], first_time_ns, n_photoelectrons."""

    sensor: np.ndarray
    charge: np.ndarray
    first_time_ns: np.ndarray
    n_photoelectrons: np.ndarray


def read_out(rng: Generator, incidences: Incidences, n_sensors: int, readout: Readout) -> Hits:
    """Photoelectrons with times and charges, and dark counts, gathered by sensor.

    An incidence of mean m makes floor(m) photoelectrons and one more with probability m - floor(m).
    """
    mean = readout.mean_photoelectrons(incidences, n_sensors)
    number = np.floor(mean + rng.random(len(mean))).astype(int)
    time = np.repeat(incidences.time_ns, number)
    time = time + readout.transit_sd_ns * rng.standard_normal(len(time))
    start, end = readout.window_ns
    n_dark = rng.poisson(1e-6 * readout.dark_rate_khz * (end - start), n_sensors)
    sensor = np.concatenate([np.repeat(incidences.sensor, number), np.repeat(np.arange(n_sensors), n_dark)])
    time = np.concatenate([time, rng.uniform(start, end, n_dark.sum())])
    seen = (time >= start) & (time < end)
    return _gathered(sensor[seen], time[seen], readout.charge(rng, int(seen.sum())))


def _gathered(sensor: np.ndarray, time_ns: np.ndarray, charge: np.ndarray) -> Hits:
    order = np.lexsort((time_ns, sensor))
    hit, first, number = np.unique(sensor[order], return_index=True, return_counts=True)
    total = np.bincount(np.repeat(np.arange(len(hit)), number), charge[order], minlength=len(hit))
    return Hits(hit, total, time_ns[order][first], number)


def hits(rng: Generator, photons: Photons, tank: Tank, water: Water, readout: Readout) -> Hits:
    """One event of any source: photons followed to their ends, and read out."""
    return read_out(rng, trace(rng, photons, tank, water).incidences, tank.n_sensors, readout)
