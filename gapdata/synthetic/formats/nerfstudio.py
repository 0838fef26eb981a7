"""Write walks as nerfstudio's ``transforms.json`` with depth.

Its traps: the phone was held upright and nothing says where up is; intrinsics stand in each frame, drift, and count the
first pixel's centre as 0.5; paths begin with ``./`` and lack the ending of images; frames are not in their order; depth
is smaller than images; images are as the lens made them; a thumb in the corner is masked in some.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.synthetic.formats.image_files import png
from gapdata.synthetic.formats.lenses import BentCamera
from gapdata.synthetic.formats.phone import PORTRAIT, arkit_pose, objects_json, phone_camera, room_name
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.scene import FRAMES, generator
from gapdata.synthetic.sensor import jpeg

LENS = Lens(name="OPENCV", coefficients=(0.04, -0.03, 0.0006, -0.0004))
FIRST = 1
"""The number in the name of the first frame."""
THUMB = 8
"""Of the sides of an image, the share that a thumb covers in a corner."""
STREAM = 6  # of random numbers


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write one folder for each walk, and return their names."""
    return [_write_walk(out, walk) for walk in walks]


def is_masked(frame: int) -> bool:
    """Return whether a frame has a mask."""
    return frame % 3 == 1


def _write_walk(out: Path, walk: Walk) -> str:
    name, width = room_name(walk), walk.options.width
    folder = out / name
    for part in ("images", "depth", "masks"):
        (folder / part).mkdir(parents=True)
    frames = []
    for frame in range(len(walk.poses)):
        camera = phone_camera(frame, width)
        bent, far = (BentCamera(item, LENS) for item in (camera, camera.resized(width // 2, width * 3 // 8)))
        color = bent.bend(walk.color(frame, bent.pinhole, PORTRAIT))
        stem = f"frame_{frame + FIRST:05d}"
        item = {
            "file_path": f"./images/{stem}",
            "depth_file_path": f"./depth/{stem}.png",
            "transform_matrix": arkit_pose(walk.held(frame, PORTRAIT)).tolist(),
            **_intrinsics(camera),
        }
        if is_masked(frame):
            corner = slice(0, camera.height // THUMB), slice(0, camera.width // THUMB)
            mask = np.full((camera.height, camera.width), 255, dtype=np.uint8)
            color[corner], mask[corner] = (180, 130, 110), 0
            (folder / "masks" / f"{stem}.png").write_bytes(png(mask))
            item["mask_path"] = f"masks/{stem}.png"
        (folder / "images" / f"{stem}.jpg").write_bytes(jpeg(color))
        depth = far.bend(walk.depth(frame, far.pinhole, PORTRAIT))
        (folder / "depth" / f"{stem}.png").write_bytes(png(depth))
        frames.append(item)
    order = generator(walk.scene.seed, walk.scene.index, FRAMES, STREAM).permutation(len(frames))
    k1, k2, p1, p2 = LENS.coefficients
    values: dict[str, Any] = {
        "camera_model": "OPENCV",
        "k1": k1,
        "k2": k2,
        "p1": p1,
        "p2": p2,
        "w": width,
        "h": width * 3 // 4,
        "applied_transform": np.eye(4)[:3].tolist(),
        "frames": [frames[place] for place in order],
    }
    (folder / "transforms.json").write_text(json.dumps(values, indent=1))
    (folder / "objects.json").write_text(objects_json(walk, y_up=True))
    return name


def _intrinsics(camera: Intrinsics) -> dict[str, float]:
    return {"fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx + 0.5, "cy": camera.cy + 0.5}
