"""Virtual cameras from which the cloud is shown, each placed so that everything fits its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform
from gapdata.show.scene.cloud import PointCloud
from gapdata.show.scene.exhibit import Exhibit
from gapdata.show.scene.pieces import frustum_corners

PERSPECTIVE = 42.0
"""Vertical field of view of the oblique views, degrees."""
PLAN = 3.0
"""Vertical field of view of the plan, degrees: narrow enough that it reads as a parallel projection."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Viewpoint:
    """A pinhole camera in the room, OpenCV axes."""

    title: str
    camera: Intrinsics
    shown_to_view: NDArray[np.float64]  # (4, 4)

    def project(self, points: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project points (..., 3), shown frame, to pixels (..., 2), NaN behind the view, and z-depth (...), metres."""
        local = transform(self.shown_to_view, np.asarray(points, dtype=np.float64))
        return self.camera.project(local), local[..., 2]


def viewpoints(
    exhibit: Exhibit, sizes: dict[str, tuple[int, int]], floor: NDArray[np.float64] | None = None
) -> dict[str, Viewpoint]:
    """Return the named views ``behind``, ``side``, ``above``, ``opposite`` and ``first``.

    Args:
        exhibit: its cloud and cameras are in every picture, but for ``first``, which looks through its first camera.
        sizes: (width, height) in pixels by view name.
        floor: (K, 3) further points, metres, shown frame, of every picture but ``behind``, which is the closest one.
    """
    room, forward = exhibit.shown_to_room, exhibit.forward
    part = exhibit.sample
    heading = float(np.arctan2(forward[1], forward[0]))
    side = _better_side(part, room, heading)
    # The plan keeps the room's walls upright on the page, turned by quarters so that ``forward`` is about upward.
    quarter = float(np.round((heading - np.pi / 2) / (np.pi / 2)) * (np.pi / 2) + np.pi / 2)
    behind = "From behind the first camera" if exhibit.in_camera else "From a corner"
    poses = {
        "behind": (behind, heading - side * 0.30, -0.45 if exhibit.in_camera else -0.6, PERSPECTIVE),
        "side": ("From the side", heading + side * 1.15, -0.5, PERSPECTIVE),
        "above": ("From above", quarter, -np.pi / 2, PLAN),
        "opposite": ("From the opposite corner", heading + np.pi - side * 0.30, -0.6, PERSPECTIVE),
    }
    included = [frustum_corners(item, exhibit.frustum_depth) for item in exhibit.cameras]
    included.append(np.stack([item.to_shown[:3, 3] for item in exhibit.cameras]))
    if exhibit.in_camera:
        included.append(1.3 * exhibit.frustum_depth * np.eye(3))
    views = {}
    for name, size in sizes.items():
        if name == "first":
            views[name] = _through(exhibit.cameras[0].camera, size)
            continue
        title, yaw, pitch, field = poses[name]
        extras = np.concatenate([*included, *([] if floor is None or name == "behind" else [floor])])
        views[name] = _fitted(title, _look(yaw, pitch) @ room[:3, :3], field, size, part.points, extras)
    return views


def _through(camera: Intrinsics, size: tuple[int, int]) -> Viewpoint:
    """Look through the first camera, with as much beside its image as the picture has room for."""
    width, height = size
    scale = 0.84 * min(width / camera.width, height / camera.height)
    wide = Intrinsics(
        fx=camera.fx * scale,
        fy=camera.fy * scale,
        cx=(width - 1) / 2 + (camera.cx - (camera.width - 1) / 2) * scale,
        cy=(height - 1) / 2 + (camera.cy - (camera.height - 1) / 2) * scale,
        width=width,
        height=height,
    )
    return Viewpoint(title="Through the first camera", camera=wide, shown_to_view=np.eye(4))


def _better_side(part: PointCloud, shown_to_room: NDArray[np.float64], heading: float) -> float:
    """Return +1 where turning the view counter-clockwise meets more surfaces from the front, else -1."""
    normals = part.normals @ shown_to_room[:3, :3].T
    seen = [np.clip(-(normals @ _direction(heading + turn * np.pi / 2, -0.35)), 0, None).sum() for turn in (1, -1)]
    return 1.0 if seen[0] >= seen[1] else -1.0


def _direction(yaw: float, pitch: float) -> NDArray[np.float64]:
    return np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])


def _look(yaw: float, pitch: float) -> NDArray[np.float64]:
    """Return room to camera (3, 3) of a level camera that looks along (yaw, pitch)."""
    right, ahead = np.array([np.sin(yaw), -np.cos(yaw), 0.0]), _direction(yaw, pitch)
    return np.stack([right, np.cross(ahead, right), ahead])


def _fitted(
    title: str,
    rotation: NDArray[np.float64],
    field: float,
    size: tuple[int, int],
    shown: NDArray[np.floating],
    extras: NDArray[np.float64],
) -> Viewpoint:
    """Return the nearest camera with this rotation that has all but stray points in its picture.

    With the camera at (tx, tz) a point is inside when ``|x - tx| <= k (z - tz)``; the extremes of ``x - k z`` and ``-x
    - k z`` over the points bound tx and tz for each image axis.
    """
    width, height = size
    focal = 0.5 * height / np.tan(np.radians(field) / 2)
    turned = shown @ rotation.T
    if len(turned):
        turned = np.clip(turned, *np.percentile(turned, [0.2, 99.8], axis=0))
    turned = np.concatenate([turned, extras @ rotation.T])
    centre, distance = np.zeros(3), np.inf
    for axis, half in ((0, 0.46 * width / focal), (1, 0.44 * height / focal)):
        upper = (turned[:, axis] - half * turned[:, 2]).max()
        lower = (-turned[:, axis] - half * turned[:, 2]).max()
        centre[axis] = (upper - lower) / 2
        distance = min(distance, -(upper + lower) / (2 * half))
    centre[2] = min(distance, turned[:, 2].min() - 0.3)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -centre
    camera = Intrinsics(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)
    return Viewpoint(title=title, camera=camera, shown_to_view=pose)
