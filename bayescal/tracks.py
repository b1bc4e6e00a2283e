"""Made tracks of muons and protons in liquid argon: input for closure tests, examples and the demonstration.

Tracks are straight (no multiple scattering), one an event, and lie within one drift volume. Fast electrons above
`stopping_power.DELTA_CUT_MEV` leave the track, as do the electrons of muon decay; neither is simulated.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Key
from numpy.typing import NDArray

from bayescal.charge.geometry import PixelGeometry
from bayescal.constants import ARGON_DENSITY_G_PER_CM3, SPEED_OF_LIGHT_CM_PER_US
from bayescal.errors import InputError
from bayescal.segments import Segments, from_rows, merge
from bayescal.stopping_power import (
    PARTICLES,
    Particle,
    beta_gamma,
    draw_loss,
    energy_of_range,
    kinetic_energy_mev,
    residual_range,
)

STEP_CM = 0.5
"""Length of a step, about a pixel [cm]."""

_LAST_STEP = 1.25  # a track ends with a step of 0.25 to 1.25 of the others, none is very short
_REST_MEV = 0.5  # less than this has a range below 0.01 mm and is deposited on the spot
_LEAST_DEMO_CM = 50.0
_TRIES = 1000  # directions tried for a track before it is said not to fit


class _Walk(NamedTuple):
    """Steps of many tracks: track index, path before and length [cm], deposit [MeV], time of the middle [us]."""

    track: NDArray
    path_cm: NDArray
    length_cm: NDArray
    energy_mev: NDArray
    time_us: NDArray


def generate_muons(
    key: Key[Array, ""],
    geometry: PixelGeometry,
    *,
    n_tracks: int,
    length_cm: float = 15.0,
    kinetic_mev: float = 1000.0,
    step_cm: float = STEP_CM,
) -> Segments:
    """Pieces of passing muons, spread evenly over drift distances and angles to the drift axis.

    Args:
        key: random key.
        geometry: drift volumes.
        n_tracks: number of tracks.
        length_cm: length of each [cm].
        kinetic_mev: kinetic energy at the start [MeV].
        step_cm: length of a step [cm].
    """
    rng = _generator(key)
    start_mev, longest_cm = np.full(n_tracks, kinetic_mev), np.full(n_tracks, length_cm)
    walk = _walk(rng, PARTICLES["muon"], start_mev, longest_cm, step_cm)
    return _placed(rng, geometry, PARTICLES["muon"], walk)


def generate_stopping(
    key: Key[Array, ""],
    geometry: PixelGeometry,
    *,
    n_tracks: int,
    particle: str = "proton",
    momentum_mev: tuple[float, float] = (200.0, 500.0),
    max_length_cm: float = 25.0,
) -> Segments:
    """Particles that come to rest, spread evenly over drift distances and angles to the drift axis.

    Args:
        key: random key.
        geometry: drift volumes.
        n_tracks: number of tracks.
        particle: "muon" or "proton".
        momentum_mev: limits of the momentum at the start, which is uniform between them [MeV/c].
        max_length_cm: of a track with a longer mean range, about the last part of this length is made [cm].
    """
    if particle not in PARTICLES:
        raise InputError(f"there is no particle `{particle}`: give one of {', '.join(PARTICLES)}")
    rng, kind = _generator(key), PARTICLES[particle]
    kinetic_mev = kinetic_energy_mev(rng.uniform(*momentum_mev, n_tracks), kind)
    kinetic_mev = np.minimum(kinetic_mev, energy_of_range(max_length_cm * ARGON_DENSITY_G_PER_CM3, kind))
    walk = _walk(rng, kind, kinetic_mev, np.full(n_tracks, np.inf), STEP_CM)
    return _placed(rng, geometry, kind, walk)


def demo_tracks(key: Key[Array, ""], geometry: PixelGeometry, length_cm: float = 150.0) -> Segments:
    """Tracks for a calibration: stopping ones, whose varying dE/dx tells k_B, and pieces of passing muons.

    About a quarter of the length is stopping protons, a quarter stopping muons, the rest passing muons of 1 GeV in
    pieces of at most 15 cm.

    Args:
        key: random key.
        geometry: drift volumes.
        length_cm: length of all tracks together, at least 50 cm [cm].
    """
    if length_cm < _LEAST_DEMO_CM:
        raise InputError(
            f"length_cm = {length_cm} is too short for tracks of each kind: ask for {_LEAST_DEMO_CM} cm or more"
        )
    proton_key, stopping_key, passing_key = jax.random.split(key, 3)
    momentum_mev = (300.0, 450.0)  # 2 to 9 cm
    protons = generate_stopping(proton_key, geometry, n_tracks=int(length_cm / 20), momentum_mev=momentum_mev)
    n_stopping = int(length_cm / 48)
    stopping = generate_stopping(
        stopping_key, geometry, n_tracks=n_stopping, particle="muon", momentum_mev=(200.0, 500.0), max_length_cm=12.0
    )
    rest_cm = length_cm - float(protons.total_length_cm + stopping.total_length_cm)
    n_passing = int(np.ceil(rest_cm / 15))
    passing = generate_muons(passing_key, geometry, n_tracks=n_passing, length_cm=rest_cm / n_passing)
    return _numbered([protons, stopping, passing])


def _generator(key: Key[Array, ""]) -> np.random.Generator:
    """NumPy's generator, seeded by a JAX key: with a random number of steps this is no work for a compiled program."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def _numbered(parts: list[Segments]) -> Segments:
    """All events of several sets, numbered one after another."""
    first = np.cumsum([0] + [part.n_events for part in parts])
    moved = [eqx.tree_at(lambda s: s.event_id, p, p.event_id + n) for p, n in zip(parts, first, strict=False)]
    return merge(moved)


def _walk(
    rng: np.random.Generator, particle: Particle, kinetic_mev: NDArray, length_cm: NDArray, step_cm: float
) -> _Walk:
    """Take particles along their tracks, step by step, until they stop or have gone a given length.

    Args:
        rng: source of randomness.
        particle: kind of all particles.
        kinetic_mev: kinetic energies at the start [MeV].
        length_cm: longest paths [cm].
        step_cm: length of a step [cm].
    """
    if not kinetic_mev.size:
        raise InputError("n_tracks = 0 makes no tracks: ask for at least one")
    track = np.arange(kinetic_mev.size)
    path_cm, time_us = np.zeros(track.size), np.zeros(track.size)
    steps = []
    while track.size:
        range_cm = residual_range(kinetic_mev, particle) / ARGON_DENSITY_G_PER_CM3
        reach_cm = np.minimum(length_cm - path_cm, range_cm)
        last = reach_cm <= _LAST_STEP * step_cm
        advance_cm = np.where(last, reach_cm, step_cm)
        deposited_mev, left_mev = _step(rng, particle, kinetic_mev, advance_cm, advance_cm == range_cm)
        duration_us = advance_cm / (_beta(kinetic_mev, particle) * SPEED_OF_LIGHT_CM_PER_US)
        steps.append(_Walk(track, path_cm, advance_cm, deposited_mev, time_us + duration_us / 2))
        going = ~last & (left_mev > 0)
        track, kinetic_mev, length_cm = track[going], left_mev[going], length_cm[going]
        path_cm, time_us = (path_cm + advance_cm)[going], (time_us + duration_us)[going]
    return _Walk(*(np.concatenate(column) for column in zip(*steps, strict=True)))


def _step(
    rng: np.random.Generator, particle: Particle, kinetic_mev: NDArray, advance_cm: NDArray, stops: NDArray
) -> tuple[NDArray, NDArray]:
    """Energy left in a step and kinetic energy after it, one a track [MeV]; a particle that stops leaves all it has."""
    deposited_mev, left_mev = kinetic_mev.copy(), np.zeros(kinetic_mev.size)
    loss = draw_loss(rng, kinetic_mev[~stops], particle, advance_cm[~stops] * ARGON_DENSITY_G_PER_CM3)
    rest = kinetic_mev[~stops] - loss.deposited_mev - loss.escaped_mev
    at_rest = rest < _REST_MEV
    deposited_mev[~stops] = loss.deposited_mev + np.where(at_rest, rest, 0.0)
    left_mev[~stops] = np.where(at_rest, 0.0, rest)
    return deposited_mev, left_mev


def _beta(kinetic_mev: NDArray, particle: Particle) -> NDArray:
    """Speed over that of light."""
    momentum = beta_gamma(kinetic_mev, particle)
    return momentum / np.hypot(1, momentum)


def _placed(rng: np.random.Generator, geometry: PixelGeometry, particle: Particle, walk: _Walk) -> Segments:
    """The steps of tracks put into the drift volumes."""
    n_tracks = walk.track.max() + 1
    total_cm = np.bincount(walk.track, walk.length_cm, minlength=n_tracks)
    origin_cm, direction = _place(rng, geometry, total_cm)
    start_cm, end_cm = (
        origin_cm[walk.track] + direction[walk.track] * path_cm[:, None]
        for path_cm in (walk.path_cm, walk.path_cm + walk.length_cm)
    )
    code = np.full(walk.track.size, particle.pdg_id)
    deposit = (walk.energy_mev, walk.energy_mev / walk.length_cm, walk.time_us)
    return from_rows(walk.track, (np.ones_like(code), code), (start_cm, end_cm), deposit)


def _place(rng: np.random.Generator, geometry: PixelGeometry, length_cm: NDArray) -> tuple[NDArray, NDArray]:
    """Starts [cm] and directions of straight tracks that fit into a drift volume.

    Cosines to the drift axis and places along it are stratified: one of n tracks in each n-th of their ranges. A track
    too long for its direction gets another one at random.
    """
    n_tracks = length_cm.size
    lower_cm, upper_cm = _volume(geometry, rng.permuted(np.arange(n_tracks) % geometry.n_planes))
    direction = _direction(rng, 2 * _stratified(rng, n_tracks) - 1)
    for _ in range(_TRIES):
        too_long = (np.abs(direction) * length_cm[:, None] > upper_cm - lower_cm).any(axis=1)
        if not too_long.any():
            break
        direction[too_long] = _direction(rng, rng.uniform(-1, 1, too_long.sum()))
    else:
        raise InputError(f"a track of {length_cm.max():.1f} cm does not fit into a drift volume: ask for shorter ones")
    extent_cm = direction * length_cm[:, None]
    place = np.stack([rng.uniform(size=n_tracks), rng.uniform(size=n_tracks), _stratified(rng, n_tracks)], axis=1)
    room_cm = upper_cm - lower_cm - np.abs(extent_cm)
    return lower_cm - np.minimum(extent_cm, 0) + place * room_cm, direction


def _volume(geometry: PixelGeometry, plane: NDArray) -> tuple[NDArray, NDArray]:
    """Lower and upper corners of the drift volumes of planes, shape (n, 3) [cm]."""
    z_cm = np.array([geometry.drift_range_cm(index) for index in range(geometry.n_planes)])[plane]
    lower, upper = (np.tile(corner, (plane.size, 1)) for corner in (geometry.lower_cm, geometry.upper_cm))
    return np.column_stack([lower, z_cm[:, 0]]), np.column_stack([upper, z_cm[:, 1]])


def _direction(rng: np.random.Generator, cosine: NDArray) -> NDArray:
    """Unit vectors with given cosines to the z axis and random azimuth, shape (n, 3)."""
    azimuth, sine = rng.uniform(0, 2 * np.pi, cosine.size), np.sqrt(1 - cosine**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)


def _stratified(rng: np.random.Generator, count: int) -> NDArray:
    """Uniform numbers in (0, 1), one in each n-th of the interval, in random order."""
    return (rng.permuted(np.arange(count)) + rng.uniform(size=count)) / count
