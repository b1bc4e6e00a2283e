from __future__ import annotations

import jax
import numpy as np
import pytest

from bayescal.charge.geometry import PixelGeometry
from bayescal.errors import InputError
from bayescal.segments import Segments
from bayescal.stopping_power import PARTICLES, kinetic_energy_mev, residual_range
from bayescal.tracks import demo_tracks, generate_muons, generate_stopping

GEOMETRY = PixelGeometry(0.4434, 140, 280, (-31.038, -62.076), (30.58975, -30.58975), (0.15875, -0.15875))


def _inside_one_volume(segments: Segments) -> bool:
    planes = [GEOMETRY.plane_of(end, margin_cm=1e-9) for end in (segments.start_cm, segments.end_cm)]
    return bool((planes[0] >= 0).all() and (planes[0] == planes[1]).all())


def _event_sums(segments: Segments, values: np.ndarray) -> np.ndarray:
    return np.bincount(segments.event, values)


def test_muons_have_the_length_asked_for_and_stay_inside() -> None:
    muons = generate_muons(jax.random.key(0), GEOMETRY, n_tracks=40, length_cm=25.0)
    np.testing.assert_allclose(_event_sums(muons, muons.length_cm), 25.0, rtol=1e-12)
    assert _inside_one_volume(muons)
    assert set(muons.pdg_id) == {13}


def test_steps_join_and_none_is_very_short() -> None:
    muons = generate_muons(jax.random.key(1), GEOMETRY, n_tracks=3, length_cm=10.2, step_cm=0.5)
    same = np.diff(muons.event) == 0
    np.testing.assert_allclose(muons.end_cm[:-1][same], muons.start_cm[1:][same], atol=1e-12)
    assert muons.length_cm.min() >= 0.125
    assert muons.length_cm.max() <= 0.625


def test_tracks_cover_drift_distances_and_angles() -> None:
    muons = generate_muons(jax.random.key(2), GEOMETRY, n_tracks=100, length_cm=10.0, step_cm=1.0)
    distance = 30.58975 - np.abs((muons.start_cm + muons.end_cm)[:, 2] / 2)
    assert distance.min() < 1.5
    assert distance.max() > 29.0
    first, last = (
        np.searchsorted(muons.event, np.arange(100)),
        np.searchsorted(muons.event, np.arange(100), "right") - 1,
    )
    cosine = (muons.end_cm[last] - muons.start_cm[first])[:, 2] / 10.0
    np.testing.assert_allclose(np.sort(cosine), np.linspace(-0.99, 0.99, 100), atol=0.0101)  # one in each hundredth


def test_passing_muons_lose_what_ionisation_leaves() -> None:
    """The truncated mean of edep-sim's muons: 1.7 to 2.2 MeV/cm for most steps, 1.9 on average."""
    muons = generate_muons(jax.random.key(3), GEOMETRY, n_tracks=100)
    np.testing.assert_allclose(muons.energy_mev.sum() / muons.total_length_cm, 1.92, atol=0.05)
    assert 1.3 < np.quantile(muons.dedx_mev_per_cm, 0.01) < 1.6
    assert 1.6 < np.median(muons.dedx_mev_per_cm) < 1.9


def test_stopping_protons_leave_all_their_energy() -> None:
    protons = generate_stopping(jax.random.key(4), GEOMETRY, n_tracks=30, momentum_mev=(400.0, 400.0))
    np.testing.assert_allclose(
        _event_sums(protons, protons.energy_mev), kinetic_energy_mev(400.0, PARTICLES["proton"]), rtol=1e-12
    )
    assert _inside_one_volume(protons)


def test_proton_range_on_average() -> None:
    protons = generate_stopping(jax.random.key(5), GEOMETRY, n_tracks=200, momentum_mev=(400.0, 400.0))
    lengths = _event_sums(protons, protons.length_cm)
    expected = residual_range(kinetic_energy_mev(400.0, PARTICLES["proton"]), PARTICLES["proton"]) / 1.396
    assert 0.005 < lengths.std() / lengths.mean() < 0.03  # range straggling of protons: 1 to 2 %
    assert abs(lengths.mean() - expected) < 5 * lengths.std() / np.sqrt(200) + 0.005 * expected


def test_energy_loss_rises_at_the_end() -> None:
    protons = generate_stopping(jax.random.key(6), GEOMETRY, n_tracks=20, momentum_mev=(450.0, 500.0))
    first = np.searchsorted(protons.event, np.arange(20))
    last = np.searchsorted(protons.event, np.arange(20), "right") - 1
    assert protons.dedx_mev_per_cm[first].max() < 10
    assert protons.dedx_mev_per_cm[last].min() > 25
    assert protons.dedx_mev_per_cm[last - 4].min() > 11


def test_long_ranges_are_cut_to_their_last_part() -> None:
    muons = generate_stopping(jax.random.key(7), GEOMETRY, n_tracks=20, particle="muon", max_length_cm=12.0)
    lengths = _event_sums(muons, muons.length_cm)
    assert (np.abs(lengths - 12) < 2).all()
    assert _inside_one_volume(muons)


def test_times_follow_the_particle() -> None:
    muons = generate_muons(jax.random.key(8), GEOMETRY, n_tracks=1, length_cm=29.0)
    light_us = 29.0 / 29979.2458
    assert 0 < muons.time_us[0] < 1e-4
    assert light_us * 0.97 < muons.time_us[-1] < light_us * 1.01
    assert (np.diff(muons.time_us) > 0).all()


@pytest.mark.parametrize("length_cm", [50.0, 150.0, 400.0])
def test_demo_tracks_have_the_length_asked_for(length_cm: float) -> None:
    tracks = demo_tracks(jax.random.key(9), GEOMETRY, length_cm)
    np.testing.assert_allclose(tracks.total_length_cm, length_cm, rtol=1e-12)
    assert set(tracks.pdg_id) == {13, 2212}
    assert _inside_one_volume(tracks)
    assert tracks.event_id.tolist() == list(range(tracks.n_events))


def test_the_key_decides() -> None:
    first, again, other = (demo_tracks(jax.random.key(seed), GEOMETRY) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.start_cm, again.start_cm)
    assert not np.array_equal(first.start_cm[:5], other.start_cm[:5])


def test_tracks_that_do_not_fit() -> None:
    with pytest.raises(
        InputError, match=r"a track of 200\.0 cm does not fit into a drift volume: ask for shorter ones"
    ):
        generate_muons(jax.random.key(0), GEOMETRY, n_tracks=1, length_cm=200.0, step_cm=20.0)


def test_wrong_requests() -> None:
    with pytest.raises(InputError, match="no particle `kaon`: give one of muon, proton"):
        generate_stopping(jax.random.key(0), GEOMETRY, n_tracks=1, particle="kaon")
    with pytest.raises(InputError, match="n_tracks = 0 makes no tracks"):
        generate_muons(jax.random.key(0), GEOMETRY, n_tracks=0)
    with pytest.raises(InputError, match="too short for tracks of each kind"):
        demo_tracks(jax.random.key(0), GEOMETRY, length_cm=10.0)
