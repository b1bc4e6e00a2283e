from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light.box import Box
from bayescal.light.library import PhotonLibrary, voxel_centres_cm
from bayescal.testing import check_gradient

BOX = Box(np.array([-2.0, 0.0, 1.0]), np.array([4.0, 5.0, 3.0]))  # voxels of 1.5, 1 and 0.4 cm
N_VOXELS = (4, 5, 5)
INNER = np.array([0.31, 2.2, 1.9])
BORDERS = [np.array([-1.9, 2.2, 1.9]), np.array([3.9, 0.1, 1.05]), np.array([0.3, 4.95, 2.95])]
look_up = eqx.filter_jit(PhotonLibrary.__call__)


def multilinear(points: np.ndarray) -> np.ndarray:
    """Two sensors; what trilinear interpolation and its extrapolation reproduce."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([30 + x - 2 * y + 3 * z + x * y, 60 + x * y * z - 5 * z], axis=-1)


def curved(seed: int, dtype: type = np.float64) -> PhotonLibrary:
    """Any numbers, far enough from zero for no extrapolated one to be negative."""
    table = np.random.default_rng(seed).uniform(5.0, 6.0, (*N_VOXELS, 2))
    return PhotonLibrary(BOX, jnp.asarray(table, dtype))


LINEAR = PhotonLibrary(BOX, multilinear(voxel_centres_cm(BOX, N_VOXELS)))


def test_centres_of_voxels() -> None:
    centres = voxel_centres_cm(BOX, N_VOXELS)
    assert centres.shape == (4, 5, 5, 3)
    np.testing.assert_allclose(centres[0, 0, 0], [-1.25, 0.5, 1.2])
    np.testing.assert_allclose(centres[3, 4, 4], [3.25, 4.5, 2.8])


def test_a_multilinear_function_is_reproduced_up_to_the_faces() -> None:
    size = BOX.upper_cm - BOX.lower_cm
    points = BOX.lower_cm + np.random.default_rng(1).uniform(1e-9, 1 - 1e-9, (200, 3)) * size
    np.testing.assert_allclose(look_up(LINEAR, points), multilinear(points), rtol=1e-12)


def test_the_table_stands_at_the_centres() -> None:
    library = curved(2)
    centres = voxel_centres_cm(BOX, N_VOXELS)
    np.testing.assert_allclose(look_up(library, centres), library.visibility, rtol=1e-13)


def test_nothing_is_seen_from_outside() -> None:
    outside = np.array([[-2.0, 2.0, 2.0], [4.0, 2.0, 2.0], [1.0, 2.0, 3.1], [1e9, 0.0, 0.0], [np.nan, 2.0, 2.0]])
    np.testing.assert_array_equal(look_up(LINEAR, outside), 0.0)
    np.testing.assert_array_equal(LINEAR.nearest(outside), 0.0)


def test_extrapolation_stops_at_zero() -> None:
    """Half a voxel beyond the last centre the line from 10 to 1 has reached 1 - 4.5."""
    table = np.ones((3, 1, 1, 1))
    table[1] = 10.0
    library = PhotonLibrary(Box(np.zeros(3), np.array([3.0, 1.0, 1.0])), table)
    points = np.array([[0.02, 0.3, 0.3], [0.45, 0.5, 0.9], [1.0, 0.1, 0.5]])
    np.testing.assert_allclose(look_up(library, points)[:, 0], [0.0, 1 - 0.05 * 9, 5.5], rtol=1e-12)


@pytest.mark.parametrize("point", [INNER, *BORDERS])
def test_gradient_in_position(point: np.ndarray) -> None:
    library = curved(3)
    check_gradient(lambda x: library(x)[0] * library(x)[1], point, rtol=1e-7, step=1e-3)


def test_value_and_slope_are_continuous_at_the_last_centre() -> None:
    """There the border begins: a slope of zero, as of a constant border, would jump."""
    slope = jax.jit(jax.grad(lambda x: curved(3)(x)[0]))
    ahead, behind = (np.array([3.25 + shift, 2.2, 1.9]) for shift in (1e-9, -1e-9))
    np.testing.assert_allclose(slope(ahead), slope(behind), rtol=1e-7)


def test_gradient_in_the_table_is_the_weights() -> None:
    library = curved(3)
    slope = jax.jit(jax.grad(lambda table: PhotonLibrary(BOX, table)(jnp.asarray(INNER))[1]))(library.visibility)
    assert np.count_nonzero(slope) == 8
    assert slope.sum() == pytest.approx(1.0, rel=1e-12)
    assert (slope * library.visibility).sum() == pytest.approx(float(library(INNER)[1]), rel=1e-12)


def test_nearest_is_the_voxel_around_the_point() -> None:
    library = curved(4)
    points = np.array([INNER, BORDERS[0], BORDERS[2], [1.0, 2.0, 1.4]])
    expected = [library.visibility[i] for i in ((1, 2, 2), (0, 2, 2), (1, 4, 4), (2, 2, 1))]
    np.testing.assert_array_equal(library.nearest(points), expected)


def test_any_leading_shape() -> None:
    points = np.random.default_rng(5).uniform([-2, 0, 1], [4, 5, 3], (2, 3, 3))
    np.testing.assert_allclose(look_up(LINEAR, points), multilinear(points), rtol=1e-12)
    assert look_up(LINEAR, INNER).shape == (2,)


def test_efficiency() -> None:
    for efficiency in (0.5, np.array([0.2, 0.3])):
        library = PhotonLibrary(BOX, LINEAR.visibility, efficiency)
        np.testing.assert_allclose(library(INNER), multilinear(INNER) * efficiency, rtol=1e-12)
        np.testing.assert_allclose(library.nearest(INNER), LINEAR.nearest(INNER) * efficiency, rtol=1e-12)


def test_a_table_of_32_bits_is_as_good() -> None:
    """Its entries are rounded by 6e-8, its sums are of 64 bits."""
    points = np.stack([INNER, *BORDERS])
    np.testing.assert_allclose(look_up(curved(6, np.float32), points), look_up(curved(6), points), rtol=4e-7)


def test_a_library_needs_entries() -> None:
    with pytest.raises(ValueError, match="needs voxels and sensors"):
        PhotonLibrary(BOX, np.zeros((1, 2, 3, 0)))
