"""What is shown of a record: its cloud and the marks around it, in one named frame of reference, as data.

Sheets, windows and files are made from an exhibit alone; it needs no display, so what they show can be tested.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.show.scene.answers import AnswerRow, answers_about
from gapdata.show.scene.cloud import PointCloud, fuse, with_error
from gapdata.show.scene.marks import ShownBox, ShownCamera, ShownPoint, record_boxes, record_cameras, record_points
from gapdata.show.scene.palette import AXES, Color
from gapdata.show.scene.room import room_frame
from gapdata.tasks.predictions import Predictions

NOT_ALIGNED = "no axis alignment: the room's axes are not drawn"
FEW_CAMERAS = 8
"""Up to this many, frustums are drawn large enough to show their images."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exhibit:
    """A cloud with all that is drawn around it. "Shown" is its frame of reference."""

    title: str  # the record's key, or the scene id
    facts: tuple[str, ...]
    reference: str
    """The frame of reference in words, e.g. ``metres, camera of frame 0``."""
    in_camera: bool
    """Whether that is a camera (x right, y down, z forward) or a world with z up."""
    cloud: PointCloud
    frame_ids: tuple[int, ...]  # raw ids of all frames in the cloud, ascending positions
    frame_values: tuple[int, ...]  # what cloud.frames holds for them
    cameras: tuple[ShownCamera, ...]
    boxes: tuple[ShownBox, ...]
    points: tuple[ShownPoint, ...]
    rows: tuple[AnswerRow, ...] = ()
    shown_to_room: NDArray[np.float64]  # (4, 4) z up, 0 at the floor: for the viewpoints, estimated where not known
    forward: NDArray[np.float64]  # (3,) unit, the direction that the first viewpoint looks in
    aligned_to_shown: NDArray[np.float64] | None  # (4, 4); None without axis alignment
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether a model's answers are shown, too."""
        return bool(self.rows)

    @property
    def extent(self) -> float:
        """The diagonal of the box around all but stray points, metres; 1 for an empty cloud."""
        if not len(self.cloud):
            return 1.0
        low, high = np.percentile(self.cloud.points[:: max(1, len(self.cloud) // 20_000)], [1, 99], axis=0)
        return float(np.linalg.norm(high - low))

    @property
    def frustum_depth(self) -> float:
        """How deep frustums are drawn, metres: an eighth of the extent, less where there are many."""
        share = 8 if len(self.cameras) <= FEW_CAMERAS else 18
        return float(np.clip(self.extent / share, 0.08, 0.8))

    def thinned(self, voxel: float) -> Exhibit:
        """Return the same with one point in each cube of ``voxel`` metres; the cubes are those of Open3D's
        ``voxel_down_sample``, which would lose all but positions, colours and normals.
        """
        if not len(self.cloud):
            return self
        return replace(self, cloud=self.cloud.thinned(voxel, self.cloud.points.min(axis=0) - np.float32(voxel / 2)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoomGrid:
    """The axis-aligned room frame as it is drawn: lines on the floor along its axes, and the axes themselves."""

    lines: NDArray[np.float64]  # (S, 2, 3) shown frame, a metre apart
    outline: NDArray[np.float64]  # (4, 2, 3) around them
    axes: tuple[tuple[str, Color, NDArray[np.float64]], ...]  # name, colour, (1, 2, 3); from the frame's own origin


def record_exhibit(
    record: Record,
    *,
    mode: str = "rgb",
    max_points: int | None = None,
    drop_flying: bool = False,
    predictions: Predictions | None = None,
) -> Exhibit:
    """What is shown of a record, in the camera of its first frame.

    Args:
        record: with its members.
        mode: the colour mode; ``error`` has the disagreement measured.
        max_points: the cloud is subsampled on the pixel grids to at most so many points.
        drop_flying: leave out points that hang between two surfaces (not in the mode ``validity``, which shows them).
        predictions: a model's answers to draw beside the truth.

    Raises:
        ShardError: a member is missing or damaged.
    """
    cloud = fuse(record, max_points=max_points, drop_flying=drop_flying and mode != "validity")
    if mode == "error":
        cloud = with_error(record, cloud)
    answers = None if predictions is None else answers_about(record, predictions).drawn
    aligned = record.axis_alignment
    room = room_frame(record, cloud)
    notes: tuple[str, ...] = () if aligned is not None else (NOT_ALIGNED,)
    if answers is not None and predictions is not None:
        notes += (*answers.notes, *predictions.notes)
    return Exhibit(
        title=record.key,
        facts=_facts(record, cloud),
        reference=f"metres, camera of frame {record.frame_ids[0]}",
        in_camera=True,
        cloud=cloud,
        frame_ids=record.frame_ids,
        frame_values=tuple(range(len(record))),
        cameras=record_cameras(record, list(range(len(record))), np.eye(4)),
        boxes=record_boxes(record) + (() if answers is None else answers.boxes),
        points=record_points(record) + (() if answers is None else answers.points),
        rows=() if answers is None else answers.rows,
        shown_to_room=room,
        forward=room[:3, 2],
        aligned_to_shown=None if aligned is None else np.linalg.inv(aligned @ record.camera_to_world[0]),
        notes=notes,
    )


def room_grid(exhibit: Exhibit) -> RoomGrid | None:
    """The room frame of an exhibit, from the scan's axis alignment; ``None`` where it has none.

    The grid has a line at every whole metre of the aligned world, from below the cloud's lowest to its highest x and y,
    at the height of the floor.
    """
    if exhibit.aligned_to_shown is None:
        return None
    to_shown = exhibit.aligned_to_shown
    to_aligned = np.linalg.inv(to_shown)
    points = exhibit.cloud.points[:: max(1, len(exhibit.cloud) // 20_000)].astype(np.float64)
    points = points @ to_aligned[:3, :3].T + to_aligned[:3, 3]
    if not len(points):
        points = np.zeros((1, 3))
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    floor = low[2]
    low, high = np.floor(low[:2] + 0.05), np.maximum(np.ceil(high[:2] - 0.05), np.floor(low[:2] + 0.05) + 1)
    segments = [[[x, low[1], floor], [x, high[1], floor]] for x in np.arange(low[0], high[0] + 0.5)]
    segments += [[[low[0], y, floor], [high[0], y, floor]] for y in np.arange(low[1], high[1] + 0.5)]
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    corners = np.concatenate([corners, np.full((4, 1), floor)], axis=1)
    outline = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    # The arrows stand at the corner of the grid rather than at the origin, which may lie anywhere: axes are directions.
    start = np.array([low[0], low[1], floor])

    def shown(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(values @ to_shown[:3, :3].T + to_shown[:3, 3])

    axes = tuple(
        (name, AXES[axis], shown(np.array([[start, start + np.eye(3)[axis]]])))
        for axis, name in enumerate(("room x", "room y", "room z"))
    )
    return RoomGrid(lines=shown(np.array(segments)), outline=shown(outline), axes=axes)


def _facts(record: Record, cloud: PointCloud) -> tuple[str, ...]:
    ids = [str(index) for index in record.frame_ids]
    frames = ", ".join(ids) if len(ids) <= 8 else f"{ids[0]}, {ids[1]}, ... {ids[-1]} ({len(ids)})"
    valid = float(np.mean([(record.depth(frame) > 0).mean() for frame in range(len(record))]))
    return (
        f"{record.source} {record.split}",
        f"{record.view} of frames {frames}",
        f"{record.image_size[0]} x {record.image_size[1]} pixels",
        f"{counted(len(cloud), 'point')} drawn",
        f"depth {100 * valid:.1f} % valid",
        counted(len(record.objects), "object"),
        counted(len(record.prompts), "prompt"),
    )
