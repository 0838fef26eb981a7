"""A textured box room seen through any lens, by casting each pixel's own ray: nothing is resampled, so that what the
product resamples can be compared with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gapdata.geometry.camera import Intrinsics
from tests.support.exports import matrix_text

CAMERA = Intrinsics(fx=230.0, fy=230.0, cx=127.5, cy=95.5, width=256, height=192)
ROOM = np.array([[-2.5, -1.3, -2.0], [2.5, 1.3, 3.0]])
PILLAR = np.array([[0.4, -1.3, 1.2], [0.9, 1.3, 1.7]])
Undistort = Callable[[np.ndarray], np.ndarray]
"""(n, 2) places on the image plane that a lens gives to the (n, 2) = (x / z, y / z) of the rays that it saw there."""


def straight(places: np.ndarray) -> np.ndarray:
    return places


def perspective(coefficients: list[float]) -> Undistort:
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
    given = np.array(coefficients)
    if hasattr(cv2, "undistortPointsIter"):  # OpenCV 4's name for the form with a criterion
        return lambda places: cv2.undistortPointsIter(places[:, None], np.eye(3), given, None, None, criteria)[:, 0]
    return lambda places: cv2.undistortPoints(places[:, None], np.eye(3), given, criteria=criteria)[:, 0]


def fisheye(coefficients: list[float]) -> Undistort:
    return lambda places: cv2.fisheye.undistortPoints(places[:, None], np.eye(3), np.array(coefficients))[:, 0]


def skewed(pixels: float, camera: Intrinsics = CAMERA) -> Undistort:
    return lambda places: np.stack([places[:, 0] - pixels / camera.fx * places[:, 1], places[:, 1]], axis=-1)


def pose(frame: int) -> np.ndarray:
    """(4, 4) camera_to_world."""
    angle = 0.5 * np.sin(frame / 4)
    matrix = np.eye(4)
    matrix[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    matrix[:3, 3] = [-1.0 + 0.12 * frame, 0.1 * np.sin(frame / 2.5), -0.8 + 0.04 * frame]
    return matrix


def seen(camera: Intrinsics, camera_to_world: np.ndarray, undistort: Undistort) -> tuple[np.ndarray, np.ndarray]:
    """Colour, (H, W, 3) uint8 RGB, and z-depth, (H, W) metres, of the room through a lens."""
    rays = camera.rays()
    rays[..., :2] = undistort(np.ascontiguousarray(rays[..., :2].reshape(-1, 2))).reshape(rays[..., :2].shape)
    rays, origin = rays @ camera_to_world[:3, :3].T, camera_to_world[:3, 3]
    rays = np.where(rays == 0, 1e-12, rays)
    z = np.where(rays > 0, (ROOM[1] - origin) / rays, (ROOM[0] - origin) / rays).min(-1)
    a, b = (PILLAR[0] - origin) / rays, (PILLAR[1] - origin) / rays
    near, far = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    z = np.where((near < far) & (near > 0.2) & (near < z), near, z)
    points = origin + rays * z[..., None]
    shade = 0.5 + 0.25 * np.sin(points * [9, 7, 8]).prod(-1) + 0.2 * np.sin(points @ [3.1, 2.3, 1.7])
    color = np.clip(np.stack([shade, shade * 0.8 + 0.1, 1 - shade], -1) * 255, 0, 255).astype(np.uint8)
    return color, z


def write_room(
    folder: Path,
    calibration: Mapping[str, Any] | str,
    undistort: Undistort = straight,
    *,
    camera: Intrinsics = CAMERA,
    depth_size: tuple[int, int] | None = None,
    frames: int = 4,
    depth_factor: float = 1000,
    change: Callable[[bytes], bytes] = lambda jpeg: jpeg,
) -> Path:
    """``color/ depth/ pose/`` and the calibration: JSON of these fields, or a text file."""
    depth_camera = camera if depth_size is None else camera.resized(*depth_size)
    for name in ("color", "depth", "pose"):
        (folder / name).mkdir(parents=True)
    for frame in range(frames):
        color, _ = seen(camera, pose(frame), undistort)
        _, z = seen(depth_camera, pose(frame), undistort)
        data = cv2.imencode(".jpg", color[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()
        (folder / "color" / f"{frame:05d}.jpg").write_bytes(change(data))
        cv2.imwrite(str(folder / "depth" / f"{frame:05d}.png"), np.round(z * depth_factor).astype(np.uint16))
        (folder / "pose" / f"{frame:05d}.txt").write_text(matrix_text(pose(frame)))
    if isinstance(calibration, str):
        (folder / "intrinsics.txt").write_text(calibration)
    else:
        stated = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "depth_scale": 1000}
        (folder / "intrinsics.json").write_text(json.dumps(stated | dict(calibration)))
    return folder
