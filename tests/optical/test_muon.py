from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.optical.cherenkov import Radiator, sin2_cherenkov
from bayescal.optical.emission import Emission, ShowerCone, frame_about
from bayescal.optical.muon import (
    BENDING_MODES,
    Bends,
    MuonLight,
    MuonTrack,
    bending_modes,
    beta,
    kinetic_of_range_mev,
    light_emitting_length_m,
    momentum_mev,
    range_m,
)
from bayescal.testing import check_gradient

LIGHT_M_PER_NS = 0.299792458
INDEX = 1.3448
WATER = Radiator(INDEX, 4658.0, 0.0048)
FRAME = frame_about([0.3, -0.4, 0.5])
SQUARE_DEGREES = np.degrees(1.0) ** 2
ENERGIES_MEV = np.array([100.0, 200.0, 300.0, 500.0, 800.0, 1000.0, 1400.0, 2000.0])

modes_of = jax.jit(bending_modes, static_argnums=1)
length_of, energy_of_range, range_of = jax.jit(light_emitting_length_m), jax.jit(kinetic_of_range_mev), jax.jit(range_m)


def muon(kinetic_mev: float | jax.Array, bending: np.ndarray | None = None) -> MuonTrack:
    bends = np.zeros((2, BENDING_MODES)) if bending is None else bending
    return MuonTrack(np.array([1.0, 2.0, 3.0]), np.zeros(2), jnp.asarray(kinetic_mev), 5.0, FRAME, bends)


def model(nodes: int = 64) -> MuonLight:
    return MuonLight(WATER, ShowerCone(1 / INDEX), nodes=nodes)


emit = eqx.filter_jit(MuonLight.emit)


class FinePath:
    """A fine grid of the light-emitting path: place s/L, variance of the angle [rad^2], light, elapsed time [ns]."""

    def __init__(self, kinetic_mev: float, n: int = 2000) -> None:
        self.length = float(length_of(kinetic_mev, INDEX))
        self.place = (np.arange(n) + 0.5) / n
        kinetic = np.asarray(energy_of_range(float(range_of(kinetic_mev)) - self.length * self.place))
        gamma = 1 + kinetic / 105.6583755
        self.beta, momentum = np.sqrt(1 - gamma**-2), np.sqrt(gamma**2 - 1) * 105.6583755
        step, rate = self.length / n, (13.6 / (self.beta * momentum)) ** 2 / 0.3608
        self.variance = step * (np.cumsum(rate) - rate / 2)
        self.light = 1 - (INDEX * self.beta) ** -2
        self.time = step / LIGHT_M_PER_NS * (np.cumsum(1 / self.beta) - 0.5 / self.beta)
        self.share = self.light / self.light.sum()


def test_momentum_and_speed() -> None:
    expected = [176.4, 286.8, 391.7, 596.4, 899.5, 1100.6, 1501.9, 2103.0]
    np.testing.assert_allclose(momentum_mev(ENERGIES_MEV), expected, atol=0.06)
    np.testing.assert_allclose(
        beta(ENERGIES_MEV), momentum_mev(ENERGIES_MEV) / (ENERGIES_MEV + 105.6583755), rtol=1e-12
    )


def test_range() -> None:
    expected = [31.24, 78.95, 129.2, 229.77, 377.3, 473.51, 661.8, 936.57]
    np.testing.assert_allclose(100 * range_of(ENERGIES_MEV), expected, rtol=4e-4)
    np.testing.assert_allclose(
        100 * range_of(ENERGIES_MEV[[0, 1, 3, 5, 7]]), [31.24, 78.95, 229.77, 473.51, 936.57], atol=0.006
    )
    assert range_of(53.07) == pytest.approx(0.121, abs=5e-4)


def test_range_is_the_integral_of_the_loss(tracer: ModuleType) -> None:
    """Of Bethe's formula, 45 to 3000 MeV."""
    energies = np.geomspace(45.0, 3000.0, 60)
    np.testing.assert_allclose(100 * range_of(energies), tracer.muon_range(energies), rtol=5e-4)


def test_loss() -> None:
    """The derivative of the range: 2.256 ... 2.212 MeV/cm, to 0.3 %."""
    slope = jax.jit(jax.vmap(jax.grad(range_m)))(ENERGIES_MEV)
    expected = [2.256, 2.014, 1.980, 2.004, 2.062, 2.096, 2.151, 2.212]
    np.testing.assert_allclose(0.01 / slope, expected, rtol=3e-3)


def test_energy_of_range_inverts() -> None:
    some = np.array([100.0, 200.0, 500.0, 1000.0, 2000.0])
    np.testing.assert_allclose(energy_of_range(range_of(some)), some, rtol=1.1e-5)
    energies = np.geomspace(45.0, 3000.0, 200)
    np.testing.assert_allclose(energy_of_range(range_of(energies)), energies, rtol=3e-4)


def test_light_emitting_length() -> None:
    """R(T) - R(53.07 MeV) at index 1.34; nothing below the threshold."""
    assert length_of(500.0, 1.34) == pytest.approx(2.2977 - 0.121, abs=5e-4)
    assert length_of(45.0, 1.34) < 1e-3
    assert length_of(20.0, 1.34) > 0


@pytest.mark.parametrize("kinetic_mev", [200.0, 500.0, 1000.0])
def test_total_light(kinetic_mev: float) -> None:
    """int dN/ds ds, with 12 % of other light; 16 nodes do."""
    path = FinePath(kinetic_mev, 20_000)
    sin2_one = 1 - INDEX**-2
    expected = 1.12 * 4658.0 * path.length * path.light.mean() / sin2_one
    assert emit(model(64), muon(kinetic_mev)).weight.sum() == pytest.approx(expected, rel=1e-6)
    assert emit(model(16), muon(kinetic_mev)).weight.sum() == pytest.approx(expected, rel=1e-5)


def test_straight_track() -> None:
    """Nodes on a line from the vertex, with the angle of their speed and the time of an integration."""
    seen, path = emit(model(), muon(500.0)), FinePath(500.0)
    x = (1 + np.polynomial.legendre.leggauss(64)[0]) / 2
    np.testing.assert_allclose(seen.position_m, [1.0, 2.0, 3.0] + path.length * x[:, None] * FRAME[2], rtol=1e-12)
    np.testing.assert_allclose(seen.direction, np.tile(FRAME[2], (64, 1)), rtol=1e-12)
    np.testing.assert_allclose(seen.cos_theta_c, 1 / (INDEX * np.interp(x, path.place, path.beta)), atol=2e-5)
    np.testing.assert_allclose(seen.time_ns[1:-1], 5.0 + np.interp(x, path.place, path.time)[1:-1], atol=1e-5)
    share = np.asarray(seen.weight / seen.weight.sum())
    assert np.sqrt(share @ np.asarray(seen.cone_width) ** 2) == pytest.approx(0.03, abs=3e-4)


@pytest.mark.parametrize(
    ("kinetic_mev", "distance_m", "expected_ns"),
    [(500.0, 1.0, 3.414), (500.0, 2.0, 7.004), (300.0, 1.0, 3.592), (200.0, 0.5, 1.845), (1000.0, 1.0, 3.355)],
)
def test_elapsed_time(kinetic_mev: float, distance_m: float, expected_ns: float) -> None:
    seen = emit(model(), muon(kinetic_mev))
    distance = np.linalg.norm(np.asarray(seen.position_m) - [1.0, 2.0, 3.0], axis=1)
    assert np.interp(distance_m, distance, seen.time_ns - 5.0) == pytest.approx(expected_ns, abs=1e-3)


@pytest.mark.peer
def test_elapsed_time_of_a_simulation(peer_data: Path) -> None:
    """A fit to PhotonSim by the peer LUCiD, times [ns] of distances [mm], to 0.1 ns."""
    law = json.loads((peer_data / "optical/muon_water_t0.json").read_text())
    line, delay = law["baseline"], law["delta_parameterization"]
    for energy in (200.0, 300.0, 500.0, 700.0, 1000.0):
        path = FinePath(energy, 100)
        power = delay["B_slope"] * energy + delay["B_intercept"]
        scale = 10 ** (delay["A_slope"] * energy + delay["A_intercept"])
        distance = 1000 * path.length * path.place
        fit = line["slope"] * distance + line["intercept"] + scale * distance**power + delay["offset"]
        np.testing.assert_allclose(fit, path.time, atol=0.1)


def density(emission, cosine):
    """Of the light of each node [1/sr]."""
    return emission.profile.density_per_sr(cosine, emission.cos_theta_c, emission.cone_width)


def on_grid(kinetic_mev: float) -> tuple[Bends, np.ndarray, np.ndarray]:
    """Modes, their exact covariance and the light's weights, at the nodes."""
    modes, path = modes_of(kinetic_mev, 64), FinePath(kinetic_mev, 20_000)
    x, weight = np.polynomial.legendre.leggauss(64)
    variance, light = (np.interp((1 + x) / 2, path.place, part) for part in (path.variance, path.light))
    share = weight * light
    return modes, np.minimum(variance[:, None], variance), share / share.sum()


def test_variances_of_the_bends_at_500_mev() -> None:
    modes, exact, share = on_grid(500.0)
    variance = SQUARE_DEGREES * np.asarray(modes.slope)[1:] ** 2 @ share
    expected = [7.34, 1.385, 0.548, 0.290, 0.179, 0.121, 0.087, 0.066]
    np.testing.assert_allclose(variance[:8], expected, rtol=0.01)
    whole = SQUARE_DEGREES * (share @ np.diag(exact))
    assert np.sqrt(whole - variance[:8].sum()) == pytest.approx(0.69, abs=0.006)
    assert np.sqrt(whole - variance.sum()) == pytest.approx(0.69 * np.sqrt(8 / 24), abs=0.02)


@pytest.mark.parametrize("kinetic_mev", [200.0, 500.0, 1000.0])
def test_the_first_mode_is_what_finer_bends_do_to_the_initial_slope(kinetic_mev: float) -> None:
    """Walks drawn step by step, each fitted with a constant and the leading modes: the spread of the constant.

    4,000 walks tell a standard deviation to 1.1 %; three of that, and 1.5 % for the table and the nodes of the light.
    """
    modes, _, share = on_grid(kinetic_mev)
    path = FinePath(kinetic_mev, 2000)
    steps = np.sqrt(np.diff(path.variance, prepend=0.0))
    walks = np.cumsum(np.random.default_rng(5).normal(size=(4000, len(steps))) * steps, axis=1)
    x = (1 + np.polynomial.legendre.leggauss(64)[0]) / 2
    at_nodes = np.stack([np.interp(x, path.place, walk) for walk in walks])
    columns = np.concatenate([np.ones((1, 64)), np.asarray(modes.slope)[1:]]) * np.sqrt(share)
    constant = np.linalg.lstsq(columns.T, (at_nodes * np.sqrt(share)).T, rcond=None)[0][0]
    assert float(modes.slope[0, 0]) == pytest.approx(constant.std(), rel=0.05)


@pytest.mark.parametrize("kinetic_mev", [80.0, 200.0, 500.0, 1000.0, 2000.0])
def test_bends_reproduce_multiple_scattering(kinetic_mev: float) -> None:
    """Covariance to 2 % of its size; what is left out, where that is above zero, to 0.2 % of the mean variance."""
    modes, exact, share = on_grid(kinetic_mev)
    slope = np.asarray(modes.slope)
    difference = slope.T @ slope - exact
    assert share @ difference**2 @ share < 0.02**2 * (share @ exact**2 @ share)
    total = share @ np.diag(exact)
    left = np.maximum(np.diag(exact) - (slope**2).sum(axis=0), 0.0)
    assert share @ np.abs(modes.rest_rad2 - left) < 2e-3 * total
    assert float(modes.rest_rad2[0]) < 2e-3 * total
    np.testing.assert_allclose((slope * share) @ slope.T, np.diag(slope**2 @ share), atol=2e-3 * total)


@pytest.mark.parametrize(("kinetic_mev", "degrees"), [(200.0, 2.4), (300.0, 2.4), (500.0, 2.3), (1000.0, 2.0)])
def test_wander_of_the_mean_direction(kinetic_mev: float, degrees: float) -> None:
    """Of all light of a track, in a plane; the angle inside it spreads by 2.2 to 2.3 degrees."""
    modes, exact, share = on_grid(kinetic_mev)
    wander = (np.asarray(modes.slope) @ share) ** 2
    assert np.degrees(np.sqrt(wander.sum())) == pytest.approx(degrees, abs=0.06)
    inside = share @ np.diag(exact) - share @ exact @ share
    assert np.degrees(np.sqrt(inside)) == pytest.approx(2.25, abs=0.08)


def test_bends_start_with_the_slope_and_keep_their_sign() -> None:
    """Leading ones zero at the start, positive at the end; no flip and no jump from 55 to 2900 MeV.

    A place along the path has a phase proportional to the number of the mode: so are first changes with energy, and
    second ones to its square. A flip would be a change by 2.
    """
    energies = np.geomspace(55.0, 2900.0, 400)
    modes = jax.jit(jax.vmap(lambda e: bending_modes(e, 64)))(energies)
    slope = np.asarray(modes.slope)[:, 1:]
    assert (slope[:, :, -1] > 0).all()
    scale = slope[:, :, -1:]
    assert np.abs(slope[:, :, 0] / scale[:, :, 0]).max() < 0.06
    relative, number = slope / scale, np.arange(1, BENDING_MODES)[:, None]
    assert np.abs(np.diff(relative, axis=0) / number).max() < 0.005
    assert np.abs(np.diff(relative, n=2, axis=0) / number**2).max() < 2e-4


def test_bent_track() -> None:
    """Unit directions of slopes; positions are their integral along the path."""
    z = np.random.default_rng(3).normal(size=(2, BENDING_MODES))
    seen, straight = emit(model(), muon(500.0, z)), emit(model(), muon(500.0))
    slope = z @ np.asarray(modes_of(500.0, 64).slope)
    vector = FRAME[2] + slope.T @ FRAME[:2]
    np.testing.assert_allclose(seen.direction, vector / np.linalg.norm(vector, axis=1)[:, None], rtol=1e-10)
    x = (1 + np.polynomial.legendre.leggauss(64)[0]) / 2
    length = float(length_of(500.0, INDEX))
    for axis in range(3):
        fit = np.polynomial.Legendre.fit(x, np.asarray(seen.direction)[:, axis], 63, domain=[0, 1]).integ(lbnd=0.0)
        moved = np.asarray(seen.position_m)[:, axis] - [1.0, 2.0, 3.0][axis]
        np.testing.assert_allclose(moved, length * fit(x), atol=1e-8)
    np.testing.assert_allclose(seen.weight, straight.weight, rtol=1e-12)
    np.testing.assert_allclose(seen.time_ns, straight.time_ns, rtol=1e-12)


def test_below_the_threshold() -> None:
    """Dark, and finite with its gradient."""

    def light(kinetic_mev: jax.Array) -> jax.Array:
        seen = model(20).emit(muon(kinetic_mev, np.ones((2, BENDING_MODES))))
        return seen.weight @ (density(seen, jnp.full(20, 0.7)) + seen.time_ns + seen.position_m.sum(axis=1))

    value, slope = jax.jit(jax.vmap(jax.value_and_grad(light)))(jnp.array([30.0, 45.0, 52.4, 60.0]))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert np.abs(value[:2]).max() < 1e-3 * value[3]


def seen_by(sensors_m: np.ndarray, emission: Emission) -> jax.Array:
    """Light per area [1/m^2] at points, and its mean time."""
    way = sensors_m[:, None] - emission.position_m
    distance = jnp.sqrt((way**2).sum(axis=-1))
    cosine = (way * emission.direction).sum(axis=-1) / distance
    light = emission.weight * density(emission, cosine) / distance**2
    return jnp.log(light.sum(axis=1)).sum() + (light @ emission.time_ns / light.sum(axis=1)).sum()


def test_gradients() -> None:
    """The 57 numbers of a muon, fraction of the halo, width, index and light at beta 1."""
    sensors_m = np.array([[9.0, -5.0, 12.0], [0.0, -8.0, 9.0], [12.0, -9.0, 5.0], [-10.0, 0.0, -12.0]])
    z = np.random.default_rng(5).normal(size=2 * BENDING_MODES)

    def light(x: jax.Array) -> jax.Array:
        track = MuonTrack(x[:3], x[3:5], 100 * x[5], x[6], FRAME, x[11:].reshape(2, -1))
        water = Radiator(x[9], 1000 * x[10], 0.0048)
        return seen_by(sensors_m, MuonLight(water, ShowerCone(1 / x[9]), x[7], x[8], 24).emit(track))

    start = np.array([1.0, 2.0, 3.0, 0.05, -0.08, 4.3, 5.0, 0.12, 0.05, INDEX, 4.658, *z])
    check_gradient(light, start, rtol=1e-5, step=2e-5)


def test_light_vanishes_smoothly_at_the_end() -> None:
    seen = emit(model(), muon(500.0))
    density = np.asarray(seen.weight) / np.polynomial.legendre.leggauss(64)[1]
    assert density[-1] < 6e-3 * density[0]
    last = sin2_cherenkov(beta(energy_of_range(0.1206)), INDEX)
    assert last < 0.01
