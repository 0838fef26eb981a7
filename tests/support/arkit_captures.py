"""Captures of ARKitScenes written in a few plain lines, after the data set's own description."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.exports import png

CAPTURE = "41069025"
SIZE = (32, 24)
PINCAM = "32 24 26.511 26.511 15.925 12.3374"
STAMPS = ("999.7", "999.8", "999.9", "1000.0", "1000.1", "1000.2")
SPEED, TURN = 0.4, 0.5  # m/s, rad/s


def camera_at(seconds: float) -> NDArray[np.float64]:
    """A camera that moves along x and turns about z: camera to world, held upright."""
    angle = TURN * (seconds - 1000)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = turn @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # looks along y
    pose[:3, 3] = [SPEED * (seconds - 1000), 0.0, 1.5]
    return pose


def row(stamp: str | float, pose: NDArray[np.float64] | None = None) -> str:
    """A line of a trajectory: the inverse of a camera's pose."""
    inverse = np.linalg.inv(camera_at(float(stamp)) if pose is None else pose)
    values = [*cv2.Rodrigues(inverse[:3, :3])[0][:, 0], *inverse[:3, 3]]
    return f"{stamp} " + " ".join(f"{value:.12g}" for value in values)


def box(label: str, center: Sequence[float], size: Sequence[float], yaw: float = 0.0, **more: Any) -> dict[str, Any]:
    """An entry of ``data``: axes are rows; ``obb`` is in centimetres, and must not be read."""
    axes = [np.cos(yaw), np.sin(yaw), 0.0, -np.sin(yaw), np.cos(yaw), 0.0, 0.0, 0.0, 1.0]
    aligned = {"centroid": list(center), "axesLengths": list(size), "normalizedAxes": axes}
    other = {"centroid": [100 * value for value in center], "axesLengths": [100 * value for value in size]}
    return {
        **{"uid": f"uid-{label}-{center[0]}", "label": label, "objectId": 1, "children": [], "hierarchy": []},
        "segments": {"obb": {**other, "normalizedAxes": np.eye(3).ravel().tolist()}, "obbAligned": aligned},
        **more,
    }


BOXES = (box("chair", (0, 2, 0.5), (0.5, 0.6, 1.0), 0.4), box("tv/monitor", (1, 3, 1), (1.0, 0.1, 0.6)))
PLY = (
    "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    "property uchar red\nproperty uchar green\nproperty uchar blue\nelement face 2\n"
    "property list uchar int vertex_indices\nend_header\n"
    "-3 -3 0 9 9 9\n3 -3 0 9 9 9\n3 3 0 9 9 9\n-3 3 0 9 9 9\n3 0 1 2\n3 0 2 3\n"
)


def write_images(
    folder: Path, names: Iterable[str], size: tuple[int, int] = SIZE, *, color: str = "lowres_wide", value: int = 90
) -> None:
    """Colour and depth of the given stems; the depth's first pixel has none."""
    for part in (color, "lowres_depth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    depth = np.full((size[1], size[0]), 2000, dtype=np.uint16)
    depth[0, 0] = 0
    for place, name in enumerate(names):
        image = np.full((size[1], size[0], 3), value + place, dtype=np.uint8)
        (folder / color / f"{name}.png").write_bytes(png(image))
        (folder / "lowres_depth" / f"{name}.png").write_bytes(png(depth + np.uint16(place)))


def write_cameras(folder: Path, names: Iterable[str], text: str = PINCAM) -> None:
    """One file for each stem."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.pincam").write_text(text)


def write_frames(folder: Path, capture: str = CAPTURE, stamps: Sequence[str] = STAMPS) -> None:
    """All that frames need: colour, depth, cameras and a row of the trajectory each."""
    names = [f"{capture}_{float(stamp):.3f}" for stamp in stamps]
    write_images(folder, names)
    write_cameras(folder / "lowres_wide_intrinsics", names)
    (folder / "lowres_wide.traj").write_text("\n".join(row(f"{float(stamp) + 1e-5:.6f}") for stamp in stamps) + "\n")


def write_confidence(folder: Path, names: Iterable[str], levels: NDArray[np.uint8]) -> None:
    """One image for each stem."""
    (folder / "confidence").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "confidence" / f"{name}.png").write_bytes(png(levels))


def write_boxes(home: Path, items: Iterable[Any] = BOXES, capture: str = CAPTURE, **more: Any) -> None:
    """The mesh and the annotation."""
    home.mkdir(parents=True, exist_ok=True)
    content = {"data": list(items), "skipped": False, "stats": {}, "comment": "", "confirm": True, **more}
    (home / f"{capture}_3dod_annotation.json").write_text(json.dumps(content))
    (home / f"{capture}_3dod_mesh.ply").write_text(PLY)


def write_capture(root: Path, capture: str = CAPTURE, fold: str = "Validation", stamps: Sequence[str] = STAMPS) -> Path:
    """A capture of the 3dod package, below the folder of a download; returns its folder."""
    home = root / "3dod" / fold / capture
    write_frames(home / f"{capture}_frames", capture, stamps)
    write_boxes(home, capture=capture)
    return home


def write_metadata(folder: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """``metadata.csv`` of (video, visit, fold)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["video_id,visit_id,sky_direction,fold,has_laser_scanner_point_clouds,is_in_upsampling,is_in_threedod"]
    lines += [f"{video},{visit},Up,{fold},False,False,True" for video, visit, fold in rows]
    (folder / "metadata.csv").write_text("\r\n".join(lines) + "\r\n")
