from __future__ import annotations

import numpy as np
import pytest

from bayescal.light.box import Box

BOX = Box(np.array([0.0, -1.0, 2.0]), np.array([4.0, 1.0, 5.0]))


def test_a_point_on_a_face_is_outside() -> None:
    points = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [4.0, 0.0, 3.0], [2.0, -1.0, 3.0], [2.0, 0.0, 5.1]])
    np.testing.assert_array_equal(BOX.contains(points), [True, False, False, False, False])


def test_mirror_images() -> None:
    x, y, z = 1.0, 0.5, 3.0
    expected = [[-1, y, z], [7, y, z], [x, -2.5, z], [x, 1.5, z], [x, y, 1], [x, y, 7]]
    np.testing.assert_allclose(BOX.mirror_images(np.array([x, y, z])), expected, rtol=1e-15)


def test_a_box_needs_extent() -> None:
    with pytest.raises(ValueError, match="lower corner of a box must be below the upper one"):
        Box(np.zeros(3), np.array([1.0, 0.0, 1.0]))
