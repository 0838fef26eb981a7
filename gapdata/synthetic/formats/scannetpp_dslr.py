"""Write a few frames of a walk as ScanNet++'s DSLR takes them: fisheye stills with nerfstudio's transforms.

The traps: axes that are neither OpenCV's nor the mesh's, a principal point that counts from the pixel's corner, a bad
image, images in two lists, and an anonymised one. The lens is longer than the real one, whose corners cost a picture of
many times its size.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.synthetic.formats.image_files import png
from gapdata.synthetic.formats.lenses import BentCamera
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.sensor import jpeg

SENSOR = Intrinsics(fx=1108.0, fy=1107.0, cx=879.3, cy=582.1, width=1752, height=1168)
LENS = Lens(name="OPENCV_FISHEYE", model="fisheye", coefficients=(-0.029, -0.004, 0.001, 0.0))
STILLS = 8
BAD, TEST, HIDDEN = 3, 5, 1
"""Of the stills: the bad one, the one in the second list, and the one with an anonymised corner."""


def still_frames(frames: int) -> list[int]:
    """Return the frames of a walk that are stills."""
    return [round(place) for place in np.linspace(0, frames - 1, min(STILLS, frames)).tolist()]


def still_name(place: int) -> str:
    """Return the name of a still."""
    return f"DSC{4210 + 3 * place:05d}.JPG"


def write_dslr(folder: Path, walk: Walk) -> None:
    """Write the stills of a walk."""
    for name in ("resized_images", "resized_anon_masks", "nerfstudio"):
        (folder / name).mkdir(parents=True)
    camera = SENSOR.resized(walk.options.width, walk.options.width * 2 // 3)
    bent = BentCamera(camera, LENS)
    lists: dict[str, list[dict[str, object]]] = {"frames": [], "test_frames": []}
    for place, frame in enumerate(still_frames(len(walk.poses))):
        image, mask = bent.bend(walk.color(frame, bent.pinhole)), np.full((camera.height, camera.width), 255, np.uint8)
        if place == HIDDEN:
            mask[: camera.height // 4, : camera.width // 4] = 0
            image = np.where(mask[..., None] == 0, np.uint8(0), image)
        name = still_name(place)
        (folder / "resized_images" / name).write_bytes(jpeg(image))
        (folder / "resized_anon_masks" / name.replace(".JPG", ".png")).write_bytes(png(mask))
        lists["test_frames" if place == TEST else "frames"].append(
            {
                "file_path": name,
                "mask_path": name.replace(".JPG", ".png"),
                "is_bad": place == BAD,
                "transform_matrix": _nerfstudio(walk.poses[frame]).tolist(),
            }
        )
    fields = {
        "fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx + 0.5, "cy": camera.cy + 0.5, "w": camera.width,
        "h": camera.height, **{f"k{n}": value for n, value in enumerate(LENS.coefficients, start=1)},
        "camera_model": "OPENCV_FISHEYE",
    }  # fmt: skip
    (folder / "nerfstudio" / "transforms.json").write_text(json.dumps({**fields, **lists}))


def _nerfstudio(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the toolkit's matrix of a pose in the mesh's world: cameras look along -z, and the world is turned."""
    matrix = pose @ np.diag([1.0, -1.0, -1.0, 1.0])
    return np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]) @ matrix
