"""Define pinhole cameras, rigid transforms and the conventions of this package.

Camera frame: OpenCV, x right, y down, z forward, metres. Depth is z-depth, not ray length.
Pixel (u, v) is (column, row) and integer coordinates are pixel *centres*, so resizing by ``s`` maps ``u' = (u + 0.5)
* s - 0.5``. Matrices are named ``a_to_b``: ``p_b = a_to_b @ p_a``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]

RIGID_TOLERANCE = 1e-3
"""Largest deviation of ``R @ R.T`` from the identity that still counts as a rotation: ScanNet's poses are float32
text or binary and deviate by up to about 1e-4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intrinsics:
    """A pinhole camera without distortion. ``fx, fy, cx, cy`` in pixels of an image of ``width`` x ``height``."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @classmethod
    def from_matrix(cls, matrix: Float, *, width: int, height: int) -> Intrinsics:
        """Read a 3x3 or 4x4 calibration matrix, row-major; the last column of a 4x4 is ignored."""
        fx, fy, cx, cy = (float(matrix[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
        return cls(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 3x3 calibration matrix."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def plausible(self) -> bool:
        """Whether all is finite, focal lengths are positive and the principal point is within twice the image."""
        values = (self.fx, self.fy, self.cx, self.cy)
        return (
            bool(np.isfinite(values).all())
            and min(self.fx, self.fy) > 0.05 * max(self.width, self.height)
            and -self.width < self.cx < 2 * self.width
            and -self.height < self.cy < 2 * self.height
        )

    def resized(self, width: int, height: int) -> Intrinsics:
        """Return the camera of its image resampled to ``width`` x ``height``, each axis by its own factor."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
            width=width,
            height=height,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> Intrinsics:
        """Return the camera of a window of its image that begins at pixel (left, top)."""
        return Intrinsics(fx=self.fx, fy=self.fy, cx=self.cx - left, cy=self.cy - top, width=width, height=height)

    def rays(self) -> NDArray[np.float64]:
        """Return the directions of all pixel centres, (height, width, 3) float64, camera frame, scaled to z = 1."""
        u, v = np.meshgrid(np.arange(self.width), np.arange(self.height))
        return self.unproject(np.stack([u, v], axis=-1), np.ones((self.height, self.width)))

    def unproject(self, pixels: Float | NDArray[np.integer], depth: Float | np.floating) -> NDArray[np.float64]:
        """Move pixels (..., 2) with z-depth (...) in metres to points (..., 3) in metres, camera frame."""
        x = (pixels[..., 0] - self.cx) / self.fx * depth
        y = (pixels[..., 1] - self.cy) / self.fy * depth
        return np.stack([x, y, np.broadcast_to(depth, x.shape)], axis=-1).astype(np.float64)

    def project(self, points: Float) -> NDArray[np.float64]:
        """Project points (..., 3) in metres, camera frame, to pixels (..., 2).

        The pixel is NaN where the point is not in front of the camera.
        """
        z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
        return np.stack([points[..., 0] / z * self.fx + self.cx, points[..., 1] / z * self.fy + self.cy], axis=-1)


def transform(matrix: Float, points: Float) -> NDArray[np.float64]:
    """Apply a 4x4 rigid or affine transform to points (..., 3)."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def is_rigid(matrices: Float) -> NDArray[np.bool_]:
    """Return which of (..., 4, 4) are finite, proper rotations with a translation and a (0, 0, 0, 1) row.

    ScanNet writes frames of lost tracking as matrices full of -inf, without marking them otherwise.
    """
    finite = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    safe = np.where(finite[..., None, None], matrices, np.eye(4))
    rotation = safe[..., :3, :3]
    deviation = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max(axis=(-2, -1))
    last_row = np.abs(safe[..., 3, :] - np.array([0.0, 0.0, 0.0, 1.0])).max(axis=-1)
    proper = np.linalg.det(rotation) > 0
    return np.asarray(finite & proper & (deviation < RIGID_TOLERANCE) & (last_row < RIGID_TOLERANCE))


def relative_poses(camera_to_world: Float) -> NDArray[np.float64]:
    """Return the ``camera_to_first`` (F, 4, 4) of a view from its ``camera_to_world`` (F, 4, 4).

    The first is exactly the identity.
    """
    poses = np.asarray(camera_to_world, dtype=np.float64)
    camera_to_first = np.linalg.inv(poses[0]) @ poses
    camera_to_first[0] = np.eye(4)
    return camera_to_first
