"""Export scenes as nerfstudio reads them: ``ns-train depth-nerfacto --data OUT/scene0000_00``.

```
<scene>/transforms.json    cameras; OpenGL's axes: x right, y up, z backward
<scene>/images/00350.jpg   the stored JPEG, byte for byte
<scene>/depth/00350.png    uint16 millimetres along the optical axis, 0 without a value: nerfstudio's default unit
<scene>/points.ply         the coloured cloud of the depth, from which Gaussian splats can begin
```
Images have no lens distortion, because a build undoes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.export.placing import place
from gapdata.export.posed_scenes import (
    DEPTHS,
    HALF_PIXEL,
    IMAGES,
    PosedScene,
    posed_scenes,
    report_text,
    scene_report,
)
from gapdata.geometry.camera import Intrinsics
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader

LIST, CLOUD = "transforms.json", "points.ply"
TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL's camera axes in OpenCV's: y and z turn round."""


def export(build: ShardReader, records: Iterable[Record], out: Path) -> dict[str, Any]:
    """Write a folder for each scene and return the report.

    Raises:
        ShardError: the build is damaged, or a name in it would lead out of the folder.
    """
    return scene_report(_written(records, out))


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report as text for a terminal."""
    return report_text(dict(report), f"each with {LIST}")


def _written(records: Iterable[Record], out: Path) -> Iterator[PosedScene]:
    for scene in posed_scenes(records, out, depth=True):
        place(out / scene.scene_id / CLOUD, ply(scene.cloud))
        # The list is last: with it the folder is a scene.
        place(out / scene.scene_id / LIST, json.dumps(transforms(scene), indent=1).encode() + b"\n")
        yield scene


def transforms(scene: PosedScene) -> dict[str, Any]:
    """Return the content of ``transforms.json``; a camera that all frames share stands at the top."""
    cameras = {frame.camera for frame in scene.ordered}
    shared = _camera(cameras.pop()) if len(cameras) == 1 else None
    frames = [
        {
            "file_path": f"{IMAGES}/{frame.name}.jpg",
            "depth_file_path": f"{DEPTHS}/{frame.name}.png",
            "transform_matrix": (frame.camera_to_world @ TO_OPENGL).tolist(),
            **({} if shared is not None else _camera(frame.camera)),
        }
        for frame in scene.ordered
    ]
    return {"camera_model": "OPENCV", **(shared or {}), "ply_file_path": CLOUD, "frames": frames}


def _camera(camera: Intrinsics) -> dict[str, float]:
    return {
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx + HALF_PIXEL,
        "cy": camera.cy + HALF_PIXEL,
        "w": camera.width,
        "h": camera.height,
        **dict.fromkeys(("k1", "k2", "p1", "p2"), 0.0),
    }


def ply(cloud: NDArray[Any]) -> bytes:
    """Return points (P,) of :data:`gapdata.export.posed_scenes.VERTEX` as a binary PLY file."""
    kinds = {"f": "float", "u": "uchar"}
    names = cloud.dtype.names or ()
    properties = [f"property {kinds[cloud.dtype[name].kind]} {name}" for name in names]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(cloud)}", *properties, "end_header\n"]
    return "\n".join(head).encode() + cloud.tobytes()
