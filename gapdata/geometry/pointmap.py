"""Compute metric pointmaps: the 3D point of every pixel of every frame, in the camera of the first frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics


def first_frame_pointmap(
    depth: NDArray[np.float32] | NDArray[np.uint16],
    cameras: Sequence[Intrinsics],
    camera_to_first: NDArray[np.float64],
    stride: int = 1,
    units_per_metre: float = 1.0,
) -> NDArray[np.float32]:
    """Unproject registered depth and move it into the first camera.

    Args:
        depth: (F, H, W) z-depth, 0 (or not finite) where invalid; float32 metres, or uint16 in other units.
        cameras: F intrinsics of the images that the depth is registered to.
        camera_to_first: (F, 4, 4) float64.
        stride: keep every ``stride``-th pixel, at the centres of stride x stride blocks: pixel ``stride * i + stride
            // 2``.
        units_per_metre: of ``depth``.

    Returns:
        (F, H // stride, W // stride, 3) float32, metres, first camera, NaN where depth is invalid.
    """
    frames, height, width = depth.shape
    rows = np.arange(height // stride) * stride + stride // 2
    columns = np.arange(width // stride) * stride + stride // 2
    points = np.empty((frames, len(rows), len(columns), 3), dtype=np.float32)
    for frame, (camera, pose) in enumerate(zip(cameras, camera_to_first, strict=True)):
        centres = depth[frame, stride // 2 :: stride, stride // 2 :: stride][: len(rows), : len(columns)]
        z = np.divide(centres, np.float32(units_per_metre), dtype=np.float32)
        z = np.where(np.isfinite(z) & (z > 0), z, np.float32(np.nan))
        _unproject_into(points[frame], z, camera, pose, rows, columns)
    return points


def _unproject_into(
    out: NDArray[np.float32],
    z: NDArray[np.float32],
    camera: Intrinsics,
    pose: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> None:
    """Compute ``point = z * (A @ (u, v, 1)) + t`` with ``A = R @ K^-1``.

    Each of the three planes is the sum of a term of its row and a term of its column.
    """
    ray = pose[:3, :3] @ np.linalg.inv(camera.matrix)
    for axis in range(3):
        along_row = (ray[axis, 0] * columns).astype(np.float32)
        along_column = (ray[axis, 1] * rows + ray[axis, 2]).astype(np.float32)
        np.multiply(z, along_row[None, :] + along_column[:, None], out=out[..., axis])
        out[..., axis] += np.float32(pose[axis, 3])
