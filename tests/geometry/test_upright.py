"""A turned scan is the same scan: what a camera saw lies where the turned camera sees it."""

from __future__ import annotations

import numpy as np
import pytest

from gapdata.geometry.camera import Intrinsics, transform
from gapdata.geometry.lens import Lens
from gapdata.geometry.upright import (
    TURNS,
    Turn,
    can_turn,
    find_turn,
    turn_camera,
    turn_image,
    turn_lens,
    turn_matrix,
    turn_pixels,
    turn_poses,
)

CAMERA = Intrinsics(fx=200.0, fy=210.0, cx=101.5, cy=90.25, width=256, height=192)
POINTS = np.random.default_rng(0).uniform([-1, -1, 1], [1, 1, 3], (200, 3))  # metres, upright camera
LENSES = (
    Lens(name="OPENCV", coefficients=(0.1, -0.05, 0.01, -0.02)),
    Lens(name="OPENCV", coefficients=(0.1, -0.05, 0.01, -0.02, 0.003, 0.1, 0.2, 0.01, 0.01, 0.02, -0.01, 0.03)),
    Lens(name="SIMPLE_RADIAL", coefficients=(0.1, -0.05, 0.0, 0.0)),
    Lens(name="OPENCV_FISHEYE", model="fisheye", coefficients=(0.1, -0.05, 0.01, -0.02)),
)


@pytest.mark.parametrize("turn", TURNS)
def test_a_point_projects_where_its_pixel_is_turned_to(turn: Turn) -> None:
    held = CAMERA.project(transform(turn_matrix(turn), POINTS))
    turned = turn_camera(CAMERA, turn).project(POINTS)
    np.testing.assert_allclose(turned, turn_pixels(held, turn, (CAMERA.width, CAMERA.height)), atol=1e-9)


@pytest.mark.parametrize("turn", TURNS)
def test_an_image_is_turned_as_its_pixels_are(turn: Turn) -> None:
    image = np.zeros((CAMERA.height, CAMERA.width), dtype=np.uint8)
    image[13, 77] = 1
    row, column = np.argwhere(turn_image(image, turn))[0]
    assert [column, row] == turn_pixels(np.array([77.0, 13.0]), turn, (CAMERA.width, CAMERA.height)).tolist()


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: f"{lens.name}-{len(lens.coefficients)}")
@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_lens_bends_turned_rays(turn: Turn, lens: Lens) -> None:
    rays = POINTS[:, :2] / POINTS[:, 2:]
    to_held = turn_matrix(turn)[:2, :2]
    turned = turn_lens(lens, turn)
    assert turned is not None
    np.testing.assert_allclose(turned.distort(rays), lens.distort(rays @ to_held.T) @ to_held, atol=1e-9)


def test_a_lens_that_cannot_be_turned_is_refused() -> None:
    leaning = Lens(name="skew", skew=0.01)
    assert not can_turn(leaning)
    with pytest.raises(ValueError, match="skew with skew or a tilted sensor, which cannot be turned"):
        turn_lens(leaning, 90)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)])
def test_the_turn_is_found_from_the_poses_however_the_world_lies(turn: Turn, up: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(1)
    held = np.stack([_level_pose(rng, np.array(up)) for _ in range(20)])
    held[:, :3, :3] = held[:, :3, :3] @ turn_matrix(turn)[:3, :3].T
    held[:3] = np.nan  # tracking was lost
    assert find_turn(held, np.array(up)) == turn
    np.testing.assert_allclose(find_turn(turn_poses(held, turn), np.array(up)), 0)


def test_frames_that_look_straight_down_do_not_vote() -> None:
    down = np.eye(4)
    down[:3, :3] = np.diag([1.0, -1.0, -1.0])
    assert find_turn(np.stack([down] * 5), np.array([0.0, 0.0, 1.0])) == 0


def test_without_a_majority_nothing_is_turned() -> None:
    upright = _level_pose(np.random.default_rng(2), np.array([0.0, 0.0, 1.0]))
    poses = [turn_poses(upright, turn) for turn in (90, 180, 270)]
    assert find_turn(np.stack(poses), np.array([0.0, 0.0, 1.0])) == 0


def _level_pose(rng: np.random.Generator, up: np.ndarray) -> np.ndarray:
    """Return the pose of a camera that looks at most 30 degrees up or down and leans by at most 20."""
    aside = rng.normal(size=3)
    right = np.cross(aside, up)
    right /= np.linalg.norm(right)
    forward = np.cross(up, right)
    pitch, roll = rng.uniform(-0.5, 0.5), rng.uniform(-0.35, 0.35)
    forward = np.cos(pitch) * forward + np.sin(pitch) * up
    level = np.stack([right, np.cross(forward, right), forward], axis=1)
    turned = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = level @ turned
    pose[:3, 3] = rng.normal(size=3)
    return pose
