"""Write walks as recordings of Record3D: one ``.r3d`` for each, with its boxes beside it.

Their traps: members lie in the order of their names as text; the phone was held upright; intrinsics drift; frames are
missing from the clock of 30 Hz; one frame has no depth; depth at edges is smeared and of low confidence, and NaN where
there is none. Rooms with odd numbers are as older versions write them: metadata without the moments, the camera of each
frame and the size of depth, and images of twice the size that the metadata state.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.synthetic.formats.motion import quaternions
from gapdata.synthetic.formats.phone import (
    PORTRAIT,
    arkit_pose,
    confidence_of,
    objects_json,
    phone_camera,
    room_name,
    smeared,
)
from gapdata.synthetic.formats.walk import RATE, Walk
from gapdata.synthetic.sensor import jpeg

SKIPPED = 8
"""Of so many frames one was not recorded."""
DATE = (2024, 5, 6, 7, 8, 10)
IDENTITY = [0, 0, 0, 1, 0, 0, 0]  # qx qy qz qw tx ty tz


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write one file for each walk, and return the names of their scenes."""
    return [_write_walk(out, walk) for walk in walks]


def recorded(walk: Walk) -> list[int]:
    """Return the frames of a walk that were recorded: all of an older recording, which does not state moments."""
    return [frame for frame in range(len(walk.poses)) if _older(walk) or frame % SKIPPED != SKIPPED // 2]


def lost_depth(walk: Walk) -> int:
    """Return the number, among those recorded, of the frame without depth."""
    return len(recorded(walk)) // 2


def _older(walk: Walk) -> bool:
    return walk.scene.index % 2 == 1


def _write_walk(out: Path, walk: Walk) -> str:
    name, width = room_name(walk), walk.options.width
    depth_size = (width // 2, width * 3 // 8)
    members: dict[str, bytes] = {"metadata": json.dumps(_metadata(walk, depth_size)).encode(), "icon": b"\xff\xd8"}
    for number, frame in enumerate(recorded(walk)):
        camera = phone_camera(frame, width)
        depth = walk.depth(frame, camera.resized(*depth_size), PORTRAIT)
        confidence = confidence_of(depth)
        metres = smeared(depth, confidence).astype("<f4") / np.float32(1000)
        metres[metres == 0] = np.nan
        members[f"rgbd/{number}.jpg"] = jpeg(walk.color(frame, camera, PORTRAIT))
        members[f"rgbd/{number}.conf"] = stored(confidence.tobytes())
        if number != lost_depth(walk):
            members[f"rgbd/{number}.depth"] = stored(metres.tobytes())
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out / f"{name}.r3d", "w", zipfile.ZIP_STORED) as archive:
        for member in sorted(members):
            archive.writestr(zipfile.ZipInfo(member, DATE), members[member])
    (out / f"{name}.objects.json").write_text(objects_json(walk))
    return name


def stored(data: bytes) -> bytes:
    """Return an LZFSE stream that holds bytes as they are: any reader of the format unpacks it."""
    return b"bvx-" + struct.pack("<I", len(data)) + data + b"bvx$"


def _metadata(walk: Walk, depth_size: tuple[int, int]) -> dict[str, Any]:
    frames, width = recorded(walk), walk.options.width
    stated = width // 2 if _older(walk) else width
    cameras = [phone_camera(frame, width).resized(stated, stated * 3 // 4) for frame in frames]
    poses = np.array([arkit_pose(walk.held(frame, PORTRAIT)) for frame in frames])
    columns: NDArray[np.float64] = np.median([camera.matrix for camera in cameras], axis=0).T
    fields: dict[str, Any] = {
        "h": stated * 3 // 4,
        "w": stated,
        "fps": RATE,
        "K": columns.ravel().tolist(),
        "poses": np.concatenate([quaternions(poses), poses[:, :3, 3]], axis=1).tolist(),
    }
    if _older(walk):
        return fields
    return {
        **fields,
        "fps": 60,
        "initPose": IDENTITY,
        "frameTimestamps": walk.seconds[frames].tolist(),
        "perFrameIntrinsicCoeffs": [[camera.fx, camera.fy, camera.cx, camera.cy] for camera in cameras],
        "dw": depth_size[0],
        "dh": depth_size[1],
        "cameraType": 1,
    }
