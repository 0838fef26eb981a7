"""Export scenes as COLMAP's text models, as trainers of Gaussian splats read them (``sparse/0`` beside ``images``).

```
<scene>/images/00350.jpg           the stored JPEG, byte for byte
<scene>/sparse/0/cameras.txt       PINHOLE, one line for each camera that differs
<scene>/sparse/0/images.txt        two lines for each frame: its pose, world to camera, and an empty one
<scene>/sparse/0/points3D.txt      the coloured cloud of the depth, without tracks
```
COLMAP's camera axes are OpenCV's. Images have no lens distortion, because a build undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.export.placing import place
from gapdata.export.posed_scenes import HALF_PIXEL, PosedScene, posed_scenes, report_text, scene_report
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.quaternions import quaternion_of
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader

MODEL = Path("sparse/0")


def export(build: ShardReader, records: Iterable[Record], out: Path) -> dict[str, Any]:
    """Write a folder for each scene and return the report.

    Raises:
        ShardError: the build is damaged, or a name in it would lead out of the folder.
    """
    return scene_report(_written(records, out))


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report as text for a terminal."""
    return report_text(dict(report), f"each with {MODEL}/cameras.txt, images.txt and points3D.txt")


def _written(records: Iterable[Record], out: Path) -> Iterator[PosedScene]:
    for scene in posed_scenes(records, out, depth=False):
        folder = out / scene.scene_id / MODEL
        folder.mkdir(parents=True, exist_ok=True)
        cameras = list(dict.fromkeys(frame.camera for frame in scene.ordered))
        place(folder / "points3D.txt", points_text(scene.cloud).encode())
        place(folder / "cameras.txt", cameras_text(cameras).encode())
        # The poses are last: with them the folder is a model.
        place(folder / "images.txt", images_text(scene, cameras).encode())
        yield scene


def cameras_text(cameras: list[Intrinsics]) -> str:
    """Return ``cameras.txt``; identifiers count from 1."""
    lines = ["# CAMERA_ID MODEL WIDTH HEIGHT fx fy cx cy"]
    for number, camera in enumerate(cameras, start=1):
        values = (camera.fx, camera.fy, camera.cx + HALF_PIXEL, camera.cy + HALF_PIXEL)
        lines.append(f"{number} PINHOLE {camera.width} {camera.height} {_numbers(values)}")
    return "\n".join([*lines, ""])


def images_text(scene: PosedScene, cameras: list[Intrinsics]) -> str:
    """Return ``images.txt``; the second line of each image, for its observed points, is empty."""
    lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME", "# (empty: no observed points)"]
    for number, frame in enumerate(scene.ordered, start=1):
        world_to_camera = np.linalg.inv(frame.camera_to_world)
        values = [*quaternion_of(world_to_camera[:3, :3]).tolist(), *world_to_camera[:3, 3].tolist()]
        lines += [f"{number} {_numbers(values)} {cameras.index(frame.camera) + 1} {frame.name}.jpg", ""]
    return "\n".join([*lines, ""])


def points_text(cloud: NDArray[Any]) -> str:
    """Return ``points3D.txt`` of points (P,) of :data:`gapdata.export.posed_scenes.VERTEX`."""
    lines = ["# POINT3D_ID X Y Z R G B ERROR TRACK (empty)"]
    for number, (x, y, z, red, green, blue) in enumerate(cloud.tolist(), start=1):
        lines.append(f"{number} {x:.4f} {y:.4f} {z:.4f} {red} {green} {blue} 0")
    return "\n".join([*lines, ""])


def _numbers(values: Iterable[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
