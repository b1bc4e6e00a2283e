from __future__ import annotations

import numpy as np
import pytest

from bayescal.charge.geometry import PixelGeometry


@pytest.fixture
def geometry(module0) -> PixelGeometry:
    return module0.geometry


@pytest.mark.parametrize(
    ("place_cm", "column_row"),
    [((22.9, -4.3), (121, 130)), ((1.0, -2.0), (72, 135)), ((-31.0, -62.0), (0, 0)), ((31.03, 62.07), (139, 279))],
)
def test_pixel_under_a_point(geometry, place_cm, column_row) -> None:
    assert geometry.column_row(*place_cm) == column_row


def test_pixel_numbers_as_larnd_sim_counts_them(geometry) -> None:
    """larnd-sim's number is ours plus the number of pixels for each event before."""
    plane_0, plane_1 = geometry.pixel(121, 130, np.array([0, 1]))
    assert plane_0 == 18_321
    assert plane_1 + 3 * geometry.n_pixels == 292_721
    assert plane_1 + 2 * geometry.n_pixels == 214_321
    assert geometry.n_pixels == 78_400


@pytest.mark.parametrize(
    ("column_row", "centre_cm"), [((121, 130), (22.8351, -4.2123)), ((0, 0), (-30.8163, -61.8543))]
)
def test_centre_of_a_pixel(geometry, column_row, centre_cm) -> None:
    for plane in (0, 1):
        np.testing.assert_allclose(geometry.centre_cm(geometry.pixel(*column_row, plane)), centre_cm, atol=1e-10)


def test_numbering_is_invertible(geometry) -> None:
    pixel = np.arange(geometry.n_pixels)
    assert (geometry.pixel(*geometry.unravel(pixel)) == pixel).all()
    column, row = geometry.column_row(*geometry.centre_cm(pixel))
    assert (geometry.pixel(column, row, geometry.unravel(pixel)[2]) == pixel).all()


def test_no_pixel_outside_the_plane(geometry) -> None:
    column, row, plane = np.array([[-1, 0, 0], [140, 0, 0], [0, -1, 1], [0, 280, 1], [0, 0, -1]]).T
    assert (geometry.pixel(column, row, plane) == -1).all()


def test_borders_and_drift_volumes(geometry) -> None:
    np.testing.assert_allclose(geometry.upper_cm, (31.038, 62.076), atol=1e-9)
    assert geometry.n_planes == 2
    assert geometry.drift_range_cm(0) == (0.15875, 30.58975)
    assert geometry.drift_range_cm(1) == (-30.58975, -0.15875)


def test_plane_that_collects_a_charge(geometry) -> None:
    """The volumes are widened by 0.02 cm, so charge with |z| < 0.13875 cm is lost."""
    z = [10.0, -20.0, 0.138, 0.139, -0.138, -0.139, 30.609, 30.611]
    position = np.stack([np.ones(8), np.ones(8), z], axis=1)
    assert geometry.plane_of(position).tolist() == [0, 1, -1, 0, -1, 1, 0, -1]
    aside = [[31.057, 0, 5], [31.059, 0, 5], [0, -62.095, 5], [0, -62.097, 5]]
    assert geometry.plane_of(aside).tolist() == [0, -1, 0, -1]


def test_first_of_two_planes_takes_charge_in_both(geometry) -> None:
    """Within a margin wider than the gap, the volumes overlap at the cathode."""
    assert geometry.plane_of([[0.0, 0.0, 0.0]], margin_cm=0.2).tolist() == [0]


@pytest.mark.parametrize(("pitch_cm", "n_x"), [(0.0, 4), (-1.0, 4), (0.4, 0)])
def test_planes_without_extent_are_refused(pitch_cm: float, n_x: int) -> None:
    with pytest.raises(ValueError, match="needs a positive pitch and pixels"):
        PixelGeometry(pitch_cm, n_x, 4, (0.0, 0.0), (1.0,), (0.0,))


@pytest.mark.parametrize(("anodes", "cathodes"), [((1.0, -1.0), (0.0,)), ((), ())])
def test_anodes_and_cathodes_come_in_pairs(anodes, cathodes) -> None:
    with pytest.raises(ValueError, match="one value a plane each"):
        PixelGeometry(0.4, 4, 4, (0.0, 0.0), anodes, cathodes)
