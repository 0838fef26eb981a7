"""Write walks as scenes of ScanNet++: the iPhone's stream, COLMAP's poses, the labelled mesh, lists, and one DSLR.

Frame i of a walk is frame 2 i of a video of 60 Hz, and between two of them lies one that the walk passes through.

Its traps: each encoding of ``depth.bin`` in turn; in the second room one depth image less than frames; one row
without ``aligned_pose``, and ``pose`` in another world; intrinsics that drift, but for the third room, whose images are
as a lens made them that only COLMAP knows; COLMAP's poses of some frames only, world to camera, with a folder in their
names; a blackened corner under the mask; segments that are vertices, ids that are not the objects', vertices of a small
object in a large one, too, and labels that are to be left out; a key with a colon.
"""

from __future__ import annotations

import copy
import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.synthetic.annotation_files import ply_bytes
from gapdata.synthetic.formats.lenses import BentCamera
from gapdata.synthetic.formats.motion import poses_at, quaternions
from gapdata.synthetic.formats.phone import SENSOR, phone_camera
from gapdata.synthetic.formats.scannetpp_dslr import write_dslr
from gapdata.synthetic.formats.video_files import write_video
from gapdata.synthetic.formats.walk import Walk

RATE = 60.0  # Hz
DEPTH_SIZE = (256, 192)
ENCODINGS = ("stream", "lz4", "deflate")
LENS = Lens(name="OPENCV", coefficients=(0.05, -0.03, 0.0006, -0.0004))
COLMAP_STEP = 10  # frames of the video
OTHER_WORLD = np.array([[1.0, 0, 0, 0.7], [0, 0, 1, -1.1], [0, -1, 0, 0.4], [0, 0, 0, 1]])
CORNER = 8
"""The blackened corner is so many times smaller than the image."""
VAL_EVERY = 3


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write one scene for each walk with the lists beside them, and return their names."""
    names: list[str] = []
    lists: dict[str, list[str]] = {"nvs_sem_train": [], "nvs_sem_val": []}
    labels: set[str] = set()
    for walk in walks:
        names.append(scene_name(walk))
        lists["nvs_sem_val" if walk.scene.index % VAL_EVERY == VAL_EVERY - 1 else "nvs_sem_train"].append(names[-1])
        labels.update(walk.scene.labels)
        _write_scene(out / "data" / names[-1], walk)
    (out / "splits").mkdir(parents=True)
    for split, listed in lists.items():
        (out / "splits" / f"{split}.txt").write_text("".join(f"{name}\n" for name in listed))
    benchmark = out / "metadata" / "semantic_benchmark"
    benchmark.mkdir(parents=True)
    (benchmark / "top100.txt").write_text("".join(f"{label}\n" for label in sorted(labels)))
    rows = [*(f"{label},{len(label)},," for label in sorted(labels)), "REMOVE,9,None,None", "unsure,4,None,None"]
    (benchmark / "map_benchmark.csv").write_text("\n".join(["class,count,semantic_map_to,instance_map_to", *rows, ""]))
    return names


def scene_name(walk: Walk) -> str:
    """Return the name of a walk's scene: ten hexadecimal digits."""
    return hashlib.sha256(f"{walk.scene.seed} {walk.scene.index}".encode()).hexdigest()[:10]


def encoding(walk: Walk) -> str:
    """Return how a walk's depth is encoded."""
    return ENCODINGS[walk.scene.index % len(ENCODINGS)]


def has_lens(walk: Walk) -> bool:
    """Return whether a walk's images are as a lens made them."""
    return walk.scene.index % 3 == 2


def lost_pose(frames: int) -> int:
    """Return the frame of a walk without ``aligned_pose``."""
    return frames // 2


def at_60_hz(walk: Walk) -> Walk:
    """Return a walk with another frame between each two; a frame keeps its pose."""
    count = len(walk.poses)
    dense = copy.copy(walk)
    dense.seconds = np.arange(2 * count - 1) / RATE
    dense.poses = poses_at(walk.seconds, walk.poses, dense.seconds)
    dense.poses[::2] = walk.poses
    return dense


def _write_scene(folder: Path, walk: Walk) -> None:
    dense, width = at_60_hz(walk), walk.options.width
    middle = SENSOR.resized(width, width * 3 // 4)
    frames = range(len(dense.poses))
    cameras = [middle if has_lens(walk) else phone_camera(frame, width) for frame in frames]
    iphone, scans = folder / "iphone", folder / "scans"
    (iphone / "colmap").mkdir(parents=True)
    scans.mkdir()
    mask = np.full((width * 3 // 4, width), 255, dtype=np.uint8)
    mask[: mask.shape[0] // CORNER, : width // CORNER] = 0
    color = (np.where(mask[..., None] == 0, np.uint8(0), image) for image in _colors(dense, cameras, walk))
    write_video(iphone / "rgb.mkv", color, RATE)
    write_video(iphone / "rgb_mask.mkv", (np.dstack([mask] * 3) for _ in cameras), RATE)
    images = list(_depths(dense, cameras, walk))
    (iphone / "depth.bin").write_bytes(depth_bin(images[: -1 if walk.scene.index % 3 == 1 else None], encoding(walk)))
    (iphone / "pose_intrinsic_imu.json").write_text(
        _rows(dense.poses, cameras, dense.seconds, lost_pose(len(walk.poses)))
    )
    _write_colmap(iphone / "colmap", dense.poses, middle, LENS if has_lens(walk) else None)
    _write_mesh(scans, walk)
    if walk.scene.index == 0:
        write_dslr(folder / "dslr", walk)


def _colors(dense: Walk, cameras: list[Intrinsics], walk: Walk) -> Iterator[NDArray[np.uint8]]:
    for frame, camera in enumerate(cameras):
        if has_lens(walk):
            bent = _bent(camera)
            yield bent.bend(dense.color(frame, bent.pinhole))
        else:
            yield dense.color(frame, camera)


def _depths(dense: Walk, cameras: list[Intrinsics], walk: Walk) -> Iterator[NDArray[np.uint16]]:
    for frame, camera in enumerate(cameras):
        seen = camera.resized(*DEPTH_SIZE)
        if has_lens(walk):
            yield _bent(seen).bend(dense.depth(frame, _bent(seen).pinhole))
        else:
            yield dense.depth(frame, seen)


@lru_cache(maxsize=4)
def _bent(camera: Intrinsics) -> BentCamera:
    return BentCamera(camera, LENS)


def depth_bin(images: list[NDArray[np.uint16]], encoding: str) -> bytes:
    """Return the content of ``depth.bin`` in one of :data:`ENCODINGS`, of images in millimetres."""
    import pyarrow

    metres = [(image / np.float32(1000)).astype("<f4").tobytes() for image in images]
    if encoding == "stream":
        return _deflated(b"".join(metres))
    if encoding == "deflate":
        blocks = [_deflated(data) for data in metres]
    else:
        blocks = [pyarrow.compress(image.astype("<u2").tobytes(), codec="lz4_raw", asbytes=True) for image in images]
    return b"".join(struct.pack("<I", len(block)) + block for block in blocks)


def _deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def _rows(poses: NDArray[np.float64], cameras: list[Intrinsics], seconds: NDArray[np.float64], lost: int) -> str:
    rows: dict[str, Any] = {}
    for frame, (pose, camera, moment) in enumerate(zip(poses, cameras, seconds, strict=True)):
        row: dict[str, Any] = {
            "timestamp": 48213.77 + float(moment),
            "pose": (OTHER_WORLD @ pose).tolist(),
            "aligned_pose": pose.tolist(),
            "intrinsic": camera.matrix.tolist(),
            "imu": {"acceleration": [0.01, -0.02, 0.03], "gravity": [0.0, -1.0, 0.0]},
        }
        if frame == 2 * lost:
            del row["aligned_pose"]
        rows[f"frame_{frame:06d}"] = row
    return json.dumps(rows, indent=1)


def _write_colmap(folder: Path, poses: NDArray[np.float64], camera: Intrinsics, lens: Lens | None) -> None:
    bends = (0.0, 0.0, 0.0, 0.0) if lens is None else lens.coefficients
    values = (camera.fx, camera.fy, camera.cx + 0.5, camera.cy + 0.5, *bends)
    heading = "# Camera list with one line of data per camera:\n"
    numbers = " ".join(repr(float(value)) for value in values)
    (folder / "cameras.txt").write_text(f"{heading}1 OPENCV {camera.width} {camera.height} {numbers}\n")
    frames = range(0, len(poses), COLMAP_STEP)
    to_camera = np.asarray(np.linalg.inv(poses[frames]), dtype=np.float64)
    lines = ["# Image list with two lines of data per image:"]
    for number, (frame, pose, turn) in enumerate(zip(frames, to_camera, quaternions(to_camera), strict=True), start=1):
        placed = " ".join(repr(float(value)) for value in (*np.roll(turn, 1), *pose[:3, 3]))
        lines += [f"{number} {placed} 1 iphone/frame_{frame:06d}.jpg", "" if number % 2 else "10.5 20.5 -1"]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / "points3D.txt").write_text("# 3D point list\n")


def _write_mesh(folder: Path, walk: Walk) -> None:
    scene = walk.scene
    (folder / "mesh_aligned_0.05.ply").write_bytes(ply_bytes(scene))
    count = len(scene.mesh.vertices)
    segments = {"params": {}, "sceneId:": scene_name(walk), "segIndices": list(range(count))}
    (folder / "segments.json").write_text(json.dumps(segments))
    groups = [{**group, "id": 1000 + place} for place, group in enumerate(_groups(walk))]
    content = {"sceneId:": scene_name(walk), "segmentsFile": "segments.json", "segGroups": groups}
    (folder / "segments_anno.json").write_text(json.dumps(content))


def _groups(walk: Walk) -> Iterator[dict[str, Any]]:
    """Yield the groups of segments: every object, the largest with a small one's vertices, and two to be left out."""
    owner = walk.scene.vertex_object
    own = {item: np.flatnonzero(owner == item) for item in range(len(walk.scene.labels))}
    ordered = sorted((item for item in own if len(own[item])), key=lambda item: len(own[item]))
    small, large = ordered[0], ordered[-1]
    for item, vertices in own.items():
        segments = np.concatenate([own[large], own[small]]) if item == large else vertices
        yield {"objectId": item + 1, "label": walk.scene.labels[item], "segments": segments.tolist(), "partId": item}
    yield {"objectId": len(own) + 1, "label": "REMOVE", "segments": own[large][:40].tolist(), "partId": 0}
    yield {"objectId": len(own) + 2, "label": "unsure", "segments": own[large][20:60].tolist(), "partId": 0}
