"""The line drawings around a cloud: camera frustums, oriented boxes, coordinate axes. Segments: (S, 2, 3), metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import box_corners
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.records.schema import ViewObject
from gapdata.view.cloud import PointCloud

_EDGES = np.array([(a, a | bit) for bit in (4, 2, 1) for a in range(8) if not a & bit])
"""Which corners of ``box_corners`` an edge joins, (12, 2): those whose positions differ in one bit."""

STRUCTURE = frozenset({"wall", "floor", "ceiling"})
"""Objects whose box is the room itself: drawn, it would hide what is in the room."""


def frustum_corners(camera: Intrinsics, camera_to_first: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    """The image plane's corners (4, 3) at ``depth`` metres, first camera, clockwise from the top left."""
    left, top, right, bottom = -0.5, -0.5, camera.width - 0.5, camera.height - 0.5
    pixels = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return transform(camera_to_first, camera.unproject(pixels, np.full(4, depth)))


def frustum_segments(camera: Intrinsics, camera_to_first: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    """The pyramid of a camera with an image plane at ``depth`` metres, (8, 2, 3), first camera."""
    corners = frustum_corners(camera, camera_to_first, depth)
    centre = np.broadcast_to(camera_to_first[:3, 3], (4, 3))
    return np.concatenate([np.stack([centre, corners], 1), np.stack([corners, np.roll(corners, -1, 0)], 1)])


def box_segments(item: ViewObject) -> NDArray[np.float64]:
    """The 12 edges of an object's oriented box, (12, 2, 3), first camera."""
    return box_corners(item.center, item.size, item.rotation)[_EDGES]


def axis_segments(length: float) -> NDArray[np.float64]:
    """x, y and z of the first camera, (3, 2, 3)."""
    return np.stack([np.zeros((3, 3)), length * np.eye(3)], axis=1)


def shown_objects(objects: tuple[ViewObject, ...], limit: int) -> list[ViewObject]:
    """At most ``limit`` objects for drawing: those with the most visible pixels, but no walls, floors or ceilings."""
    loose = [item for item in objects if item.label.lower() not in STRUCTURE and sum(item.visible_pixels) > 0]
    return sorted(loose, key=lambda item: (-sum(item.visible_pixels), item.object_id))[:limit]


def extent(cloud: PointCloud) -> float:
    """The diagonal of the box around all but stray points, metres; 1 for an empty cloud."""
    if not len(cloud):
        return 1.0
    low, high = np.percentile(cloud.points[:: max(1, len(cloud) // 20_000)], [1, 99], axis=0)
    return float(np.linalg.norm(high - low))


def frustum_depth(cloud: PointCloud) -> float:
    """How deep frustums are drawn, metres: a sixteenth of the cloud's extent."""
    return float(np.clip(extent(cloud) / 16, 0.08, 0.5))
