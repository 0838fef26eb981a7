"""Cameras: projection, resizing and poses keep their conventions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.geometry.camera import Intrinsics, is_rigid, relative_poses, transform
from gapdata.geometry.pointmap import first_frame_pointmap
from tests.conftest import look_from

cameras = st.builds(
    Intrinsics,
    fx=st.floats(50, 2000),
    fy=st.floats(50, 2000),
    cx=st.floats(0, 640),
    cy=st.floats(0, 480),
    width=st.integers(16, 1296),
    height=st.integers(16, 968),
)


@given(cameras, st.floats(-100, 1500), st.floats(-100, 1500), st.floats(0.1, 20))
def test_projecting_an_unprojected_pixel_gives_the_pixel(camera: Intrinsics, u: float, v: float, z: float) -> None:
    pixel = np.array([u, v])
    point = camera.unproject(pixel, np.float64(z))
    assert point[2] == z
    np.testing.assert_allclose(camera.project(point), pixel, atol=1e-6)


@given(cameras, st.integers(16, 900), st.integers(16, 900))
def test_resizing_maps_pixel_centres_by_the_half_pixel_rule(camera: Intrinsics, width: int, height: int) -> None:
    point = np.array([0.3, -0.2, 2.0])
    before, after = camera.project(point), camera.resized(width, height).project(point)
    scale = np.array([width / camera.width, height / camera.height])
    np.testing.assert_allclose(after, (before + 0.5) * scale - 0.5, atol=1e-6)


@given(cameras)
def test_resizing_there_and_back_is_the_identity(camera: Intrinsics) -> None:
    back = camera.resized(333, 77).resized(camera.width, camera.height)
    np.testing.assert_allclose(back.matrix, camera.matrix, atol=1e-9)


def test_cropping_moves_the_principal_point_only(color_camera: Intrinsics) -> None:
    window = color_camera.cropped(10, 7, 100, 90)
    point = np.array([0.1, 0.1, 1.5])
    np.testing.assert_allclose(window.project(point), color_camera.project(point) - [10, 7])


def test_rays_point_through_pixel_centres(color_camera: Intrinsics) -> None:
    rays = color_camera.rays()
    assert rays.shape == (121, 162, 3)
    np.testing.assert_allclose(color_camera.project(rays * 3.0)[100, 50], [50, 100])


def test_points_behind_the_camera_have_no_pixel(color_camera: Intrinsics) -> None:
    assert np.isnan(color_camera.project(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0]]))).all()


@pytest.mark.parametrize(
    ("pose", "rigid"),
    [
        (look_from((1, 2, 3), 0.7, 0.2), True),
        (np.full((4, 4), -np.inf), False),
        (np.full((4, 4), np.nan), False),
        (np.zeros((4, 4)), False),
        (np.diag([1.0, 1.0, -1.0, 1.0]), False),
        (np.diag([2.0, 2.0, 2.0, 1.0]), False),
        (look_from((1, 2, 3), 0.7).astype(np.float32).astype(np.float64), True),
    ],
    ids=["pose", "lost tracking", "nan", "zeros", "mirror", "scaled", "float32"],
)
def test_only_proper_rotations_count_as_rigid(pose: np.ndarray, rigid: bool) -> None:
    assert is_rigid(pose[None]).tolist() == [rigid]


def test_a_pointmap_reprojects_onto_its_own_pixels(color_camera: Intrinsics) -> None:
    rng = np.random.default_rng(3)
    poses = np.stack([look_from((0, 0, 1.5), 0.1), look_from((0.4, -0.1, 1.4), 0.3, 0.2)])
    depth = rng.uniform(0.5, 5.0, (2, 121, 162)).astype(np.float32)
    depth[:, 40:50, 60:70] = 0
    camera_to_first = relative_poses(poses)
    points = first_frame_pointmap(depth, [color_camera] * 2, camera_to_first)
    assert np.isnan(points[:, 40:50, 60:70]).all()
    for frame in range(2):
        local = transform(np.linalg.inv(camera_to_first[frame]), points[frame].astype(np.float64))
        pixels = color_camera.project(local)
        grid = np.stack(np.meshgrid(np.arange(162), np.arange(121)), axis=-1)
        known = np.isfinite(pixels).all(axis=-1)
        assert known.sum() == 162 * 121 - 100
        assert np.abs(pixels - grid)[known].max() < 1e-2
        np.testing.assert_allclose(local[known][:, 2], depth[frame][known], atol=1e-5)


def test_a_strided_pointmap_is_a_subset_of_the_full_one(color_camera: Intrinsics) -> None:
    depth = np.random.default_rng(0).uniform(1, 2, (1, 121, 162)).astype(np.float32)
    full = first_frame_pointmap(depth, [color_camera], np.eye(4)[None])
    strided = first_frame_pointmap(depth, [color_camera], np.eye(4)[None], stride=8)
    assert strided.shape == (1, 15, 20, 3)
    np.testing.assert_array_equal(strided[0], full[0, 4:-1:8, 4:-1:8][:15, :20])
