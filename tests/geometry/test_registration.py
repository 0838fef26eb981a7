"""Depth registered into another camera agrees with analytic surfaces."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.registration import register_depth
from tests.conftest import look_from


def plane_depth(camera: Intrinsics, normal: NDArray[np.float64], distance: float) -> NDArray[np.float32]:
    """z-depth of the plane ``normal . p = distance`` as ``camera`` sees it; 0 behind the camera."""
    z = distance / (camera.rays() @ normal)
    return np.where(z > 0, z, 0).astype(np.float32)


def test_a_slanted_plane_is_reproduced_between_different_intrinsics(
    color_camera: Intrinsics, depth_camera: Intrinsics
) -> None:
    normal = np.array([0.55, 0.3, 0.78])
    registered = register_depth(plane_depth(depth_camera, normal, 2.0), depth_camera, color_camera)
    truth = plane_depth(color_camera, normal, 2.0)
    seen = registered > 0
    assert seen.mean() > 0.9
    error = np.abs(registered - truth)[seen]
    assert np.median(error) < 5e-4
    assert np.quantile(error, 0.97) < 5e-3


def test_an_edge_is_never_smeared_between_two_surfaces(color_camera: Intrinsics, depth_camera: Intrinsics) -> None:
    depth = np.full((60, 80), 1.0, dtype=np.float32)
    depth[:, 40:] = 3.0
    registered = register_depth(depth, depth_camera, color_camera)
    assert set(np.unique(np.round(registered, 4))) <= {0.0, 1.0, 3.0}


def test_holes_stay_holes_and_are_not_filled(color_camera: Intrinsics, depth_camera: Intrinsics) -> None:
    depth = np.full((60, 80), 2.0, dtype=np.float32)
    depth[20:30, 20:40] = 0
    registered = register_depth(depth, depth_camera, color_camera)
    u = round((30 - depth_camera.cx) * color_camera.fx / depth_camera.fx + color_camera.cx)
    v = round((25 - depth_camera.cy) * color_camera.fy / depth_camera.fy + color_camera.cy)
    assert (registered[v - 5 : v + 5, u - 10 : u + 10] == 0).all()


def test_the_same_camera_gives_the_same_depth_bit_for_bit(depth_camera: Intrinsics) -> None:
    depth = np.random.default_rng(0).uniform(0.5, 4, (60, 80)).astype(np.float32)
    np.testing.assert_array_equal(register_depth(depth, depth_camera, depth_camera, np.eye(4)), depth)


def test_outside_of_the_depth_image_there_is_no_depth(depth_camera: Intrinsics) -> None:
    wide = Intrinsics(fx=30.0, fy=30.0, cx=79.5, cy=59.5, width=160, height=120)
    registered = register_depth(np.full((60, 80), 2.0, dtype=np.float32), depth_camera, wide)
    assert (registered[:20] == 0).all()
    assert (registered[:, :30] == 0).all()
    assert registered[60, 80] == 2.0


def test_a_baseline_between_the_cameras_is_honoured(color_camera: Intrinsics, depth_camera: Intrinsics) -> None:
    depth_to_color = np.linalg.inv(look_from((0, 0, 0), 0.0)) @ look_from((0.02, 0.05, -0.01), 0.03, 0.02)
    normal, distance = np.array([0.2, 0.3, 0.93]), 2.0
    depth = plane_depth(depth_camera, normal, distance)
    # The plane in the colour camera: n' = R n, d' = d + n' . t.
    moved = depth_to_color[:3, :3] @ normal
    truth = plane_depth(color_camera, moved, distance + moved @ depth_to_color[:3, 3])
    registered = register_depth(depth, depth_camera, color_camera, depth_to_color)
    seen = registered > 0
    assert seen.mean() > 0.85
    assert np.median(np.abs(registered - truth)[seen]) < 1e-3
    assert np.quantile(np.abs(registered - truth)[seen], 0.97) < 1e-2


def test_across_a_baseline_the_nearer_surface_hides_the_farther(
    color_camera: Intrinsics, depth_camera: Intrinsics
) -> None:
    depth = np.full((60, 80), 3.0, dtype=np.float32)
    depth[:, 30:50] = 1.0
    shift = np.eye(4)
    shift[0, 3] = 0.1
    registered = register_depth(depth, depth_camera, color_camera, shift)
    # The near strip moves right by fx * 0.1 / z, farther than the wall behind it does.
    left, right = (
        int((u - depth_camera.cx) / depth_camera.fx * color_camera.fx + color_camera.cx + 14.6) for u in (31, 48)
    )
    assert np.abs(registered[30:90, left + 2 : right - 2] - 1.0).max() < 1e-3


def test_a_near_surface_does_not_grow_in_an_image_with_fewer_pixels() -> None:
    source = Intrinsics(fx=585.0, fy=585.0, cx=319.5, cy=239.5, width=640, height=480)
    target = source.resized(128, 96)
    depth = np.full((480, 640), 3.0, dtype=np.float32)
    depth[160:320, 200:440] = 1.0
    beside = np.eye(4)
    beside[0, 3] = -0.025
    found = register_depth(depth, source, target, beside)
    near = (found > 0) & (found < 2)
    assert near.sum() == pytest.approx(240 / 5 * 160 / 5, rel=0.05)
    np.testing.assert_allclose(found[near], 1.0, atol=1e-6)
