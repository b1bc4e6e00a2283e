from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
import pytest

from bayescal.light.box import Box
from bayescal.light.detector import LightDetector, physical_visibility
from bayescal.light.library import PhotonLibrary, voxel_centres_cm
from bayescal.light.tabulation import tabulate, with_photon_statistics
from bayescal.testing import check_counts

BOX = Box(np.zeros(3), np.ones(3))


def test_a_tabulated_visibility(module0: LightDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 32 bits; chunks that do not divide the voxels change nothing."""
    monkeypatch.setattr("bayescal.light.tabulation._CHUNK", 7)
    visibility, n_voxels = physical_visibility(module0), (2, 4, 3)
    library = tabulate(visibility, n_voxels)
    assert library.visibility.dtype == np.float32
    exact = eqx.filter_jit(visibility)(voxel_centres_cm(module0.box, n_voxels))
    np.testing.assert_allclose(library.visibility, exact, rtol=1e-6)


def test_counts_are_those_of_a_poisson_distribution() -> None:
    """At 2 photons seen of 1000."""
    library = PhotonLibrary(BOX, np.full((20, 20, 20, 1), 2e-3, np.float32), 0.3)
    noisy = with_photon_statistics(jax.random.key(1), library, 1000.0)
    counts = np.rint(1000 * np.asarray(noisy.visibility, float).ravel()).astype(int)
    np.testing.assert_allclose(noisy.visibility.ravel(), counts / 1000, rtol=1e-6)
    outcomes = np.arange(12)
    probabilities = np.exp(-2.0) * 2.0**outcomes / np.cumprod(np.maximum(outcomes, 1))
    check_counts(np.bincount(counts, minlength=12)[:12], probabilities)
    assert noisy.efficiency == 0.3


def test_a_key_gives_the_same_library_again() -> None:
    library = PhotonLibrary(BOX, np.full((3, 3, 3, 2), 1e-3, np.float32))
    again = [with_photon_statistics(jax.random.key(seed), library, 1e5).visibility for seed in (1, 1, 2)]
    np.testing.assert_array_equal(again[0], again[1])
    assert (again[0] != again[2]).any()


def test_spread_of_a_simulated_library(module0: LightDetector) -> None:
    """Mean of |a - b| / v is sqrt(2 / (pi N v)) at a million photons; 10 % are four standard errors of the mean."""
    exact = tabulate(physical_visibility(module0), (8, 8, 4))
    noisy = with_photon_statistics(jax.random.key(3), exact, 1e6)
    seen, drawn = (np.asarray(library.visibility, float) for library in (exact, noisy))
    bright = seen > 4.5e-5
    found = (np.abs(drawn - seen) / seen)[bright].mean()
    assert found == pytest.approx(np.sqrt(2 / (np.pi * 1e6 * seen[bright])).mean(), rel=0.1)
