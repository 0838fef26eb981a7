"""Export the frames of a build in EmbodiedScan's ``posed_images`` layout, with ScanNet's files around it.

```
posed_images/<scene>/00350.jpg            the stored JPEG, byte for byte
posed_images/<scene>/00350.png            depth registered to it, uint16 millimetres, 0 without a value
posed_images/<scene>/00350.txt            camera_to_world, 4x4
posed_images/<scene>/intrinsic.txt        4x4, and the same as depth_intrinsic.txt: depth is registered
scans/<scene>/<scene>.txt                 axisAlignment and image sizes, as ScanNet's own
scannetv2_train.txt ...                   the scenes of each split
```
Numbers have all their digits, so that a reader gets the cameras to the last bit. Files that are there already, from an
export that was stopped, must hold the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.export.items import image_path
from gapdata.export.placing import CURE, check_names, damaged, place, stored
from gapdata.records.codec import member_name
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.shards.reader import ShardReader
from gapdata.sources.depth_files import depth_kind
from gapdata.sources.images import encoded_image_size


def export(build: ShardReader, records: Iterable[Record], out: Path) -> dict[str, Any]:
    """Write the frames of records and return the report.

    Raises:
        ShardError: the build is damaged, or a name in it would lead out of the folder.
    """
    images, lost, taken = PosedImages(out), Counter[str](), 0
    for record in records:
        taken += 1
        obstacle = images.obstacle(record)
        if obstacle is None:
            images.write(record)
        else:
            lost[obstacle] += 1
    images.write_splits()
    return {
        "records": taken,
        "exported": taken - lost.total(),
        "frames": images.frames,
        "scenes": {split: len(scenes) for split, scenes in sorted(images.scenes.items())},
        "left_out": dict(sorted(lost.items())),
    }


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report as text for a terminal."""
    scenes = counted(sum(report["scenes"].values()), "scene")
    lines = [f"{counted(report['frames'], 'frame')} of {scenes}"]
    return "\n".join([*lines, *(f"  {count:7d} left out: {why}" for why, count in report["left_out"].items())])


class PosedImages:
    """A writer of the frames of records, each raw frame once.

    Records of a scene lie together in a build, so frames of one scene are remembered. If a scene comes up again, its
    files on disk are compared instead.

    Attributes:
        frames: how many were written or found in place.
        scenes: those that were written, by split.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._scene = self._scene_text = ""
        self._seen: dict[int, bytes] = {}
        self.frames = 0
        self.scenes: dict[str, set[str]] = {}

    def obstacle(self, record: Record) -> str | None:
        """Return why the frames of a record cannot be written, or ``None``: the layout has one camera for a scene.

        Raises:
            ShardError: the split, the scene or a frame cannot be part of a file's name, or a camera is not finite.
        """
        check_names(record)
        numbers = (record.intrinsics, record.camera_to_world, record.axis_alignment)
        if any(values is not None and not np.isfinite(values).all() for values in numbers):
            raise ShardError(f"record {record.key}: a camera is not finite", scene=record.scene_id, cure=CURE)
        if (record.intrinsics != record.intrinsics[0]).any():
            return "its frames have different intrinsics, and the layout has one camera for a scene"
        if record.scene_id == self._scene and _scene_text(record) != self._scene_text:
            return "its scene has another camera or axis alignment in an earlier record"
        return None

    def write(self, record: Record) -> None:
        """Write the frames of a record that are not there yet.

        Raises:
            ShardError: an image is missing or has another size than the record says, or its file exists and holds
                something else.
        """
        if record.scene_id != self._scene:
            self._begin(record)
        for frame, frame_id in enumerate(record.frame_ids):
            image, depth = (stored(record, member_name(frame, suffix)) for suffix in ("jpg", "depth.png"))
            pose = matrix_text(record.camera_to_world[frame]).encode()
            digest = hashlib.sha256(image + depth + pose).digest()
            if self._seen.get(frame_id, digest) != digest:
                raise damaged(record, frame, "another record has other bytes for this frame")
            if frame_id in self._seen:
                continue
            _check_images(record, frame, image, depth)
            path = self._out / image_path(record, frame)
            place(path.with_suffix(".png"), depth)
            place(path.with_suffix(".txt"), pose)
            place(path, image)
            self._seen[frame_id] = digest
            self.frames += 1
        self.scenes.setdefault(record.split, set()).add(record.scene_id)

    def write_splits(self) -> None:
        """Write the scenes of each split, sorted, to ScanNet's split files."""
        for split, scenes in sorted(self.scenes.items()):
            if split != "unknown":
                text = "".join(f"{scene}\n" for scene in sorted(scenes))
                place(self._out / f"scannetv2_{split}.txt", text.encode())

    def _begin(self, record: Record) -> None:
        scene = record.scene_id
        self._scene, self._scene_text, self._seen = scene, _scene_text(record), {}
        frames, home = self._out / "posed_images" / scene, self._out / "scans" / scene
        for folder in (frames, home):
            folder.mkdir(parents=True, exist_ok=True)
        intrinsics = np.eye(4)
        intrinsics[:3, :3] = record.camera(0).matrix
        for name in ("intrinsic.txt", "depth_intrinsic.txt"):
            place(frames / name, matrix_text(intrinsics).encode())
        place(home / f"{scene}.txt", self._scene_text.encode())


def matrix_text(matrix: NDArray[np.float64]) -> str:
    """Return rows of numbers that read back to the same float64."""
    return "".join(f"{_row(row)}\n" for row in matrix.tolist())


def _row(values: Iterable[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _scene_text(record: Record) -> str:
    camera = record.camera(0)
    fields = {} if record.axis_alignment is None else {"axisAlignment": _row(record.axis_alignment.ravel().tolist())}
    for what in ("color", "depth"):
        sizes = {f"{what}Height": camera.height, f"{what}Width": camera.width}
        values = {"fx": camera.fx, "fy": camera.fy, "mx": camera.cx, "my": camera.cy}
        fields |= {name: str(size) for name, size in sizes.items()}
        fields |= {f"{name}_{what}": repr(value) for name, value in values.items()}
    return "".join(f"{name} = {value}\n" for name, value in fields.items())


def _check_images(record: Record, frame: int, image: bytes, depth: bytes) -> None:
    try:
        sizes = encoded_image_size(image), depth_kind(depth).size
    except ValueError as error:
        raise damaged(record, frame, f"depth {error}") from error
    if any(size != record.image_size for size in sizes):
        raise damaged(record, frame, f"an image is incomplete or not {record.image_size[0]}x{record.image_size[1]}")
