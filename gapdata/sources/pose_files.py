"""Read poses from text, one in each file or all in one: camera_to_world, metres, OpenCV axes.

A pose that is not finite (``-inf``, ``nan``, Microsoft's ``-1.#INF``) means lost tracking and is not an error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import number_lines, numbers_of, parse_numbers
from gapdata.runtime.counting import counted

UNIT_LENGTH = 0.01  # how far from 1 a quaternion may be that was written with two decimals or more


def parse_pose(data: bytes) -> NDArray[np.float64]:
    """Read a pose file to (4, 4) float64 camera_to_world.

    Sixteen numbers are a 4x4 matrix, twelve a 3x4 one, both row by row; seven are ``tx ty tz qx qy qz qw`` as TUM
    writes them, eight the same after a time stamp.

    Raises:
        ValueError: it holds fewer or more numbers, or a quaternion that is not a rotation.
    """
    values = parse_numbers(data)
    if len(values) in (7, 8):
        return pose_from_quaternion(values[-7:])
    if len(values) not in (12, 16):
        raise ValueError(f"has {counted(len(values), 'number')}, expected the 16 of a 4x4 pose (or 12 of a 3x4 one)")
    return _square(values)


def parse_trajectory(data: bytes) -> NDArray[np.float64]:
    """Read all poses of one file, (N, 4, 4) float64 camera_to_world.

    Five forms: sixteen numbers a line (Replica's ``traj.txt``); twelve a line, of 3x4 matrices (KITTI); seven a line,
    ``tx ty tz qx qy qz qw``; blocks of four lines of four numbers; the same blocks, each under a line of three integers
    (Redwood's and Open3D's ``trajectory.log``).

    Raises:
        ValueError: it has another form; the line is named.
    """
    rows: list[str] = []
    for number, line in number_lines(data):
        words = line.split()
        width = len(words)
        if width in (12, 16):
            rows += [" ".join(words[start : start + 4]) for start in range(0, width, 4)]
            rows += ["0 0 0 1"] if width == 12 else []
        elif width == 4:
            rows.append(line)
        elif width == 7 and len(rows) % 4 == 0:
            rows += _rows_of_quaternion(number, line)
        elif width != 3 or len(rows) % 4:
            quaternions = "; quaternions after time stamps are not read: write matrices" if width == 8 else ""
            raise ValueError(
                f"line {number} has {counted(width, 'value')}, expected 16, or blocks of 4 lines of 4{quaternions}"
            )
    if not rows or len(rows) % 4:
        raise ValueError(f"has {counted(len(rows), 'row')} of four numbers, expected four for each pose")
    return numbers_of("\n".join(rows)).reshape(-1, 4, 4)


def _rows_of_quaternion(number: int, line: str) -> list[str]:
    try:
        pose = pose_from_quaternion(numbers_of(line))
    except ValueError as error:
        raise ValueError(f"line {number} {error}") from error
    return [" ".join(map(repr, row)) for row in pose.tolist()]


def _square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (4, 4) matrix of twelve or sixteen numbers, row by row."""
    return np.concatenate([values, (0.0, 0.0, 0.0, 1.0)])[:16].reshape(4, 4)


def pose_from_quaternion(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (4, 4) pose of ``tx ty tz qx qy qz qw``; NaN where one of them is not finite.

    Raises:
        ValueError: the last four are not a rotation.
    """
    length = float(np.linalg.norm(values[3:]))
    if not np.isfinite(values).all():
        return np.full((4, 4), np.nan)
    if abs(length - 1) > UNIT_LENGTH:
        raise ValueError(
            f"has seven numbers, but the last four are not a unit quaternion (their length is {length:.3g})"
        )
    pose = np.eye(4)
    pose[:3, :3] = rotations_from_quaternions(values[None, 3:] / length)[0]
    pose[:3, 3] = values[:3]
    return pose


def poses_from_quaternions(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 4, 4) poses of rows ``tx ty tz qx qy qz qw``, (N, 7); NaN where one of a row is not finite.

    Quaternions are normalised; that they are rotations has been checked.
    """
    poses = np.full((len(values), 4, 4), np.nan)
    finite = np.isfinite(values).all(axis=1)
    turns = values[finite, 3:] / np.linalg.norm(values[finite, 3:], axis=1, keepdims=True)
    poses[finite] = np.eye(4)
    poses[finite, :3, :3] = rotations_from_quaternions(turns)
    poses[finite, :3, 3] = values[finite, :3]
    return poses


def rotations_from_quaternions(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 3, 3) rotations of unit quaternions (N, 4) qx qy qz qw.

    In Hamilton's convention (Kuipers 1999, section 5.14).
    """
    x, y, z, w = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
