"""A box's projected area against counting rays, and against the hull of its corners."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.geometry.boxes import OrientedBox, rotation_from_euler
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.geometry.projected_area import NEAR, projected_area
from tests.conftest import look_from

CAMERA = Intrinsics(fx=60.0, fy=58.0, cx=30.7, cy=24.1, width=64, height=48)
FINE = 6  # rays across a pixel

unit = st.floats(-1, 1)


def rays_that_meet(box: OrientedBox, world_to_camera: np.ndarray) -> float:
    """Pixels covered, by casting FINE x FINE rays through each: the slabs of the box, beyond the near plane."""
    rays = CAMERA.resized(CAMERA.width * FINE, CAMERA.height * FINE).rays()
    seen = box.transformed(world_to_camera)
    origin, directions = -seen.center @ seen.rotation, rays @ seen.rotation
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(side * seen.size / 2 - origin) / directions for side in (-1, 1)])
    enter, leave = ends.min(axis=0).max(axis=-1), ends.max(axis=0).min(axis=-1)
    # Directions have z = 1, so what is left of the ray beyond the near plane begins at NEAR.
    return float((leave > np.maximum(enter, NEAR)).sum()) / FINE**2


@settings(max_examples=60, deadline=None)
@given(st.tuples(unit, unit, unit), st.tuples(unit, unit, unit), st.tuples(unit, unit, unit))
def test_the_area_is_what_rays_count_even_around_and_behind_the_camera(
    place: tuple[float, float, float], shape: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    box = OrientedBox(
        center=np.array(place) * [1.5, 1.5, 3.0],
        size=1.1 + np.array(shape),
        rotation=rotation_from_euler(np.array(turn) * 3, "extrinsic_zxy"),
    )
    found = projected_area(box, CAMERA, np.eye(4)[None])
    assert found.shape == (1,)
    # A border crosses at most about 2 * (64 + 48) pixels; rays tell each to 1 / FINE.
    assert found[0] == pytest.approx(rays_that_meet(box, np.eye(4)), abs=12)


def test_the_area_of_a_box_in_front_is_that_of_the_hull_of_its_corners() -> None:
    rng = np.random.default_rng(4)
    poses = np.stack([np.linalg.inv(look_from((x, 0.0, 1.0), yaw, 0.1)) for x, yaw in rng.uniform(-0.3, 0.3, (20, 2))])
    box = OrientedBox(
        center=np.array([3.0, 0.3, 0.8]),
        size=np.array([0.6, 1.4, 0.9]),
        rotation=rotation_from_euler([0.4, 0, 0], "intrinsic_zxy"),
    )
    image = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 47.5], [-0.5, 47.5]], np.float32)
    expected = []
    for pose in poses:
        hull = cv2.convexHull(CAMERA.project(transform(pose, box.corners)).astype(np.float32))
        expected.append(cv2.intersectConvexConvex(hull, image)[0])
    np.testing.assert_allclose(projected_area(box, CAMERA, poses), expected, rtol=1e-4)
    assert min(expected) > 50


def test_a_box_without_thickness_has_the_area_of_its_one_face() -> None:
    flat = OrientedBox(center=np.array([0.0, 0.0, 2.0]), size=np.array([0.5, 0.4, 0.0]), rotation=np.eye(3))
    area = projected_area(flat, CAMERA, np.eye(4)[None])
    np.testing.assert_allclose(area, 0.5 / 2 * 60.0 * 0.4 / 2 * 58.0)


def test_a_camera_inside_a_box_sees_nothing_else_and_one_that_looks_away_sees_nothing() -> None:
    box = OrientedBox(center=np.zeros(3), size=np.array([2.0, 2.0, 2.0]), rotation=np.eye(3))
    behind = np.eye(4)
    behind[2, 3] = -5.0
    np.testing.assert_allclose(projected_area(box, CAMERA, np.stack([np.eye(4), behind])), [64 * 48, 0], atol=1e-6)
