from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
import pytest

from bayescal.light.box import Box
from bayescal.light.detector import in_every_volume, physical_visibility
from bayescal.light.library import PhotonLibrary
from bayescal.light.volumes import MultiVolume
from bayescal.readers.light_detector import read_light_detector

BOX = Box(np.zeros(3), np.array([2.0, 4.0, 6.0]))
TABLE = np.random.default_rng(1).uniform(5.0, 6.0, (3, 4, 5, 2))
LIBRARY = PhotonLibrary(BOX, TABLE)
LOCAL = np.array([0.4, 1.1, 4.7])
see = eqx.filter_jit(MultiVolume.__call__)


def pair(mirrored: bool) -> MultiVolume:
    """The library's own box, and its copy or mirror image that touches it at x = 2."""
    return MultiVolume(
        children=(LIBRARY,),
        child=(0, 0),
        lower_cm=np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]),
        upper_cm=np.array([[2.0, 4.0, 6.0], [4.0, 4.0, 6.0]]),
        mirrored=np.array([[False, False, False], [mirrored, False, False]]),
    )


def test_a_point_sees_the_sensors_of_its_volume_only() -> None:
    inside, outside = np.array([LOCAL, LOCAL + [2.0, 0.0, 0.0]]), np.array([2.0, 1.0, 1.0])
    seen = see(pair(mirrored=False), inside)
    np.testing.assert_allclose(seen[0], [*LIBRARY(LOCAL), 0.0, 0.0], rtol=1e-12)
    np.testing.assert_allclose(seen[1], [0.0, 0.0, *LIBRARY(LOCAL)], rtol=1e-12)
    np.testing.assert_array_equal(see(pair(mirrored=False), outside), 0.0)
    np.testing.assert_array_equal(pair(mirrored=False).volume_of(np.stack([*inside, outside])), [0, 1, -1])


def test_mirror_image() -> None:
    """The gradient along the mirrored axis turns its sign, the others keep it."""
    image = np.array([4.0 - LOCAL[0], *LOCAL[1:]])
    np.testing.assert_allclose(see(pair(mirrored=True), image)[2:], LIBRARY(LOCAL), rtol=1e-12)
    slope = jax.jit(jax.grad(lambda x: pair(mirrored=True)(x).sum()))(image)
    np.testing.assert_allclose(slope, jax.grad(lambda x: LIBRARY(x).sum())(LOCAL) * [-1, 1, 1], rtol=1e-9)


def test_volumes_of_their_own() -> None:
    other = PhotonLibrary(Box(np.full(3, 10.0), np.full(3, 12.0)), 2 * TABLE[:, :, :, :1])
    volumes = MultiVolume(
        children=(LIBRARY, other),
        child=(1, 0),
        lower_cm=np.stack([other.box.lower_cm, BOX.lower_cm]),
        upper_cm=np.stack([other.box.upper_cm, BOX.upper_cm]),
        mirrored=np.zeros((2, 3), bool),
    )
    point = np.array([11.2, 10.5, 11.9])
    np.testing.assert_allclose(
        see(volumes, np.stack([point, LOCAL])), [[*other(point), 0.0, 0.0], [0.0, *LIBRARY(LOCAL)]], rtol=1e-12
    )


@pytest.mark.parametrize("volume", range(8))
def test_2x2_is_eight_times_module0(volume: int) -> None:
    detector = read_light_detector("2x2")
    one = physical_visibility(detector)
    local = np.array([5.0, -20.0, 9.0])
    place = detector.centre_cm[volume] + np.where(detector.mirrored[volume], -1, 1) * local
    seen = see(in_every_volume(detector, one), place).reshape(8, 48)
    np.testing.assert_allclose(seen[volume], one(local), rtol=1e-9)
    assert np.count_nonzero(seen) == 48
