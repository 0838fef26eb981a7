"""The line drawings around a cloud: camera frustums, oriented boxes, coordinate axes. Segments: (S, 2, 3), metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import Intrinsics, transform

_EDGES = np.array([(a, a | bit) for bit in (4, 2, 1) for a in range(8) if not a & bit])
"""Which corners of ``box_corners`` an edge joins, (12, 2): those whose positions differ in one bit."""


def frustum_corners(camera: Intrinsics, camera_to_shown: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    """The image plane's corners (4, 3) at ``depth`` metres, shown frame, clockwise from the top left."""
    left, top, right, bottom = -0.5, -0.5, camera.width - 0.5, camera.height - 0.5
    pixels = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return transform(camera_to_shown, camera.unproject(pixels, np.full(4, depth)))


def frustum_segments(camera: Intrinsics, camera_to_shown: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    """The pyramid of a camera with an image plane at ``depth`` metres, (8, 2, 3), shown frame."""
    corners = frustum_corners(camera, camera_to_shown, depth)
    centre = np.broadcast_to(camera_to_shown[:3, 3], (4, 3))
    return np.concatenate([np.stack([centre, corners], 1), np.stack([corners, np.roll(corners, -1, 0)], 1)])


def box_segments(box: OrientedBox) -> NDArray[np.float64]:
    """The 12 edges of an oriented box, (12, 2, 3), in its own frame of reference."""
    return np.asarray(box.corners[_EDGES])


def axis_segments(length: float) -> NDArray[np.float64]:
    """x, y and z from the origin, (3, 2, 3)."""
    return np.stack([np.zeros((3, 3)), length * np.eye(3)], axis=1)


def dashes(segments: NDArray[np.float64], length: float, share: float = 0.6) -> NDArray[np.float64]:
    """Segments (S, 2, 3) cut into dashes about ``length`` metres apart, of which ``share`` is drawn, (D, 2, 3)."""
    parts = []
    for start, end in segments:
        count = int(np.clip(round(float(np.linalg.norm(end - start)) / length), 1, 400))
        at = np.arange(count) / count
        ends = np.stack([at, at + share / count], axis=1)[..., None]  # (count, 2, 1)
        parts.append(start + ends * (end - start))
    return np.concatenate(parts) if parts else np.zeros((0, 2, 3))
