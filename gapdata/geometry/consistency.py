"""Do the pointmaps of two frames agree where both see the same surface? The measure of a view's poses, depth and
calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform

OCCLUSION_RATIO = 0.1
"""A reprojected point whose depth differs from the other frame's by more than this share is taken as hidden, not as
wrong."""


def reprojection_distances(
    points: NDArray[np.float32],
    other_points: NDArray[np.float32],
    other_camera: Intrinsics,
    other_camera_to_first: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Distances in metres between points of one frame and the points that another frame has where they reproject.

    Args:
        points: (..., 3) float32, metres, first camera; NaN where invalid.
        other_points: (H, W, 3) float32, metres, first camera; NaN where invalid.
        other_camera: intrinsics of the other frame, of size (W, H).
        other_camera_to_first: (4, 4).

    Returns:
        (n,) float64: one distance for each point that lands on a valid pixel of the other frame and is not hidden
        there.
    """
    flat = points.reshape(-1, 3)
    flat = flat[np.isfinite(flat).all(axis=-1)].astype(np.float64)
    first_to_other = np.linalg.inv(other_camera_to_first)
    in_other = transform(first_to_other, flat)
    pixels = other_camera.project(in_other)
    size = np.array([other_camera.width, other_camera.height])
    inside = np.isfinite(pixels).all(axis=-1) & (pixels > -0.5).all(axis=-1) & (pixels < size - 0.5).all(axis=-1)
    nearest = np.rint(pixels[inside]).astype(np.int64)
    partner = other_points[nearest[:, 1], nearest[:, 0]].astype(np.float64)
    depth, partner_depth = in_other[inside][:, 2], transform(first_to_other, partner)[:, 2]
    with np.errstate(invalid="ignore"):
        together = np.abs(depth - partner_depth) < OCCLUSION_RATIO * depth
    return np.linalg.norm(flat[inside][together] - partner[together], axis=-1)
