"""Write walks as exports of 3D Scanner App.

Their traps: the phone was held upright and its images ask viewers to turn them, though intrinsics are of the sensor's
pixels, at 1920x1440; intrinsics drift; every frame has a JSON and only every second an image; a frame was tracked
badly, and one has no confidence.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from pathlib import Path

from gapdata.synthetic.formats.image_files import png
from gapdata.synthetic.formats.phone import (
    PORTRAIT,
    SENSOR,
    arkit_pose,
    confidence_of,
    objects_json,
    phone_camera,
    room_name,
)
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.sensor import jpeg

WITH_IMAGE = 2
"""Of so many frames one has an image."""
START = 913_204.117  # seconds
EXIF_CLOCKWISE = 6


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write one folder for each walk, and return their names."""
    return [_write_walk(out, walk) for walk in walks]


def badly_tracked(frames: int) -> int:
    """Return the frame with an image of which the tracking quality is low."""
    return frames // 3 // WITH_IMAGE * WITH_IMAGE


def without_confidence(frames: int) -> int:
    """Return the frame with an image that lacks its confidence."""
    return 2 * frames // 3 // WITH_IMAGE * WITH_IMAGE


def _write_walk(out: Path, walk: Walk) -> str:
    name = room_name(walk)
    folder = out / name
    folder.mkdir(parents=True)
    width, frames = walk.options.width, len(walk.poses)
    for frame in range(frames):
        camera = phone_camera(frame, width)
        on_sensor = camera.resized(SENSOR.width, SENSOR.height)
        pose = walk.held(frame, PORTRAIT)
        tracked = frame != badly_tracked(frames)
        if not tracked:
            pose = pose.copy()
            pose[:3, 3] += 0.4
        values = {
            "cameraPoseARFrame": arkit_pose(pose).ravel().tolist(),
            "intrinsics": on_sensor.matrix.ravel().tolist(),
            "frame_index": frame,
            "time": START + float(walk.seconds[frame]),
            "motionQuality": 0.93,
            "trackingQuality": 0.97 if tracked else 0.12,
        }
        (folder / f"frame_{frame:05d}.json").write_text(json.dumps(values))
        depth = walk.depth(frame, camera.resized(width // 2, width * 3 // 8), PORTRAIT)
        (folder / f"depth_{frame:05d}.png").write_bytes(png(depth))
        if frame != without_confidence(frames):
            (folder / f"conf_{frame:05d}.png").write_bytes(png(confidence_of(depth)))
        if frame % WITH_IMAGE == 0:
            image = jpeg(walk.color(frame, camera, PORTRAIT))
            (folder / f"frame_{frame:05d}.jpg").write_bytes(_with_orientation(image, EXIF_CLOCKWISE))
    (folder / "info.json").write_text(json.dumps({"device": "synthetic", "frames": frames}))
    (folder / "objects.json").write_text(objects_json(walk))
    return name


def _with_orientation(data: bytes, orientation: int) -> bytes:
    """Return a JPEG with an EXIF segment that holds only the orientation tag (Exif 2.32, tag 274)."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 0)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
