"""Gather the frames of each scene from its records: images on disk, cameras and a coloured cloud in memory.

The world is the scan's aligned one, z up, where its axis alignment is known, else the scan's own. Each raw frame is
written once. Records of a scene lie together in a build, so one scene is in memory at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.export.placing import CURE, check_names, damaged, place, stored, stored_image
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.records.codec import member_name
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.sources.depth_files import depth_kind

IMAGES, DEPTHS = "images", "depth"
HALF_PIXEL = 0.5
"""Both formats put the centre of the upper left pixel at (0.5, 0.5), this package at (0, 0)."""
STRIDE = 4
"""Every fourth pixel of every fourth row gives a point: some thousands of a frame."""
VOXEL = 0.02
"""Metres: one point is kept in each cube, which leaves some hundred thousand of a room."""
VERTEX = np.dtype([*((axis, "<f4") for axis in "xyz"), *((name, "u1") for name in ("red", "green", "blue"))])


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedFrame:
    """A frame of a scene."""

    name: str
    """Of its files without ending: the raw index, five digits."""
    camera: Intrinsics
    camera_to_world: NDArray[np.float64]  # (4, 4) metres, OpenCV's axes


@dataclass(slots=True, kw_only=True)
class PosedScene:
    """All exported frames of a scene."""

    scene_id: str
    split: str
    aligned: bool
    """Whether the world is the aligned one."""
    frames: dict[int, PosedFrame] = field(default_factory=dict)
    """By raw index."""
    cloud: NDArray[Any] = field(default_factory=lambda: np.empty(0, VERTEX))
    """(P,) points of the depth, metres in the world, and their colours."""

    @property
    def ordered(self) -> list[PosedFrame]:
        """The frames by raw index."""
        return [self.frames[frame] for frame in sorted(self.frames)]


def posed_scenes(records: Iterable[Record], out: Path, *, depth: bool) -> Iterator[PosedScene]:
    """Yield the scenes of a build after their images were written to ``out/<scene>/images``.

    Args:
        records: those of a scene lie together.
        out: the folder.
        depth: write ``out/<scene>/depth``, too.

    Raises:
        ShardError: a record is damaged or contradicts another one of its scene; a name would lead out of the folder.
    """
    done: set[str] = set()
    gatherer: _Gatherer | None = None
    for record in records:
        if gatherer is None or record.scene_id != gatherer.scene.scene_id:
            check_names(record)
            if gatherer is not None:
                yield gatherer.finish()
                done.add(gatherer.scene.scene_id)
            if record.scene_id in done:
                problem = f"the records of scene {record.scene_id} do not lie together"
                raise ShardError(problem, scene=record.scene_id, cure="build the shards again, the scene in one shard")
            gatherer = _Gatherer(record, out, depth)
        gatherer.take(record)
    if gatherer is not None:
        yield gatherer.finish()


class _Gatherer:
    """One scene under way."""

    def __init__(self, record: Record, out: Path, depth: bool) -> None:
        self.scene = PosedScene(scene_id=record.scene_id, split=record.split, aligned=record.axis_alignment is not None)
        self._folder, self._depth = out / record.scene_id, depth
        self._to_world = np.eye(4) if record.axis_alignment is None else record.axis_alignment
        self._digests: dict[int, bytes] = {}
        self._points: list[NDArray[Any]] = []
        for name in (IMAGES, *((DEPTHS,) if depth else ())):
            (self._folder / name).mkdir(parents=True, exist_ok=True)

    def take(self, record: Record) -> None:
        """Write the frames of a record that are new, and remember their cameras and points."""
        check_names(record)
        known = np.eye(4) if record.axis_alignment is None else record.axis_alignment
        if not np.array_equal(known, self._to_world):
            raise ShardError(
                f"record {record.key}: another record of the scene has another axis alignment", scene=record.scene_id
            )
        for frame, frame_id in enumerate(record.frame_ids):
            numbers = np.concatenate([record.intrinsics[frame], record.camera_to_world[frame].ravel()])
            if not np.isfinite(numbers).all():
                raise ShardError(f"record {record.key}: a camera is not finite", scene=record.scene_id, cure=CURE)
            image, depth = stored_image(record, frame), _depth_bytes(record, frame)
            digest = hashlib.sha256(image + depth + numbers.tobytes()).digest()
            if self._digests.setdefault(frame_id, digest) != digest:
                raise damaged(record, frame, "another record has other bytes for this frame")
            if frame_id not in self.scene.frames:
                self._write(record, frame, image, depth)

    def _write(self, record: Record, frame: int, image: bytes, depth: bytes) -> None:
        name, frame_id = f"{record.frame_ids[frame]:05d}", record.frame_ids[frame]
        pose = np.asarray(self._to_world @ record.camera_to_world[frame], dtype=np.float64)
        place(self._folder / IMAGES / f"{name}.jpg", image, durable=False)
        if self._depth:
            place(self._folder / DEPTHS / f"{name}.png", depth, durable=False)
        self.scene.frames[frame_id] = PosedFrame(name=name, camera=record.camera(frame), camera_to_world=pose)
        self._points.append(_frame_points(record, frame, pose))

    def finish(self) -> PosedScene:
        """Return the scene with its thinned cloud, its images on disk."""
        os.sync()
        points = np.concatenate(self._points)
        cubes = np.floor(np.stack([points[axis] for axis in "xyz"], axis=1) / VOXEL).astype(np.int64)
        _, first = np.unique(cubes, axis=0, return_index=True)
        self.scene.cloud = points[np.sort(first)]
        return self.scene


def _depth_bytes(record: Record, frame: int) -> bytes:
    data = stored(record, member_name(frame, "depth.png"))
    try:
        size = depth_kind(data).size
    except ValueError as error:
        raise damaged(record, frame, f"depth {error}") from error
    if size != record.image_size:
        raise damaged(record, frame, f"depth is not {record.image_size[0]}x{record.image_size[1]}")
    return data


def _frame_points(record: Record, frame: int, camera_to_world: NDArray[np.float64]) -> NDArray[Any]:
    """Return the points (n,) of some of a frame's pixels in the world, with their colours."""
    depth, image = record.depth(frame), record.image(frame)
    rows, columns = np.mgrid[STRIDE // 2 : depth.shape[0] : STRIDE, STRIDE // 2 : depth.shape[1] : STRIDE]
    known = depth[rows, columns] > 0
    rows, columns = rows[known], columns[known]
    local = record.camera(frame).unproject(np.stack([columns, rows], axis=-1), depth[rows, columns])
    points = np.empty(len(rows), VERTEX)
    for axis, values in zip("xyz", transform(camera_to_world, local).T, strict=True):
        points[axis] = values
    for name, values in zip(("red", "green", "blue"), image[rows, columns].T, strict=True):
        points[name] = values
    return points


def scene_report(scenes: Iterable[PosedScene]) -> dict[str, Any]:
    """Return how much was written, and how many scenes keep their scan's own world."""
    report: dict[str, Any] = {"scenes": {}, "frames": 0, "points": 0, "own_world": 0}
    for scene in scenes:
        report["scenes"][scene.split] = report["scenes"].get(scene.split, 0) + 1
        report["frames"] += len(scene.frames)
        report["points"] += len(scene.cloud)
        report["own_world"] += not scene.aligned
    return {**report, "scenes": dict(sorted(report["scenes"].items()))}


def report_text(report: dict[str, Any], what: str) -> str:
    """Return the report of scenes as text for a terminal."""
    scenes = counted(sum(report["scenes"].values()), "scene")
    lines = [f"{counted(report['frames'], 'frame')} and {counted(report['points'], 'point')} of {scenes}, {what}"]
    if report["own_world"]:
        without = counted(report["own_world"], "scene")
        lines.append(f"note: {without} without axis alignment: the scan's world, z may not be up")
    return "\n".join(lines)
