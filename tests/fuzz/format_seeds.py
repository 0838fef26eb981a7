"""Sound captures and data sets of the formats that have no target of their own, a few frames each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gapdata.synthetic.formats.registry import FORMATS
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.exports import png

OPTIONS = WalkOptions(frames=9, width=32, noise=0.0)
WRITTEN = ("tum", "3rscan")
"""Formats of ``gapdata synth``."""
FRAMES = 4
CALIBRATION = """%YAML:1.0
---
image_width: 40
image_height: 30
camera_matrix:
   rows: 3
   cols: 3
   data: [ 3.8e+01, 0., 1.95e+01, 0., 3.8e+01, 1.45e+01, 0., 0., 1. ]
distortion_coefficients:
   data: [ 0.01, 0., 0., 0., 0. ]
distortion_model: plumb_bob
local_transform:
   data: [ 0., 0., 1., 0., -1., 0., 0., 0., 0., -1., 0., 0. ]
"""


def write_format_seeds(folder: Path) -> None:
    """Write one folder for each format."""
    walk = Walk(0, OPTIONS)
    for name in WRITTEN:
        (folder / name).mkdir(parents=True)
        FORMATS[name].load().write(folder / name, [walk])
    _icl_nuim(folder / "icl-nuim" / "living_room_traj2")
    _rtabmap(folder / "rtabmap" / "lab")
    _sun3d(folder / "sun3d" / "hotel")
    _two_cameras(folder / "two-cameras" / "desk")
    _quaternions(folder / "quaternions" / "desk")


def _image(seed: int) -> np.ndarray:
    return cv2.resize(np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8), (40, 30))


def _depth(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(400, 5000, (30, 40)).astype(np.uint16)


def _write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def _jpeg(seed: int) -> bytes:
    return cv2.imencode(".jpg", _image(seed))[1].tobytes()


def _icl_nuim(folder: Path) -> None:
    for frame in range(FRAMES):
        _write(folder / "rgb" / f"{frame}.png", png(cv2.resize(_image(frame), (64, 48))))
        _write(folder / "depth" / f"{frame}.png", png(cv2.resize(_depth(frame), (64, 48))))
    rows = (f"{frame} 0.{frame} 0 0 0 0 0 1\n" for frame in range(1, FRAMES))
    _write(folder / "livingRoom2.gt.freiburg", "".join(rows))
    pairs = (f"{frame} depth/{frame}.png {frame} rgb/{frame}.png\n" for frame in range(FRAMES))
    _write(folder / "associations.txt", "".join(pairs))


def _rtabmap(folder: Path) -> None:
    rows = ["#timestamp x y z qx qy qz qw id\n"]
    for node in range(1, FRAMES + 1):
        _write(folder / "rgb" / f"{node}.jpg", _jpeg(node))
        _write(folder / "depth" / f"{node}.png", png(_depth(node)))
        _write(folder / "calib" / f"{node}.yaml", CALIBRATION)
        rows.append(f"178650490{node}.25 0.{node} 0 0 0.5 -0.5 0.5 -0.5 {node}\n")
    _write(folder / "camera_poses.txt", "".join(rows))


def _sun3d(folder: Path) -> None:
    for frame in range(FRAMES):
        _write(folder / "image" / f"{frame + 1:07d}-{33333 * frame:012d}.jpg", _jpeg(frame))
        _write(folder / "depth" / f"{frame + 1:07d}-{33333 * frame + 900:012d}.png", png(_depth(frame) << 3))
    _write(folder / "extrinsics" / "20130512130736.txt", "1 0 0 0\n0 1 0 0\n0 0 1 0\n" * FRAMES)
    _write(folder / "intrinsics.txt", "38 0 19.5\n0 38 14.5\n0 0 1\n")


def _two_cameras(folder: Path) -> None:
    for frame in range(FRAMES):
        _write(folder / f"frame-{frame:06d}.color.jpg", _jpeg(frame))
        _write(folder / f"frame-{frame:06d}.depth.png", png(_depth(frame)))
        _write(folder / f"frame-{frame:06d}.pose.txt", "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    camera = '"fx": 38, "fy": 38, "cx": 19.5, "cy": 14.5'
    moved = "[1, 0, 0, -0.025, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]"
    _write(folder / "intrinsics.json", f'{{{camera}, "depth": {{{camera}}}, "depth_to_color": {moved}}}')


def _quaternions(folder: Path) -> None:
    for frame in range(FRAMES):
        _write(folder / "color" / f"{frame}.png", png(_image(frame)))
        pgm = b"P5 40 30 65535\n" + _depth(frame).astype(">u2").tobytes()
        _write(folder / "depth" / f"{frame}.pgm", pgm)
    _write(folder / "pose.txt", "0 0 0 0 0 0 1\n" * FRAMES)
    _write(folder / "intrinsics.txt", "38 38 19.5 14.5")
    _write(folder / "objects.json", '{"objects": [{"label": "chair", "center": [0, 0, 1], "size": [1, 1, 1]}]}')
