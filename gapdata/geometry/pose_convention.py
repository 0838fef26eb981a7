"""Convert poses from other conventions: direction, camera axes and unit.

Ours is camera_to_world with OpenCV axes (x right, y down, z forward) in metres, see :mod:`gapdata.geometry.camera`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.pose_names import CAMERA_TO_WORLD, WORLD_TO_CAMERA

ROTATION_INVERTED, TRANSLATION_INVERTED = "rotation-inverted", "translation-inverted"
MIXTURES = (ROTATION_INVERTED, TRANSLATION_INVERTED)
"""Poses with one half of world_to_camera: the rotation was written by column, or the centre was not computed. They are
recognised, but cannot be chosen."""
TO_AXES = {
    "opencv": np.eye(3),
    "opengl": np.diag([1.0, -1.0, -1.0]),
    "unity": np.diag([1.0, -1.0, 1.0]),
    "ros": np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
}
"""(3, 3) from OpenCV's camera axes to those of :data:`gapdata.geometry.pose_names.AXES`."""
SINGULAR = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseConvention:
    """The convention in which poses were written."""

    direction: str = CAMERA_TO_WORLD
    axes: str = "opencv"
    metres_per_unit: float = 1.0

    def camera_to_world(self, written: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert poses (..., 4, 4) from this convention to ours.

        The result is NaN where a pose is not finite or cannot be inverted.
        """
        if self == PoseConvention():
            return written
        usable = np.asarray(np.isfinite(written).all(axis=(-2, -1)))
        poses = np.where(usable[..., None, None], written, np.eye(4))
        usable &= np.abs(np.linalg.det(poses)) > SINGULAR
        poses[~usable] = np.eye(4)
        poses[..., :3, 3] *= self.metres_per_unit
        if self.direction == WORLD_TO_CAMERA:
            poses = np.linalg.inv(poses)
        elif self.direction == ROTATION_INVERTED:
            poses[..., :3, :3] = np.swapaxes(poses[..., :3, :3], -1, -2).copy()
        elif self.direction == TRANSLATION_INVERTED:
            poses[..., :3, 3] = -np.einsum("...ij,...j->...i", poses[..., :3, :3], poses[..., :3, 3])
        return np.where(usable[..., None, None], in_opencv_axes(poses, TO_AXES[self.axes]), np.nan)


OURS = PoseConvention()


def in_opencv_axes(camera_to_world: NDArray[np.float64], to_axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert poses (..., 4, 4) of cameras with other axes to poses of cameras with OpenCV's.

    Args:
        camera_to_world: of the cameras with other axes.
        to_axes: (3, 3) from OpenCV's camera axes to the others. Where it mirrors, the world is mirrored, too: a rigid
            motion in a left-handed world is one in a right-handed world.
    """
    turn = np.eye(4)
    turn[:3, :3] = to_axes
    poses = camera_to_world @ turn
    return np.asarray(np.linalg.inv(turn) @ poses if np.linalg.det(to_axes) < 0 else poses)
