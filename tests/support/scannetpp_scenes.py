"""Scenes of ScanNet++ written in a few plain lines, after the data set's own description."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SCENE = "036bce3393"
SIZE = (64, 48)
FRAMES = 12
PLY = (
    "ply\nformat ascii 1.0\nelement vertex 6\nproperty float x\nproperty float y\nproperty float z\n"
    "property uchar red\nproperty uchar green\nproperty uchar blue\nelement face 2\n"
    "property list uchar int vertex_indices\nend_header\n"
    "-3 2 -3 9 9 9\n3 2 -3 9 9 9\n3 2 3 9 9 9\n-3 2 3 9 9 9\n0 2 0 9 9 9\n0 3 1 9 9 9\n3 0 1 2\n3 0 2 3\n"
)


def camera_at(frame: int) -> NDArray[np.float64]:
    """A camera that looks along y and moves along x: camera to world."""
    pose = np.eye(4)
    pose[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    pose[0, 3] = 0.01 * frame
    return pose


def color_image(frame: int) -> NDArray[np.uint8]:
    """An image whose grey level is the number of the frame, times twenty."""
    return np.full((SIZE[1], SIZE[0], 3), 20 * frame, dtype=np.uint8)


def depth_image(frame: int) -> NDArray[np.uint16]:
    """Two metres and as many millimetres as the frame's number, with a corner without a reading."""
    image = np.full((192, 256), 2000 + frame, dtype=np.uint16)
    image[:10, :10] = 0
    return image


def intrinsic(frame: int) -> list[list[float]]:
    return [[50.0 + 0.01 * frame, 0.0, 31.0], [0.0, 50.0 + 0.01 * frame, 24.0], [0.0, 0.0, 1.0]]


def rows(frames: Iterable[int] = range(FRAMES), **more: Any) -> dict[str, dict[str, Any]]:
    """The content of ``pose_intrinsic_imu.json``."""
    return {
        f"frame_{frame:06d}": {
            **{"timestamp": 100 + frame / 60, "intrinsic": intrinsic(frame), "imu": {"gravity": [0, -1, 0]}},
            **{"pose": np.eye(4).tolist(), "aligned_pose": camera_at(frame).tolist(), **more},
        }
        for frame in frames
    }


def video(path: Path, images: Iterable[NDArray[np.uint8]]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 60.0, SIZE)
    for image in images:
        writer.write(image[..., ::-1])
    writer.release()


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, 6)[2:-4]  # without the header and the checksum of RFC 1950


def lz4_block(data: bytes) -> bytes:
    """An LZ4 block of literals only: a token, the number of literals beyond 15 in bytes of 255, and the literals."""
    more = len(data) - 15
    return bytes([0xF0]) + b"\xff" * (more // 255) + bytes([more % 255]) + data


def depth_bin(encoding: str, images: Sequence[NDArray[np.uint16]]) -> bytes:
    metres = [(image / 1000).astype("<f4").tobytes() for image in images]
    if encoding == "stream":
        return raw_deflate(b"".join(metres))
    pack = {"lz4": [lz4_block(image.tobytes()) for image in images], "deflate": [*map(raw_deflate, metres)]}[encoding]
    return b"".join(struct.pack("<I", len(block)) + block for block in pack)


def group(object_id: int, label: str, segments: Sequence[int]) -> dict[str, Any]:
    return {"id": 90 + object_id, "objectId": object_id, "label": label, "segments": list(segments), "partId": 1}


GROUPS = (group(4, "wall", range(6)), group(2, "monitor", (3, 4)), group(7, "REMOVE", (0,)))


def write_mesh(folder: Path, groups: Sequence[dict[str, Any]] = GROUPS) -> None:
    folder.mkdir(parents=True)
    (folder / "mesh_aligned_0.05.ply").write_text(PLY)
    (folder / "segments.json").write_text(json.dumps({"sceneId:": SCENE, "segIndices": list(range(6))}))
    (folder / "segments_anno.json").write_text(json.dumps({"sceneId:": SCENE, "segGroups": list(groups)}))


def write_scene(root: Path, encoding: str = "lz4", scene: str = SCENE) -> Path:
    """Write a scene of twelve frames, and return its folder."""
    folder = root / "data" / scene
    iphone = folder / "iphone"
    iphone.mkdir(parents=True)
    video(iphone / "rgb.mkv", map(color_image, range(FRAMES)))
    (iphone / "depth.bin").write_bytes(depth_bin(encoding, [*map(depth_image, range(FRAMES))]))
    (iphone / "pose_intrinsic_imu.json").write_text(json.dumps(rows()))
    write_mesh(folder / "scans")
    return folder


def write_colmap(folder: Path, frames: Iterable[int], camera: str = "1 OPENCV 64 48 50 50 31.5 24.5 0 0 0 0") -> None:
    """Write COLMAP's text model: world to camera, quaternions w x y z, two lines an image."""
    folder.mkdir()
    (folder / "cameras.txt").write_text(f"# cameras\n{camera}\n")
    lines = ["# images"]
    for number, frame in enumerate(frames, start=1):
        inverse = np.linalg.inv(camera_at(frame))
        # A quarter turn about x: (cos 45, sin 45, 0, 0).
        turn = f"{np.sqrt(0.5)} {np.sqrt(0.5)} 0 0"
        lines += [f"{number} {turn} {' '.join(map(str, inverse[:3, 3]))} 1 video/frame_{frame:06d}.jpg", ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
