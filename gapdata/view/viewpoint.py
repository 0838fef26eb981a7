"""Virtual cameras from which a sheet shows the cloud, each placed so that everything fits its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform
from gapdata.view.cloud import PointCloud

PERSPECTIVE = 42.0
"""Vertical field of view of the oblique views, degrees."""
PLAN = 3.0
"""Vertical field of view of the plan, degrees: narrow enough that it reads as a parallel projection."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Viewpoint:
    """A pinhole camera in the room, OpenCV axes."""

    title: str
    camera: Intrinsics
    first_to_view: NDArray[np.float64]  # (4, 4)

    def project(self, points: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points (..., 3) in the first camera to pixels (..., 2), NaN behind the view, and z-depth (...) in metres."""
        local = transform(self.first_to_view, points)
        return self.camera.project(local), local[..., 2]


def viewpoints(
    cloud: PointCloud,
    first_to_room: NDArray[np.float64],
    extras: NDArray[np.float64],
    sizes: dict[str, tuple[int, int]],
) -> dict[str, Viewpoint]:
    """The named views ``behind``, ``above`` and ``side``.

    Args:
        cloud: what is shown.
        first_to_room: (4, 4) from :func:`gapdata.view.room.room_frame`.
        extras: (K, 3) further points that must be in the picture (camera centres), metres, first camera.
        sizes: (width, height) in pixels by view name.
    """
    shown = cloud.points[:: max(1, len(cloud) // 20_000)].astype(np.float64)
    forward = first_to_room[:3, 2]
    heading = float(np.arctan2(forward[1], forward[0]))
    side = _better_side(cloud, first_to_room, heading)
    # The plan keeps the room's walls upright on the page, turned by quarters so that the first camera looks upward.
    quarter = np.round((heading - np.pi / 2) / (np.pi / 2)) * (np.pi / 2) + np.pi / 2
    poses = {
        "behind": ("From behind the first camera", heading - side * 0.30, -0.45, PERSPECTIVE),
        "above": ("From above", float(quarter), -np.pi / 2, PLAN),
        "side": ("From the side", heading + side * 1.15, -0.35, PERSPECTIVE),
    }
    views = {}
    for name, (title, yaw, pitch, field) in poses.items():
        rotation = _look(yaw, pitch) @ first_to_room[:3, :3]
        views[name] = _fitted(title, rotation, field, sizes[name], shown, extras)
    return views


def _better_side(cloud: PointCloud, first_to_room: NDArray[np.float64], heading: float) -> float:
    """+1 where turning the view counter-clockwise meets more surfaces from the front, else -1."""
    normals = cloud.normals[:: max(1, len(cloud) // 20_000)] @ first_to_room[:3, :3].T
    seen = [
        float(np.clip(-(normals @ _direction(heading + turn * np.pi / 2, -0.35)), 0, None).sum())
        for turn in (1.0, -1.0)
    ]
    return 1.0 if seen[0] >= seen[1] else -1.0


def _direction(yaw: float, pitch: float) -> NDArray[np.float64]:
    return np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])


def _look(yaw: float, pitch: float) -> NDArray[np.float64]:
    """Room to camera (3, 3) of a level camera that looks along (yaw, pitch)."""
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    ahead = _direction(yaw, pitch)
    return np.stack([right, np.cross(ahead, right), ahead])


def _fitted(
    title: str,
    rotation: NDArray[np.float64],
    field: float,
    size: tuple[int, int],
    shown: NDArray[np.float64],
    extras: NDArray[np.float64],
) -> Viewpoint:
    """The nearest camera with this rotation that has all but stray points in its picture.

    With the camera at (tx, tz) a point is inside when ``|x - tx| <= k (z - tz)``; the extremes of ``x - k z`` and ``-x
    - k z`` over the points bound tx and tz for each image axis.
    """
    width, height = size
    focal = 0.5 * height / np.tan(np.radians(field) / 2)
    turned = shown @ rotation.T
    if len(turned):
        low, high = np.percentile(turned, [0.2, 99.8], axis=0)
        turned = np.clip(turned, low, high)
    turned = np.concatenate([turned, extras @ rotation.T])
    centre, distance = np.zeros(3), np.inf
    for axis, half in ((0, 0.46 * width / focal), (1, 0.44 * height / focal)):
        upper = (turned[:, axis] - half * turned[:, 2]).max()
        lower = (-turned[:, axis] - half * turned[:, 2]).max()
        centre[axis] = (upper - lower) / 2
        distance = min(distance, -(upper + lower) / (2 * half))
    centre[2] = min(distance, turned[:, 2].min() - 0.3)
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = -centre
    camera = Intrinsics(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)
    return Viewpoint(title=title, camera=camera, first_to_view=pose)
