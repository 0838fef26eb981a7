"""Triangles cover the same cells whether each is drawn alone or once for all of its shape."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gapdata.records.plan_raster import STENCIL, PlanRaster
from gapdata.records.room_floor import CELL


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 3 * STENCIL))
def test_cells_are_those_of_triangles_drawn_one_by_one(seed: int, count: int, reach: int) -> None:
    rng = np.random.default_rng(seed)
    size = np.array([40, 30])  # columns, rows
    middles = rng.integers(0, size, (count, 1, 2))
    corners = np.clip(middles + rng.integers(-reach, reach + 1, (count, 3, 2)), 0, size - 1).astype(np.int32)
    low, high = np.array([-3.0, 2.0]), np.array([-3.0, 2.0]) + size * CELL
    x, y = (low + (corners.reshape(-1, 2) + 0.5) * CELL).T
    raster = PlanRaster.of(x, y, low, high)
    expected = np.zeros(raster.shape, dtype=np.uint8)
    for triangle in corners:
        if np.ptp(triangle, axis=0).max() > 1:
            cv2.fillConvexPoly(expected, triangle, 1)
        expected[triangle[:, 1], triangle[:, 0]] = 1
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3).T
    np.testing.assert_array_equal(raster.draw(faces), expected)
