"""The motion of a walk between its frames, and the ways in which formats write rotations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def poses_at(
    times: NDArray[np.float64], poses: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the poses at some moments between known ones: straight on, turning about one axis from each to the next.

    Args:
        times: (N,) seconds, ascending.
        poses: (N, 4, 4) at these times.
        wanted: (n,) seconds; before the first and after the last time, the motion goes on.
    """
    import cv2

    found = np.tile(np.eye(4), (len(wanted), 1, 1))
    places = np.clip(np.searchsorted(times, wanted) - 1, 0, len(times) - 2)
    for k, (place, moment) in enumerate(zip(places, wanted, strict=True)):
        one, other = poses[place], poses[place + 1]
        share = (moment - times[place]) / (times[place + 1] - times[place])
        vector = cv2.Rodrigues(one[:3, :3].T @ other[:3, :3])[0]
        found[k, :3, :3] = one[:3, :3] @ cv2.Rodrigues(share * vector)[0]
        found[k, :3, 3] = (1 - share) * one[:3, 3] + share * other[:3, 3]
    return found


def rotation_vectors(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations of poses (N, 4, 4) as axis times angle in radians, (N, 3)."""
    import cv2

    return np.array([cv2.Rodrigues(pose[:3, :3])[0][:, 0] for pose in poses])


def quaternions(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations of poses (N, 4, 4) as unit quaternions qx qy qz qw, (N, 4)."""
    vectors = rotation_vectors(poses)
    half = np.linalg.norm(vectors, axis=1, keepdims=True) / 2
    axes = vectors / np.maximum(2 * half, 1e-12)
    return np.concatenate([np.sin(half) * axes, np.cos(half)], axis=1)
