"""The surfaces in a depth image: their normals, and which of its pixels can be trusted.

For display only: a record keeps every pixel that has depth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics

FLYING_TOLERANCE = 0.04
"""Second difference of inverse depth, relative to it, above which a neighbour does not continue a pixel's plane: about
twice what a structured-light sensor's noise gives at 5 m, far below a step between two surfaces."""

BILATERAL_DISPARITY = 0.008
"""Range sigma (1/m) of the filter under the normals. The noise of structured light is constant in inverse depth, about
0.0016/m (Khoshelham and Elberink, Sensors 2012), so one figure serves at every distance."""

GRAZING = 0.26
"""Cosine between normal and viewing ray (75 degrees) below which a surface is seen so slantwise that a pixel's depth
depends on where in the pixel it was measured."""

VALIDITY = ("outside", "hole", "edge", "grazing", "surface")
"""The kinds of pixels: ``outside`` of the registered depth (no frame of the view has depth there), a ``hole``
(other frames have), at an ``edge`` between two surfaces, on a surface seen at a ``grazing`` angle, or plainly on a
``surface``. The first two have no point."""
OUTSIDE, HOLE, EDGE, GRAZED, SURFACE = range(len(VALIDITY))


def pixel_validity(
    depth: NDArray[np.float32],
    camera: Intrinsics,
    normals: NDArray[np.float32],
    covered: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return places in :data:`VALIDITY`, (H, W) uint8, of a depth image (H, W) in metres, 0 where it is missing.

    Args:
        depth: registered to ``camera``.
        camera: of size (W, H).
        normals: (H, W, 3) as :func:`camera_normals` gives them.
        covered: (H, W) where any frame of the view has depth; without it, no pixel is ``outside``.
    """
    rays = camera.rays().astype(np.float32)
    facing = -np.einsum("hwc,hwc->hw", normals, rays) / np.linalg.norm(rays, axis=-1)
    found = np.where(facing < GRAZING, GRAZED, SURFACE).astype(np.uint8)
    found[~continued_pixels(depth)] = EDGE
    found[depth <= 0] = HOLE
    if covered is not None:
        found[(depth <= 0) & ~covered] = OUTSIDE
    return found


def continued_pixels(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where (H, W) depth carries on, as a plane would, on one side along the row and one along the column.

    Inverse depth is linear in the pixel coordinates on a plane, so a second difference near 0 tells a surface, however
    slanted, from a pixel that hangs between two of them.
    """
    disparity = np.divide(1.0, depth, out=np.full_like(depth, np.nan), where=depth > 0)
    kept = np.isfinite(disparity)
    for axis in (0, 1):
        flat = np.abs(np.diff(disparity, n=2, axis=axis)) < FLYING_TOLERANCE * _inner(disparity, axis)
        shape = list(disparity.shape)
        shape[axis] = 2
        edge = np.zeros(shape, dtype=bool)
        kept &= np.concatenate([flat, edge], axis=axis) | np.concatenate([edge, flat], axis=axis)
    return kept


def _inner(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return values[1:-1] if axis == 0 else values[:, 1:-1]


def camera_normals(depth: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """Return unit normals (H, W, 3) in the camera's own frame, towards it, of a depth image (H, W) in metres.

    The inverse depth is smoothed within surfaces (bilateral filter), unprojected and differentiated over five pixels.
    Where a neighbour is missing, the normal is the direction to the camera.
    """
    import cv2

    disparity = np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0)
    smooth = cv2.bilateralFilter(disparity, 9, BILATERAL_DISPARITY, 4.0)
    rays = camera.rays().astype(np.float32)
    points = rays / np.where(depth > 0, np.maximum(smooth, 1e-6), np.float32(np.nan))[..., None]
    normals = np.full_like(points, np.nan)
    along_row = points[2:-2, 4:] - points[2:-2, :-4]
    along_column = points[4:, 2:-2] - points[:-4, 2:-2]
    normals[2:-2, 2:-2] = np.cross(along_column, along_row)
    normals[:2], normals[-2:] = normals[2], normals[-3]
    normals[:, :2], normals[:, -2:] = normals[:, 2:3], normals[:, -3:-2]
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    toward = -rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    normals = cv2.blur(np.where(np.isfinite(normals), normals, toward), (3, 3))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6))
