"""Poses are read as the inverse of what the file says, and none stands in for another."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.sources.arkit.trajectory import EXACT, INTERPOLATED, parse_trajectory, poses_of_frames
from tests.support.arkit_captures import camera_at, row


def read(lines: list[str], seconds: list[float]) -> tuple[np.ndarray, list[int], dict[str, int]]:
    found = poses_of_frames(
        parse_trajectory("\n".join(lines).encode()), (np.array(seconds) * 1e6).round().astype(np.int64)
    )
    return found.camera_to_world, found.rank.tolist(), dict(found.notes)


def test_a_row_is_the_inverse_of_the_camera(samples: Path) -> None:
    """The published rows, by NumPy alone: the comments beside them call one camera upside down and one sideways."""
    lines = (samples / "samples" / "arkitscenes" / "two_traj_lines.txt").read_text().splitlines()
    times = [float(line.split()[0]) for line in lines]
    poses, rank, _ = read(lines, sorted(times))
    assert rank == [EXACT, EXACT]
    for line in lines:
        stamp, *values = map(float, line.split())
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3], world_to_camera[:3, 3] = cv2.Rodrigues(np.array(values[:3]))[0], values[3:]
        assert np.allclose(np.linalg.inv(world_to_camera), poses[sorted(times).index(stamp)], atol=1e-12)
    up = poses[:, 2, :3]  # world up in each camera
    assert sorted(int(np.argmax(np.abs(each))) for each in up) == [0, 1]
    assert (np.abs(up[:, 2]) < 0.7).all()


def test_frames_within_five_milliseconds_have_the_rows_pose_as_it_is() -> None:
    lines = [row("1000.000012"), row("1000.1049"), row("1000.2")]
    poses, rank, _ = read(lines, [1000.0, 1000.1, 1000.2])
    assert rank == [EXACT, EXACT, EXACT]
    for pose, moment in zip(poses, (1000.000012, 1000.1049, 1000.2), strict=True):
        assert np.allclose(pose, camera_at(moment), atol=1e-9)


def test_frames_between_rows_are_interpolated_and_close_to_the_truth() -> None:
    seconds = [1000.0 + step / 60 for step in range(7)]
    poses, rank, _ = read([row("1000.0"), row("1000.1")], seconds)
    assert rank == [EXACT, *[INTERPOLATED] * 5, EXACT]
    for pose, moment in zip(poses, seconds, strict=True):
        assert np.allclose(pose, camera_at(moment), atol=1e-6)


def test_a_row_serves_only_one_frame() -> None:
    poses, rank, _ = read([row("1000.0"), row("1000.1")], [1000.001, 1000.004])
    assert rank == [EXACT, INTERPOLATED]
    assert not np.allclose(poses[0], poses[1])


def test_frames_in_a_hole_and_beyond_the_ends_have_no_pose() -> None:
    lines = [row("1000.0"), row("1000.1"), row("1000.4"), row("1000.5")]
    poses, rank, _ = read(lines, [999.9, 1000.1, 1000.2, 1000.3, 1000.4, 1000.6])
    assert rank == [0, EXACT, 0, 0, EXACT, 0]
    assert np.isnan(poses[[0, 2, 3, 5]]).all()


def test_no_pose_is_interpolated_over_a_jump() -> None:
    moved = camera_at(1000.2)
    moved[:3, 3] += [1.5, 0, 0]
    lines = [row("1000.0"), row("1000.1"), row("1000.2", moved), row("1000.3", moved)]
    _, rank, notes = read(lines, [1000.05, 1000.1, 1000.15, 1000.2, 1000.25])
    assert rank == [INTERPOLATED, EXACT, 0, EXACT, INTERPOLATED]
    assert notes == {"pose_jump": 1}


def test_rows_may_be_in_any_order_repeated_or_lost() -> None:
    lost = "1000.2 nan nan nan 0 0 0"
    poses, rank, notes = read(
        [row("1000.1"), row("1000.0"), row("1000.1"), lost, row("1000.3")], [1000.0, 1000.1, 1000.2, 1000.25]
    )
    assert rank == [EXACT, EXACT, 0, 0]
    assert np.allclose(poses[1], camera_at(1000.1))
    assert notes == {"pose_listed_again": 1, "pose_lost": 1}


def test_no_rotation_is_the_identity() -> None:
    poses, _, _ = read(["1000.0 0 0 0 1 2 3", row("1000.1")], [1000.0])
    assert np.allclose(poses[0], [[1, 0, 0, -1], [0, 1, 0, -2], [0, 0, 1, -3], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no row t rx ry rz tx ty tz"),
        ("1000.0 1 2 3 4 5\n", "line 1 has 6 numbers"),
        (f"{row('1000.0')}\n10.1 0.1 0.2", "line 2 has 3 numbers"),
        ("1000.0 a 2 3 4 5 6", "line 1"),
        ("inf 1 2 3 4 5 6", "not a time"),
        ("10,5 1,0 2,0 3,0 4,0 5,0 6,0", "decimal comma"),
    ],
)
def test_what_is_not_a_trajectory_is_named_by_its_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_trajectory(text.encode())
