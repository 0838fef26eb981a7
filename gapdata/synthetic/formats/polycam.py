"""Write walks as raw captures of Polycam.

Their traps: the phone was held upright; intrinsics drift; keyframes are missing from the clock of 30 Hz; all but two
keyframes were aligned again, with undistorted images that have black borders and camera files without a size, while the
cameras as recorded are 10 cm off; confidence is 0, 127 and 255.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.formats.image_files import png
from gapdata.synthetic.formats.phone import PORTRAIT, arkit_pose, confidence_of, objects_json, phone_camera, room_name
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.scene import FRAMES, generator
from gapdata.synthetic.sensor import jpeg

START = 48_213_771_204
"""Microseconds since the phone was switched on."""
JITTER = 4_000  # us
SKIPPED = 7
"""Of so many frames one is not a keyframe."""
SHRUNK = 0.97
"""Of the focal length as recorded, that of the undistorted image, which therefore has a border."""
OFF = np.array([0.0, 0.0, 0.1])
"""Metres, camera frame, by which a pose moved when it was aligned again."""
CONFIDENCE = np.array([0, 127, 255], dtype=np.uint8)
STREAM = 5  # of random numbers


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write one folder for each walk, and return their names."""
    return [_write_walk(out, walk) for walk in walks]


def keyframes(frames: int) -> list[int]:
    """Return the frames of a walk that are keyframes."""
    return [frame for frame in range(frames) if frame % SKIPPED != SKIPPED // 2]


def not_corrected(frames: int) -> tuple[int, int]:
    """Return the two keyframes that were not aligned again."""
    found = keyframes(frames)
    return found[len(found) // 3], found[2 * len(found) // 3]


def _write_walk(out: Path, walk: Walk) -> str:
    name = room_name(walk)
    folder = out / name / "keyframes"
    for kind in ("images", "cameras", "corrected_images", "corrected_cameras", "depth", "confidence"):
        (folder / kind).mkdir(parents=True)
    width, frames = walk.options.width, len(walk.poses)
    rng = generator(walk.scene.seed, walk.scene.index, FRAMES, STREAM)
    jitter = rng.integers(-JITTER, JITTER, frames)
    for frame in keyframes(frames):
        stamp = START + round(walk.seconds[frame] * 1e6) + int(jitter[frame] if frame else 0)
        camera = phone_camera(frame, width)
        color, pose = walk.color(frame, camera, PORTRAIT), walk.held(frame, PORTRAIT)
        aligned = frame not in not_corrected(frames)
        (folder / "images" / f"{stamp}.jpg").write_bytes(jpeg(color))
        recorded = pose.copy()
        recorded[:3, 3] += pose[:3, :3] @ OFF
        _write_camera(folder / "cameras" / f"{stamp}.json", camera, recorded, stamp, with_size=True)
        if aligned:
            undistorted = replace(camera, fx=SHRUNK * camera.fx, fy=SHRUNK * camera.fy)
            color, camera = _shrunk(color, camera), undistorted
            (folder / "corrected_images" / f"{stamp}.jpg").write_bytes(jpeg(color))
            _write_camera(folder / "corrected_cameras" / f"{stamp}.json", camera, pose, stamp, with_size=False)
        depth = walk.depth(frame, camera.resized(width // 2, width * 3 // 8), PORTRAIT)
        (folder / "depth" / f"{stamp}.png").write_bytes(png(depth))
        (folder / "confidence" / f"{stamp}.png").write_bytes(png(CONFIDENCE[confidence_of(depth)]))
    (folder.parent / "mesh_info.json").write_text(json.dumps({"alignmentTransform": np.eye(4).ravel().tolist()}))
    (folder.parent / "objects.json").write_text(objects_json(walk))
    return name


def _shrunk(image: NDArray[np.uint8], camera: Intrinsics) -> NDArray[np.uint8]:
    """Return an image as a camera of shorter focal length would show it, black where it sees more."""
    import cv2

    matrix = np.array([[SHRUNK, 0, (1 - SHRUNK) * camera.cx], [0, SHRUNK, (1 - SHRUNK) * camera.cy]])
    size = (camera.width, camera.height)
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_CONSTANT))


def _write_camera(path: Path, camera: Intrinsics, pose: NDArray[np.float64], stamp: int, *, with_size: bool) -> None:
    values: dict[str, object] = {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy")}
    rows = arkit_pose(pose)[:3]
    values |= {f"t_{row}{column}": float(rows[row, column]) for row in range(3) for column in range(4)}
    values |= {"blur_score": 60.0 + stamp % 977 / 10, "neighbors": [], "manual_keyframe": False}
    if with_size:
        values |= {"width": camera.width, "height": camera.height, "timestamp": stamp}
    path.write_text(json.dumps(values))
