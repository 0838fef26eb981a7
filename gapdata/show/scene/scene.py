"""All views of a scene of a build as one cloud, in the scan's world.

Records are read one after another and thinned to one point per voxel as they come, so memory is bounded by the result
and not by the number of views. Views share frames; each frame is fused once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.geometry.camera import transform
from gapdata.records.schema import Record
from gapdata.runtime.choices import near_names
from gapdata.runtime.counting import counted
from gapdata.shards.index import read_index
from gapdata.shards.reader import ShardReader
from gapdata.show.scene.answers import Answers, answers_about
from gapdata.show.scene.cloud import PointCloud, fuse_frame, joined, pixel_stride, with_error
from gapdata.show.scene.exhibit import NOT_ALIGNED, Exhibit
from gapdata.show.scene.marks import ShownBox, ShownCamera, ShownPoint, record_boxes, record_cameras, record_points
from gapdata.tasks.predictions import Predictions

VOXEL = 0.01
"""Metres; enlarged by half as often as it takes to stay below the limit of points."""
MAX_POINTS = 1_200_000
FRAMES_AT_ONCE = 8
POINTS_AT_ONCE = 2_000_000
"""Of these frames; more are subsampled on their pixel grids."""
MAX_CAMERAS = 40
MAX_ROWS = 60
MAX_NOTES = 6


def scene_ids(build: Location) -> tuple[str, ...]:
    """Return the scenes of a build, in its order."""
    return tuple(dict.fromkeys(read_index(build).column("scene_id").to_pylist()))


def scene_positions(build: Location, scene_id: str) -> list[int]:
    """Return the places of a scene's records in the index.

    Raises:
        UsageError: the build does not have the scene; the message names near ones.
    """
    scenes = read_index(build).column("scene_id").to_pylist()
    found = [place for place, name in enumerate(scenes) if name == scene_id]
    if not found:
        known = list(dict.fromkeys(scenes))
        near = near_names(scene_id, known) or known[:3]
        raise UsageError(
            f"has no scene {scene_id!r}",
            path=build,
            cure=f"it has {counted(len(known), 'scene')}, among them {', '.join(near)}",
        )
    return found


def scene_exhibit(
    reader: ShardReader,
    positions: Sequence[int],
    *,
    mode: str = "rgb",
    max_points: int = MAX_POINTS,
    drop_flying: bool = False,
    predictions: Predictions | None = None,
) -> Exhibit:
    """Fuse all views of a scene.

    The frame of reference is the axis-aligned world where the scan has an alignment, else the scan's own world; the
    exhibit says which. ``error`` is a frame's disagreement with the other frames of its own view.

    Args:
        reader: the build.
        positions: of the scene's records, at least one.
        mode: the colour mode; for ``error`` the disagreement is measured.
        max_points: the voxels grow until the cloud is no larger.
        drop_flying: leave out points that hang between two surfaces (not in the mode ``validity``).
        predictions: a model's answers to draw beside the truth.

    Raises:
        ShardError: a record is damaged.
    """
    shown = read_index(reader.build).column("frame_ids").take(list(positions)).to_pylist()
    frames = sorted({int(raw) for ids in shown for raw in ids})
    pictured = {frames[at] for at in np.linspace(0, len(frames) - 1, MAX_CAMERAS).round().astype(int)}
    fused, answers = _FusedViews(max_points), _SceneAnswers(predictions)
    cameras: dict[int, ShownCamera] = {}
    boxes: dict[int | None, ShownBox] = {}
    points: list[ShownPoint] = []
    for place in positions:
        record = reader[place]
        to_shown = _first_to_shown(record)
        new = [frame for frame, raw in enumerate(record.frame_ids) if raw not in fused.seen]
        fused.add(record, new, to_shown, measured=mode == "error", drop_flying=drop_flying and mode != "validity")
        chosen = [frame for frame in new if record.frame_ids[frame] in pictured]
        for frame, camera in zip(chosen, record_cameras(record, chosen, frames, to_shown), strict=True):
            cameras[record.frame_ids[frame]] = camera
        for item in record_boxes(record):
            known = boxes.setdefault(item.object_id, replace(item.moved(to_shown), visible_pixels=0))
            boxes[item.object_id] = replace(known, visible_pixels=known.visible_pixels + item.visible_pixels)
        points += [item.moved(to_shown) for item in record_points(record)]
        answers.add(record, to_shown)
    cloud, aligned = fused.cloud(), record.axis_alignment is not None
    room = np.eye(4)
    if len(cloud):
        room[2, 3] = -np.percentile(cloud.sample(50_000).points[:, 2], 0.5)
    drawn = "" if len(cameras) == len(frames) else f" ({counted(len(cameras), 'camera')} drawn)"
    return Exhibit(
        title=record.scene_id,
        facts=(
            f"{record.source} {record.split}",
            f"{counted(len(positions), 'view')}, {counted(len(frames), 'frame')}{drawn}",
            f"{counted(len(cloud), 'point')}, one per {fused.voxel * 100:.3g} cm",
            counted(len(boxes), "object"),
            counted(len(points), "prompt"),
        ),
        reference="metres, axis-aligned world (z up)" if aligned else "metres, the scan's own world (not axis-aligned)",
        in_camera=False,
        cloud=cloud,
        frame_ids=tuple(frames),
        frame_values=tuple(frames),
        cameras=tuple(cameras[raw] for raw in sorted(cameras)),
        boxes=(*boxes.values(), *answers.found.boxes),
        points=(*points, *answers.found.points),
        rows=answers.found.rows[:MAX_ROWS],
        shown_to_room=room,
        forward=_best_diagonal(cloud),
        aligned_to_shown=np.eye(4) if aligned else None,
        notes=(*(() if aligned else (NOT_ALIGNED,)), *answers.notes()),
    )


def _first_to_shown(record: Record) -> NDArray[np.float64]:
    if record.axis_alignment is None:
        return np.asarray(record.camera_to_world[0])
    return np.asarray(record.axis_alignment @ record.camera_to_world[0])


def _best_diagonal(cloud: PointCloud) -> NDArray[np.float64]:
    """Return the horizontal diagonal (3,) that sees most surfaces from the front: a corner shows a room best."""
    if not len(cloud):
        return np.array([0.0, 1.0, 0.0])
    part = cloud.sample(20_000)
    low, high = np.percentile(part.points[:, :2], [1, 99], axis=0)
    x, y = np.maximum(high - low, 0.1) / np.linalg.norm(np.maximum(high - low, 0.1))
    diagonals = np.array([[x, y, 0.0], [-x, y, 0.0], [-x, -y, 0.0], [x, -y, 0.0]])
    # Looking down a little, as the picture does.
    seen = np.clip(-(part.normals @ (diagonals - [0.0, 0.0, 0.5]).T), 0.0, None).sum(axis=0)
    return np.asarray(diagonals[int(np.argmax(seen))])


class _FusedViews:
    """A cloud that grows by records; it holds at most 1.5 times ``max_points``, and the points of a few frames."""

    def __init__(self, max_points: int) -> None:
        self.seen: set[int] = set()
        self.voxel = VOXEL
        self._max_points = max_points
        self._parts: list[PointCloud] = []

    def add(
        self, record: Record, frames: list[int], to_shown: NDArray[np.float64], *, measured: bool, drop_flying: bool
    ) -> None:
        """Fuse some frames of a record, thin them, and thin everything when it has become too much."""
        ids = np.array(record.frame_ids, dtype=np.uint32)
        for start in range(0, len(frames), FRAMES_AT_ONCE):
            few = frames[start : start + FRAMES_AT_ONCE]
            stride = pixel_stride(record, len(few), POINTS_AT_ONCE)
            part = joined([fuse_frame(record, frame, stride, drop_flying=drop_flying) for frame in few])
            part = with_error(record, part) if measured else part
            part = replace(
                part,
                points=transform(to_shown, part.points.astype(np.float64)).astype(np.float32),
                normals=(part.normals @ to_shown[:3, :3].T).astype(np.float32),
                frames=ids[part.frames],
            )
            self._parts.append(part.thinned(self.voxel, np.zeros(3)))
            if sum(len(item) for item in self._parts) > 1.5 * self._max_points:
                self.cloud()
        self.seen |= {record.frame_ids[frame] for frame in frames}

    def cloud(self) -> PointCloud:
        """Return everything that was added, one point per voxel, within the limit."""
        whole = joined(self._parts).thinned(self.voxel, np.zeros(3))
        while len(whole) > self._max_points:
            self.voxel *= 1.5
            whole = whole.thinned(self.voxel, np.zeros(3))
        self._parts = [whole]
        return whole


class _SceneAnswers:
    """The answers about a scene's records, collected one record after another."""

    def __init__(self, predictions: Predictions | None) -> None:
        self.found = Answers()
        self._predictions = predictions
        self._unanswered = 0

    def add(self, record: Record, to_shown: NDArray[np.float64]) -> None:
        """Add the answers about a record."""
        if self._predictions is None:
            return
        if record.key not in self._predictions.replies:
            self._unanswered += 1
            return
        one = answers_about(record, self._predictions).drawn
        self.found += replace(
            one,
            boxes=tuple(item.moved(to_shown) for item in one.boxes),
            points=tuple(item.moved(to_shown) for item in one.points),
            notes=tuple(f"{record.key}: {note}" for note in one.notes),
        )

    def notes(self) -> tuple[str, ...]:
        """Return the notes beside the picture."""
        unanswered = (f"no answer about {self._unanswered} of the views",) if self._unanswered else ()
        return self.found.notes[:MAX_NOTES] + unanswered + (self._predictions.notes if self._predictions else ())
