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
from gapdata.show.scene.answers import AnswerRow, answers_about
from gapdata.show.scene.cloud import PointCloud, fuse_frame, joined, pixel_stride, with_error
from gapdata.show.scene.exhibit import NOT_ALIGNED, Exhibit
from gapdata.show.scene.marks import ShownBox, ShownCamera, ShownPoint, record_boxes, record_cameras, record_points
from gapdata.show.scene.palette import frame_color
from gapdata.tasks.predictions import Predictions

VOXEL = 0.01
"""Metres; made half as large again as often as the limit of points demands."""
MAX_POINTS = 1_200_000
FRAMES_AT_ONCE = 8
POINTS_AT_ONCE = 2_000_000
"""Of so many frames: more are subsampled on their pixel grids."""
MAX_CAMERAS = 40
MAX_ROWS = 60


def scene_ids(build: Location) -> tuple[str, ...]:
    """The scenes of a build, in its order."""
    return tuple(dict.fromkeys(read_index(build).column("scene_id").to_pylist()))


def scene_positions(build: Location, scene_id: str) -> list[int]:
    """Places in the index of a scene's records.

    Raises:
        UsageError: the build has no such scene; the message names near ones.
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
        mode: the colour mode; ``error`` has the disagreement measured.
        max_points: the voxels grow until there are at most so many points.
        drop_flying: leave out points that hang between two surfaces (not in the mode ``validity``).
        predictions: a model's answers to draw beside the truth.

    Raises:
        ShardError: a record is damaged.
    """
    fused = _SceneCloud(max_points=max_points)
    marks = _SceneMarks(predictions=predictions)
    first: Record | None = None
    for place in positions:
        record = reader[place]
        first = first or record
        first_to_shown = _first_to_shown(record)
        new = [frame for frame, raw in enumerate(record.frame_ids) if raw not in fused.seen]
        if new:
            fused.add(record, new, first_to_shown, mode=mode, drop_flying=drop_flying and mode != "validity")
        marks.add(record, new, first_to_shown)
    assert first is not None
    return _exhibit(first, len(positions), fused, marks)


def _exhibit(first: Record, views: int, fused: _SceneCloud, marks: _SceneMarks) -> Exhibit:
    cloud = fused.cloud()
    aligned = first.axis_alignment is not None
    room = np.eye(4)
    if len(cloud):
        room[2, 3] = -np.percentile(cloud.points[:: max(1, len(cloud) // 50_000), 2], 0.5)
    frames = tuple(sorted(fused.seen))
    cameras = marks.spread_cameras(frames)
    drawn = "" if len(cameras) == len(frames) else f" ({counted(len(cameras), 'camera')} drawn)"
    return Exhibit(
        title=first.scene_id,
        facts=(
            f"{first.source} {first.split}",
            f"{counted(views, 'view')}, {counted(len(frames), 'frame')}{drawn}",
            f"{counted(len(cloud), 'point')}, one per {fused.voxel * 100:.3g} cm",
            counted(sum(not item.predicted for item in marks.boxes.values()), "object"),
            counted(sum(not item.predicted for item in marks.points), "prompt"),
        ),
        reference="metres, axis-aligned world (z up)" if aligned else "metres, the scan's own world (not axis-aligned)",
        in_camera=False,
        cloud=cloud,
        frame_ids=frames,
        frame_values=frames,
        cameras=cameras,
        boxes=(*marks.boxes.values(), *marks.answered_boxes),
        points=tuple(marks.points),
        rows=tuple(marks.rows),
        shown_to_room=room,
        forward=_best_diagonal(cloud),
        aligned_to_shown=np.eye(4) if aligned else None,
        notes=(*(() if aligned else (NOT_ALIGNED,)), *marks.all_notes()),
    )


def _first_to_shown(record: Record) -> NDArray[np.float64]:
    if record.axis_alignment is None:
        return np.asarray(record.camera_to_world[0])
    return np.asarray(record.axis_alignment @ record.camera_to_world[0])


def _best_diagonal(cloud: PointCloud) -> NDArray[np.float64]:
    """Of the four horizontal directions (3,) across the scene the one that meets most surfaces from the front: rooms
    are best seen from a corner.
    """
    if not len(cloud):
        return np.array([0.0, 1.0, 0.0])
    part = slice(None, None, max(1, len(cloud) // 20_000))
    low, high = np.percentile(cloud.points[part, :2], [1, 99], axis=0)
    x, y = np.maximum(high - low, 0.1) / np.linalg.norm(np.maximum(high - low, 0.1))
    diagonals = np.array([[x, y, 0.0], [-x, y, 0.0], [-x, -y, 0.0], [x, -y, 0.0]])
    # Looking down a little, as the picture does.
    seen = np.clip(-(cloud.normals[part] @ (diagonals - [0.0, 0.0, 0.5]).T), 0.0, None).sum(axis=0)
    return np.asarray(diagonals[int(np.argmax(seen))])


class _SceneCloud:
    """Grows by records; holds at most half as many points again as ``max_points``, and those of a few frames."""

    def __init__(self, *, max_points: int) -> None:
        self.seen: set[int] = set()
        self.voxel = VOXEL
        self._max_points = max_points
        self._parts: list[PointCloud] = []

    def add(
        self, record: Record, frames: list[int], first_to_shown: NDArray[np.float64], *, mode: str, drop_flying: bool
    ) -> None:
        """Fuse some frames of a record, thin them, and thin everything when it has become too much."""
        ids = np.array(record.frame_ids, dtype=np.uint32)
        for start in range(0, len(frames), FRAMES_AT_ONCE):
            few = frames[start : start + FRAMES_AT_ONCE]
            stride = pixel_stride(record, len(few), POINTS_AT_ONCE)
            part = joined([fuse_frame(record, frame, stride, drop_flying=drop_flying) for frame in few])
            if mode == "error":
                part = with_error(record, part)
            part = replace(
                part,
                points=transform(first_to_shown, part.points.astype(np.float64)).astype(np.float32),
                normals=(part.normals @ first_to_shown[:3, :3].T).astype(np.float32),
                frames=ids[part.frames],
            )
            self._parts.append(self._thinned(part))
            if sum(len(item) for item in self._parts) > 1.5 * self._max_points:
                self._settle()
        self.seen |= {record.frame_ids[frame] for frame in frames}

    def cloud(self) -> PointCloud:
        """Everything that was added, one point per voxel, within the limit."""
        self._settle()
        return self._parts[0]

    def _settle(self) -> None:
        whole = self._thinned(joined(self._parts))
        while len(whole) > self._max_points:
            self.voxel *= 1.5
            whole = self._thinned(whole)
        self._parts = [whole]

    def _thinned(self, cloud: PointCloud) -> PointCloud:
        return cloud.thinned(self.voxel, np.zeros(3))


class _SceneMarks:
    """The cameras, boxes, prompts and answers of a scene's records, each object once."""

    def __init__(self, *, predictions: Predictions | None) -> None:
        self.cameras: dict[int, ShownCamera] = {}
        self.boxes: dict[int, ShownBox] = {}
        self.answered_boxes: list[ShownBox] = []
        self.points: list[ShownPoint] = []
        self.rows: list[AnswerRow] = []
        self._predictions = predictions
        self._notes: list[str] = []
        self._unanswered = 0

    def add(self, record: Record, new: list[int], first_to_shown: NDArray[np.float64]) -> None:
        """Take over a record's marks; ``new`` are its frames that no record before had."""
        kept = new[:: max(1, len(new) * 2 // MAX_CAMERAS)]
        for frame, camera in zip(kept, record_cameras(record, kept, first_to_shown), strict=True):
            self.cameras[record.frame_ids[frame]] = camera
        if len(self.cameras) > 4 * MAX_CAMERAS:
            self.cameras = dict(sorted(self.cameras.items())[::2])
        for item in record_boxes(record):
            known = self.boxes.get(-1 if item.object_id is None else item.object_id)
            box = item.moved(first_to_shown) if known is None else known
            pixels = item.visible_pixels + (0 if known is None else known.visible_pixels)
            self.boxes[-1 if item.object_id is None else item.object_id] = replace(box, visible_pixels=pixels)
        self.points += [item.moved(first_to_shown) for item in record_points(record)]
        if self._predictions is not None:
            self._answers(record, self._predictions, first_to_shown)

    def spread_cameras(self, frames: tuple[int, ...]) -> tuple[ShownCamera, ...]:
        """At most ``MAX_CAMERAS`` cameras, evenly spread over the frames, coloured by their place among them."""
        known = sorted(self.cameras)
        chosen = sorted({known[place] for place in np.linspace(0, len(known) - 1, MAX_CAMERAS).round().astype(int)})
        place = {raw: index for index, raw in enumerate(frames)}
        return tuple(replace(self.cameras[raw], color=frame_color(place[raw], len(frames))) for raw in chosen)

    def all_notes(self) -> list[str]:
        """What the exhibit says beside the picture."""
        notes = list(self._notes[:6])
        if self._unanswered:
            notes.append(f"no answer about {self._unanswered} of the views")
        return notes + list(self._predictions.notes if self._predictions else ())

    def _answers(self, record: Record, predictions: Predictions, first_to_shown: NDArray[np.float64]) -> None:
        if record.key not in predictions.replies:
            self._unanswered += 1
            return
        found = answers_about(record, predictions).drawn
        self.answered_boxes += [item.moved(first_to_shown) for item in found.boxes]
        self.points += [item.moved(first_to_shown) for item in found.points]
        self.rows += found.rows[: max(0, MAX_ROWS - len(self.rows))]
        self._notes += [f"{record.key}: {note}" for note in found.notes]
