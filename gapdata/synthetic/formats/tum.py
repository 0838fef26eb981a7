"""Write walks as TUM's lists: images of colour and depth on clocks of their own, and poses at 100 Hz with a hole.

Images of the real size, 640x480, come without intrinsics, as TUM's: the folder's name tells the camera. Others come
with an ``intrinsics.json``.

Its traps: colour and depth have different stamps, one depth image is missing, headings have lost their ``#``, the
motion capture lost the camera for 0.11 s, and images of a ``freiburg1`` folder are as its lens made them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.synthetic.formats.image_files import png
from gapdata.synthetic.formats.lenses import BentCamera
from gapdata.synthetic.formats.motion import poses_at, quaternions
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.scene import FRAMES, generator

CAMERAS = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}
FREIBURG1_LENS = Lens(name="freiburg1", coefficients=(0.2624, -0.9531, -0.0054, 0.0026, 1.1633))
START = 1305031102.0
POSE_STEP = 0.01  # s
COLOR_JITTER, DEPTH_JITTER = 0.002, 0.014  # s
HOLE_SECONDS = 0.11
UNITS_PER_MILLIMETRE = 5
STREAM = 4  # of random numbers


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write one folder for each walk, ``rgbd_dataset_freiburg1_room00``, and return their names."""
    return [_write_walk(out, walk) for walk in walks]


def lost_depth(frames: int) -> int:
    """Return the frame that has no depth image."""
    return frames // 3


def hole(frames: int) -> int:
    """Return the first frame in the hole of the trajectory, which is 0.11 s long."""
    return 2 * frames // 3


def _write_walk(out: Path, walk: Walk) -> str:
    device = list(CAMERAS)[walk.scene.index % len(CAMERAS)]
    name = f"rgbd_dataset_{device}_room{walk.scene.index:02d}"
    folder, frames = out / name, len(walk.poses)
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True)
    fx, fy, cx, cy = CAMERAS[device]
    camera = Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=640, height=480)
    camera = camera.resized(walk.options.width, walk.options.width * 3 // 4)
    lens = FREIBURG1_LENS if device == "freiburg1" else None
    bent = None if lens is None else BentCamera(camera, lens)
    if camera.width != 640:
        (folder / "intrinsics.json").write_text(_camera_file(camera, lens))
    rng = generator(walk.scene.seed, walk.scene.index, FRAMES, STREAM)
    times = START + 0.1 + walk.seconds + rng.uniform(-COLOR_JITTER, COLOR_JITTER, frames)
    depth_times = times + rng.uniform(-DEPTH_JITTER, DEPTH_JITTER, frames)
    rows: dict[str, list[str]] = {"rgb": [], "depth": []}
    for frame, pair in enumerate(zip(times, depth_times, strict=True)):
        seen = camera if bent is None else bent.pinhole
        color, depth = walk.color(frame, seen), walk.depth(frame, seen) * np.uint16(UNITS_PER_MILLIMETRE)
        if bent is not None:
            color, depth = bent.bend(color), bent.bend(depth)
        for kind, image, at in zip(rows, (color, depth), pair, strict=True):
            if kind == "depth" and frame == lost_depth(frames):
                continue
            path = f"{kind}/{at:.6f}.png"
            (folder / path).write_bytes(png(image))
            rows[kind].append(f"{at:.6f} {path}")
    _write_list(folder / "rgb.txt", "color images", "timestamp filename", rows["rgb"])
    _write_list(folder / "depth.txt", "depth maps", "timestamp filename", rows["depth"])
    heading = "timestamp tx ty tz qx qy qz qw"
    _write_list(folder / "groundtruth.txt", "ground truth trajectory", heading, _pose_rows(times, walk.poses))
    return name


def _camera_file(camera: Intrinsics, lens: Lens | None) -> str:
    fields = {**asdict(camera), "depth_scale": 1000 * UNITS_PER_MILLIMETRE}
    if lens is not None:
        fields["distortion"] = list(lens.coefficients)
    return json.dumps(fields, indent=1)


def _pose_rows(times: NDArray[np.float64], poses: NDArray[np.float64]) -> list[str]:
    lost = times[min(hole(len(times)), len(times) - 1)] - HOLE_SECONDS / 4
    moments = np.arange(times[0] - 0.0137, times[-1] + 2 * POSE_STEP, POSE_STEP)
    moments = moments[(moments <= lost) | (moments >= lost + HOLE_SECONDS)]
    found = poses_at(times, poses, moments)
    values = np.concatenate([found[:, :3, 3], quaternions(found)], axis=1)
    return [
        f"{moment:.4f} " + " ".join(f"{value:.5f}" for value in row)
        for moment, row in zip(moments, values, strict=True)
    ]


def _write_list(path: Path, what: str, heading: str, rows: list[str]) -> None:
    """Write a list under three lines of headings, of which the third has lost its mark, as in copies in the wild."""
    lines = [f"# {what}", "# file: 'rgbd_dataset.bag'", heading, *rows[:2], "# a comment further down", *rows[2:]]
    path.write_text("\n".join(lines) + "\n")
